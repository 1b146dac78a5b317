//! JSON as a text says it: members in order, keys twice if need be, scalars in whatever form.

use crate::random::Random;

/// A piece of JSON text.
#[derive(Clone, Debug, PartialEq)]
pub enum Node {
    /// A text of one token, or a whole value that is written as it is.
    Raw(String),
    /// The items of an array.
    List(Vec<Node>),
    /// The members of an object; keys are JSON strings with their quotes.
    Object(Vec<(String, Node)>),
}

// === impl Node ===

impl Node {
    /// A scalar.
    pub fn raw(text: impl ToString) -> Node {
        Node::Raw(text.to_string())
    }

    /// A string in its plainest form.
    pub fn string(text: &str) -> Node {
        Node::Raw(quoted(text))
    }

    /// The text without white space.
    pub fn text(&self) -> String {
        let mut out = String::new();
        self.write(&mut out, &mut |_| {});
        out
    }

    /// The text with white space here and there.
    pub fn spaced(&self, random: &mut Random) -> String {
        let mut out = String::new();
        self.write(&mut out, &mut |out| {
            if random.once_in(8) {
                out.push_str(random.pick(&[" ", "\n", "\t", "  ", "\r\n"]));
            }
        });
        out
    }

    fn write(&self, out: &mut String, space: &mut impl FnMut(&mut String)) {
        match self {
            Node::Raw(text) => out.push_str(text),
            Node::List(items) => {
                out.push('[');
                for (at, item) in items.iter().enumerate() {
                    if at > 0 {
                        out.push(',');
                    }
                    space(out);
                    item.write(out, space);
                }
                space(out);
                out.push(']');
            }
            Node::Object(members) => {
                out.push('{');
                for (at, (key, value)) in members.iter().enumerate() {
                    if at > 0 {
                        out.push(',');
                    }
                    space(out);
                    out.push_str(key);
                    space(out);
                    out.push(':');
                    space(out);
                    value.write(out, space);
                }
                space(out);
                out.push('}');
            }
        }
    }

    /// This tree without one of its parts, in every way there is, larger parts first. The kind and version of an object
    /// stay.
    pub fn smaller(&self) -> Vec<Node> {
        let mut found = Vec::new();
        match self {
            Node::Raw(_) => {}
            Node::List(items) => {
                for at in 0..items.len() {
                    let mut fewer = items.clone();
                    fewer.remove(at);
                    found.push(Node::List(fewer));
                }
                for (at, item) in items.iter().enumerate() {
                    for smaller in item.smaller() {
                        let mut other = items.clone();
                        other[at] = smaller;
                        found.push(Node::List(other));
                    }
                }
            }
            Node::Object(members) => {
                for (at, (key, _)) in members.iter().enumerate() {
                    if key != "\"kind\"" && key != "\"apiVersion\"" {
                        let mut fewer = members.clone();
                        fewer.remove(at);
                        found.push(Node::Object(fewer));
                    }
                }
                for (at, (_, value)) in members.iter().enumerate() {
                    for smaller in value.smaller() {
                        let mut other = members.clone();
                        other[at].1 = smaller;
                        found.push(Node::Object(other));
                    }
                }
            }
        }
        found
    }

    /// The tree of a JSON text; `None` if it is none.
    pub fn parse(text: &str) -> Option<Node> {
        serde_json::from_str::<serde_json::Value>(text).ok().map(|value| Node::of(&value))
    }

    /// The tree of a value.
    pub fn of(value: &serde_json::Value) -> Node {
        match value {
            serde_json::Value::Array(items) => Node::List(items.iter().map(Node::of).collect()),
            serde_json::Value::Object(members) => {
                Node::Object(members.iter().map(|(key, value)| (quoted(key), Node::of(value))).collect())
            }
            scalar => Node::raw(scalar),
        }
    }
}

/// A JSON string in its plainest form.
pub fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}
