//! Patches: what a JSON, merge or strategic patch makes of an object, and which are refused.

use decapod_api::codec::{FieldValidation, json};
use decapod_api::patch;
use decapod_api::schema::{Kind, Schema, TypeRef};
use decapod_api::{Map, Value};

use crate::change;
use crate::generate::Generator;
use crate::node::Node;
use crate::pipe::{Parts, question};
use crate::random::Random;
use crate::report::excerpts;
use crate::run::Subject;

/// Objects with patches.
pub struct Patches {
    kinds: Vec<&'static Kind>,
}

/// A case.
pub struct Input {
    kind: &'static Kind,
    form: Form,
    object: Value,
    /// The patch; of [`Form::Difference`], what the object is to become.
    patch: Value,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Form {
    Json,
    Merge,
    Strategic,
    /// A strategic patch that kubectl would make.
    Difference,
}

/// Kinds whose lists have keys; half of the cases are theirs.
const RICH: [(&str, &str, &str); 5] = [
    ("", "v1", "Pod"),
    ("apps", "v1", "Deployment"),
    ("", "v1", "Service"),
    ("", "v1", "ServiceAccount"),
    ("", "v1", "Node"),
];

// === impl Patches ===

impl Patches {
    /// Patches of every kind with metadata.
    #[allow(clippy::new_without_default)]
    pub fn new() -> Patches {
        let schema = Schema::builtin();
        let has_metadata = |kind: &&Kind| {
            !kind.list
                && ["kind", "metadata"].iter().all(|field| schema.resolve(kind.ty).field(field).is_some())
        };
        Patches { kinds: schema.kinds().iter().filter(has_metadata).collect() }
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

/// An object of the kind in canonical form, with all that upstream's JSON has.
pub(crate) fn object(kind: &Kind, random: &mut Random) -> Value {
    let text = Generator::new(random).object(kind).text();
    let draft = json::decode(text.as_bytes(), ty(kind), FieldValidation::Ignore);
    let draft = draft.map(|decoded| decoded.draft).unwrap_or_default();
    let bytes = json::to_bytes(&draft, ty(kind));
    json::decode_any(&bytes, FieldValidation::Ignore).map(|decoded| decoded.draft).unwrap_or_default()
}

pub(crate) fn text(value: &Value) -> Vec<u8> {
    let mut out = Vec::new();
    json::write_any(value, &mut out);
    out
}

impl Subject for Patches {
    type Input = Input;

    fn name(&self) -> &'static str {
        "patch"
    }

    fn generate(&self, _: u64, random: &mut Random) -> Input {
        let kind = self.kind(random);
        let form =
            random.choose(&[Form::Json, Form::Merge, Form::Strategic, Form::Strategic, Form::Difference]);
        let object = object(kind, random);
        let mut other = change::value(&object, random);
        if random.once_in(2) {
            change::overlay(&mut other, self::object(kind, random), random);
        }
        let patch = match form {
            Form::Json => change::operations(&object, random),
            Form::Merge => change::partial(&object, &other, random),
            Form::Strategic => {
                let mut patch = change::partial(&object, &other, random);
                change::directives(&mut patch, random);
                patch
            }
            Form::Difference => other,
        };
        Input { kind, form, object, patch }
    }

    fn questions(&self, input: &Input) -> Vec<Parts> {
        let gvk = &input.kind.gvk;
        let (version, kind) = (gvk.api_version(), gvk.kind.as_bytes());
        let (object, patch) = (text(&input.object), text(&input.patch));
        let form: &[u8] = match input.form {
            Form::Json => b"json",
            Form::Merge => b"merge",
            Form::Strategic => b"strategic",
            Form::Difference => {
                return vec![question("strategic-difference", &[version.as_bytes(), kind, &object, &patch])];
            }
        };
        vec![question("patch", &[form, version.as_bytes(), kind, &object, &patch])]
    }

    fn difference(&self, input: &Input, answers: &[Parts]) -> Option<String> {
        let mut answer = answers[0].as_slice();
        let mut patch = input.patch.clone();
        if input.form == Form::Difference {
            patch = read(&answer[0]);
            answer = &answer[1..];
            if answer[0] != b"ok" {
                // There is no patch.
                return None;
            }
        }
        let mut mine = input.object.clone();
        let result = match input.form {
            Form::Json => patch::json::apply(&mut mine, &patch),
            Form::Merge => patch::merge::apply(&mut mine, &patch),
            Form::Strategic | Form::Difference => patch::strategic::apply(&mut mine, &patch, ty(input.kind)),
        };
        let (mine, other) = match (result, answer[0].as_slice()) {
            // Where upstream breaks off, ours says what it likes.
            (_, b"panic") => return None,
            (Ok(()), b"ok") if mine == read(&answer[1]) => return None,
            (Err(_), b"error") => return None,
            (result, _) => {
                let mine = result
                    .map_or_else(|status| status.message, |()| String::from_utf8_lossy(&text(&mine)).into());
                (mine, String::from_utf8_lossy(&answer[1]).into_owned())
            }
        };
        let (mine, other) = excerpts(&mine, &other);
        Some(format!(
            "{:?} patch\n  ours:     {mine}\n  theirs:   {other}\n  patch:    {}",
            input.form,
            String::from_utf8_lossy(&text(&patch))
        ))
    }

    fn smaller(&self, input: &Input) -> Vec<Input> {
        let with = |object: Value, patch: Value| Input { kind: input.kind, form: input.form, object, patch };
        let pruned = |value: &Value| -> Vec<Value> {
            let tree = Node::parse(&String::from_utf8_lossy(&text(value)));
            tree.iter().flat_map(Node::smaller).map(|node| read(node.text().as_bytes())).collect()
        };
        let objects = pruned(&input.object).into_iter().map(|object| with(object, input.patch.clone()));
        let patches = pruned(&input.patch).into_iter().map(|patch| with(input.object.clone(), patch));
        objects.chain(patches).collect()
    }

    fn show(&self, input: &Input) -> String {
        let text = |value: &Value| String::from_utf8_lossy(&text(value)).into_owned();
        format!("{} {:?} {} by {}", input.kind.gvk.kind, input.form, text(&input.object), text(&input.patch))
    }
}

pub(crate) fn read(text: &[u8]) -> Value {
    json::decode_any(text, FieldValidation::Ignore)
        .map(|decoded| decoded.draft)
        .unwrap_or_else(|_| Value::Map(Map::new()))
}
