//! `metadata.managedFields`: who set what, and when, and how it is written (k8s.io/apimachinery/pkg/util/managedfields).

use std::cmp::Ordering;

use super::owned::Owned;
use super::set::FieldSet;
use crate::codec::text;
use crate::value::{Map, Value};

/// Where the entries are.
pub(super) const PATH: [&str; 2] = ["metadata", "managedFields"];

/// How a manager sets fields.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Operation {
    /// By apply.
    Apply,
    /// By any other write.
    Update,
}

/// A manager, and how it comes to own fields. The version counts for updates only: of an applier there is one entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Manager {
    /// Its name.
    pub name: String,
    /// How it sets fields.
    pub operation: Operation,
    /// The part of the object it writes; empty for the whole.
    pub subresource: String,
    /// The version it wrote in; empty for appliers.
    pub api_version: String,
}

/// The fields of one manager.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    pub manager: Manager,
    /// The version that the paths are of.
    pub api_version: String,
    /// When it last set something; there may be none.
    pub time: Option<String>,
    pub fields: Owned,
}

/// All entries of an object, each manager once.
#[derive(Clone, Debug, Default)]
pub(super) struct Entries(pub Vec<Entry>);

/// Gives the entries of `new` the times of `old`'s, if nothing but times differs between the two objects: a write that changes
/// nothing is none (k8s.io/apiserver/pkg/endpoints/handlers/fieldmanager, equality.go).
pub fn keep_times(old: &Value, new: &mut Value) {
    let (before, after) = (old.list_at(&PATH), new.list_at(&PATH));
    let all_but_times = before.len() == after.len()
        && before.iter().zip(after).any(|(a, b)| a.get("time") != b.get("time"))
        && before.iter().zip(after).all(|(a, b)| match (a, b) {
            (Value::Map(a), Value::Map(b)) => same_but(a, b, &["time"]),
            _ => false,
        });
    if all_but_times && is_unchanged(old, new) {
        let before = before.to_vec();
        new.set_at(&PATH, before);
    }
}

/// Whether all but entries and revision is the same.
fn is_unchanged(old: &Value, new: &Value) -> bool {
    let alike = |old: Option<&Value>, new: Option<&Value>, but: &[&str]| match (old, new) {
        (Some(Value::Map(old)), Some(Value::Map(new))) => same_but(old, new, but),
        _ => false,
    };
    alike(Some(old), Some(new), &["metadata"])
        && alike(old.get("metadata"), new.get("metadata"), &["managedFields", "resourceVersion"])
}

/// Whether two maps are the same but for the fields `but`. What is empty is the same as what is absent.
fn same_but(a: &Map, b: &Map, but: &[&str]) -> bool {
    let counts = |key: &str| !but.contains(&key);
    a.iter()
        .filter(|(key, _)| counts(key))
        .all(|(key, value)| same(value, b.get(key).unwrap_or(&Value::Null)))
        && b.iter().filter(|(key, _)| counts(key) && !a.contains(key)).all(|(_, value)| value.is_empty())
}

fn same(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Map(a), Value::Map(b)) => same_but(a, b, &[]),
        (Value::List(a), Value::List(b)) => a.len() == b.len() && a.iter().zip(b).all(|(a, b)| same(a, b)),
        (a, b) => a == b || (a.is_empty() && b.is_empty()),
    }
}

// === impl Manager ===

impl Manager {
    /// As conflicts name it: `"kubectl" using apps/v1`.
    pub(super) fn shown(&self) -> String {
        let mut shown = text::quote(&self.name);
        if !self.subresource.is_empty() {
            shown += &format!(" with subresource {}", text::quote(&self.subresource));
        }
        match self.operation {
            Operation::Apply => shown,
            Operation::Update => format!("{shown} using {}", self.api_version),
        }
    }

    /// The text that managers are ordered by in messages: upstream's identifier, which is JSON.
    pub(super) fn identifier(&self) -> String {
        let operation = match self.operation {
            Operation::Apply => "Apply",
            Operation::Update => "Update",
        };
        let fields = [
            ("manager", self.name.as_str()),
            ("operation", operation),
            ("apiVersion", &self.api_version),
            ("subresource", &self.subresource),
        ];
        let parts: Vec<String> = fields
            .iter()
            .filter(|(_, value)| !value.is_empty())
            .map(|(name, value)| format!("\"{name}\":{}", text::quote(value)))
            .collect();
        format!("{{{}}}", parts.join(","))
    }
}

// === impl Entry ===

