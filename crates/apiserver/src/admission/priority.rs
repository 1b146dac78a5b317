//! Priority: a pod's priority class becomes its priority (k8s.io/kubernetes/plugin/pkg/admission/priority).

use decapod_api::{Status, Value};

use super::{Attributes, Operation, Plugin};
use crate::registry::Lookup;

/// The plugin.
pub struct Priority;

const GROUP: &str = "scheduling.k8s.io";

impl Plugin for Priority {
    fn name(&self) -> &'static str {
        "Priority"
    }

    fn handles(&self, attributes: &Attributes) -> bool {
        let writes = matches!(attributes.operation, Operation::Create | Operation::Update);
        let kinds = attributes.is("", "pods") || attributes.is(GROUP, "priorityclasses");
        writes && attributes.subresource.is_empty() && kinds
    }

    fn mutate(&self, attributes: &mut Attributes, lookup: &dyn Lookup) -> Result<(), Status> {
        if !attributes.is("", "pods") {
            return Ok(());
        }
        if let Some(old) = attributes.old {
            // A pod keeps the priority it was made with.
            for field in ["priority", "preemptionPolicy"] {
                if attributes.object.at(&["spec", field]).is_none()
                    && let Some(before) = old.at(&["spec", field])
                {
                    attributes.object.set_at(&["spec", field], before.clone());
                }
            }
            return Ok(());
        }
        let named = attributes.object.str_at(&["spec", "priorityClassName"]).unwrap_or_default().to_owned();
        let class = match named.as_str() {
            "" => default_class(lookup),
            name => {
                let class = lookup.draft(GROUP, "priorityclasses", "", name);
                Some(class.ok_or_else(|| {
                    attributes.forbid(&format!("no PriorityClass with name {name} was found"))
                })?)
            }
        };
        let priority = class.as_ref().and_then(|class| class.int_at(&["value"])).unwrap_or(0);
        let asked = attributes.object.int_at(&["spec", "priority"]);
        if asked.is_some_and(|asked| asked != priority) {
            let why = "the integer value of priority ";
            let why = format!(
                "{why}({}) must not be provided in pod spec; priority admission controller computed {priority} from the given PriorityClass name",
                asked.unwrap_or(0)
            );
            return Err(attributes.forbid(&why));
        }
        let policy = class
            .as_ref()
            .and_then(|class| class.str_at(&["preemptionPolicy"]))
            .unwrap_or("PreemptLowerPriority");
        if let (Some(name), "") =
            (class.as_ref().and_then(|class| class.str_at(&["metadata", "name"])), named.as_str())
        {
            attributes.object.set_at(&["spec", "priorityClassName"], name);
        }
        attributes.object.set_at(&["spec", "priority"], priority);
        match attributes.object.str_at(&["spec", "preemptionPolicy"]) {
            None => attributes.object.set_at(&["spec", "preemptionPolicy"], policy),
            Some(asked) if asked != policy => {
                let why = format!(
                    "the string value of PreemptionPolicy ({asked}) must not be provided in pod spec; priority admission controller computed {policy} from the given PriorityClass name"
                );
                return Err(attributes.forbid(&why));
            }
            Some(_) => {}
        }
        Ok(())
    }

    fn validate(&self, attributes: &Attributes, lookup: &dyn Lookup) -> Result<(), Status> {
        if !attributes.is(GROUP, "priorityclasses")
            || attributes.object.at(&["globalDefault"]) != Some(&Value::Bool(true))
        {
            return Ok(());
        }
        match default_class(lookup).as_ref().and_then(|class| class.str_at(&["metadata", "name"])) {
            Some(other) if other != attributes.name => {
                let why =
                    format!("PriorityClass {other} is already marked as default. Only one default can exist");
                Err(attributes.forbid(&why))
            }
            _ => Ok(()),
        }
    }
}

/// The class of pods that name none: of several defaults, the lowest.
fn default_class(lookup: &dyn Lookup) -> Option<Value> {
    let classes = lookup.drafts(GROUP, "priorityclasses", "").into_iter();
    classes
        .filter(|class| class.at(&["globalDefault"]) == Some(&Value::Bool(true)))
        .min_by_key(|class| class.int_at(&["value"]))
}
