//! Reads single fields out of canonical JSON without decoding it.
//!
//! Only for bytes that our own encoder wrote: they are valid JSON, without white space between tokens.

use std::borrow::Cow;

/// The raw JSON of the value at `path`, through objects only.
pub fn find<'a>(json: &'a [u8], path: &[&str]) -> Option<&'a [u8]> {
    path.iter().try_fold(json, |value, key| fields(value)?.find(|(k, _)| is_text(k, key)).map(|(_, v)| v))
}

/// The fields of an object, as raw JSON texts and values.
pub fn fields(json: &[u8]) -> Option<Fields<'_>> {
    (json.first() == Some(&b'{')).then_some(Fields { json, at: 1 })
}

/// The items of a list, as raw JSON.
pub fn items(json: &[u8]) -> Option<Items<'_>> {
    (json.first() == Some(&b'[')).then_some(Items { json, at: 1 })
}

/// The unescaped text of a raw JSON string.
pub fn text(raw: &[u8]) -> Option<Cow<'_, str>> {
    let inner = raw.strip_prefix(b"\"")?.strip_suffix(b"\"")?;
    if memchr::memchr(b'\\', inner).is_none() {
        return std::str::from_utf8(inner).ok().map(Cow::Borrowed);
    }
    serde_json::from_slice::<String>(raw).ok().map(Cow::Owned)
}

/// Iterator of [`fields`].
pub struct Fields<'a> {
    json: &'a [u8],
    at: usize,
}

/// Iterator of [`items`].
pub struct Items<'a> {
    json: &'a [u8],
    at: usize,
}

// === impl Fields ===

impl<'a> Iterator for Fields<'a> {
    type Item = (&'a [u8], &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        if self.json.get(self.at) == Some(&b',') {
            self.at += 1;
        }
        if self.json.get(self.at) != Some(&b'"') {
            return None;
        }
        let key_end = skip(self.json, self.at)?;
        let key = &self.json[self.at..key_end];
        let value_at = key_end + 1;
        self.at = skip(self.json, value_at)?;
        Some((key, &self.json[value_at..self.at]))
    }
}

// === impl Items ===

impl<'a> Iterator for Items<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<Self::Item> {
        if self.json.get(self.at) == Some(&b',') {
            self.at += 1;
        }
        if matches!(self.json.get(self.at), None | Some(b']')) {
            return None;
        }
        let start = self.at;
        self.at = skip(self.json, start)?;
        Some(&self.json[start..self.at])
    }
}

/// Whether the raw JSON string `raw` is the text `key`.
fn is_text(raw: &[u8], key: &str) -> bool {
    match raw.strip_prefix(b"\"").and_then(|raw| raw.strip_suffix(b"\"")) {
        Some(inner) if inner == key.as_bytes() => true,
        Some(inner) if memchr::memchr(b'\\', inner).is_some() => text(raw).is_some_and(|text| text == key),
        _ => false,
    }
}

/// Where the value that begins at `at` ends.
fn skip(json: &[u8], at: usize) -> Option<usize> {
    match json.get(at)? {
        b'"' => string_end(json, at),
        b'{' | b'[' => {
            let (mut depth, mut i) = (0usize, at);
            loop {
                match json.get(i)? {
                    b'"' => {
                        i = string_end(json, i)?;
                        continue;
                    }
                    b'{' | b'[' => depth += 1,
                    b'}' | b']' => depth -= 1,
                    _ => {}
                }
                i += 1;
                if depth == 0 {
                    return Some(i);
                }
            }
        }
        _ => {
            let end = json[at..].iter().position(|b| matches!(b, b',' | b'}' | b']'));
            Some(end.map_or(json.len(), |n| at + n))
        }
    }
}

/// Where the string that begins at `at` ends, past its closing quote.
fn string_end(json: &[u8], at: usize) -> Option<usize> {
    let mut i = at + 1;
    loop {
        i += memchr::memchr2(b'"', b'\\', json.get(i..)?)?;
        if json[i] == b'"' {
            return Some(i + 1);
        }
        i += 2;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_found_past_anything() {
        let json = br#"{"a":{"x":[1,{"q":"}\"]"}],"y":"z\n"},"b\"c":-1.5,"d":[],"e":true}"#;
        assert_eq!(find(json, &["a", "y"]).and_then(text).as_deref(), Some("z\n"));
        assert_eq!(find(json, &["b\"c"]), Some(&b"-1.5"[..]));
        assert_eq!(find(json, &["d"]), Some(&b"[]"[..]));
        assert_eq!(find(json, &["e"]), Some(&b"true"[..]));
        assert_eq!(find(json, &["f"]), None);
        let list = find(json, &["a", "x"]).expect("list");
        assert_eq!(items(list).expect("items").count(), 2);
    }
}
