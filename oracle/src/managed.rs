//! Server-side apply: what a row of writes by several managers makes of an object and of who owns its fields, and which
//! applies are refused, with which conflicts.

use std::sync::atomic::{AtomicU64, Ordering};

use decapod_api::codec::{FieldValidation, json};
use decapod_api::managed::{ApplyError, Fields, Filter, OneVersion, shown};
use decapod_api::schema::{Kind, Schema, TypeRef};
use decapod_api::{Cause, Value};

use crate::change;
use crate::node::Node;
use crate::patch::{object, read, text};
use crate::pipe::{Parts, question};
use crate::random::Random;
use crate::report::excerpts;
use crate::run::Subject;

/// Rows of writes to objects of every kind that can be applied.
pub struct Applies {
    kinds: Vec<&'static Kind>,
    /// How many writes were compared.
    writes: AtomicU64,
}

/// A case.
pub struct Input {
    kind: &'static Kind,
    subresource: &'static str,
    /// What the writes do not set.
    ignored: &'static [&'static [&'static str]],
    writes: Vec<Write>,
}

/// A write.
#[derive(Clone)]
struct Write {
    applies: bool,
    manager: &'static str,
    force: bool,
    body: Value,
}

/// What came of a write: an object, a conflict or an error, as a text.
type Outcome = (&'static str, String);

const MANAGERS: [&str; 4] = ["a", "b", "kubectl", ""];
/// More updaters than are kept apart.
const CROWD: [&str; 14] = ["a", "b", "c", "d", "e", "f", "g", "h", "i", "j", "k", "l", "m", "n"];
/// Kinds with lists and maps of all sorts; half of the cases are theirs.
const RICH: [(&str, &str, &str); 6] = [
    ("", "v1", "Pod"),
    ("apps", "v1", "Deployment"),
    ("", "v1", "Service"),
    ("", "v1", "Node"),
    ("", "v1", "ConfigMap"),
    ("networking.k8s.io", "v1", "Ingress"),
];

// === impl Applies ===

impl Applies {
    /// Every served kind with metadata.
    #[allow(clippy::new_without_default)]
    pub fn new() -> Applies {
        let schema = Schema::builtin();
        let is_object = |kind: &&Kind| {
            kind.served
                && !kind.list
                && ["kind", "metadata"].iter().all(|field| schema.resolve(kind.ty).field(field).is_some())
        };
        Applies { kinds: schema.kinds().iter().filter(is_object).collect(), writes: AtomicU64::default() }
    }

    fn kind(&self, random: &mut Random) -> &'static Kind {
        let (group, version, name) = random.choose(&RICH);
        match Schema::builtin().kind(group, version, name) {
            Some(kind) if random.once_in(2) => kind,
            _ => random.choose(&self.kinds),
        }
    }
}

fn ty(kind: &Kind) -> TypeRef<'static> {
    Schema::builtin().resolve(kind.ty)
}

/// A random object as a client would send it.
fn fresh(kind: &Kind, random: &mut Random) -> Value {
    let mut object = object(kind, random);
    object.remove_at(&["metadata", "managedFields"]);
    object.remove_at(&["metadata", "uid"]);
    object
}

fn write(kind: &Kind, live: &Value, crowded: bool, random: &mut Random) -> Write {
    let applies = random.below(if crowded { 12 } else { 3 }) > if crowded { 10 } else { 0 };
    let manager = random.choose(if crowded { &CROWD[..] } else { &MANAGERS[..] });
    let force = random.once_in(3);
    let mut body = match random.below(4) {
        0 => fresh(kind, random),
        1 => change::value(live, random),
        _ => {
            let mut body = change::value(live, random);
            change::overlay(&mut body, fresh(kind, random), random);
            body
        }
    };
    if applies && random.below(4) > 0 {
        body = change::value(&body, random);
        prune_zeros(&mut body, random);
    }
    for field in ["managedFields", "uid"] {
        body.remove_at(&["metadata", field]);
    }
    if manager == "kubectl" && random.once_in(2) {
        let last = String::from_utf8(text(&change::value(live, random))).unwrap_or_default();
        body.set_at(&["metadata", "annotations", "kubectl.kubernetes.io/last-applied-configuration"], last);
    }
    if applies && random.once_in(24) {
        body.set_at(&["spec", "foo"], 1);
    }
    body.set_at(&["apiVersion"], kind.gvk.api_version());
    body.set_at(&["kind"], kind.gvk.kind.to_string());
    if !applies || random.below(4) > 0 {
        body = conformed(kind, &body).unwrap_or(body);
    }
    if let (false, Some(entries)) = (applies, sent_along(live, random)) {
        body.set_at(&["metadata", "managedFields"], entries);
    }
    round(&mut body);
    Write { applies, manager, force, body }
}

