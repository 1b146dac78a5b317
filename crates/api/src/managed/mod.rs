//! Managed fields: which manager set which field (sigs.k8s.io/structured-merge-diff, KEP-555). They are recorded from
//! the first write on.

mod diff;
mod set;

pub use diff::{Difference, diff};
pub use set::{Element, FieldSet};

use crate::schema::TypeRef;
use crate::value::Value;

/// Who changes an object, and how.
pub struct Change<'a> {
    /// The manager's name.
    pub manager: &'a str,
    /// The version that the client speaks.
    pub api_version: &'a str,
    /// The part that is changed; empty for the whole.
    pub subresource: &'a str,
    /// The time, as metadata writes it.
    pub now: &'a str,
}

/// One entry of `metadata.managedFields`.
struct Entry {
    manager: String,
    operation: String,
    api_version: String,
    time: String,
    subresource: String,
    fields: FieldSet,
}

const PATH: [&str; 2] = ["metadata", "managedFields"];
const UPDATE: &str = "Update";

/// Fields that nobody owns: they identify the object or are the server's
/// (k8s.io/apimachinery/pkg/util/managedfields/internal/stripmeta.go).
const STRIPPED: [&[&str]; 11] = [
    &["apiVersion"],
    &["kind"],
    &["metadata"],
    &["metadata", "name"],
    &["metadata", "namespace"],
    &["metadata", "creationTimestamp"],
    &["metadata", "selfLink"],
    &["metadata", "uid"],
    &["metadata", "generation"],
    &["metadata", "managedFields"],
    &["metadata", "resourceVersion"],
];

/// Records in `new` that `change` made it of `old` (nothing, for a create). What the client itself wrote into
/// `managedFields` counts only when it empties them: that starts the record anew.
pub fn track(old: Option<&Value>, new: &mut Value, ty: TypeRef, change: &Change) {
    let empty = Value::map();
    let reset = old.is_some() && is_reset(new);
    let recorded = if reset { &[][..] } else { old.map_or(&[][..], |old| old.list_at(&PATH)) };
    let mut entries: Vec<Entry> = recorded.iter().filter_map(Entry::read).collect();
    new.remove_at(&PATH);
    let difference = diff(old.unwrap_or(&empty), new, ty);
    let changed = difference.added.union(&difference.modified);
    for entry in &mut entries {
        if !entry.is(change) {
            entry.fields = entry.fields.difference(&changed);
        }
        entry.fields = entry.fields.difference(&difference.removed);
    }
    let mut owned = changed;
    STRIPPED.iter().for_each(|path| owned.remove(path));
    if !owned.is_empty() {
        let at = entries.iter().position(|entry| entry.is(change)).unwrap_or_else(|| {
            entries.push(Entry::new(change));
            entries.len() - 1
        });
        entries[at].fields = entries[at].fields.union(&owned);
        entries[at].time = change.now.to_owned();
    }
    entries.retain(|entry| !entry.fields.is_empty());
    // Upstream's order: applies first, then by time, then by name.
    entries.sort_by(|a, b| {
        let rank = |entry: &Entry| entry.operation == UPDATE;
        (rank(a), &a.time, &a.manager, &a.subresource).cmp(&(rank(b), &b.time, &b.manager, &b.subresource))
    });
    if !entries.is_empty() {
        new.set_at(&PATH, entries.iter().map(Entry::write).collect::<Vec<_>>());
    }
}

/// Whether the client asks for the record to be forgotten: a list with one empty entry, or none.
fn is_reset(new: &Value) -> bool {
    match new.at(&PATH).and_then(Value::as_list) {
        Some([]) => true,
        Some([only]) => only.as_map().is_some_and(|map| map.is_empty()),
        _ => false,
    }
}

// === impl Entry ===

impl Entry {
    fn new(change: &Change) -> Entry {
        Entry {
            manager: change.manager.to_owned(),
            operation: UPDATE.to_owned(),
            api_version: change.api_version.to_owned(),
            time: change.now.to_owned(),
            subresource: change.subresource.to_owned(),
            fields: FieldSet::default(),
        }
    }

    fn is(&self, change: &Change) -> bool {
        self.operation == UPDATE
            && self.manager == change.manager
            && self.api_version == change.api_version
            && self.subresource == change.subresource
    }

    fn read(value: &Value) -> Option<Entry> {
        let text = |field: &str| value.str_at(&[field]).unwrap_or_default().to_owned();
        Some(Entry {
            manager: text("manager"),
            operation: text("operation"),
            api_version: text("apiVersion"),
            time: text("time"),
            subresource: text("subresource"),
            fields: FieldSet::read(value.get("fieldsV1")?),
        })
    }

    fn write(&self) -> Value {
        let mut value = Value::map();
        value.set_at(&["manager"], self.manager.as_str());
        value.set_at(&["operation"], self.operation.as_str());
        value.set_at(&["apiVersion"], self.api_version.as_str());
        value.set_at(&["time"], self.time.as_str());
        value.set_at(&["fieldsType"], "FieldsV1");
        value.set_at(&["fieldsV1"], self.fields.write());
        if !self.subresource.is_empty() {
            value.set_at(&["subresource"], self.subresource.as_str());
        }
        value
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schema::Schema;
    use crate::value;

    fn ty() -> TypeRef<'static> {
        Schema::builtin().named("io.k8s.api.apps.v1.Deployment").expect("Deployment")
    }

    fn by<'a>(manager: &'a str, now: &'a str) -> Change<'a> {
        Change { manager, api_version: "apps/v1", subresource: "", now }
    }

    #[test]
    fn a_create_owns_what_it_sets_and_an_update_takes_what_it_changes() {
        let mut first = value!({
            "metadata": {"name": "web", "labels": {"app": "web"}},
            "spec": {"replicas": 1, "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1}},
                "template": {"spec": {"containers": [{"name": "c", "image": "x", "ports": [{"containerPort": 80, "protocol": "TCP"}]}]}}},
        });
        track(None, &mut first, ty(), &by("kubectl-create", "1"));
        let entry = &first.list_at(&PATH)[0];
        let expected = value!({
            "f:metadata": {"f:labels": {".": {}, "f:app": {}}},
            "f:spec": {
                "f:replicas": {},
                "f:strategy": {"f:type": {}, "f:rollingUpdate": {".": {}, "f:maxSurge": {}}},
                "f:template": {"f:spec": {"f:containers": {"k:{\"name\":\"c\"}": {".": {}, "f:name": {}, "f:image": {}, "f:resources": {},
                    "f:ports": {".": {}, "k:{\"containerPort\":80,\"protocol\":\"TCP\"}": {".": {}, "f:containerPort": {}, "f:protocol": {}}}}}}},
            },
        });
        assert_eq!(entry.get("fieldsV1"), Some(&expected));

        let mut second = first.clone();
        second.set_at(&["spec", "replicas"], 3);
        second.set_at(&["metadata", "labels"], value!({}));
        track(Some(&first), &mut second, ty(), &by("scaler", "2"));
        let entries = second.list_at(&PATH);
        assert_eq!(entries.len(), 2);
        assert_eq!(entries[1].get("fieldsV1"), Some(&value!({"f:spec": {"f:replicas": {}}})));
        assert_eq!(entries[0].at(&["fieldsV1", "f:spec", "f:replicas"]), None);
        assert_eq!(entries[0].at(&["fieldsV1", "f:metadata", "f:labels", "f:app"]), None);

        let mut third = second.clone();
        track(Some(&second), &mut third, ty(), &by("nobody", "3"));
        assert_eq!(third, second, "a change that changes nothing records nothing");
    }
}
