//! Which names a definition gets: those that it asks for, unless another of its group has them
//! (k8s.io/apiextensions-apiserver/pkg/controller/status, `calculateNamesAndConditions`).

use std::collections::BTreeSet;

use decapod_api::kinds::strategies::apiextensions::{is_true, set_condition};
use decapod_api::{Value, value};

/// The names that a group's definitions have.
#[derive(Default)]
pub(super) struct Taken {
    resources: BTreeSet<String>,
    kinds: BTreeSet<String>,
}

// === impl Taken ===

impl Taken {
    /// Adds the names that a definition has.
    pub(super) fn add(&mut self, accepted: &Value) {
        let text = |field: &str| accepted.str_at(&[field]).map(str::to_owned);
        let short = accepted.list_at(&["shortNames"]).iter().filter_map(Value::as_str).map(str::to_owned);
        self.resources.extend(["plural", "singular"].into_iter().filter_map(text).chain(short));
        self.kinds.extend(["kind", "listKind"].into_iter().filter_map(text));
    }
}

/// The definition with the names that it gets and what its conditions say of them; none if it says so already.
pub(super) fn settle(definition: &Value, taken: &Taken, now: &str) -> Option<Value> {
    let empty = Value::map();
    let wanted = definition.at(&["spec", "names"]).unwrap_or(&empty);
    let had = definition.at(&["status", "acceptedNames"]).unwrap_or(&empty);
    // What they are called is settled, whatever became of the conditions since.
    if wanted == had {
        return None;
    }
    let (mut got, mut conflict) = (had.clone(), None);
    for (field, names, reason) in [
        ("plural", &taken.resources, "PluralConflict"),
        ("singular", &taken.resources, "SingularConflict"),
        ("shortNames", &taken.resources, "ShortNamesConflict"),
        ("kind", &taken.kinds, "KindConflict"),
        ("listKind", &taken.kinds, "ListKindConflict"),
    ] {
        let asked = texts(wanted.get(field));
        let own = texts(had.get(field));
        let used = asked.iter().filter(|name| !own.contains(name) && names.contains(**name));
        let used: Vec<String> = used.map(|name| format!("{name:?} is already in use")).collect();
        match used.as_slice() {
            [] => copy(&mut got, wanted, field),
            [one] => conflict = Some((reason, one.clone())),
            several => conflict = Some((reason, format!("[{}]", several.join(", ")))),
        }
    }
    copy(&mut got, wanted, "categories");
    let accepted = match &conflict {
        None => condition("NamesAccepted", "True", "NoConflicts", "no conflicts found"),
        Some((reason, why)) => condition("NamesAccepted", "False", reason, why),
    };
    let established = match (is_true(definition, "Established"), &conflict) {
        (true, _) => None,
        (false, None) => Some(condition(
            "Established",
            "True",
            "InitialNamesAccepted",
            "the initial names have been accepted",
        )),
        (false, Some(_)) => {
            Some(condition("Established", "False", "NotAccepted", "not all names are accepted"))
        }
    };
    let mut settled = definition.clone();
    settled.set_at(&["status", "acceptedNames"], got);
    set_condition(&mut settled, accepted, now);
    established.into_iter().for_each(|condition| set_condition(&mut settled, condition, now));
    (settled != *definition).then_some(settled)
}

fn texts(value: Option<&Value>) -> Vec<&str> {
    match value {
        Some(Value::String(text)) => vec![text],
        Some(Value::List(list)) => list.iter().filter_map(Value::as_str).collect(),
        _ => vec![],
    }
}

fn copy(to: &mut Value, from: &Value, field: &str) {
    match from.get(field) {
        Some(value) => to.set_at(&[field], value.clone()),
        None => drop(to.remove_at(&[field])),
    }
}

fn condition(kind: &str, status: &str, reason: &str, message: &str) -> Value {
    value!({"type": kind, "status": status, "reason": reason, "message": message})
}

#[cfg(test)]
mod tests {
    use super::*;

    fn definition(names: Value) -> Value {
        let mut definition = value!({"metadata": {"name": "as.x.y"}, "spec": {"group": "x.y"}});
        definition.set_at(&["spec", "names"], names);
        definition
    }

    fn said(definition: &Value) -> Vec<String> {
        let conditions = definition.list_at(&["status", "conditions"]).iter();
        let text = |condition: &Value, field: &str| condition.str_at(&[field]).unwrap_or_default().to_owned();
        conditions
            .map(|c| format!("{}={} {}", text(c, "type"), text(c, "status"), text(c, "reason")))
            .collect()
    }

    #[test]
    fn names_are_given_once() {
        let names =
            value!({"plural": "as", "singular": "a", "kind": "A", "listKind": "AList", "shortNames": ["aa"]});
        let first = settle(&definition(names.clone()), &Taken::default(), "t1").expect("settled");
        assert_eq!(said(&first), ["NamesAccepted=True NoConflicts", "Established=True InitialNamesAccepted"]);
        assert_eq!(first.at(&["status", "acceptedNames"]), Some(&names));
        let mut taken = Taken::default();
        taken.add(&names);
        assert_eq!(settle(&first, &taken, "t2"), None, "its own names are no conflict");

        let other =
            value!({"plural": "bs", "singular": "b", "kind": "A", "listKind": "BList", "shortNames": ["bb"]});
        let second = settle(&definition(other), &taken, "t2").expect("settled");
        assert_eq!(said(&second), ["NamesAccepted=False KindConflict", "Established=False NotAccepted"]);
        assert_eq!(second.str_at(&["status", "acceptedNames", "plural"]), Some("bs"));
        assert_eq!(second.str_at(&["status", "acceptedNames", "kind"]), None);
        let freed = settle(&second, &Taken::default(), "t3").expect("settled");
        assert_eq!(said(&freed), ["NamesAccepted=True NoConflicts", "Established=True InitialNamesAccepted"]);
    }
}
