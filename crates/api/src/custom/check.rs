//! Holding a value against a schema, with upstream's findings in upstream's words
//! (k8s.io/kube-openapi/pkg/validation/validate; k8s.io/apiextensions-apiserver/pkg/apiserver/validation).

use super::fault::{Fault, Found};
use super::format::Format;
use super::schema::{Additional, Bound, Kind, Limits, Structural};
use crate::schema::ListType;
use crate::status::Cause;
use crate::value::{Map, Value};

/// Fields that are there although a draft does not carry them.
const TYPE_META: [&str; 2] = ["apiVersion", "kind"];

/// The faults of an object. What an update leaves as it was is not held against it.
pub fn object(schema: &Structural, new: &Value, old: Option<&Value>) -> Vec<Cause> {
    let found = Spot::Root.ratcheted(schema, new, old, true);
    found.faults.into_iter().map(|fault| fault.cause("")).collect()
}

/// The faults of a part of an object, whose paths begin with `prefix`.
pub fn part(schema: &Structural, new: &Value, old: Option<&Value>, prefix: &str) -> Vec<Cause> {
    let found = Spot::Root.ratcheted(schema, new, old, false);
    found.faults.into_iter().map(|fault| fault.cause(prefix)).collect()
}

/// A place in the value, from the inside out.
#[derive(Clone, Copy)]
enum Spot<'p> {
    Root,
    Field(&'p Spot<'p>, &'p str),
    /// A field that has no property of its own, whose path upstream writes with a dot even at the root.
    Other(&'p Spot<'p>, &'p str),
    Index(&'p Spot<'p>, usize),
}

/// What a draft shows of the type of a value.
fn kind_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Int(_) => "integer",
        Value::Float(_) => "number",
        Value::String(_) => "string",
        Value::List(_) => "array",
        Value::Map(_) => "object",
    }
}

/// The width that Go infers of a number.
fn width_of(value: &Value) -> &'static str {
    match value {
        Value::Int(_) => "int64",
        Value::Float(_) => "float64",
        _ => "",
    }
}

fn as_float(value: &Value) -> Option<f64> {
    match value {
        Value::Int(int) => Some(*int as f64),
        Value::Float(float) => Some(*float),
        _ => None,
    }
}

fn is_whole(value: &Value) -> bool {
    matches!(value, Value::Float(float) if float.fract() == 0.0 && float.abs() < 9e15)
}

// === impl Spot ===

impl<'p> Spot<'p> {
    fn path(&self) -> String {
        match self {
            Spot::Root => String::new(),
            Spot::Field(up, name) => match up.path() {
                up if up.is_empty() => (*name).to_owned(),
                up => format!("{up}.{name}"),
            },
            Spot::Other(up, name) => format!("{}.{name}", up.path()),
            Spot::Index(up, index) => format!("{}[{index}]", up.path()),
        }
    }

    /// The findings, unless the value is what it was.
    fn ratcheted(&self, schema: &Structural, new: &Value, old: Option<&Value>, is_object: bool) -> Found {
        let mut found = self.found(schema, new, old, is_object);
        if !found.faults.is_empty() && old == Some(new) {
            found.faults.clear();
        }
        found
    }

    /// The findings of a value, whose fields and items are each compared with what they were.
    fn found(&self, schema: &Structural, value: &Value, old: Option<&Value>, is_object: bool) -> Found {
        let mut found = Found::default();
        self.kind(schema, value, &mut found);
        let limits = schema.limits.as_deref();
        if value.is_null() {
            self.values(limits, value, &mut found);
            return found;
        }
        if let Some(limits) = limits {
            found.merge(self.junctors(limits, value, old, is_object));
            match value {
                Value::String(text) => self.text(limits, text, &mut found),
                Value::Int(_) | Value::Float(_) => self.number(schema, limits, value, &mut found),
                _ => {}
            }
        } else {
            found.matches += 2;
        }
        if let Value::List(list) = value {
            self.list(schema, list, old, &mut found);
        }
        self.values(limits, value, &mut found);
        found.matches += 1;
        if let Value::Map(map) = value {
            self.map(schema, map, old, is_object, &mut found);
        }
        found.matches += 1;
        found
    }

