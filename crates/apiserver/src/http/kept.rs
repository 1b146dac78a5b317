//! Encodings that are kept for whoever asks next, each within a budget of memory.

use bytes::Bytes;
use decapod_api::Object;
use decapod_api::codec::protobuf;
use decapod_api::encodings::{Encodings, Form as Key};
use decapod_api::meta::GroupVersionKind;
use decapod_api::schema::{Schema, TypeRef};

use super::negotiate::{Accepted, Form};
use crate::registry::Media;

/// What is kept. Cloning shares it.
#[derive(Clone)]
pub struct Kept {
    /// Objects as protobuf messages: the items of lists, and what is in an envelope.
    messages: Encodings,
    /// Events as watchers get them. They are asked for by all watchers soon after one another, and then no more.
    frames: Encodings,
}

/// Enough for some ten thousand pods; what is beyond it is encoded anew for each list.
const MESSAGES_BYTES_MAX: usize = 32 << 20;
const FRAMES_BYTES_MAX: usize = 4 << 20;

// === impl Kept ===

impl Default for Kept {
    fn default() -> Kept {
        Kept { messages: Encodings::new(MESSAGES_BYTES_MAX), frames: Encodings::new(FRAMES_BYTES_MAX) }
    }
}

impl Kept {
    /// The protobuf message of an object, without an envelope.
    pub fn message(&self, object: &Object, ty: TypeRef) -> Bytes {
        self.messages.of(object, Key { number: 0, ty: ty.id() }, || protobuf::item(object.body(), ty).into())
    }

    /// The frame of an event about `object`, of the form that [`form`] gave.
    pub fn frame(
        &self,
        object: &Object,
        form: Key,
        event: &'static str,
        make: impl FnOnce() -> Option<Bytes>,
    ) -> Option<Bytes> {
        // Events are told apart by their first letter.
        let event = event.bytes().next().map_or(0, u32::from);
        let form = Key { number: form.number | event, ..form };
        self.frames.try_of(object, form, make)
    }
}

/// In which form a watch shows objects of `kind`; none for tables, whose cells tell the age.
pub fn form(accepted: &Accepted, kind: &GroupVersionKind) -> Option<Key> {
    let form = match &accepted.form {
        Form::Object => 1,
        Form::PartialObject(version) if version == "v1" => 2,
        Form::PartialObject(_) => 3,
        Form::Table(_) => return None,
    };
    let media = u32::from(accepted.media == Media::Protobuf);
    Some(Key { number: form << 16 | media << 8, ty: Schema::builtin().type_of(kind)?.id() })
}
