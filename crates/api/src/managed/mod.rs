//! Server-side apply and managed fields: which manager set which field, and what an applied configuration makes of an object
//! (KEP-555; k8s.io/apimachinery/pkg/util/managedfields over sigs.k8s.io/structured-merge-diff).
//!
//! Everything works on objects as clients see them, [`shown`]: trees with the zero values that Go never leaves out.

mod changed;
mod element;
mod entries;
mod owned;
mod place;
mod resets;
mod scale;
mod set;
mod shown;
mod update;
mod walk;

use std::sync::LazyLock;

pub use element::{Element, Shown};
pub use entries::{Manager, Operation, keep_times};
pub use scale::Scale;
pub use set::FieldSet;
pub use shown::shown;
pub use update::{Filter, OneVersion, Versions};
pub use walk::{Difference, Mismatches};

use crate::codec::{FieldValidation, json};
use crate::meta::{GroupVersion, GroupVersionKind};
use crate::schema::TypeRef;
use crate::status::{Cause, Status};
use crate::value::Value;
use changed::changed;
use entries::{Entries, PATH};
use place::Place;
use update::{Conflicts, Failed, Typed, Updater};

/// Most managers of updates; the oldest of more become one (upstream's `DefaultMaxUpdateManagers`).
const UPDATE_MANAGERS_MAX: usize = 10;
/// All annotations of an object together.
const ANNOTATIONS_BYTES_MAX: usize = 256 * 1024;
/// What the oldest are called then.
const ANCIENT: &str = "ancient-changes";
/// Who owns what was there before the first apply, if nobody did.
const BEFORE_APPLY: &str = "before-first-apply";
/// The manager of `kubectl apply --server-side`, which takes over from plain `kubectl apply`.
const KUBECTL: &str = "kubectl";
/// Where plain `kubectl apply` keeps what it applied.
const LAST_APPLIED: [&str; 3] =
    ["metadata", "annotations", "kubectl.kubernetes.io/last-applied-configuration"];

/// Fields that nobody owns: they identify the object or are the server's (stripmeta.go).
static STRIPPED: LazyLock<FieldSet> = LazyLock::new(|| {
    const METADATA: [&str; 9] = [
        "name",
        "namespace",
        "creationTimestamp",
        "selfLink",
        "uid",
        "clusterName",
        "generation",
        "managedFields",
        "resourceVersion",
    ];
    let metadata = METADATA.map(|field| ["metadata", field]);
    let paths = [&["apiVersion"][..], &["kind"], &["metadata"]].into_iter();
    FieldSet::of_fields(&paths.chain(metadata.iter().map(|path| &path[..])).collect::<Vec<_>>())
});

/// Writes to one kind of object, or to a part of it, in one version.
pub struct Fields<'a> {
    /// The kind and version that the client speaks.
    pub kind: &'a GroupVersionKind,
    /// The type by which fields are owned.
    pub ty: TypeRef<'a>,
    /// The type by which drafts are read and written: the same, but for objects of a custom kind, which are decoded as any tree.
    pub form: TypeRef<'a>,
    /// The part that is written; empty for the whole.
    pub subresource: &'a str,
    /// What the write does not set.
    pub filter: &'a Filter,
    /// The kind's versions.
    pub versions: &'a dyn Versions,
    /// The time, as metadata writes it.
    pub now: &'a str,
}

/// Why an apply was refused.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum ApplyError {
    /// What is no configuration for this object.
    #[error("{0}")]
    Config(String),
    /// What does not fit the schema, of which upstream makes a 500.
    #[error("{0}")]
    Unfit(String),
    /// Others own what it would change.
    #[error("{message}")]
    Conflict {
        /// All of it in one text.
        message: String,
        /// One for each field.
        causes: Vec<Cause>,
    },
}

// === impl ApplyError ===

impl From<ApplyError> for Status {
    fn from(error: ApplyError) -> Status {
        match error {
            ApplyError::Config(why) => Status::bad_request(why),
            ApplyError::Unfit(why) => Status::unknown(why),
            ApplyError::Conflict { message, causes } => Status::apply_conflict(message, causes),
        }
    }
}

