//! Label and field selectors: what is read, how it is written again, what it selects.

use decapod_api::selector::{FieldSelector, LabelSelector};
use decapod_api::{Object, Value};

use crate::node::Node;
use crate::pipe::{Parts, question};
use crate::random::Random;
use crate::report::unequal_parts;
use crate::run::Subject;

/// Selectors with something to select from.
pub struct Selectors;

/// A case.
pub struct Input {
    form: Form,
    selector: String,
    /// Labels, or fields by their paths.
    from: Vec<(&'static str, &'static str)>,
}

#[derive(Clone, Copy, PartialEq)]
enum Form {
    /// A text with labels.
    Labels,
    /// A `LabelSelector` as JSON.
    Field,
    /// A text with fields.
    Fields,
}

const KEYS: [&str; 7] = ["a", "b", "app", "x.io/a-b", "in", "notin", "n"];
const VALUES: [&str; 9] = ["", "web", "db", "1", "7", "-3", "in", "a.b_c", "0x1"];
const FIELDS: [&str; 4] = ["metadata.name", "spec.nodeName", "status.phase", "a"];

impl Subject for Selectors {
    type Input = Input;

    fn name(&self) -> &'static str {
        "selector"
    }

    fn generate(&self, _: u64, random: &mut Random) -> Input {
        let form = random.choose(&[Form::Labels, Form::Labels, Form::Field, Form::Fields]);
        let keys: &[&'static str] = if form == Form::Fields { &FIELDS } else { &KEYS };
        let mut from: Vec<(&str, &str)> = Vec::new();
        for key in keys {
            if random.once_in(2) {
                from.push((key, random.choose(&VALUES)));
            }
        }
        let selector = match form {
            Form::Labels => damaged(labels(random), random),
            Form::Field => label_selector(random),
            Form::Fields => damaged(fields(random), random),
        };
        Input { form, selector, from }
    }

    fn questions(&self, input: &Input) -> Vec<Parts> {
        let name = match input.form {
            Form::Labels => "label-selector",
            Form::Field => "label-selector-field",
            Form::Fields => "field-selector",
        };
        let map: serde_json::Map<_, _> =
            input.from.iter().map(|(key, value)| ((*key).to_owned(), (*value).into())).collect();
        let set = serde_json::Value::Object(map).to_string();
        vec![question(name, &[input.selector.as_bytes(), set.as_bytes()])]
    }

    fn difference(&self, input: &Input, answers: &[Parts]) -> Option<String> {
        let ours = match input.form {
            Form::Labels => by_labels(LabelSelector::parse(&input.selector), input),
            Form::Field => {
                let selector: Value = serde_json::from_str(&input.selector).unwrap_or_default();
                by_labels(LabelSelector::from_value(&selector), input)
            }
            Form::Fields => by_fields(input),
        };
        unequal_parts(&ours, &answers[0])
    }

    fn smaller(&self, input: &Input) -> Vec<Input> {
        let with = |selector: String, from: Vec<_>| Input { form: input.form, selector, from };
        let fewer = (0..input.from.len()).map(|at| {
            let mut from = input.from.clone();
            from.remove(at);
            with(input.selector.clone(), from)
        });
        let shorter = input.selector.char_indices().map(|(at, c)| {
            let text = format!("{}{}", &input.selector[..at], &input.selector[at + c.len_utf8()..]);
            with(text, input.from.clone())
        });
        let tree = Node::parse(&input.selector).filter(|_| input.form == Form::Field);
        let pruned = tree.iter().flat_map(Node::smaller).map(|node| with(node.text(), input.from.clone()));
        fewer.chain(shorter.filter(|_| input.form != Form::Field)).chain(pruned).collect()
    }

    fn show(&self, input: &Input) -> String {
        format!("{:?} of {:?}", input.selector, input.from)
    }
}

// === what ours makes of it ===

fn by_labels<E: std::fmt::Display>(selector: Result<LabelSelector, E>, input: &Input) -> Vec<String> {
    match selector {
        Err(error) => vec!["error".to_owned(), error.to_string()],
        Ok(selector) => {
            let label = |key: &str| input.from.iter().find(|(k, _)| *k == key).map(|(_, value)| *value);
            vec!["ok".to_owned(), selector.to_string(), selector.matches(label).to_string()]
        }
    }
}

