//! The codecs: what a JSON, YAML or protobuf body decodes to, what it encodes to again, and how it is refused.
//!
//! Three kinds of cases. A JSON text as a client might write it, sound or damaged: both sides say the same of it in the same
//! words and write the same bytes, and each reads what the other wrote. An object that Go's own fuzzer filled. A damaged
//! protobuf message: both sides refuse it, or read the same.

use std::collections::HashSet;
use std::sync::Mutex;

use decapod_api::Value;
use decapod_api::codec::{FieldValidation, json, protobuf, time, yaml};
use decapod_api::schema::{Kind, Schema, TypeRef};

use crate::damage;
use crate::generate::{self, Generator};
use crate::node::Node;
use crate::pipe::{Parts, question};
use crate::random::Random;
use crate::report::excerpts;
use crate::run::Subject;

/// The codecs of every kind.
pub struct Codec {
    kinds: Vec<&'static Kind>,
    /// How many fields there are, and which have been given a value.
    fields: usize,
    reached: Mutex<HashSet<(usize, usize)>>,
}

/// A case.
pub struct Input {
    kind: &'static Kind,
    body: Body,
}

enum Body {
    /// A sound JSON text.
    Tree(Node),
    /// A JSON text that makes little sense.
    Damaged(Node),
    /// Bytes that were JSON once.
    Text(Vec<u8>),
    /// Bytes that were a protobuf body once.
    Message(Vec<u8>),
    /// An object that Go makes of this seed.
    Filled(u64),
}

/// What became of a body.
#[derive(Debug, PartialEq)]
struct Outcome {
    /// The error, which may be one of strictness only.
    error: String,
    /// The object, if there is one.
    object: Option<Encodings>,
}

#[derive(Debug, PartialEq)]
struct Encodings {
    json: String,
    protobuf: Option<Vec<u8>>,
}

// === impl Codec ===

impl Codec {
    /// Every kind that says its kind.
    #[allow(clippy::new_without_default)]
    pub fn new() -> Codec {
        let schema = Schema::builtin();
        let kinds: Vec<_> =
            schema.kinds().iter().filter(|kind| schema.resolve(kind.ty).field("kind").is_some()).collect();
        Codec { fields: generate::reachable(&kinds).len(), kinds, reached: Mutex::default() }
    }

    fn tree(&self, kind: &Kind, random: &mut Random) -> Node {
        let mut generator = Generator::new(random);
        generator.reached = Some(HashSet::new());
        let tree = generator.object(kind);
        let mut reached = self.reached.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        reached.extend(generator.reached.into_iter().flatten());
        tree
    }
}

impl Subject for Codec {
    type Input = Input;