/// The managed fields in the body of an update: what was read, some of it, or what starts anew.
fn sent_along(live: &Value, random: &mut Random) -> Option<Value> {
    let mut entries = live.list_at(&["metadata", "managedFields"]).to_vec();
    match random.below(16) {
        0 => Some(vec![].into()),
        1 => Some(vec![Value::map()].into()),
        2 if !entries.is_empty() => {
            entries.remove(random.below(entries.len()));
            Some(entries.into())
        }
        3..8 if !entries.is_empty() => Some(entries.into()),
        _ => None,
    }
}

/// Upstream reads the numbers of a configuration as floats, and so loses digits that we keep.
fn round(value: &mut Value) {
    const EXACT_MAX: i64 = 1 << 53;
    match value {
        Value::Int(int) => *int = (*int).clamp(-EXACT_MAX, EXACT_MAX),
        Value::List(list) => list.iter_mut().for_each(round),
        Value::Map(map) => map.iter_mut().for_each(|(_, inner)| round(inner)),
        _ => {}
    }
}

/// Leaves out what JSON shows of absent fields, as people do.
fn prune_zeros(value: &mut Value, random: &mut Random) {
    match value {
        Value::Map(map) => map.retain(|_, inner| {
            prune_zeros(inner, random);
            !inner.is_empty() || random.once_in(8)
        }),
        Value::List(list) => list.iter_mut().for_each(|item| prune_zeros(item, random)),
        _ => {}
    }
}

/// The tree as the type has it, in canonical form.
fn conformed(kind: &Kind, tree: &Value) -> Option<Value> {
    let draft = json::conform(tree, ty(kind), FieldValidation::Ignore).ok()?.draft;
    Some(shown(&draft, ty(kind)))
}

/// The time of a write, as the Go program has it.
fn time(at: usize) -> String {
    format!("2001-01-02T03:04:{at:02}Z")
}

/// What comes of each write, in our hands.
fn run(input: &Input) -> Vec<Outcome> {
    let mut live = None;
    (0..input.writes.len()).map(|at| step(input, at, &mut live)).collect()
}

/// What comes of one write to what is there.
fn step(input: &Input, at: usize, live: &mut Option<Value>) -> Outcome {
    let filter = Filter::except(input.ignored);
    let (ty, kind, now) = (ty(input.kind), &input.kind.gvk, time(at));
    let fields = Fields {
        kind,
        ty,
        form: ty,
        subresource: input.subresource,
        filter: &filter,
        versions: &OneVersion,
        now: &now,
    };
    let write = &input.writes[at];
    let result = match write.applies {
        true => fields.apply(live.as_ref(), &write.body, write.manager, write.force),
        false => match json::conform(&write.body, ty, FieldValidation::Ignore) {
            Err(_) => Err(ApplyError::Unfit("no such object".to_owned())),
            Ok(decoded) => {
                let mut new = decoded.draft;
                if let Some(uid) = live.as_ref().and_then(|live| live.str_at(&["metadata", "uid"])) {
                    new.set_at(&["metadata", "uid"], uid);
                }
                fields.update(live.as_ref(), &mut new, write.manager);
                Ok(new)
            }
        },
    };
    match result {
        Ok(draft) => {
            let draft = stored(input.kind, draft);
            let shown = String::from_utf8(json::to_bytes(&draft, ty)).unwrap_or_default();
            *live = Some(draft);
            ("ok", shown)
        }
        Err(ApplyError::Conflict { message, causes }) => {
            let line = |cause: &Cause| format!("{} {} {}", cause.reason, cause.field, cause.message);
            let mut lines: Vec<String> = causes.iter().map(line).collect();
            lines.sort();
            lines.insert(0, message);
            let lines = Value::List(lines.into_iter().map(Value::from).collect());
            ("conflict", String::from_utf8(text(&lines)).unwrap_or_default())
        }
        Err(error) => ("error", error.to_string()),
    }
}

/// What is stored of a written object.
fn stored(kind: &Kind, mut draft: Value) -> Value {
    draft.set_at(&["metadata", "uid"], "u");
    draft.set_at(&["apiVersion"], kind.gvk.api_version());
    draft.set_at(&["kind"], kind.gvk.kind.to_string());
    draft
}

/// A text with the numbers in its paths in full: whether upstream shows a large one with an exponent depends on how it came by
/// it. Only identities of items are concerned that are no sound ones: ports beyond 65,535.
fn plain(text: &str) -> String {
    let number = |word: &str| word.parse::<f64>().map_or(word.to_owned(), |number| number.to_string());
    text.split_inclusive(['=', ',', ']'])
        .map(|part| {
            let (word, end) = part.split_at(part.len() - part.ends_with(['=', ',', ']']) as usize);
            number(word) + end
        })
        .collect()
}

/// Whether a merged object did not fit its type: of several fields at fault, Go names any first.
fn is_conversion(error: &str) -> bool {
    error.contains("unable to convert unstructured object")
}