fn by_fields(input: &Input) -> Vec<String> {
    match FieldSelector::parse(&input.selector) {
        Err(error) => vec!["error".to_owned(), error.to_string()],
        Ok(selector) => {
            let mut object = Value::map();
            for (path, value) in &input.from {
                object.set_at(&path.split('.').collect::<Vec<_>>(), *value);
            }
            let bytes = serde_json::to_vec(&object).unwrap_or_default();
            let selects = selector.matches(&Object::new(bytes.into(), 1));
            vec!["ok".to_owned(), selector.to_string(), selects.to_string()]
        }
    }
}

// === random selectors ===

fn space(random: &mut Random) -> &'static str {
    random.choose(&["", "", "", " ", "  ", "\t"])
}

fn labels(random: &mut Random) -> String {
    let mut terms = Vec::new();
    for _ in 0..random.choose(&[0, 1, 1, 2, 3]) {
        let (a, b, c) = (space(random), space(random), space(random));
        let (key, value) = (random.choose(&KEYS), random.choose(&VALUES));
        terms.push(match random.below(8) {
            0 => format!("{a}{key}{b}"),
            1 => format!("{a}!{b}{key}{c}"),
            2 => format!("{a}{key}{b}>{c}{value}"),
            3 => format!("{a}{key}{b}<{c}{}", random.choose(&["0", "5", "-1", "9223372036854775807"])),
            4 | 5 => format!("{a}{key}{b}{}{c}{value}", random.pick(&["=", "==", "!="])),
            _ => {
                let values: Vec<&str> = (0..random.below(4)).map(|_| random.choose(&VALUES)).collect();
                format!("{a}{key} {}{b}({c}{})", random.pick(&["in", "notin"]), values.join(","))
            }
        });
    }
    terms.join(",")
}

fn fields(random: &mut Random) -> String {
    let mut terms = Vec::new();
    for _ in 0..random.choose(&[0, 1, 1, 2, 3]) {
        let value = match random.below(3) {
            0 => random.choose(&["x\\,y", "a\\=b", "a\\\\", "\\x", "a=b", "é"]),
            _ => random.choose(&VALUES),
        };
        terms.push(format!("{}{}{value}", random.choose(&FIELDS), random.pick(&["=", "==", "!="])));
    }
    terms.join(",")
}

fn damaged(mut text: String, random: &mut Random) -> String {
    if random.once_in(4) {
        let at = random.below(text.len() + 1);
        if text.is_char_boundary(at) {
            text.insert_str(
                at,
                random.pick(&[
                    ",", "=", "!", "(", ")", ">", "<", "==", " ", "-", "in", "é", "\\", "&", ".", "_",
                ]),
            );
        }
    }
    text
}

fn label_selector(random: &mut Random) -> String {
    let mut selector = serde_json::Map::new();
    let text = |random: &mut Random| serde_json::Value::from(random.choose(&VALUES));
    if random.once_in(2) {
        // One at most: which of several is at fault, Go leaves to chance.
        let labels = (0..random.below(2)).map(|_| (random.choose(&KEYS).to_owned(), text(random)));
        selector.insert("matchLabels".to_owned(), serde_json::Value::Object(labels.collect()));
    }
    let mut expressions = Vec::new();
    for _ in 0..random.below(3) {
        let operator = random.choose(&["In", "NotIn", "Exists", "DoesNotExist", "In", "Gt", "", "in"]);
        let values: Vec<serde_json::Value> = (0..random.below(3)).map(|_| text(random)).collect();
        let key = random.choose(&["a", "app", "x.io/a-b", "", "-a", "n"]);
        expressions.push(serde_json::json!({"key": key, "operator": operator, "values": values}));
    }
    if !expressions.is_empty() {
        selector.insert("matchExpressions".to_owned(), expressions.into());
    }
    serde_json::Value::Object(selector).to_string()
}