    fn wrong_type(&self, wanted: &str, value: Value) -> Fault {
        let data = match &value {
            Value::String(text) => format!(": {}", crate::codec::text::quote(text)),
            _ => String::new(),
        };
        let path = self.path();
        Fault::kind(format!("{path} in body must be of type {wanted}{data}"), path, value)
    }

    fn kind(&self, schema: &Structural, value: &Value, found: &mut Found) {
        let wanted: &[Kind] = match (&schema.kind, schema.int_or_string) {
            (_, true) => &[Kind::Integer, Kind::String],
            (Some(kind), _) => std::slice::from_ref(kind),
            (None, _) => &[],
        };
        let format = schema.limits.as_ref().and_then(|limits| limits.format.as_ref());
        if wanted.is_empty() && format.is_none() {
            return;
        }
        let names = || wanted.iter().map(|kind| kind.name()).collect::<Vec<_>>().join(",");
        let has = |kind: Kind| wanted.contains(&kind);
        if value.is_null() {
            if !wanted.is_empty() && !schema.nullable {
                found.faults.push(self.wrong_type(&names(), "null".into()));
            }
            return;
        }
        let actual = kind_of(value);
        let fits = wanted.iter().any(|kind| kind.name() == actual)
            || has(Kind::Integer) && is_whole(value)
            || has(Kind::Number) && matches!(value, Value::Int(_));
        let is_numeric = has(Kind::Integer) || has(Kind::Number);
        let plain = matches!(value, Value::String(_) | Value::List(_));
        match format {
            Some((_, name)) if !plain && !fits && name != width_of(value) => {
                found.faults.push(self.wrong_type(name, width_of(value).into()));
            }
            Some(_) if plain && !is_numeric => found.matches += 2,
            _ if !fits => found.faults.push(self.wrong_type(&names(), actual.into())),
            _ => found.matches += 2,
        }
    }

    fn values(&self, limits: Option<&Limits>, value: &Value, found: &mut Found) {
        let Some(limits) = limits.filter(|limits| !limits.values.is_empty()) else { return };
        let same = |allowed: &Value| match (as_float(allowed), as_float(value)) {
            (Some(a), Some(b)) => a == b,
            _ => allowed == value,
        };
        if !limits.values.iter().any(same) {
            found.faults.push(Fault::value(self.path(), value.clone(), &limits.values));
        }
    }

    fn text(&self, limits: &Limits, text: &str, found: &mut Found) {
        let (path, length) = (self.path(), || i64::try_from(text.chars().count()).unwrap_or(i64::MAX));
        let shown = || Value::from(text);
        match (limits.length, &limits.pattern) {
            ((_, Some(most)), _) if length() > most => {
                found.faults.push(Fault::too_long(
                    format!("{path} in body should be at most {most} chars long"),
                    &path,
                    most,
                ));
            }
            ((Some(least), _), _) if length() < least => {
                let message = format!("{path} in body should be at least {least} chars long");
                found.faults.push(Fault::other(message, &path, shown()));
            }
            (_, Some(pattern)) if !pattern.matches(text) => {
                let message = format!("{path} in body should match '{}'", pattern.as_str());
                found.faults.push(Fault::other(message, &path, shown()));
            }
            _ => {}
        }
        found.matches += 1;
        if let Some((format @ Format::Text(_), name)) = &limits.format {
            if !format.holds(text) {
                found.faults.push(self.wrong_type(name, shown()));
            }
            found.matches += 1;
        }
    }

