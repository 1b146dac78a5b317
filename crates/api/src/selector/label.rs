//! Label selectors, in the text form of query parameters and in the form of `LabelSelector` fields
//! (k8s.io/apimachinery/pkg/labels).

use serde_json::json;

use super::parse;
use crate::codec::text;
use crate::names;
use crate::value::{Str, Value};

/// Requirements that all have to hold.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct LabelSelector {
    requirements: Vec<Requirement>,
}

/// One requirement on the label `key`.
#[derive(Clone, Debug, PartialEq)]
pub struct Requirement {
    /// The label.
    pub key: Str,
    /// What is asked of it.
    pub operator: Operator,
    /// The values of `In`, `NotIn` and the bound of `GreaterThan`, `LessThan`.
    pub values: Vec<Str>,
}

/// What a requirement asks. Those that mean the same are apart, for a selector is written as it was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operator {
    /// The label is there with one of the values.
    In,
    /// The label is absent or has none of the values.
    NotIn,
    /// The label is there with the value: `=`.
    Equals,
    /// The same: `==`.
    DoubleEquals,
    /// The label is absent or has another value.
    NotEquals,
    /// The label is there.
    Exists,
    /// The label is absent.
    DoesNotExist,
    /// The label is an integer above the bound.
    GreaterThan,
    /// The label is an integer below the bound.
    LessThan,
}

/// Why a selector could not be read, in upstream's words.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum Error {
    /// The text does not follow the grammar.
    #[error("{0}")]
    Syntax(String),
    /// A requirement of the text that does not, or asks for what no label can have.
    #[error("unable to parse requirement: {0}")]
    Requirement(String),
    /// An expression that asks for what no label can have.
    #[error("{0}")]
    Expression(String),
}

// === impl LabelSelector ===

impl LabelSelector {
    /// Selects everything.
    pub fn everything() -> LabelSelector {
        LabelSelector::default()
    }

    /// Selects what has all these labels.
    pub fn equal<'a>(labels: impl IntoIterator<Item = (&'a str, &'a str)>) -> LabelSelector {
        let requirement = |(key, value): (&str, &str)| Requirement {
            key: key.into(),
            operator: Operator::Equals,
            values: vec![value.into()],
        };
        LabelSelector { requirements: labels.into_iter().map(requirement).collect() }
    }

    /// From a query parameter, such as `app in (web,db),tier!=old,!legacy`. The requirements are sorted by key.
    pub fn parse(text: &str) -> Result<LabelSelector, Error> {
        let mut requirements = parse::requirements(text)?;
        requirements.sort_by(|a, b| a.key.cmp(&b.key));
        Ok(LabelSelector { requirements })
    }

    /// From a `LabelSelector` field: `matchLabels` and `matchExpressions`.
    pub fn from_value(selector: &Value) -> Result<LabelSelector, Error> {
        let mut requirements = Vec::new();
        let mut push = |key: &str, operator: Operator, values: Vec<Str>| {
            let requirement = Requirement { key: key.into(), operator, values };
            requirement.check().map_err(Error::Expression)?;
            requirements.push(requirement);
            Ok(())
        };
        let labels = selector.get("matchLabels").and_then(Value::as_map);
        for (key, value) in labels.into_iter().flat_map(|map| map.iter()) {
            push(key, Operator::Equals, vec![value.as_str().unwrap_or_default().into()])?;
        }
        for expression in selector.list_at(&["matchExpressions"]) {
            let operator = match expression.str_at(&["operator"]).unwrap_or_default() {
                "In" => Operator::In,
                "NotIn" => Operator::NotIn,
                "Exists" => Operator::Exists,
                "DoesNotExist" => Operator::DoesNotExist,
                other => {
                    let other = text::quote(other);
                    return Err(Error::Expression(format!("{other} is not a valid label selector operator")));
                }
            };
            let values = expression.list_at(&["values"]).iter().filter_map(Value::as_str);
            push(expression.str_at(&["key"]).unwrap_or_default(), operator, values.map(Str::from).collect())?;
        }
        requirements.sort_by(|a, b| a.key.cmp(&b.key));
        Ok(LabelSelector { requirements })
    }

    /// Whether everything is selected.
    pub fn is_everything(&self) -> bool {
        self.requirements.is_empty()
    }

    /// What is required.
    pub fn requirements(&self) -> &[Requirement] {
        &self.requirements
    }

    /// Whether the labels that `label` looks up are selected.
    pub fn matches<T: AsRef<str>>(&self, label: impl Fn(&str) -> Option<T>) -> bool {
        self.requirements
            .iter()
            .all(|requirement| requirement.matches(label(&requirement.key).as_ref().map(T::as_ref)))
    }

    /// Whether these labels, a map of texts, are selected.
    pub fn matches_labels(&self, labels: Option<&Value>) -> bool {
        self.matches(|key| labels?.get(key)?.as_str())
    }
}

// === impl Requirement ===

