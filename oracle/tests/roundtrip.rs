//! Random objects of every kind survive JSON, YAML and protobuf; damaged encodings are refused, never a panic. What upstream
//! says of them, `decapod-oracle codec` compares.

#![allow(clippy::unwrap_used)]

use decapod_api::codec::{FieldValidation, json, protobuf, yaml};
use decapod_api::schema::{Kind, Schema};
use decapod_oracle::damage;
use decapod_oracle::generate::Generator;
use decapod_oracle::random::Random;

/// Objects of each kind.
const OBJECTS: u64 = 12;

/// Calls `each` with objects of every kind, as texts.
fn texts(mut each: impl FnMut(&Kind, &str, &mut Random)) {
    for (at, kind) in Schema::builtin().kinds().iter().enumerate() {
        for case in 0..OBJECTS {
            let mut random = Random::of(at as u64, case);
            let text = Generator::new(&mut random).object(kind).text();
            each(kind, &text, &mut random);
        }
    }
}

#[test]
fn random_objects_survive_every_encoding() {
    texts(|kind, text, _| {
        let ty = Schema::builtin().resolve(kind.ty);
        let what = format!("{} {text}", kind.gvk.api_version());
        // Times that no four digits of a year can write are refused.
        let Ok(decoded) = json::decode(text.as_bytes(), ty, FieldValidation::Ignore) else { return };
        let decode = |text: &[u8]| json::decode(text, ty, FieldValidation::Ignore).unwrap().draft;
        // Once more, for zero times are written as null.
        let canonical = json::to_bytes(&decode(&json::to_bytes(&decoded.draft, ty)), ty);
        assert_eq!(json::to_bytes(&decode(&canonical), ty), canonical, "{what}: JSON");

        let document = yaml::from_json(&canonical).unwrap();
        let again = yaml::decode(document.as_bytes(), ty, FieldValidation::Ignore).unwrap().draft;
        assert_eq!(json::to_bytes(&again, ty), canonical, "{what}: YAML\n{document}");

        let message = protobuf::encode(&again, ty);
        let again = protobuf::decode_message(&message, ty).unwrap();
        assert!(protobuf::encode(&again, ty) == message, "{what}: protobuf");
    });
}

#[test]
fn damaged_encodings_never_panic() {
    texts(|kind, text, random| {
        let ty = Schema::builtin().resolve(kind.ty);
        let damaged = damage::text(text, random);
        // Whether they decode is chance; what decodes has to encode.
        if let Ok(decoded) = json::decode(&damaged, ty, FieldValidation::Warn) {
            json::encode(&decoded.draft, ty);
            let mut message = protobuf::encode(&decoded.draft, ty);
            if !message.is_empty() {
                let at = random.below(message.len());
                message[at] ^= 1 << random.below(8);
                if let Ok(draft) = protobuf::decode_message(&message, ty) {
                    protobuf::encode(&draft, ty);
                }
            }
        }
        drop(yaml::decode(&damaged, ty, FieldValidation::Ignore));
    });
}