    fn number(&self, schema: &Structural, limits: &Limits, value: &Value, found: &mut Found) {
        let Some(number) = as_float(value) else { return };
        let path = self.path();
        let range = match &limits.format {
            Some((Format::Width("int32"), _)) => Some((f64::from(i32::MIN), f64::from(i32::MAX))),
            Some((Format::Width("float"), _)) => Some((f64::from(f32::MIN), f64::from(f32::MAX))),
            _ => None,
        };
        if let (Some((least, most)), Some((_, width))) = (range, &limits.format)
            && !(least..=most).contains(&number)
        {
            let kind = schema.kind.map_or("number", Kind::name);
            let message = format!("Checked value must be of type {kind} with format {width} in {path}");
            found.faults.push(Fault::composite(message));
        }
        let mut mind = |is_wrong: bool, what: String| {
            if is_wrong {
                found.faults.push(Fault::other(
                    format!("{path} in body should be {what}"),
                    &path,
                    value.clone(),
                ));
            }
        };
        if let Some(factor) = limits.multiple_of {
            let times = number / factor;
            mind((times - times.round()).abs() > 1e-9, format!("a multiple of {}", shown(factor)));
        }
        if let Some(Bound { at, exclusive }) = limits.minimum {
            let (bad, what) = if exclusive {
                (number <= at, "greater than")
            } else {
                (number < at, "greater than or equal to")
            };
            mind(bad, format!("{what} {}", shown(at)));
        }
        if let Some(Bound { at, exclusive }) = limits.maximum {
            let (bad, what) =
                if exclusive { (number >= at, "less than") } else { (number > at, "less than or equal to") };
            mind(bad, format!("{what} {}", shown(at)));
        }
        found.matches += 2;
    }

    fn list(&self, schema: &Structural, list: &[Value], old: Option<&Value>, found: &mut Found) {
        if let Some(of) = schema.items.as_deref() {
            for (at, item) in list.iter().enumerate() {
                let spot = Spot::Index(self, at);
                found.merge(match correlated(schema, item, old) {
                    Some(before) => spot.ratcheted(of, item, Some(before), false),
                    None => spot.found(of, item, None, false),
                });
            }
        }
        let (path, size) = (self.path(), i64::try_from(list.len()).unwrap_or(i64::MAX));
        match schema.limits.as_ref().map_or((None, None), |limits| limits.items) {
            (Some(least), _) if size < least => {
                let message = format!("{path} in body should have at least {least} items");
                found.faults.push(Fault::other(message, &path, size.into()));
            }
            (_, Some(most)) if size > most => {
                let message = format!("{path} in body should have at most {most} items");
                found.faults.push(Fault::too_many(message, &path, size, most));
            }
            _ => {}
        }
        found.matches += 2;
    }

    fn map(&self, schema: &Structural, map: &Map, old: Option<&Value>, is_object: bool, found: &mut Found) {
        let path = self.path();
        let hidden = if is_object { TYPE_META.len() } else { 0 };
        let size = i64::try_from(map.len() + hidden).unwrap_or(i64::MAX);
        let limits = schema.limits.as_deref();
        match limits.map_or((None, None), |limits| limits.properties) {
            (Some(least), _) if size < least => {
                let message = format!("{path} in body should have at least {least} properties");
                found.faults.push(Fault::other(message, &path, size.into()));
            }
            (_, Some(most)) if size > most => {
                let message = format!("{path} in body should have at most {most} properties");
                found.faults.push(Fault::too_many(message, &path, size, most));
            }
            _ => {}
        }
        for (name, value) in map.iter() {
            let before = old.and_then(|old| old.get(name)).filter(|_| !schema.atomic_map);
            let (spot, of) = match (schema.property(name), &schema.additional) {
                (Some(of), _) => (Spot::Field(self, name), of),
                (None, Some(Additional::Of(of))) => (Spot::Other(self, name), &**of),
                (None, Some(Additional::Any(false))) => {
                    let message = format!("{path}.{name} in body is a forbidden property");
                    found.faults.push(Fault::other(message, &path, name.as_str().into()));
                    continue;
                }
                _ => continue,
            };
            found.merge(match before {
                Some(before) => spot.ratcheted(of, value, Some(before), false),
                None => spot.found(of, value, None, false),
            });
        }
        for name in limits.map_or(&[][..], |limits| &limits.required) {
            let is_implied = is_object && TYPE_META.contains(&name.as_str());
            if !is_implied && !map.contains(name) {
                found.faults.push(Fault::required(format!("{path}.{name}")));
            }
        }
    }