    fn name(&self) -> &'static str {
        "codec"
    }

    fn generate(&self, case: u64, random: &mut Random) -> Input {
        let kind = self.kinds[case as usize % self.kinds.len()];
        let body = match random.below(16) {
            0..3 => Body::Filled(random.draw() >> 1),
            3..6 => {
                let mut tree = self.tree(kind, random);
                damage::tree(&mut tree, random);
                Body::Damaged(tree)
            }
            6 => Body::Text(damage::text(&self.tree(kind, random).text(), random)),
            7 => Body::Text(self.tree(kind, random).spaced(random).into_bytes()),
            8 => {
                let tree = self.tree(kind, random);
                let ours = ours(kind, json_outcome(tree.text().as_bytes(), kind));
                let message = ours.object.and_then(|object| object.protobuf).unwrap_or_default();
                Body::Message(damage_message(message, random))
            }
            _ => Body::Tree(self.tree(kind, random)),
        };
        Input { kind, body }
    }

    fn questions(&self, input: &Input) -> Vec<Parts> {
        let decode = |encoding: &str, body: &[u8]| question("decode", &[encoding.as_bytes(), body]);
        let of_text = |text: &[u8]| {
            let mut questions = vec![decode("json", text)];
            if let Some(object) = ours(input.kind, json_outcome(text, input.kind)).object {
                let document = yaml::from_json(object.json.as_bytes()).unwrap_or_default();
                questions.push(decode("yaml", document.as_bytes()));
                questions.extend(object.protobuf.map(|message| decode("protobuf", &message)));
            }
            questions
        };
        match &input.body {
            Body::Tree(tree) | Body::Damaged(tree) => of_text(tree.text().as_bytes()),
            Body::Text(text) => of_text(text),
            Body::Message(message) => vec![decode("protobuf", message)],
            Body::Filled(seed) => {
                let gvk = &input.kind.gvk;
                let seed = seed.to_string();
                vec![question("fill", &[gvk.api_version().as_bytes(), gvk.kind.as_bytes(), seed.as_bytes()])]
            }
        }
    }

    fn difference(&self, input: &Input, answers: &[Parts]) -> Option<String> {
        match &input.body {
            Body::Tree(tree) => text_difference(input.kind, tree.text().as_bytes(), true, answers),
            Body::Damaged(tree) => text_difference(input.kind, tree.text().as_bytes(), false, answers),
            Body::Text(text) => text_difference(input.kind, text, false, answers),
            Body::Message(message) => message_difference(input.kind, message, &answers[0]),
            Body::Filled(_) => filled_difference(input.kind, &answers[0]),
        }
    }

    fn smaller(&self, input: &Input) -> Vec<Input> {
        let with = |body: Body| Input { kind: input.kind, body };
        match &input.body {
            Body::Tree(tree) => tree.smaller().into_iter().map(|tree| with(Body::Tree(tree))).collect(),
            Body::Damaged(tree) => tree.smaller().into_iter().map(|tree| with(Body::Damaged(tree))).collect(),
            Body::Text(text) => {
                let parsed = std::str::from_utf8(text).ok().and_then(Node::parse);
                let cut = cuts(text).into_iter().map(Body::Text);
                parsed.map(Body::Damaged).into_iter().chain(cut).map(with).collect()
            }
            Body::Message(message) => cuts(message).into_iter().map(|cut| with(Body::Message(cut))).collect(),
            Body::Filled(_) => Vec::new(),
        }
    }

    fn show(&self, input: &Input) -> String {
        match &input.body {
            Body::Tree(tree) | Body::Damaged(tree) => tree.text(),
            Body::Text(text) => String::from_utf8_lossy(text).into_owned(),
            Body::Message(message) => format!("{} {}", input.kind.gvk.kind, message.escape_ascii()),
            Body::Filled(seed) => format!("{} filled by Go from {seed}", input.kind.gvk.kind),
        }
    }

    fn summary(&self) -> String {
        let reached = self.reached.lock().unwrap_or_else(std::sync::PoisonError::into_inner).len();
        format!("{} kinds, {reached} of {} fields", self.kinds.len(), self.fields)
    }
}

/// Bytes without a few of them, in many ways.
fn cuts(bytes: &[u8]) -> Vec<Vec<u8>> {
    let lengths = [256, 64, 16, 4, 1]
        .into_iter()
        .filter(|length| *length < bytes.len().max(2) && bytes.len() / length < 200);
    let ranges = lengths.flat_map(|length| (0..bytes.len()).step_by(length).map(move |at| (at, at + length)));
    ranges.map(|(from, to)| [&bytes[..from], &bytes[to.min(bytes.len())..]].concat()).collect()
}

// === what ours makes of it ===

fn ty(kind: &Kind) -> TypeRef<'static> {
    Schema::builtin().resolve(kind.ty)
}

type Decoded = Result<decapod_api::codec::Decoded, decapod_api::codec::DecodeError>;

/// `None` when the text says another kind, which is not compared.
fn json_outcome(text: &[u8], kind: &Kind) -> Option<Decoded> {
    match json::type_meta(text) {
        Ok(meta) if meta.kind == *kind.gvk.kind && meta.api_version == kind.gvk.api_version() => {
            Some(json::decode(text, ty(kind), FieldValidation::Warn))
        }
        Ok(_) => None,
        Err(error) => Some(Err(error)),
    }
}

fn ours(kind: &Kind, decoded: Option<Decoded>) -> Outcome {
    match decoded {
        None => Outcome { error: String::new(), object: None },
        Some(Err(error)) => Outcome { error: error.to_string(), object: None },
        Some(Ok(decoded)) => {
            let error = match decoded.warnings.as_slice() {
                [] => String::new(),
                warnings => format!("strict decoding error: {}", warnings.join(", ")),
            };
            Outcome { error, object: Some(encodings(kind, &decoded.draft)) }
        }
    }
}