impl Subject for Applies {
    type Input = Input;

    fn name(&self) -> &'static str {
        "managed"
    }

    fn generate(&self, _: u64, random: &mut Random) -> Input {
        let kind = self.kind(random);
        let (subresource, ignored): (_, &'static [&'static [&'static str]]) = match random.below(6) {
            0 => ("status", &[&["spec"], &["metadata", "ownerReferences"]]),
            1 => ("", &[]),
            _ => ("", &[&["status"]]),
        };
        let mut input = Input { kind, subresource, ignored, writes: Vec::new() };
        let (crowded, mut shown, mut live) = (random.once_in(16), fresh(kind, random), None);
        for at in 0..if crowded { 18 } else { 2 + random.below(5) } {
            input.writes.push(write(kind, &shown, crowded, random));
            if let ("ok", text) = step(&input, at, &mut live) {
                shown = read(text.as_bytes());
            }
        }
        input
    }

    fn questions(&self, input: &Input) -> Vec<Parts> {
        let gvk = &input.kind.gvk;
        let ignored: Vec<String> = input.ignored.iter().map(|path| path.join(".")).collect();
        let (version, ignored) = (gvk.api_version(), ignored.join(","));
        let mut parts = question(
            "managed",
            &[version.as_bytes(), gvk.kind.as_bytes(), input.subresource.as_bytes(), ignored.as_bytes()],
        );
        for write in &input.writes {
            let form: &[u8] = if write.applies { b"apply" } else { b"update" };
            let force: &[u8] = if write.force { b"force" } else { b"" };
            parts.extend([form.to_vec(), write.manager.into(), force.to_vec(), text(&write.body)]);
        }
        vec![parts]
    }

    fn difference(&self, input: &Input, answers: &[Parts]) -> Option<String> {
        let theirs = answers[0].chunks(2).map(|pair| (&pair[0], String::from_utf8_lossy(&pair[1])));
        self.writes.fetch_add(input.writes.len() as u64, Ordering::Relaxed);
        for (at, ((form, mine), (theirs_form, theirs))) in run(input).into_iter().zip(theirs).enumerate() {
            let same = match form {
                _ if form.as_bytes() != theirs_form.as_slice() => false,
                "ok" => read(mine.as_bytes()) == read(theirs.as_bytes()),
                // Of several errors, and of those of maps, Go takes any first.
                "error" => {
                    mine == theirs
                        || is_conversion(&mine) && is_conversion(&theirs)
                        || mine.contains('\n')
                        || theirs.contains('\n')
                        || theirs.starts_with("panic")
                }
                _ => mine == theirs || plain(&mine) == plain(&theirs),
            };
            if !same {
                let (mine, theirs) = excerpts(&mine, &theirs);
                let theirs_form = String::from_utf8_lossy(theirs_form);
                return Some(format!(
                    "write {at}\n  ours:     {form} {mine}\n  theirs:   {theirs_form} {theirs}"
                ));
            }
        }
        None
    }

    fn smaller(&self, input: &Input) -> Vec<Input> {
        let with = |writes: Vec<Write>| Input {
            kind: input.kind,
            subresource: input.subresource,
            ignored: input.ignored,
            writes,
        };
        let mut found = Vec::new();
        for at in 0..input.writes.len() {
            let mut writes = input.writes.clone();
            writes.remove(at);
            found.push(with(writes));
        }
        for (at, write) in input.writes.iter().enumerate() {
            let tree = Node::parse(&String::from_utf8_lossy(&text(&write.body)));
            for smaller in tree.iter().flat_map(Node::smaller) {
                let mut writes = input.writes.clone();
                writes[at].body = read(smaller.text().as_bytes());
                found.push(with(writes));
            }
        }
        found
    }

    fn show(&self, input: &Input) -> String {
        let mut lines =
            vec![format!("{} {:?} without {:?}", input.kind.gvk.kind, input.subresource, input.ignored)];
        for write in &input.writes {
            let form = if write.applies { "applies" } else { "writes" };
            let force = if write.force { " by force" } else { "" };
            let body = String::from_utf8_lossy(&text(&write.body)).into_owned();
            lines.push(format!("    {:?} {form}{force} {body}", write.manager));
        }
        lines.join("\n")
    }

    fn summary(&self) -> String {
        format!("{} writes, {} kinds", self.writes.load(Ordering::Relaxed), self.kinds.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cases_do_something() {
        let subject = Applies::new();
        let mut seen = [0, 0, 0];
        for case in 0..60 {
            for (form, _) in run(&subject.generate(case, &mut Random::of(1, case))) {
                seen[["ok", "conflict", "error"].iter().position(|known| *known == form).unwrap_or(2)] += 1;
            }
        }
        assert!(seen.iter().all(|count| *count > 0) && seen[0] > seen[2], "{seen:?}");
    }
}