    /// What `allOf`, `anyOf`, `oneOf` and `not` say. Of alternatives that all fail, the one that came furthest is told.
    fn junctors(&self, limits: &Limits, value: &Value, old: Option<&Value>, is_object: bool) -> Found {
        let mut found = Found::default();
        let hold = |schema: &Structural| self.found(schema, value, old, is_object);
        let quoted = || crate::codec::text::quote(&self.path());
        if !limits.any_of.is_empty() {
            let (held, best) = alternatives(limits.any_of.iter().map(hold), true);
            if held == 0 {
                let message = format!("{} must validate at least one schema (anyOf)", quoted());
                found.faults.push(Fault::composite(message));
            }
            found.merge(best);
        }
        if !limits.one_of.is_empty() {
            let (held, best) = alternatives(limits.one_of.iter().map(hold), false);
            if held != 1 {
                let how = match held {
                    0 => "Found none valid".to_owned(),
                    more => format!("Found {more} valid alternatives"),
                };
                let message = format!("{} must validate one and only one schema (oneOf). {how}", quoted());
                found.faults.push(Fault::composite(message));
            }
            if held < 2 {
                found.merge(best);
            }
        }
        if !limits.all_of.is_empty() {
            let all: Vec<Found> = limits.all_of.iter().map(hold).collect();
            let held = all.iter().filter(|found| found.faults.is_empty()).count();
            let total = all.len();
            all.into_iter().for_each(|one| found.merge(one));
            if held != total {
                let none = if held == 0 { ". None validated" } else { "" };
                let message = format!("{} must validate all the schemas (allOf){none}", quoted());
                found.faults.push(Fault::composite(message));
            }
        }
        if limits.not.as_deref().is_some_and(|not| hold(not).faults.is_empty()) {
            found.faults.push(Fault::composite(format!("{} must not validate the schema (not)", quoted())));
        }
        found.matches += 2;
        found
    }
}

/// How many of the alternatives hold, and what is told of them: the first that holds, or the one that came furthest.
fn alternatives(all: impl Iterator<Item = Found>, stop_early: bool) -> (usize, Found) {
    let (mut held, mut best): (usize, Option<Found>) = (0, None);
    for found in all {
        if found.faults.is_empty() {
            held += 1;
            if held == 1 {
                best = Some(found);
            }
            if stop_early {
                break;
            }
        } else if held == 0 && best.as_ref().is_none_or(|best| found.matches > best.matches) {
            best = Some(found);
        }
    }
    (held, best.unwrap_or_default())
}

/// The item that had the same keys before, in a list whose items have keys.
fn correlated<'v>(schema: &Structural, item: &Value, old: Option<&'v Value>) -> Option<&'v Value> {
    if schema.list_type != Some(ListType::Map) {
        return None;
    }
    let same = |other: &&Value| schema.list_keys.iter().all(|key| other.get(key) == item.get(key));
    old?.as_list()?.iter().find(same)
}