fn encodings(kind: &Kind, draft: &Value) -> Encodings {
    let ty = ty(kind);
    let json = String::from_utf8_lossy(&json::to_bytes(draft, ty)).into_owned();
    let text = |field: &str| draft.str_at(&[field]).unwrap_or_default();
    // Of JSON the same message is to be made as of its draft; where not, none is. Two things do not survive JSON as they
    // are, so what is read of it counts, too: a pointer to the zero time, which JSON says as null and protobuf as an empty
    // message, and a quantity such as 1812.5Ki, written 1856000, which is read as 1856k.
    let message = || {
        let (message, of_json) = (protobuf::encode(draft, ty), protobuf::item(json.as_bytes(), ty));
        let read = json::decode(json.as_bytes(), ty, FieldValidation::Ignore);
        let same = message == of_json || read.is_ok_and(|read| protobuf::encode(&read.draft, ty) == of_json);
        let message = if same { message } else { Vec::new() };
        protobuf::envelope(text("apiVersion"), text("kind"), &message)
    };
    let protobuf = has_protobuf(kind).then(message);
    Encodings { json, protobuf }
}

/// Tables and discovery documents have no protobuf; audit events have, but carry opaque objects in another form there, and
/// nobody sends them.
fn has_protobuf(kind: &Kind) -> bool {
    !ty(kind).ty.members.is_empty() && kind.gvk.group != "audit.k8s.io"
}

// === comparing ===

fn theirs(kind: &Kind, answer: &Parts) -> Outcome {
    let text =
        |at: usize| answer.get(at).map(|part| String::from_utf8_lossy(part).into_owned()).unwrap_or_default();
    let object = (text(0) != "error").then(|| Encodings {
        json: text(2),
        protobuf: answer.get(3).filter(|_| has_protobuf(kind)).cloned(),
    });
    Outcome { error: text(1), object }
}

/// Upstream's messages name the Go type of a text or map, such as `types.UID`, which the schema does not know.
fn forget_unknown_type(ours: &mut String, theirs: &mut String) {
    let Some((rest, ty)) = theirs.rsplit_once(" of type ") else { return };
    let name = if ty.contains("map[v") { "v.Key" } else { ty.rsplit_once(']').map_or(ty, |(_, name)| name) };
    let types = Schema::builtin().types();
    let known = !name.contains('.')
        || types.iter().any(|ty| name.rsplit_once('.').is_some_and(|(_, n)| n == ty.name));
    if let (false, Some((mine, _))) = (known, ours.rsplit_once(" of type ")) {
        (*ours, *theirs) = (mine.to_owned(), rest.to_owned());
    }
}

fn unequal(what: &str, ours: &Outcome, theirs: &Outcome) -> Option<String> {
    if ours == theirs {
        return None;
    }
    let bytes =
        |object: &Encodings| object.protobuf.as_ref().map_or(String::new(), |m| m.escape_ascii().to_string());
    let (mine, other) = match (&ours.object, &theirs.object) {
        _ if ours.error != theirs.error => (ours.error.clone(), theirs.error.clone()),
        (Some(mine), Some(other)) if mine.json != other.json => (mine.json.clone(), other.json.clone()),
        (Some(mine), Some(other)) => (bytes(mine), bytes(other)),
        (mine, other) => {
            (format!("an object: {}", mine.is_some()), format!("an object: {}", other.is_some()))
        }
    };
    let (mine, other) = excerpts(&mine, &other);
    Some(format!("{what}\n  ours:     {mine}\n  theirs:   {other}"))
}

fn text_difference(kind: &Kind, text: &[u8], sound: bool, answers: &[Parts]) -> Option<String> {
    let mut mine = ours(kind, Some(json_outcome(text, kind)?));
    let mut other = theirs(kind, &answers[0]);
    if mine.error == time::UNWRITABLE {
        return None;
    }
    forget_unknown_type(&mut mine.error, &mut other.error);
    if !sound {
        level(kind, text, &mut mine, &mut other);
    }
    unequal("JSON", &mine, &other).or_else(|| {
        let object = mine.object?;
        // Not all that is written is read as the same: a zero time is written as null.
        let again = ours(kind, json_outcome(object.json.as_bytes(), kind));
        again.object.as_ref()?;
        unequal("YAML that we wrote", &again, &theirs(kind, &answers[1]))
            .or_else(|| unequal("YAML that Go wrote", &from_yaml(kind, answers[0].get(4)?)?, &again))
            .or_else(|| {
                let message = object.protobuf.as_ref()?;
                let read = ours(kind, Some(protobuf::decode(message, ty(kind))));
                unequal("protobuf", &read, &theirs(kind, &answers[2]))
            })
    })
}

