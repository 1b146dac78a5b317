//! Random drafts of every kind survive JSON, YAML and protobuf; damaged encodings are refused, never a panic.

#![allow(clippy::unwrap_used)]

use decapod_api::codec::{FieldValidation, json, protobuf, yaml};
use decapod_api::schema::{Schema, SchemaOr, Shape, Type, TypeRef};
use decapod_api::{Map, Value};

/// Drafts of each kind; damaged encodings of each draft.
const DRAFTS: u64 = 12;
const DAMAGES: usize = 8;

/// A small generator of numbers (xorshift), so that a failing seed replays.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % limit as u64) as usize
    }

    fn pick<T: Clone>(&mut self, from: &[T]) -> T {
        from[self.below(from.len())].clone()
    }

    fn text(&mut self) -> String {
        let chars = ['a', 'Z', '0', '-', '"', '\\', '\n', '<', '&', '\u{1}', 'é', '\u{2028}', '😀'];
        let length = 1 + self.below(30);
        (0..length).map(|_| self.pick(&chars)).collect()
    }

    fn fields(&mut self, ty: TypeRef, depth: usize) -> Value {
        let mut map = Map::new();
        for field in &ty.ty.fields {
            // Deep down only a few, so that recursive types end.
            let chance = if depth < 4 { 2 } else { 12 };
            // Protobuf does not carry what has no number, nor the type meta.
            let carried = number_of(ty.ty, &field.name) && !matches!(field.shape, Shape::Any);
            if carried && depth < 9 && self.below(chance) == 0 {
                map.insert(field.name.clone(), self.value(ty, &field.shape, depth + 1));
            }
        }
        Value::Map(map)
    }

    fn value(&mut self, ty: TypeRef, shape: &Shape, depth: usize) -> Value {
        let int: i64 = self.pick(&[1, -1, 0, 127, 128, i32::MAX.into(), i32::MIN.into()]);
        match shape {
            Shape::Bool => Value::Bool(self.below(2) == 0),
            Shape::Int32 => int.into(),
            Shape::Int64 => (int * 4_000_000_000).into(),
            Shape::Float => Value::Float(self.pick(&[1.0, -0.5, 1e21, 1e-7, 3.25, 123_456_789.125])),
            Shape::String => self.text().into(),
            Shape::Bytes => self.pick(&["YQ==", "AAEC/w==", "eHl6"]).into(),
            Shape::Time => self.pick(&["2026-01-02T03:04:05Z", "1969-12-31T23:59:59Z"]).into(),
            Shape::MicroTime => {
                self.pick(&["2026-01-02T03:04:05.000006Z", "1969-12-31T23:59:59.999999Z"]).into()
            }
            Shape::Quantity => self.pick(&["100m", "0", "1Gi", "1e3", "-5", "1536Mi", "12345n"]).into(),
            Shape::IntOrString if int > 0 => int.into(),
            Shape::IntOrString => self.text().into(),
            Shape::Raw | Shape::FieldsV1 | Shape::Json | Shape::Any => decapod_api::value::from_json(
                serde_json::json!({"a": [1, -2.5, null, {"<": "b\n"}], "b": {}}),
            ),
            Shape::Struct(id) => self.fields(ty.schema.resolve(*id), depth),
            Shape::List(of) | Shape::Wrapped(of) => {
                let length = 1 + self.below(3);
                Value::List((0..length).map(|_| self.value(ty, of, depth)).collect())
            }
            Shape::Map(of) => {
                let length = 1 + self.below(3);
                Value::Map((0..length).map(|_| (self.text().into(), self.value(ty, of, depth))).collect())
            }
            Shape::SchemaOr(or, id) => match (or, self.below(2)) {
                (_, 0) => self.fields(ty.schema.resolve(*id), depth),
                (SchemaOr::Bool, _) => Value::Bool(self.below(2) == 0),
                (SchemaOr::Array, _) => Value::List(vec![self.fields(ty.schema.resolve(*id), depth)]),
                (SchemaOr::Strings, _) => Value::List(vec![self.text().into()]),
            },
        }
    }

    fn damage(&mut self, bytes: &[u8]) -> Vec<u8> {
        let mut bytes = bytes.to_vec();
        for _ in 0..=self.below(3) {
            let at = self.below(bytes.len());
            match self.below(3) {
                0 => bytes[at] ^= 1 << self.below(8),
                1 => bytes.truncate(at.max(1)),
                _ => bytes[at] = self.pick(&[0, 0xff, b'"', b'{', b'[', b'n', 0x80]),
            }
        }
        bytes
    }
}

fn number_of(ty: &Type, name: &str) -> bool {
    let schema = Schema::builtin();
    ty.members.iter().any(|member| match member.of {
        decapod_api::schema::MemberOf::Field(at) => ty.fields[at as usize].name == name,
        decapod_api::schema::MemberOf::Inline { ty, .. } => number_of(schema.resolve(ty).ty, name),
    })
}

#[test]
fn random_drafts_survive_every_encoding() {
    let schema = Schema::builtin();
    for kind in schema.kinds() {
        let ty = schema.resolve(kind.ty);
        for seed in 1..=DRAFTS {
            let draft = Random(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15)).fields(ty, 0);
            let what = format!("{} {} seed {seed}", kind.gvk.api_version(), kind.gvk.kind);
            let draft =
                json::conform(&draft, ty, FieldValidation::Strict).unwrap_or_else(|e| panic!("{what}: {e}"));
            let draft = draft.draft;

            let text = json::to_bytes(&draft, ty);
            let again = json::decode(&text, ty, FieldValidation::Strict).unwrap().draft;
            assert_eq!(json::to_bytes(&again, ty), text, "{what}: JSON");

            let document = yaml::from_json(&text).unwrap();
            let again = yaml::decode(document.as_bytes(), ty, FieldValidation::Strict).unwrap().draft;
            assert_eq!(json::to_bytes(&again, ty), text, "{what}: YAML\n{document}");

            let message = protobuf::encode(&draft, ty);
            let again = protobuf::decode_message(&message, ty).unwrap();
            assert_eq!(json::to_bytes(&again, ty), text, "{what}: protobuf");
            assert!(protobuf::encode(&again, ty) == message, "{what}: protobuf twice");
        }
    }
}

#[test]
fn damaged_encodings_never_panic() {
    let schema = Schema::builtin();
    for kind in schema.kinds() {
        let ty = schema.resolve(kind.ty);
        let mut random = Random(0x1234_5678_9abc_def1);
        let draft = random.fields(ty, 0);
        let text = json::to_bytes(&draft, ty);
        let body = protobuf::envelope("v1", "X", &protobuf::encode(&draft, ty));
        for _ in 0..DAMAGES {
            // Whether they decode is chance; what decodes has to encode.
            if let Ok(decoded) = json::decode(&random.damage(&text), ty, FieldValidation::Warn) {
                json::encode(&decoded.draft, ty);
            }
            if let Ok(decoded) = protobuf::decode(&random.damage(&body), ty) {
                protobuf::encode(&decoded.draft, ty);
            }
            drop(yaml::decode(&random.damage(&text), ty, FieldValidation::Ignore));
        }
    }
}
