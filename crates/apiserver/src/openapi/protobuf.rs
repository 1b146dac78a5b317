//! A document of version 2 as protobuf: the messages of gnostic's `openapi.v2`, which client-go's discovery asks for.
//!
//! Only what our own documents hold is written. Field numbers are those of
//! github.com/google/gnostic-models/openapiv2/OpenAPIv2.proto.

use serde_json::Value as Json;

/// A message that is being written.
#[derive(Default)]
struct Message(Vec<u8>);

/// The document's message.
pub fn document(json: &Json) -> Vec<u8> {
    let mut info = Message::default();
    info.text(1, &json["info"]["title"]);
    info.text(2, &json["info"]["version"]);
    let mut message = Message::default();
    message.text(1, &json["swagger"]);
    message.message(2, info);
    message.message(8, named(2, &json["paths"], path_item));
    message.message(9, named(1, &json["definitions"], schema));
    for requirement in json["security"].as_array().into_iter().flatten() {
        message.message(
            12,
            named(1, requirement, |scopes| {
                let mut message = Message::default();
                message.texts(1, scopes);
                message
            }),
        );
    }
    message.message(
        13,
        named(1, &json["securityDefinitions"], |item| {
            let mut key = Message::default();
            key.text(1, &item["type"]);
            key.text(2, &item["name"]);
            key.text(3, &item["in"]);
            key.text(4, &item["description"]);
            wrapped(2, key)
        }),
    );
    message.0
}

/// A map: a message of repeated pairs of a name and a value.
fn named(number: u32, map: &Json, value: impl Fn(&Json) -> Message) -> Message {
    let mut message = Message::default();
    for (name, item) in map.as_object().into_iter().flatten() {
        let mut pair = Message::default();
        pair.bytes(1, name.as_bytes());
        pair.message(2, value(item));
        message.message(number, pair);
    }
    message
}

/// A message that holds nothing but another: a case of a `oneof`.
fn wrapped(number: u32, inner: Message) -> Message {
    let mut message = Message::default();
    message.message(number, inner);
    message
}

fn path_item(item: &Json) -> Message {
    const METHODS: [(u32, &str); 7] =
        [(2, "get"), (3, "put"), (4, "post"), (5, "delete"), (6, "options"), (7, "head"), (8, "patch")];
    let mut message = Message::default();
    for (number, method) in METHODS {
        if let Some(json) = item.get(method) {
            message.message(number, operation(json));
        }
    }
    message.list(9, &item["parameters"], parameter);
    message
}

fn operation(json: &Json) -> Message {
    let mut message = Message::default();
    message.texts(1, &json["tags"]);
    message.text(5, &json["operationId"]);
    message.texts(6, &json["produces"]);
    message.texts(7, &json["consumes"]);
    message.list(8, &json["parameters"], parameter);
    message.message(9, named(1, &json["responses"], response));
    message.texts(10, &json["schemes"]);
    message.extensions(13, json);
    message
}

fn response(json: &Json) -> Message {
    let mut message = Message::default();
    message.text(1, &json["description"]);
    if let Some(own) = json.get("schema") {
        message.message(2, wrapped(1, schema(own)));
    }
    wrapped(1, message)
}

fn parameter(json: &Json) -> Message {
    let mut message = Message::default();
    let place = json["in"].as_str().unwrap_or_default();
    if place == "body" {
        message.text(2, &json["name"]);
        message.text(3, &json["in"]);
        message.flag(4, &json["required"]);
        message.message(5, schema(&json["schema"]));
        return wrapped(1, wrapped(1, message));
    }
    // A query's parameter numbers its fields otherwise than a path's.
    let (case, kind, unique) = if place == "path" { (4, 5, 19) } else { (3, 6, 20) };
    message.flag(1, &json["required"]);
    message.text(2, &json["in"]);
    message.text(4, &json["name"]);
    message.text(kind, &json["type"]);
    message.flag(unique, &json["uniqueItems"]);
    wrapped(1, wrapped(2, wrapped(case, message)))
}

fn schema(json: &Json) -> Message {
    let mut message = Message::default();
    message.text(1, &json["$ref"]);
    message.text(2, &json["format"]);
    message.text(4, &json["description"]);
    message.texts(19, &json["required"]);
    for value in json["enum"].as_array().into_iter().flatten() {
        message.message(20, any(value));
    }
    if let Some(values) = json.get("additionalProperties") {
        message.message(21, wrapped(1, schema(values)));
    }
    if let Some(kind) = json.get("type") {
        let mut item = Message::default();
        item.text(1, kind);
        message.message(22, item);
    }
    if let Some(items) = json.get("items") {
        message.message(23, wrapped(1, schema(items)));
    }
    if json.get("properties").is_some() {
        message.message(25, named(1, &json["properties"], schema));
    }
    message.extensions(31, json);
    message
}

/// Any value, as YAML; JSON is YAML.
fn any(json: &Json) -> Message {
    let mut message = Message::default();
    message.bytes(2, format!("{json}\n").as_bytes());
    message
}

// === impl Message ===

impl Message {
    fn varint(&mut self, mut value: u64) {
        while value >= 0x80 {
            self.0.push(value as u8 | 0x80);
            value >>= 7;
        }
        self.0.push(value as u8);
    }

    fn bytes(&mut self, number: u32, bytes: &[u8]) {
        self.varint(u64::from(number) << 3 | 2);
        self.varint(bytes.len() as u64);
        self.0.extend_from_slice(bytes);
    }

    fn message(&mut self, number: u32, message: Message) {
        self.bytes(number, &message.0);
    }

    /// A text; nothing if it is none.
    fn text(&mut self, number: u32, json: &Json) {
        if let Some(text) = json.as_str() {
            self.bytes(number, text.as_bytes());
        }
    }

    fn texts(&mut self, number: u32, json: &Json) {
        json.as_array().into_iter().flatten().for_each(|item| self.text(number, item));
    }

    /// A flag that is set.
    fn flag(&mut self, number: u32, json: &Json) {
        if json.as_bool() == Some(true) {
            self.varint(u64::from(number) << 3);
            self.varint(1);
        }
    }

    fn list(&mut self, number: u32, json: &Json, item: fn(&Json) -> Message) {
        json.as_array().into_iter().flatten().for_each(|json| self.message(number, item(json)));
    }

    /// The extensions of Kubernetes.
    fn extensions(&mut self, number: u32, json: &Json) {
        for (name, value) in json.as_object().into_iter().flatten().filter(|(name, _)| name.starts_with("x-"))
        {
            let mut pair = Message::default();
            pair.bytes(1, name.as_bytes());
            pair.message(2, any(value));
            self.message(number, pair);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_schema_has_gnostics_numbers() {
        let json = serde_json::json!({"type": "object", "required": ["a"], "x-k": 1, "properties": {"a": {"$ref": "#/d"}}});
        let expected: &[&[u8]] = &[
            b"\x9a\x01\x01a",                                    // required = 19
            b"\xb2\x01\x08\x0a\x06object",                       // type = 22 { value = 1 }
            b"\xca\x01\x0c\x0a\x0a\x0a\x01a\x12\x05\x0a\x03#/d", // properties = 25 { 1 { name, value { _ref } } }
            b"\xfa\x01\x0b\x0a\x03x-k\x12\x04\x12\x021\n", // vendor_extension = 31 { name, value { yaml } }
        ];
        assert_eq!(schema(&json).0, expected.concat());
    }
}
