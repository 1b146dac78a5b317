//! What a message is made of: a draft, or canonical JSON that is read where it lies, without a draft in between.

use std::borrow::Cow;

use crate::codec::json;
use crate::codec::slots::{FEW, slotted};
use crate::raw;
use crate::schema::Type;
use crate::value::{Map, Value};

/// A value. Asked for what it is not, it says that it is nothing.
pub(super) trait Source<'v>: Copy {
    type Items: DoubleEndedIterator<Item = Self>;

    fn is_null(self) -> bool;
    fn is_text(self) -> bool;
    fn is_list(self) -> bool;
    fn is_map(self) -> bool;
    fn bool(self) -> Option<bool>;
    fn int(self) -> Option<i64>;
    fn float(self) -> Option<f64>;
    fn text(self) -> Option<Cow<'v, str>>;
    fn items(self) -> Self::Items;
    /// The entries of a map, sorted by key.
    fn entries(self) -> Vec<(Cow<'v, str>, Self)>;
    /// It as JSON.
    fn json(self) -> Cow<'v, [u8]>;
    /// Calls `then` with the values of the fields of a struct, in the order of the schema; nulls count as absent.
    fn slots<R>(this: Option<Self>, ty: &Type, then: impl FnOnce(&[Option<Self>]) -> R) -> R;
}

/// A value within canonical JSON: what our encoder wrote, so it is valid and has no white space.
#[derive(Clone, Copy)]
pub(super) struct Raw<'v>(pub &'v [u8]);

// === impl Value ===

impl<'v> Source<'v> for &'v Value {
    type Items = std::slice::Iter<'v, Value>;

    fn is_null(self) -> bool {
        Value::is_null(self)
    }

    fn is_text(self) -> bool {
        matches!(self, Value::String(_))
    }

    fn is_list(self) -> bool {
        matches!(self, Value::List(_))
    }

    fn is_map(self) -> bool {
        matches!(self, Value::Map(_))
    }

    fn bool(self) -> Option<bool> {
        self.as_bool()
    }

    fn int(self) -> Option<i64> {
        self.as_int()
    }

    fn float(self) -> Option<f64> {
        match self {
            Value::Float(float) => Some(*float),
            other => other.as_int().map(|int| int as f64),
        }
    }

    fn text(self) -> Option<Cow<'v, str>> {
        self.as_str().map(Cow::Borrowed)
    }

    fn items(self) -> Self::Items {
        self.as_list().unwrap_or_default().iter()
    }

    fn entries(self) -> Vec<(Cow<'v, str>, Self)> {
        let entries = self.as_map().into_iter().flat_map(Map::iter);
        entries.map(|(key, value)| (Cow::Borrowed(key.as_ref()), value)).collect()
    }

    fn json(self) -> Cow<'v, [u8]> {
        let mut out = Vec::new();
        json::write_any(self, &mut out);
        Cow::Owned(out)
    }

    fn slots<R>(this: Option<Self>, ty: &Type, then: impl FnOnce(&[Option<Self>]) -> R) -> R {
        slotted(ty, this.and_then(Value::as_map), then)
    }
}

// === impl Raw ===

impl<'v> Raw<'v> {
    fn number(self) -> Option<&'v str> {
        let digits = self.0.first().is_some_and(|byte| byte.is_ascii_digit() || *byte == b'-');
        std::str::from_utf8(self.0).ok().filter(|_| digits)
    }
}

impl<'v> Source<'v> for Raw<'v> {
    type Items = std::vec::IntoIter<Raw<'v>>;

    fn is_null(self) -> bool {
        self.0 == b"null"
    }

    fn is_text(self) -> bool {
        self.0.first() == Some(&b'"')
    }

    fn is_list(self) -> bool {
        self.0.first() == Some(&b'[')
    }

    fn is_map(self) -> bool {
        self.0.first() == Some(&b'{')
    }

    fn bool(self) -> Option<bool> {
        match self.0 {
            b"true" => Some(true),
            b"false" => Some(false),
            _ => None,
        }
    }

    fn int(self) -> Option<i64> {
        self.number()?.parse().ok()
    }

    fn float(self) -> Option<f64> {
        self.number()?.parse().ok()
    }

    fn text(self) -> Option<Cow<'v, str>> {
        raw::text(self.0)
    }

    fn items(self) -> Self::Items {
        let items: Vec<Raw> = raw::items(self.0).into_iter().flatten().map(Raw).collect();
        items.into_iter()
    }

    fn entries(self) -> Vec<(Cow<'v, str>, Self)> {
        let fields = raw::fields(self.0).into_iter().flatten();
        fields.filter_map(|(key, value)| Some((raw::text(key)?, Raw(value)))).collect()
    }

    fn json(self) -> Cow<'v, [u8]> {
        Cow::Borrowed(self.0)
    }

    fn slots<R>(this: Option<Self>, ty: &Type, then: impl FnOnce(&[Option<Self>]) -> R) -> R {
        let (mut few, mut many) = ([None; FEW], Vec::new());
        let slots = if ty.fields.len() <= FEW {
            &mut few[..ty.fields.len()]
        } else {
            many.resize(ty.fields.len(), None);
            many.as_mut_slice()
        };
        let mut hint = 0;
        for (key, value) in this.and_then(|this| raw::fields(this.0)).into_iter().flatten() {
            // No name of a field needs escapes.
            let name = key.get(1..key.len() - 1).and_then(|name| std::str::from_utf8(name).ok());
            if let Some(at) = name.and_then(|name| ty.index_near(name, hint)) {
                slots[at] = Some(Raw(value)).filter(|value| !value.is_null());
                hint = at + 1;
            }
        }
        then(slots)
    }
}
