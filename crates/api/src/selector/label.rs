//! Label selectors, in the text form of query parameters and in the form of `LabelSelector` fields
//! (k8s.io/apimachinery/pkg/labels).

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

/// What a requirement asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operator {
    /// The label is there with one of the values.
    In,
    /// The label is absent or has none of the values.
    NotIn,
    /// The label is there.
    Exists,
    /// The label is absent.
    DoesNotExist,
    /// The label is an integer above the bound.
    GreaterThan,
    /// The label is an integer below the bound.
    LessThan,
}

/// Why a selector could not be read.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum Error {
    /// The text does not follow the grammar.
    #[error("{0}")]
    Syntax(String),
    /// A key that can be no label.
    #[error("key: Invalid value: {0:?}: {1}")]
    Key(String, String),
    /// A value that no label can have.
    #[error("unable to parse requirement: values[{0}][{1}]: Invalid value: {2:?}: {3}")]
    Value(usize, String, String, String),
    /// An operator with too many or too few values.
    #[error("{0}")]
    Operator(String),
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
            operator: Operator::In,
            values: vec![value.into()],
        };
        LabelSelector { requirements: labels.into_iter().map(requirement).collect() }
    }

    /// From a query parameter, such as `app in (web,db),tier!=old,!legacy`.
    pub fn parse(text: &str) -> Result<LabelSelector, Error> {
        let requirements = super::parser::parse(text)?;
        requirements.iter().try_for_each(Requirement::check)?;
        Ok(LabelSelector { requirements })
    }

    /// From a `LabelSelector` field: `matchLabels` and `matchExpressions`.
    pub fn from_value(selector: &Value) -> Result<LabelSelector, Error> {
        let mut requirements = Vec::new();
        for (key, value) in
            selector.get("matchLabels").and_then(Value::as_map).iter().flat_map(|map| map.iter())
        {
            let values = vec![value.as_str().unwrap_or_default().into()];
            requirements.push(Requirement { key: key.clone(), operator: Operator::In, values });
        }
        for expression in selector.list_at(&["matchExpressions"]) {
            let operator = match expression.str_at(&["operator"]).unwrap_or_default() {
                "In" => Operator::In,
                "NotIn" => Operator::NotIn,
                "Exists" => Operator::Exists,
                "DoesNotExist" => Operator::DoesNotExist,
                other => {
                    return Err(Error::Operator(format!("{other:?} is not a valid label selector operator")));
                }
            };
            let values =
                expression.list_at(&["values"]).iter().filter_map(Value::as_str).map(Str::from).collect();
            let key = expression.str_at(&["key"]).unwrap_or_default().into();
            requirements.push(Requirement { key, operator, values });
        }
        requirements.iter().try_for_each(Requirement::check)?;
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
            (Operator::In, Some(label)) => self.values.iter().any(|value| value == label),
            (Operator::NotIn, Some(label)) => self.values.iter().all(|value| value != label),
            (Operator::NotIn, None) | (Operator::DoesNotExist, None) => true,
            (Operator::Exists, label) => label.is_some(),
            (Operator::GreaterThan, Some(label)) => number(label) > bound() && number(label).is_some(),
            (Operator::LessThan, Some(label)) => number(label).is_some() && number(label) < bound(),
            _ => false,
        }
    }

    fn check(&self) -> Result<(), Error> {
        if let Some(why) = names::qualified_name(&self.key).first() {
            return Err(Error::Key(self.key.to_string(), why.clone()));
        }
        let needs = match self.operator {
            Operator::In | Operator::NotIn if self.values.is_empty() => {
                Some("for 'in', 'notin' operators, values set can't be empty")
            }
            Operator::Exists | Operator::DoesNotExist if !self.values.is_empty() => {
                Some("values set must be empty for exists and does not exist")
            }
            Operator::GreaterThan | Operator::LessThan
                if self.values.len() != 1 || self.values[0].parse::<i64>().is_err() =>
            {
                Some("for 'Gt', 'Lt' operators, exactly one integer value is required")
            }
            _ => None,
        };
        if let Some(needs) = needs {
            return Err(Error::Operator(format!("values: Invalid value: {:?}: {needs}", self.values)));
        }
        for (i, value) in self.values.iter().enumerate() {
            if let Some(why) = names::label_value(value).first() {
                return Err(Error::Value(i, self.key.to_string(), value.to_string(), why.clone()));
            }
        }
        Ok(())
    }
}

impl std::fmt::Display for LabelSelector {
    fn fmt(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
        for (i, requirement) in self.requirements.iter().enumerate() {
            if i > 0 {
                f.write_str(",")?;
            }
            let (key, values) = (&requirement.key, requirement.values.join(","));
            match requirement.operator {
                Operator::In if requirement.values.len() == 1 => write!(f, "{key}={values}")?,
                Operator::In => write!(f, "{key} in ({values})")?,
                Operator::NotIn if requirement.values.len() == 1 => write!(f, "{key}!={values}")?,
                Operator::NotIn => write!(f, "{key} notin ({values})")?,
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
        for text in ["a=b,", ",a", "a in", "a in (", "a in b", "a b", "a>x", "-a=b", "a=-b", "a in (x"] {
            assert!(LabelSelector::parse(text).is_err(), "{text}");
        }
    }
}