impl Entry {
    /// `of_fields` makes something of how the fields are written.
    fn read(
        at: usize,
        value: &Value,
        of_fields: impl FnOnce(&Value) -> Result<Owned, String>,
    ) -> Result<Entry, String> {
        let text = |field: &str| value.str_at(&[field]).unwrap_or_default().to_owned();
        let operation = match text("operation").as_str() {
            "Apply" => Operation::Apply,
            "Update" => Operation::Update,
            _ => return Err("operation must be `Apply` or `Update`".to_owned()),
        };
        let api_version = text("apiVersion");
        if api_version.is_empty() {
            return Err("apiVersion must not be empty".to_owned());
        }
        match text("fieldsType").as_str() {
            "FieldsV1" => {}
            "" => return Err(format!("missing fieldsType in managed fields entry {at}")),
            other => {
                return Err(format!(
                    "invalid fieldsType {} in managed fields entry {at}",
                    text::quote(other)
                ));
            }
        }
        let fields = value.get("fieldsV1").map_or(Ok(Owned::default()), of_fields)?;
        let manager = Manager {
            name: text("manager"),
            operation,
            subresource: text("subresource"),
            api_version: if operation == Operation::Update { api_version.clone() } else { String::new() },
        };
        let time = value.str_at(&["time"]).map(str::to_owned);
        Ok(Entry { manager, api_version, time, fields })
    }

    fn write(self) -> Value {
        let operation = match self.manager.operation {
            Operation::Apply => "Apply",
            Operation::Update => "Update",
        };
        let mut map = Map::new();
        let texts = [
            ("manager", Some(self.manager.name.as_str())),
            ("operation", Some(operation)),
            ("apiVersion", Some(&self.api_version)),
            ("time", self.time.as_deref()),
            ("fieldsType", Some("FieldsV1")),
            ("subresource", Some(&self.manager.subresource)),
        ];
        for (field, text) in texts {
            if let Some(text) = text.filter(|text| !text.is_empty()) {
                map.insert(field, text);
            }
        }
        map.insert("fieldsV1", self.fields.write());
        Value::Map(map)
    }

    /// Upstream's order: applies first, then by time, then by names.
    fn order(&self, other: &Entry) -> Ordering {
        let rank = |entry: &Entry| (entry.manager.operation, entry.time.clone().unwrap_or_default());
        let names = |entry: &Entry| {
            (entry.manager.name.clone(), entry.api_version.clone(), entry.manager.subresource.clone())
        };
        rank(self).cmp(&rank(other)).then_with(|| names(self).cmp(&names(other)))
    }
}

// === impl Entries ===

impl Entries {
    /// Of an object.
    pub(super) fn read(object: &Value) -> Result<Entries, String> {
        Entries::read_list(object.list_at(&PATH))
    }

    /// Of a list that anybody may have written.
    pub(super) fn read_list(list: &[Value]) -> Result<Entries, String> {
        Entries::of(list.iter().enumerate().map(|(at, value)| Entry::read(at, value, Owned::read)))
    }

    /// Of an object that this server wrote.
    pub(super) fn of_stored(object: &Value) -> Result<Entries, String> {
        let list = object.list_at(&PATH).iter().enumerate();
        Entries::of(
            list.map(|(at, value)| Entry::read(at, value, |written| Ok(Owned::of_written(written.clone())))),
        )
    }

    /// Of two entries of one manager the later counts.
    fn of(list: impl Iterator<Item = Result<Entry, String>>) -> Result<Entries, String> {
        let mut entries = Entries::default();
        for entry in list {
            let entry = entry?;
            match entries.get_mut(&entry.manager) {
                Some(earlier) => *earlier = entry,
                None => entries.0.push(entry),
            }
        }
        Ok(entries)
    }

    /// Into an object, in place of what is there.
    pub(super) fn write(mut self, object: &mut Value) {
        object.remove_at(&PATH);
        if !self.0.is_empty() {
            self.0.sort_by(Entry::order);
            object.set_at(&PATH, self.0.into_iter().map(Entry::write).collect::<Vec<_>>());
        }
    }

    pub(super) fn get(&self, manager: &Manager) -> Option<&Entry> {
        self.0.iter().find(|entry| entry.manager == *manager)
    }

    pub(super) fn get_mut(&mut self, manager: &Manager) -> Option<&mut Entry> {
        self.0.iter_mut().find(|entry| entry.manager == *manager)
    }

    pub(super) fn remove(&mut self, manager: &Manager) -> Option<Entry> {
        let at = self.0.iter().position(|entry| entry.manager == *manager)?;
        Some(self.0.remove(at))
    }

    /// The entry of a manager of updates; an empty one, if there is none.
    pub(super) fn entry(&mut self, manager: &Manager) -> &mut Entry {
        let at = self.0.iter().position(|entry| entry.manager == *manager).unwrap_or_else(|| {
            let api_version = manager.api_version.clone();
            self.0.push(Entry {
                manager: manager.clone(),
                api_version,
                time: None,
                fields: Owned::default(),
            });
            self.0.len() - 1
        });
        &mut self.0[at]
    }

    /// Sets the fields of a manager, whose time stays; no fields, no entry.
    pub(super) fn set(&mut self, manager: &Manager, api_version: &str, fields: &FieldSet) {
        if fields.is_empty() {
            self.remove(manager);
            return;
        }
        let entry = self.entry(manager);
        entry.fields = Owned::from(fields);
        api_version.clone_into(&mut entry.api_version);
    }
}