/// A number as Go shows it.
fn shown(number: f64) -> String {
    let mut out = Vec::new();
    match number.fract() == 0.0 && number.abs() < 1e15 {
        true => return format!("{}", number as i64),
        false => crate::codec::json::write_any(&Value::Float(number), &mut out),
    }
    String::from_utf8(out).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::value;

    /// The faults as `reason field: message` lines.
    fn lines(spec: Value, new: Value, old: Option<Value>) -> Vec<String> {
        let mut schema = value!({"type": "object"});
        schema.set_at(&["properties", "spec"], spec);
        let schema = Structural::parse(&schema).expect("schema");
        let whole = |spec: Value| {
            let mut whole = Value::map();
            whole.set_at(&["spec"], spec);
            whole
        };
        let (new, old) = (whole(new), old.map(whole));
        let causes = object(&schema, &new, old.as_ref());
        causes
            .into_iter()
            .map(|cause| format!("{} {}: {}", cause.reason, cause.field, cause.message))
            .collect()
    }

    #[test]
    fn values_are_refused_in_upstreams_words() {
        let table = [
            (
                value!({"type": "integer"}),
                value!("x"),
                "FieldValueTypeInvalid spec: Invalid value: \"string\": spec in body must be of type integer: \"string\"",
            ),
            (
                value!({"type": "integer", "minimum": 3}),
                value!(2),
                "FieldValueInvalid spec: Invalid value: 2: spec in body should be greater than or equal to 3",
            ),
            (
                value!({"type": "number", "maximum": 3.5, "exclusiveMaximum": true}),
                value!(3.5),
                "FieldValueInvalid spec: Invalid value: 3.5: spec in body should be less than 3.5",
            ),
            (
                value!({"type": "string", "enum": ["a", "b"]}),
                value!("c"),
                "FieldValueNotSupported spec: Unsupported value: \"c\": supported values: \"a\", \"b\"",
            ),
            (
                value!({"type": "string", "pattern": "^a+$"}),
                value!("b"),
                "FieldValueInvalid spec: Invalid value: \"b\": spec in body should match '^a+$'",
            ),
            (
                value!({"type": "string", "maxLength": 2}),
                value!("abc"),
                "FieldValueTooLong spec: Too long: may not be more than 2 bytes",
            ),
            (
                value!({"type": "array", "items": {"type": "string"}, "maxItems": 1}),
                value!(["a", "b"]),
                "FieldValueTooMany spec: Too many: 2: must have at most 1 items",
            ),
            (
                value!({"type": "object", "required": ["a"]}),
                value!({}),
                "FieldValueRequired spec.a: Required value",
            ),
            (
                value!({"type": "array", "items": {"type": "object", "properties": {"a": {"type": "boolean"}}}}),
                value!([{"a": 1}]),
                "FieldValueTypeInvalid spec[0].a: Invalid value: \"integer\": spec[0].a in body must be of type boolean: \"integer\"",
            ),
            (
                value!({"type": "object", "additionalProperties": {"type": "string"}}),
                value!({"k": 1}),
                "FieldValueTypeInvalid spec.k: Invalid value: \"integer\": spec.k in body must be of type string: \"integer\"",
            ),
            (
                value!({"type": "string", "format": "date-time"}),
                value!("x"),
                "FieldValueTypeInvalid spec: Invalid value: \"x\": spec in body must be of type date-time: \"x\"",
            ),
            (
                value!({"type": "string"}),
                Value::Null,
                "FieldValueTypeInvalid spec: Invalid value: \"null\": spec in body must be of type string: \"null\"",
            ),
            (
                value!({"x-kubernetes-int-or-string": true}),
                value!(true),
                "FieldValueTypeInvalid spec: Invalid value: \"boolean\": spec in body must be of type integer,string: \"boolean\"",
            ),
        ];
        for (schema, value, expected) in table {
            assert_eq!(lines(schema.clone(), value.clone(), None), [expected], "{schema:?}");
            assert_eq!(lines(schema, value.clone(), Some(value)), Vec::<String>::new(), "unchanged");
        }
    }

    #[test]
    fn alternatives_tell_of_the_one_that_came_furthest() {
        let schema = value!({"type": "object", "properties": {"a": {"type": "string"}, "b": {"type": "string"}},
            "oneOf": [{"required": ["a"]}, {"required": ["b"]}]});
        assert_eq!(
            lines(schema.clone(), value!({}), None),
            [
                "FieldValueInvalid <nil>: Invalid value: \"\": \"spec\" must validate one and only one schema (oneOf). Found none valid",
                "FieldValueRequired spec.a: Required value",
            ]
        );
        let both = lines(schema.clone(), value!({"a": "1", "b": "2"}), None);
        assert_eq!(both.len(), 1);
        assert!(both[0].ends_with("Found 2 valid alternatives"), "{both:?}");
        assert!(lines(schema, value!({"a": "1"}), None).is_empty());
        let not = value!({"type": "string", "not": {"enum": ["x"]}});
        assert!(lines(not.clone(), value!("y"), None).is_empty());
        assert_eq!(lines(not, value!("x"), None).len(), 1);
    }

    #[test]
    fn an_update_is_not_refused_for_what_it_leaves_alone() {
        let schema = value!({"type": "object", "properties": {
            "a": {"type": "string", "maxLength": 1},
            "l": {"type": "array", "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["k"],
                "items": {"type": "object", "properties": {"k": {"type": "string"}, "v": {"type": "string", "maxLength": 1}}}},
        }});
        let old = value!({"a": "long", "l": [{"k": "1", "v": "long"}]});
        let new = value!({"a": "long", "l": [{"k": "0"}, {"k": "1", "v": "long"}]});
        assert!(lines(schema.clone(), new, Some(old.clone())).is_empty());
        let worse = value!({"a": "longer", "l": [{"k": "1", "v": "longer"}]});
        assert_eq!(lines(schema, worse, Some(old)).len(), 2);
    }
}
