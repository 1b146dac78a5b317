//! The descriptions of types and fields, for `kubectl explain`. The build gathers them (`build.rs`) and compresses them;
//! they are unpacked for as long as a document is being made.

use std::collections::HashMap;
use std::io::Read;

/// The descriptions, by OpenAPI names of types and names of fields.
#[derive(Default)]
pub struct Prose {
    /// Of types under an empty name, and of fields.
    types: HashMap<String, HashMap<String, String>>,
}

static PACKED: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/prose.gz"));

// === impl Prose ===

impl Prose {
    /// All of them.
    pub fn unpack() -> Prose {
        let mut text = String::new();
        flate2::read::GzDecoder::new(PACKED).read_to_string(&mut text).expect("the build packed it");
        Prose::parse(&text)
    }

    fn parse(text: &str) -> Prose {
        let mut prose = Prose::default();
        let mut current = None;
        for line in text.lines() {
            let mut words = line.splitn(3, '\t');
            let mut word = || words.next().unwrap_or_default();
            match line.starts_with('\t') {
                false => {
                    let fields = prose.types.entry(word().to_owned()).or_default();
                    fields.insert(String::new(), unescape(word()));
                    current = Some(fields);
                }
                true => {
                    word();
                    let (name, description) = (word().to_owned(), unescape(word()));
                    current.as_deref_mut().map(|fields| fields.insert(name, description));
                }
            }
        }
        prose
    }

    /// What a type is for.
    pub fn of_type(&self, name: &str) -> Option<&str> {
        self.of_field(name, "")
    }

    /// What a field of a type is for.
    pub fn of_field(&self, ty: &str, field: &str) -> Option<&str> {
        self.types.get(ty)?.get(field).map(String::as_str).filter(|text| !text.is_empty())
    }
}

/// Line ends, tabs and backslashes as they were.
fn unescape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut chars = text.chars();
    while let Some(next) = chars.next() {
        out.push(match next {
            '\\' => match chars.next() {
                Some('n') => '\n',
                Some('t') => '\t',
                _ => '\\',
            },
            plain => plain,
        });
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_and_fields_have_descriptions() {
        let prose = Prose::unpack();
        let pod = "io.k8s.api.core.v1.Pod";
        assert!(prose.of_type(pod).is_some_and(|text| text.starts_with("Pod is a collection of containers")));
        assert!(prose.of_field(pod, "spec").is_some_and(|text| text.contains("desired behavior")));
        assert!(
            prose.of_type("io.k8s.apimachinery.pkg.api.resource.Quantity").is_some_and(|t| t.contains('\n'))
        );
        assert_eq!(prose.of_field(pod, "nosuch"), None);
    }

    #[test]
    fn escapes_are_undone() {
        let prose = Prose::parse("a\tone\\ntwo\n\tb\tq\\\\n\\t\n");
        assert_eq!(prose.of_type("a"), Some("one\ntwo"));
        assert_eq!(prose.of_field("a", "b"), Some("q\\n\t"));
    }
}
