//! Reads raw JSON without decoding it, and without minding what is absent.

use std::borrow::Cow;

use decapod_api::raw;

/// A value within canonical JSON, or the absence of one.
#[derive(Clone, Copy)]
pub struct Json<'a>(Option<&'a [u8]>);

// === impl Json ===

impl<'a> Json<'a> {
    /// A value; null is the same as absence.
    pub fn new(raw: Option<&'a [u8]>) -> Json<'a> {
        Json(raw.filter(|raw| *raw != b"null"))
    }

    /// The value at a path of field names joined by dots.
    pub fn at(self, path: &str) -> Json<'a> {
        path.split('.').fold(self, Json::key)
    }

    /// The value of one field, whatever its name.
    pub fn key(self, name: &str) -> Json<'a> {
        Json::new(self.0.and_then(|raw| raw::find(raw, &[name])))
    }

    /// The raw text.
    pub fn raw(self) -> Option<&'a [u8]> {
        self.0
    }

    /// Whether it is there.
    pub fn exists(self) -> bool {
        self.0.is_some()
    }

    /// A text; `None` if it is absent or something else.
    pub fn text(self) -> Option<Cow<'a, str>> {
        self.0.and_then(raw::text)
    }

    /// A text, empty if it is absent.
    pub fn str(self) -> Cow<'a, str> {
        self.text().unwrap_or_default()
    }

    /// A text that is not empty, or `other`.
    pub fn or(self, other: &'a str) -> Cow<'a, str> {
        self.text().filter(|text| !text.is_empty()).unwrap_or(Cow::Borrowed(other))
    }

    /// An integer.
    pub fn int(self) -> Option<i64> {
        std::str::from_utf8(self.0?).ok()?.parse().ok()
    }

    /// An integer, 0 if it is absent.
    pub fn count(self) -> i64 {
        self.int().unwrap_or_default()
    }

    /// Whether it is true.
    pub fn is_true(self) -> bool {
        self.0 == Some(b"true")
    }

    /// Whether it is this text.
    pub fn is(self, text: &str) -> bool {
        self.text().is_some_and(|own| own == text)
    }

    /// The text that shows it: of a text itself, of others their JSON.
    pub fn shown(self) -> Option<Cow<'a, str>> {
        let raw = self.0?;
        raw::text(raw).or_else(|| std::str::from_utf8(raw).ok().map(Cow::Borrowed))
    }

    /// The items of a list.
    pub fn items(self) -> impl Iterator<Item = Json<'a>> {
        self.0.and_then(raw::items).into_iter().flatten().map(|item| Json::new(Some(item)))
    }

    /// The fields of a map with their names.
    pub fn fields(self) -> impl Iterator<Item = (Cow<'a, str>, Json<'a>)> {
        let fields = self.0.and_then(raw::fields).into_iter().flatten();
        fields.map(|(name, value)| (raw::text(name).unwrap_or_default(), Json::new(Some(value))))
    }

    /// The first item whose `type` is `kind`: a condition of a status.
    pub fn of_type(self, kind: &str) -> Json<'a> {
        self.items().find(|item| item.key("type").is(kind)).unwrap_or(Json(None))
    }
}