fn conflict(conflicts: &Conflicts) -> ApplyError {
    let (mut causes, mut lines) = (Vec::new(), Vec::new());
    for (manager, fields) in conflicts {
        let shown = manager.shown();
        lines.push(format!("conflicts with {shown}:"));
        fields.for_each(&mut |path| {
            let field = Shown(path).to_string();
            lines.push(format!("- {field}"));
            let message = format!("conflict with {shown}");
            causes.push(Cause { reason: "FieldManagerConflict".to_owned(), message, field });
        });
    }
    let message = match causes.as_slice() {
        [only] => format!("Apply failed with 1 conflict: {}: {}", only.message, only.field),
        several => format!("Apply failed with {} conflicts: {}", several.len(), lines.join("\n")),
    };
    ApplyError::Conflict { message, causes }
}

// === impl Fields ===

impl<'a> Fields<'a> {
    /// Records in `new` that `manager` made it of `live`, in any way but apply. Both are drafts; no `live` is a create.
    pub fn update(&self, live: Option<&Value>, new: &mut Value, manager: &str) {
        let mut entries = self.entries_of_update(live, new);
        let is_new = live.is_none_or(|live| live.str_at(&["metadata", "uid"]).unwrap_or_default().is_empty());
        // What is not recorded from the beginning is recorded from the first apply on.
        if entries.0.is_empty() && !is_new {
            return;
        }
        let recorded = match live {
            None => self.record(&self.typed(&Value::Null), &self.typed(new), &mut entries, manager),
            Some(live) => {
                let own = self.kind.api_version();
                let converts = entries.0.iter().any(|entry| entry.api_version != own);
                let (old, new) = match converts && self.versions.need_whole() {
                    true => (live.clone(), new.clone()),
                    false => changed(live, new),
                };
                self.record(&self.typed(&old), &self.typed(&new), &mut entries, manager)
            }
        };
        // Upstream clears what it cannot reckon.
        if recorded.is_ok() {
            self.cap(&mut entries);
            entries.write(new);
        }
    }

    /// The entries that count before an update: those that a client sends along, if they make sense, else those that are recorded.
    /// They are taken out of `new`. An empty list, or one empty entry, starts anew.
    fn entries_of_update(&self, live: Option<&Value>, new: &mut Value) -> Entries {
        let recorded = || live.map_or(Ok(Entries::default()), Entries::of_stored).unwrap_or_default();
        let stored = live.and_then(|live| live.at(&PATH));
        // A subresource does not write managed fields by itself.
        let sent = new.remove_at(&PATH).filter(|sent| self.subresource.is_empty() && stored != Some(sent));
        match sent.as_ref().and_then(Value::as_list) {
            None => recorded(),
            Some([]) => Entries::default(),
            Some([only]) if only.as_map().is_some_and(|map| map.is_empty()) => Entries::default(),
            Some(list) => {
                Entries::read_list(list).ok().filter(|entries| !entries.0.is_empty()).unwrap_or_else(recorded)
            }
        }
    }

    /// What `live`, a draft, becomes when `manager` applies `config`: a draft again. Nothing is there yet when there is no `live`.
    pub fn apply(
        &self,
        live: Option<&Value>,
        config: &Value,
        manager: &str,
        force: bool,
    ) -> Result<Value, ApplyError> {
        let draft = live.unwrap_or(&Value::Null);
        let entries = Entries::read(draft)
            .map_err(|why| ApplyError::Unfit(format!("failed to decode managed fields: {why}")))?;
        self.check_kind(config)?;
        let live = self.typed(draft);
        let misfit = walk::validate(&live.value, Place::Struct(self.ty), true).err();
        let misfit = misfit.map(|why| (self.described(&live.value), why));
        if let (true, Some((of, why))) = (entries.0.is_empty(), &misfit) {
            return Err(ApplyError::Unfit(format!(
                "failed to create manager for existing fields: failed to convert new object ({of}) to smd typed: {why}"
            )));
        }
        if config.at(&PATH).is_some_and(|fields| !fields.is_null()) {
            return Err(ApplyError::Config("metadata.managedFields must be nil".to_owned()));
        }
        let config = self.typed_config(config)?;
        if let Some((of, why)) = misfit {
            return Err(ApplyError::Unfit(format!("failed to create typed live object ({of}): {why}")));
        }
        let applied = match self.apply_once(&live, &config, entries.clone(), manager, force) {
            Err(Failed::Conflicts(conflicts)) if manager == KUBECTL => {
                // What plain `kubectl apply` set and nobody changed since is kubectl's to take.
                let conflicts = self.without_last_applied(conflicts, &live);
                if !conflicts.is_empty() {
                    return Err(conflict(&conflicts));
                }
                self.apply_once(&live, &config, entries, manager, true)
            }
            applied => applied,
        };
        let (object, entries) = applied.map_err(|failed| match failed {
            Failed::Conflicts(conflicts) => conflict(&conflicts),
            failed => ApplyError::Unfit(failed.to_string()),
        })?;
        let mut object = object.unwrap_or_else(|| draft.clone());
        if manager == KUBECTL && object.str_at(&LAST_APPLIED).is_some_and(|last| !last.is_empty()) {
            set_last_applied(&mut object, &config.value);
        }
        entries.write(&mut object);
        Ok(object)
    }

