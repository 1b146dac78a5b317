//! Keys that a map has twice, with the lines where they are, as upstream tells of them (go.yaml.in/yaml, `setMapIndex`).

use std::collections::BTreeSet;
use std::fmt;

use serde::Deserializer;
use serde::de::{DeserializeSeed, MapAccess, SeqAccess, Visitor};

use super::Key;

/// How many are told of; each costs a pass over the document.
const TOLD_MAX: usize = 10;

/// What strict decoding says of the duplicate keys of a document; nothing, if there are none.
pub(super) fn told(body: &[u8]) -> Option<String> {
    let lines: Vec<String> = (0..TOLD_MAX).map_while(|skip| duplicate(body, skip)).collect();
    (!lines.is_empty()).then(|| format!("yaml: unmarshal errors:\n{}", lines.join("\n")))
}

/// The duplicate after `skip` others.
fn duplicate(body: &[u8], skip: usize) -> Option<String> {
    let mut search = Search { left: skip, found: None };
    let walk = Walk { search: &mut search, again: None };
    let error = walk.deserialize(serde_norway::Deserializer::from_slice(body)).err()?;
    // Lines are those of the values.
    let line = error.location()?.line();
    let key = String::from_utf8(search.found?).ok()?;
    Some(format!("  line {line}: key {key} already set in map"))
}

struct Search {
    left: usize,
    found: Option<Vec<u8>>,
}

/// Walks a value; `again` is its key, if the map had that before.
struct Walk<'s> {
    search: &'s mut Search,
    again: Option<Vec<u8>>,
}

// === impl Walk ===

impl Walk<'_> {
    /// A value ends, which is when upstream puts it into its map.
    fn end<E: serde::de::Error>(self) -> Result<(), E> {
        let Some(key) = self.again else { return Ok(()) };
        if self.search.left == 0 {
            self.search.found = Some(key);
            // The reader adds where it is.
            return Err(E::custom("duplicate key"));
        }
        self.search.left -= 1;
        Ok(())
    }
}

impl<'de> DeserializeSeed<'de> for Walk<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Walk<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str("any YAML value")
    }

    fn visit_unit<E: serde::de::Error>(self) -> Result<(), E> {
        self.end()
    }

    fn visit_none<E: serde::de::Error>(self) -> Result<(), E> {
        self.end()
    }

    fn visit_bool<E: serde::de::Error>(self, _: bool) -> Result<(), E> {
        self.end()
    }

    fn visit_i64<E: serde::de::Error>(self, _: i64) -> Result<(), E> {
        self.end()
    }

    fn visit_u64<E: serde::de::Error>(self, _: u64) -> Result<(), E> {
        self.end()
    }

    fn visit_f64<E: serde::de::Error>(self, _: f64) -> Result<(), E> {
        self.end()
    }

    fn visit_str<E: serde::de::Error>(self, _: &str) -> Result<(), E> {
        self.end()
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<(), A::Error> {
        while seq.next_element_seed(Walk { search: &mut *self.search, again: None })?.is_some() {}
        self.end()
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let mut seen = BTreeSet::new();
        let mut key = Vec::new();
        while map.next_key_seed(Key(&mut key))?.is_some() {
            let key = std::mem::take(&mut key);
            let again = (!seen.insert(key.clone())).then_some(key);
            map.next_value_seed(Walk { search: &mut *self.search, again })?;
        }
        self.end()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_duplicate_has_its_line() {
        let text = "\na: 1\nb:\n  c: 1\n  c: 2\n\"a\": 3\nb:\n  - d: {e: 1, e: 2}\n";
        let wanted = "yaml: unmarshal errors:\n  line 5: key \"c\" already set in map\n  line 6: key \"a\" already set in map\n  line 8: key \"e\" already set in map\n  line 8: key \"b\" already set in map";
        assert_eq!(told(text.as_bytes()).as_deref(), Some(wanted));
        assert_eq!(told(b"a: {b: 1}\nc: {b: 1}\n"), None);
    }
}