impl Requirement {
    fn matches(&self, label: Option<&str>) -> bool {
        let number = |text: &str| text.parse::<i64>().ok();
        let bound = || self.values.first().and_then(|value| number(value));
        match (self.operator, label) {
            (Operator::In | Operator::Equals | Operator::DoubleEquals, Some(label)) => {
                self.values.iter().any(|value| value == label)
            }
            (Operator::NotIn | Operator::NotEquals, Some(label)) => {
                self.values.iter().all(|value| value != label)
            }
            (Operator::NotIn | Operator::NotEquals | Operator::DoesNotExist, None) => true,
            (Operator::Exists, label) => label.is_some(),
            (Operator::GreaterThan, Some(label)) => number(label) > bound() && number(label).is_some(),
            (Operator::LessThan, Some(label)) => number(label).is_some() && number(label) < bound(),
            _ => false,
        }
    }

    /// What is wrong with it, all in one text.
    pub(super) fn check(&self) -> Result<(), String> {
        let mut wrong: Vec<String> = Vec::new();
        let reasons = names::qualified_name(&self.key);
        if !reasons.is_empty() {
            wrong.push(format!("key: Invalid value: {}: {}", text::quote(&self.key), reasons.join("; ")));
        }
        let is_number = |value: &Str| value.parse::<i64>().is_ok();
        let number = self.values.len();
        let needs = match self.operator {
            Operator::In | Operator::NotIn if number == 0 => {
                Some("for 'in', 'notin' operators, values set can't be empty")
            }
            Operator::Exists | Operator::DoesNotExist if number > 0 => {
                Some("values set must be empty for exists and does not exist")
            }
            Operator::GreaterThan | Operator::LessThan if number != 1 => {
                Some("for 'Gt', 'Lt' operators, exactly one value is required")
            }
            _ => None,
        };
        if let Some(needs) = needs {
            let values: Vec<&str> = self.values.iter().map(Str::as_str).collect();
            let list = if values.is_empty() { "null".to_owned() } else { json!(values).to_string() };
            wrong.push(format!("values: Invalid value: {list}: {needs}"));
        }
        if matches!(self.operator, Operator::GreaterThan | Operator::LessThan) {
            let needs = "for 'Gt', 'Lt' operators, the value must be an integer";
            for (at, value) in self.values.iter().enumerate().filter(|(_, value)| !is_number(value)) {
                wrong.push(format!("values[{at}]: Invalid value: {}: {needs}", text::quote(value)));
            }
        }
        for (at, value) in self.values.iter().enumerate() {
            let reasons = names::label_value(value);
            if !reasons.is_empty() {
                let (key, value) = (&self.key, text::quote(value));
                wrong.push(format!("values[{at}][{key}]: Invalid value: {value}: {}", reasons.join("; ")));
            }
        }
        match wrong.as_slice() {
            [] => Ok(()),
            [one] => Err(one.clone()),
            several => Err(format!("[{}]", several.join(", "))),
        }
    }
}

impl std::fmt::Display for LabelSelector {
    fn fmt(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
        for (i, requirement) in self.requirements.iter().enumerate() {
            if i > 0 {
                f.write_str(",")?;
            }
            let mut values = requirement.values.clone();
            values.sort();
            let (key, values) = (&requirement.key, values.join(","));
            match requirement.operator {
                Operator::In => write!(f, "{key} in ({values})")?,
                Operator::NotIn => write!(f, "{key} notin ({values})")?,
                Operator::Equals => write!(f, "{key}={values}")?,
                Operator::DoubleEquals => write!(f, "{key}=={values}")?,
                Operator::NotEquals => write!(f, "{key}!={values}")?,
                Operator::Exists => write!(f, "{key}")?,
                Operator::DoesNotExist => write!(f, "!{key}")?,
                Operator::GreaterThan => write!(f, "{key}>{values}")?,
                Operator::LessThan => write!(f, "{key}<{values}")?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn selectors_mean_what_upstream_means() {
        let labels = crate::value!({"app": "web", "tier": "front", "n": "7"});
        let table = [
            ("", true),
            ("app=web", true),
            ("app==db", false),
            ("app!=db", true),
            ("missing!=x", true),
            ("app in (web, db)", true),
            ("app notin (web)", false),
            ("missing notin (web)", true),
            ("tier", true),
            ("!tier", false),
            ("!missing,app", true),
            ("n>6,n<8", true),
            ("app>1", false),
            ("missing=", false),
        ];
        for (text, expected) in table {
            let selector = LabelSelector::parse(text).unwrap_or_else(|e| panic!("{text}: {e}"));
            assert_eq!(selector.matches_labels(Some(&labels)), expected, "{text}");
            let again = LabelSelector::parse(&selector.to_string()).expect("its own text");
            assert_eq!(again, selector, "{text}");
        }
    }

    #[test]
    fn nonsense_is_refused() {
        for text in
            ["a=b,", ",a", "a in", "a in (", "a in b", "a b", "a>x", "-a=b", "a=-b", "a in (x", "!a=b"]
        {
            assert!(LabelSelector::parse(text).is_err(), "{text}");
        }
    }
}
