//! ExtendedResourceToleration: who asks for a device tolerates the taint of its name
//! (k8s.io/kubernetes/plugin/pkg/admission/extendedresourcetoleration).

use std::collections::BTreeSet;

use decapod_api::kinds::strategies::is_extended_resource;
use decapod_api::{Status, Value, value};

use super::{Attributes, Operation, Plugin};
use crate::registry::Lookup;

/// The plugin.
pub struct ExtendedResourceToleration;

impl Plugin for ExtendedResourceToleration {
    fn name(&self) -> &'static str {
        "ExtendedResourceToleration"
    }

    fn handles(&self, attributes: &Attributes) -> bool {
        matches!(attributes.operation, Operation::Create | Operation::Update)
            && attributes.is("", "pods")
            && attributes.subresource.is_empty()
    }

    fn mutate(&self, attributes: &mut Attributes, _: &dyn Lookup) -> Result<(), Status> {
        let pod = &mut attributes.object;
        let containers =
            ["containers", "initContainers"].iter().flat_map(|list| pod.list_at(&["spec", list]));
        let requests = containers.filter_map(|container| container.at(&["resources", "requests"])?.as_map());
        let names = requests.flat_map(|map| map.iter()).map(|(name, _)| name.to_string());
        let names: BTreeSet<String> = names.filter(|name| is_extended_resource(name)).collect();
        for name in names {
            let wanted = value!({"key": name, "operator": "Exists", "effect": "NoSchedule"});
            let same = |other: &Value| {
                let text =
                    |toleration: &Value, field| toleration.str_at(&[field]).unwrap_or_default().to_owned();
                ["key", "operator", "effect", "value"]
                    .iter()
                    .all(|field| text(other, field) == text(&wanted, field))
            };
            let tolerations = pod.entry_at(&["spec", "tolerations"]).ensure_list();
            if !tolerations.iter().any(same) {
                tolerations.push(wanted);
            }
        }
        Ok(())
    }
}
