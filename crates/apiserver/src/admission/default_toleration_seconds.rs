//! DefaultTolerationSeconds: pods stay five minutes on nodes that are not ready or unreachable
//! (k8s.io/kubernetes/plugin/pkg/admission/defaulttolerationseconds).

use decapod_api::{Status, Value, value};

use super::{Attributes, Operation, Plugin};
use crate::registry::Lookup;

/// The plugin.
pub struct DefaultTolerationSeconds;

const TAINTS: [&str; 2] = ["node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable"];
const SECONDS: i64 = 300;

impl Plugin for DefaultTolerationSeconds {
    fn name(&self) -> &'static str {
        "DefaultTolerationSeconds"
    }

    fn handles(&self, attributes: &Attributes) -> bool {
        let writes = matches!(attributes.operation, Operation::Create | Operation::Update);
        writes && attributes.is("", "pods") && attributes.subresource.is_empty()
    }

    fn mutate(&self, attributes: &mut Attributes, _lookup: &dyn Lookup) -> Result<(), Status> {
        for taint in TAINTS {
            let tolerated = |toleration: &Value| {
                let key = toleration.str_at(&["key"]).unwrap_or_default();
                let effect = toleration.str_at(&["effect"]).unwrap_or_default();
                (key == taint || key.is_empty()) && matches!(effect, "NoExecute" | "")
            };
            if !attributes.object.list_at(&["spec", "tolerations"]).iter().any(tolerated) {
                let toleration = value!({"key": taint, "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": SECONDS});
                attributes.object.entry_at(&["spec", "tolerations"]).ensure_list().push(toleration);
            }
        }
        Ok(())
    }
}