/// Takes out what both sides may make different objects of: fields that are there twice (Go reads the later into the
/// earlier), bytes that are no text, and opaque JSON in odd forms, whose text Go keeps while we keep what it means.
fn level(kind: &Kind, text: &[u8], ours: &mut Outcome, theirs: &mut Outcome) {
    let repeats = json::decode_any(text, FieldValidation::Warn).is_ok_and(|any| !any.warnings.is_empty());
    let too_large = ours.error.ends_with(" of type float64") && !theirs.error.contains(" of type ");
    if too_large {
        theirs.error.clone_from(&ours.error);
    }
    let (mine, other) = (ours.object.as_ref(), theirs.object.as_ref());
    let same_text = mine.map(|o| &o.json) == other.map(|o| &o.json);
    let same_meaning = meaning(ours).is_some() && meaning(ours) == meaning(theirs);
    let same_message = same_text && message_meaning(kind, mine) == message_meaning(kind, other);
    if repeats
        || too_large
        || std::str::from_utf8(text).is_err()
        || same_message
        || (same_meaning && !same_text)
    {
        (ours.object, theirs.object) = (None, None);
    }
}

/// What the JSON of an object says, all numbers alike, nulls left out.
fn meaning(outcome: &Outcome) -> Option<Value> {
    fn plain(value: Value) -> Value {
        match value {
            Value::Int(int) => Value::Float(int as f64),
            Value::List(list) => Value::List(list.into_iter().map(plain).collect()),
            Value::Map(map) => Value::Map(
                map.into_iter().filter(|(_, v)| !v.is_null()).map(|(k, v)| (k, plain(v))).collect(),
            ),
            other => other,
        }
    }
    let json = outcome.object.as_ref()?.json.as_bytes();
    json::decode_any(json, FieldValidation::Ignore).ok().map(|decoded| plain(decoded.draft))
}

fn message_meaning(kind: &Kind, object: Option<&Encodings>) -> Option<Value> {
    meaning(&ours(kind, Some(protobuf::decode(object?.protobuf.as_ref()?, ty(kind)))))
}

/// What ours makes of Go's YAML; upstream cannot write some control characters, and says so.
fn from_yaml(kind: &Kind, document: &[u8]) -> Option<Outcome> {
    let written = !document.starts_with(b"!");
    written.then(|| ours(kind, Some(yaml::decode(document, ty(kind), FieldValidation::Warn))))
}

fn filled_difference(kind: &Kind, answer: &Parts) -> Option<String> {
    let [json, message, document] = answer.as_slice() else { return Some("no object".to_owned()) };
    let text = String::from_utf8_lossy(json).into_owned();
    let message = Some(message).filter(|_| has_protobuf(kind)).cloned();
    let whole =
        Outcome { error: String::new(), object: Some(Encodings { json: text, protobuf: message.clone() }) };
    let from_json = ours(kind, json_outcome(json, kind));
    unequal("Go's JSON", &from_json, &whole)
        .or_else(|| unequal("Go's YAML", &from_yaml(kind, document)?, &whole))
        .or_else(|| {
            unequal("Go's protobuf", &ours(kind, Some(protobuf::decode(&message?, ty(kind)))), &whole)
        })
}

fn message_difference(kind: &Kind, message: &[u8], answer: &Parts) -> Option<String> {
    let named = protobuf::type_meta(message);
    if named.is_ok_and(|meta| meta.kind != *kind.gvk.kind || meta.api_version != kind.gvk.api_version()) {
        return None;
    }
    let (mine, other) = (ours(kind, Some(protobuf::decode(message, ty(kind)))), theirs(kind, answer));
    // Bytes that are no text stay such in upstream's opaque JSON; and it lets entries of maps reach past their own end.
    // Opaque objects may be in protobuf themselves, which neither side can write as JSON.
    let broken =
        answer.get(2).is_some_and(|json| std::str::from_utf8(json).is_err() || json.starts_with(b"!"));
    let stricter = broken
        || mine.error == time::UNWRITABLE
        || (mine.error.ends_with("unexpected EOF") && other.object.is_some());
    if stricter || meaning(&mine) == meaning(&other) {
        None
    } else {
        unequal("damaged protobuf", &mine, &other)
    }
}

fn damage_message(mut message: Vec<u8>, random: &mut Random) -> Vec<u8> {
    for _ in 0..=random.below(3) {
        // What says the kind stays.
        let from = 40.min(message.len());
        if from == message.len() {
            break;
        }
        let at = from + random.below(message.len() - from);
        match random.below(4) {
            0 => message.truncate(at),
            1 => message[at] ^= 1 << random.below(8),
            2 => message[at] = random.choose(&[0, 1, 0x7f, 0x80, 0xff]),
            _ => drop(message.remove(at)),
        }
    }
    message
}