    fn manager(&self, name: &str, operation: Operation) -> Manager {
        let name = if name.is_empty() { "unknown" } else { name };
        Manager {
            name: name.to_owned(),
            operation,
            subresource: self.subresource.to_owned(),
            api_version: match operation {
                Operation::Apply => String::new(),
                Operation::Update => self.kind.api_version(),
            },
        }
    }

    fn updater(&self) -> Updater<'a> {
        Updater { versions: self.versions, filter: self.filter }
    }

    /// A draft as a client of this version sees it, without managed fields.
    fn typed(&self, draft: &Value) -> Typed<'a> {
        let mut value = shown(draft, self.form);
        value.remove_at(&PATH);
        let map = value.ensure_map();
        map.insert("apiVersion", self.kind.api_version());
        map.insert("kind", self.kind.kind.to_string());
        Typed { value, api_version: self.kind.api_version(), ty: self.ty }
    }

    fn check_kind(&self, config: &Value) -> Result<(), ApplyError> {
        let text = |field: &str| config.str_at(&[field]).unwrap_or_default();
        let (version, kind) = (text("apiVersion"), text("kind"));
        if version == self.kind.api_version() && kind == self.kind.kind {
            return Ok(());
        }
        let named = GroupVersion::parse(version);
        let shown = format!("{}/{}, Kind={kind}", named.group, named.version);
        Err(ApplyError::Config(format!("invalid object type: {shown}")))
    }

    fn typed_config(&self, config: &Value) -> Result<Typed<'a>, ApplyError> {
        let typed = Typed { value: config.clone(), api_version: self.kind.api_version(), ty: self.ty };
        walk::validate(&typed.value, Place::Struct(self.ty), false).map_err(|why| {
            let of = self.described(config);
            ApplyError::Unfit(format!("failed to create typed patch object ({of}): {why}"))
        })?;
        Ok(typed)
    }

    /// Records that `manager` made `new` of `old` other than by apply.
    fn record(
        &self,
        old: &Typed<'a>,
        new: &Typed<'a>,
        entries: &mut Entries,
        manager: &str,
    ) -> Result<(), Failed> {
        let manager = self.manager(manager, Operation::Update);
        // Under a name of its own first, so that it is seen what this write set.
        let this = Manager { name: "current-operation".to_owned(), ..manager.clone() };
        let set = self.updater().update(old, new, entries, &this)?.difference(&STRIPPED);
        if !set.is_empty() {
            let entry = entries.entry(&manager);
            entry.fields.add(&set);
            entry.time = Some(self.now.to_owned());
        }
        Ok(())
    }

    fn apply_once(
        &self,
        live: &Typed<'a>,
        config: &Typed<'a>,
        mut entries: Entries,
        manager: &str,
        force: bool,
    ) -> Result<(Option<Value>, Entries), Failed> {
        if entries.0.is_empty() {
            self.record(&self.typed(&Value::Null), live, &mut entries, BEFORE_APPLY)?;
            self.cap(&mut entries);
        }
        let by = self.manager(manager, Operation::Apply);
        let new = self.updater().apply(live, config, &mut entries, &by, force)?;
        if let Some(entry) = entries.get_mut(&by) {
            entry.fields.remove(&STRIPPED);
            if new.is_some() {
                entry.time = Some(self.now.to_owned());
            }
        }
        entries.0.retain(|entry| !entry.fields.is_empty());
        let object = new.map(|new| self.conformed(&new, config)).transpose()?;
        Ok((object, entries))
    }

    /// A merged object as a draft.
    fn conformed(&self, merged: &Value, config: &Typed) -> Result<Value, Failed> {
        json::conform(merged, self.form, FieldValidation::Ignore).map(|decoded| decoded.draft).map_err(|why| {
            let (of, kind) = (self.described(&config.value), self.described_kind());
            // Bytes go through JSON on their way.
            let json = if why.to_string().starts_with("illegal base64") { "error decoding from json: " } else { "" };
            let why = format!(
                "failed to convert new object ({of}) to proper version: unable to convert unstructured object to {kind}: {json}{why}"
            );
            Failed::Misfit(why)
        })
    }

    fn described_kind(&self) -> String {
        format!("{}/{}, Kind={}", self.kind.group, self.kind.version, self.kind.kind)
    }

    /// An object as upstream's errors name it.
    fn described(&self, object: &Value) -> String {
        let text = |field: &str| object.str_at(&["metadata", field]).unwrap_or_default();
        format!("{}/{}; {}", text("namespace"), text("name"), self.described_kind())
    }

    /// The conflicts but for fields that plain `kubectl apply` set and that are still as it set them.
    fn without_last_applied(&self, conflicts: Conflicts, live: &Typed<'a>) -> Conflicts {
        let Some(allowed) = self.last_applied(live) else { return conflicts };
        let left = conflicts.into_iter().map(|(manager, fields)| (manager, fields.difference(&allowed)));
        left.filter(|(_, fields)| !fields.is_empty()).collect()
    }

    fn last_applied(&self, live: &Typed<'a>) -> Option<FieldSet> {
        let text = live.value.str_at(&LAST_APPLIED).filter(|text| !text.is_empty())?;
        let config: Value = serde_json::from_str(text).ok()?;
        if config.str_at(&["apiVersion"]) != Some(&self.kind.api_version()) {
            return None;
        }
        let place = Place::Struct(self.ty);
        walk::validate(&live.value, place, false).ok()?;
        walk::validate(&config, place, false).ok()?;
        let fields = walk::fields(&config, place).ok()?;
        let difference = walk::compare(&config, &live.value, place).ok()?;
        let changed = difference.modified.union(difference.added).union(difference.removed);
        Some(fields.difference(&changed))
    }

    /// Makes the oldest updaters one, until there are no more than may be (capmanagers.go).
    fn cap(&self, entries: &mut Entries) {
        let updates = || entries.0.iter().filter(|entry| entry.manager.operation == Operation::Update);
        let mut count = updates().count();
        if count <= UPDATE_MANAGERS_MAX {
            return;
        }
        let mut oldest: Vec<(String, String, Manager)> = updates()
            .map(|entry| {
                (entry.time.clone().unwrap_or_default(), entry.manager.identifier(), entry.manager.clone())
            })
            .collect();
        oldest.sort_by(|a, b| (&a.0, &a.1).cmp(&(&b.0, &b.1)));
        // The first of each version waits for a second one to be joined with.
        let mut firsts: Vec<Manager> = Vec::new();
        for (_, _, manager) in oldest {
            if count <= UPDATE_MANAGERS_MAX {
                return;
            }
            let Some(first) = firsts.iter().find(|first| first.api_version == manager.api_version) else {
                firsts.push(manager);
                continue;
            };
            let bucket = Manager { name: ANCIENT.to_owned(), subresource: String::new(), ..manager.clone() };
            if entries.get(&bucket).is_none() {
                let first = first.clone();
                entries.get_mut(&first).into_iter().for_each(|entry| entry.manager = bucket.clone());
            }
            if let Some(joined) = entries.remove(&manager) {
                let entry = entries.entry(&bucket);
                entry.fields.add(&joined.fields.set());
                entry.time = joined.time;
            }
            count -= 1;
        }
    }
}

/// Keeps the annotation of plain `kubectl apply` in step, as long as it is not too large.
fn set_last_applied(object: &mut Value, config: &Value) {
    let mut config = config.clone();
    let (annotations, last) = ([LAST_APPLIED[0], LAST_APPLIED[1]], LAST_APPLIED[2]);
    if let Some(map) = config.at_mut(&annotations).and_then(Value::as_map_mut) {
        map.remove(last);
    }
    let mut text = Vec::new();
    crate::codec::json::write_any(&config, &mut text);
    text.push(b'\n');
    object.set_at(&LAST_APPLIED, String::from_utf8_lossy(&text).into_owned());
    let all = object.at(&annotations).and_then(Value::as_map);
    let bytes: usize = all
        .iter()
        .flat_map(|map| map.iter())
        .map(|(key, value)| key.len() + value.as_str().map_or(0, str::len))
        .sum();
    if bytes > ANNOTATIONS_BYTES_MAX {
        object.remove_at(&LAST_APPLIED);
    }
}

#[cfg(test)]
mod tests;
