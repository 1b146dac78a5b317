//! Field selectors (k8s.io/apimachinery/pkg/fields): equality on the few fields that a resource names.

use std::fmt::Write;

use crate::object::Object;
use crate::raw;
use crate::value::Str;

/// Terms that all have to hold.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct FieldSelector {
    terms: Vec<Term>,
}

/// One term: a field has, or has not, a value.
#[derive(Clone, Debug, PartialEq)]
pub struct Term {
    /// The field's path, such as `spec.nodeName`.
    pub field: Str,
    /// The value.
    pub value: Str,
    /// Whether it has to be this value, or any other.
    pub equal: bool,
    /// Where objects have the field: the first of these paths that is not empty.
    pub paths: Vec<Str>,
}

/// Why a field selector could not be read.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum Error {
    /// A term without an operator.
    #[error("invalid selector: '{0}'; can't understand '{1}'")]
    Syntax(String, String),
    /// A backslash before something that needs none, or before nothing.
    #[error("invalid field selector: invalid escape sequence: \\{0}")]
    Escape(String),
    /// A character, by its number, that needs a backslash.
    #[error("invalid field selector: unescaped character in value: {0}")]
    Unescaped(u32),
    /// A field that the resource does not select by.
    #[error("field label not supported: {0}")]
    NotSupported(String),
    /// The same, of a resource that selects by nothing of its own.
    #[error("{0:?} is not a known field selector: only \"metadata.name\", \"metadata.namespace\"")]
    Unknown(String),
}

// === impl FieldSelector ===

impl FieldSelector {
    /// From a query parameter, such as `status.phase!=Running,spec.nodeName=a`. A backslash escapes `\`, `,` and `=`.
    /// The terms are sorted.
    pub fn parse(text: &str) -> Result<FieldSelector, Error> {
        let mut terms = Vec::new();
        let mut parts = split_terms(text);
        parts.sort();
        for part in parts.into_iter().filter(|part| !part.is_empty()) {
            let operator = |at: &usize| part[*at..].starts_with('=') || part[*at..].starts_with("!=");
            let at = part.char_indices().map(|(at, _)| at).find(operator);
            let at = at.ok_or_else(|| Error::Syntax(text.to_owned(), part.clone()))?;
            let (field, rest) = part.split_at(at);
            let (equal, value) = match rest {
                _ if rest.starts_with("!=") => (false, &rest[2..]),
                _ if rest.starts_with("==") => (true, &rest[2..]),
                _ => (true, &rest[1..]),
            };
            let value = unescape(value)?;
            // Nothing that has to be nothing holds always.
            if !field.is_empty() || !value.is_empty() {
                let field = Str::from(field);
                terms.push(Term { paths: vec![field.clone()], field, value, equal });
            }
        }
        Ok(FieldSelector { terms })
    }

    /// Refuses fields that are neither metadata's nor among `selectable`.
    pub fn check(&self, selectable: &[crate::meta::Text], namespaced: bool) -> Result<(), Error> {
        for term in &self.terms {
            let known = term.field == "metadata.name"
                || (term.field == "metadata.namespace" && namespaced)
                || selectable.iter().any(|field| *field == term.field.as_str());
            if !known && selectable.is_empty() {
                return Err(Error::Unknown(term.field.to_string()));
            }
            if !known {
                return Err(Error::NotSupported(term.field.to_string()));
            }
        }
        Ok(())
    }

    /// The same selector, of objects that have a field `label` at the paths `places(label)`.
    pub fn located(mut self, places: impl Fn(&str) -> Vec<Str>) -> FieldSelector {
        self.terms.iter_mut().for_each(|term| term.paths = places(&term.field));
        self
    }

    /// Whether everything is selected.
    pub fn is_everything(&self) -> bool {
        self.terms.is_empty()
    }

    /// The terms.
    pub fn terms(&self) -> &[Term] {
        &self.terms
    }

    /// The value that `field` has to have, if the selector says so.
    pub fn required(&self, field: &str) -> Option<&str> {
        self.terms.iter().find(|term| term.equal && term.field == field).map(|term| term.value.as_str())
    }

    /// Whether `object` is selected. An absent field counts as empty.
    pub fn matches(&self, object: &Object) -> bool {
        self.terms.iter().all(|term| {
            let mut values = term.paths.iter().filter_map(|path| {
                let path: Vec<&str> = path.split('.').collect();
                object.raw(&path).map(scalar).filter(|value| !value.is_empty())
            });
            let actual = values.next().unwrap_or_default();
            (actual == zero(&term.field, &term.value)) == term.equal
        })
    }
}

impl std::fmt::Display for FieldSelector {
    fn fmt(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
        for (i, term) in self.terms.iter().enumerate() {
            let comma = if i > 0 { "," } else { "" };
            let operator = if term.equal { "=" } else { "!=" };
            write!(f, "{comma}{}{operator}", term.field)?;
            for c in term.value.chars() {
                if matches!(c, '\\' | ',' | '=') {
                    f.write_char('\\')?;
                }
                f.write_char(c)?;
            }
        }
        Ok(())
    }
}

/// A raw scalar as a selector writes it. An encoder leaves out false and zero: so do we.
fn scalar(raw: &[u8]) -> String {
    match raw::text(raw) {
        Some(text) => text.into_owned(),
        None => match std::str::from_utf8(raw).unwrap_or_default() {
            "false" | "0" | "null" => String::new(),
            other => other.to_owned(),
        },
    }
}

/// What `value` is compared as: `false` and `0` stand for absent booleans and counters.
fn zero<'a>(field: &str, value: &'a str) -> &'a str {
    let counts = matches!(field, "status.successful" | "status.replicas");
    match value {
        "false" => "",
        "0" if counts => "",
        other => other,
    }
}

fn split_terms(text: &str) -> Vec<String> {
    let (mut terms, mut term, mut escaped) = (Vec::new(), String::new(), false);
    for c in text.chars() {
        match c {
            ',' if !escaped => terms.push(std::mem::take(&mut term)),
            _ => term.push(c),
        }
        escaped = c == '\\' && !escaped;
    }
    terms.push(term);
    terms
}

fn unescape(value: &str) -> Result<Str, Error> {
    let (mut out, mut chars) = (String::new(), value.chars());
    while let Some(c) = chars.next() {
        match c {
            '\\' => match chars.next() {
                Some(escaped @ ('\\' | ',' | '=')) => out.push(escaped),
                other => return Err(Error::Escape(other.map(String::from).unwrap_or_default())),
            },
            ',' | '=' => return Err(Error::Unescaped(u32::from(c))),
            _ => out.push(c),
        }
    }
    Ok(out.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_compared_as_texts() {
        let body = br#"{"metadata":{"name":"a","namespace":"n"},"spec":{"nodeName":"x,y"},"status":{"phase":"Running"}}"#;
        let object = Object::new(bytes::Bytes::from_static(body), 1);
        let table = [
            ("metadata.name=a", true),
            ("metadata.name!=a", false),
            ("spec.nodeName=x\\,y,status.phase==Running", true),
            ("spec.hostNetwork=false", true),
            ("spec.nodeName=", false),
            ("spec.other=", true),
        ];
        for (text, expected) in table {
            assert_eq!(FieldSelector::parse(text).expect(text).matches(&object), expected, "{text}");
        }
        assert!(FieldSelector::parse("status").is_err());
        let selector = FieldSelector::parse("spec.foo=1").expect("syntax");
        assert!(selector.check(&["spec.bar".into()], true).is_err());
    }
}
