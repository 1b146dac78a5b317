//! RuntimeClass: which runtime runs a pod.

use crate::Cause;
use crate::kinds::strategies::core::pod_spec::validate as pod_validate;
use crate::kinds::strategies::rules::{Place, before};
use crate::kinds::strategy::{Strategy, Verb};
use crate::names;
use crate::value::Value;

/// RuntimeClass: which runtime runs a pod.
pub struct RuntimeClass;

impl Strategy for RuntimeClass {
    fn allow_create_on_update(&self) -> bool {
        true
    }

    fn allow_unconditional_update(&self) -> bool {
        false
    }

    fn validate(&self, new: &Value, old: Option<&Value>, _verb: Verb) -> Vec<Cause> {
        let (class, mut out) = (Place::root(new), Vec::new());
        let handler = class.field("handler");
        handler.need_checked(names::label, &mut out);
        if old.is_some() {
            handler.immutable(before(old, &["handler"]), &mut out);
        }
        if class.field("overhead").is_set() {
            pod_validate::requirements_of_overhead(&class.field("overhead"), &mut out);
        }
        let scheduling = class.field("scheduling");
        scheduling.field("nodeSelector").labels(&mut out);
        let tolerations = scheduling.field("tolerations");
        pod_validate::scheduling::tolerations(&tolerations, &mut out);
        let key = |toleration: &Value| {
            ["key", "operator", "value", "effect"].map(|field| toleration.get(field).cloned())
        };
        for (i, toleration) in tolerations.items().enumerate() {
            if tolerations.list()[..i].iter().any(|before| key(before) == key(toleration.value)) {
                out.push(toleration.duplicate());
            }
        }
        out
    }
}
