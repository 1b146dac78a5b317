//! The APIServices that the server keeps itself, one for each group and version that it serves
//! (k8s.io/kube-aggregator/pkg/controllers/autoregister and upstream's crdregistration).

use std::collections::BTreeMap;

use decapod_api::{Value, value};

use super::api_service::{ApiService, MANAGED, Priority};
use super::priorities::{self, CUSTOM};
use crate::registry::Rows;

/// Kept as it was when the server started.
const ON_START: &str = "onstart";
/// Kept always.
const ALWAYS: &str = "true";

/// An APIService that there should be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wanted {
    group: String,
    version: String,
    priority: Priority,
    managed: &'static str,
}

/// What is to be done about one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Nothing.
    Keep,
    /// It is missing.
    Create,
    /// It says something else than it should.
    Update,
    /// It should not be there.
    Delete,
}

/// The APIServices of everything that is served, by name.
pub fn wanted(rows: &Rows) -> BTreeMap<String, Wanted> {
    let mut all = BTreeMap::new();
    for row in rows.iter().filter(|row| row.group != priorities::OWN) {
        for version in &row.versions {
            let built_in = priorities::built_in(&row.group, &version.name);
            let wanted = Wanted {
                group: row.group.to_string(),
                version: version.name.to_string(),
                priority: built_in.unwrap_or(CUSTOM),
                managed: if built_in.is_some() { ON_START } else { ALWAYS },
            };
            all.entry(format!("{}.{}", version.name, row.group)).or_insert(wanted);
        }
    }
    all
}

/// Decides as upstream's `checkAPIService` does. `was_settled` says whether this server has decided about it before,
/// `at_start` whether it was there when the server started.
pub fn decide(
    current: Option<&ApiService>,
    wanted: Option<&Wanted>,
    was_settled: bool,
    at_start: bool,
) -> Step {
    match (current, wanted) {
        (None, None) => Step::Keep,
        (_, Some(wanted)) if wanted.managed == ON_START && was_settled => Step::Keep,
        (None, Some(_)) => Step::Create,
        (Some(current), _) if current.managed != ON_START && current.managed != ALWAYS => Step::Keep,
        (Some(current), _) if current.managed == ON_START && (was_settled || !at_start) => Step::Keep,
        (Some(_), None) => Step::Delete,
        (Some(current), Some(wanted)) if wanted.is_said_by(current) => Step::Keep,
        (Some(_), Some(_)) => Step::Update,
    }
}

// === impl Wanted ===

impl Wanted {
    /// The object.
    pub fn object(&self, name: &str) -> Value {
        let mut object = value!({"metadata": {"name": name}, "spec": self.spec()});
        object.set_at(&["metadata", "labels", MANAGED], self.managed);
        object
    }

    /// What it says.
    pub fn spec(&self) -> Value {
        value!({"group": self.group.as_str(), "version": self.version.as_str(),
            "groupPriorityMinimum": self.priority.group, "versionPriority": self.priority.version})
    }

    fn is_said_by(&self, current: &ApiService) -> bool {
        current.reference.is_none() && current.priority == self.priority
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Upstream's table of current and desired states, whose rows and columns it counts from 1 and A.
    #[test]
    fn what_is_kept_follows_upstreams_table() {
        let now = |managed: &str, group| {
            let mut object = value!({"metadata": {"name": "v1.a", "labels": {}}, "spec": {"group": "a",
                "version": "v1", "groupPriorityMinimum": group, "versionPriority": 1}});
            object.set_at(&["metadata", "labels", MANAGED], managed);
            Some(ApiService::read(&object))
        };
        let want = |managed| {
            let priority = Priority { group: 10, version: 1 };
            Some(Wanted { group: "a".to_owned(), version: "v1".to_owned(), priority, managed })
        };
        use Step::*;
        for (name, current, wanted, was_settled, at_start, step) in [
            ("2A", None, None, false, false, Keep),
            ("2B", None, want(ON_START), false, false, Create),
            ("2B, later", None, want(ON_START), true, true, Keep),
            ("2C", None, want(ALWAYS), true, true, Create),
            ("3A", now("", 5), None, false, true, Keep),
            ("3C", now("", 5), want(ALWAYS), false, true, Keep),
            ("4A", now(ON_START, 5), None, false, false, Keep),
            ("4C", now(ON_START, 5), want(ALWAYS), false, false, Keep),
            ("5A", now(ON_START, 5), None, false, true, Delete),
            ("5A, later", now(ON_START, 5), None, true, true, Keep),
            ("5B", now(ON_START, 5), want(ON_START), false, true, Update),
            ("5B, later", now(ON_START, 5), want(ON_START), true, true, Keep),
            ("5B, the same", now(ON_START, 10), want(ON_START), false, true, Keep),
            ("6A", now(ALWAYS, 5), None, true, false, Delete),
            ("6B", now(ALWAYS, 5), want(ON_START), false, true, Update),
            ("6C", now(ALWAYS, 5), want(ALWAYS), true, false, Update),
            ("6C, the same", now(ALWAYS, 10), want(ALWAYS), true, false, Keep),
        ] {
            assert_eq!(decide(current.as_ref(), wanted.as_ref(), was_settled, at_start), step, "{name}");
        }
    }
}
