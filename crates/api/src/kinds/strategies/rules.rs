//! What validation is written with: a place in an object, what can be wrong with it, and the rules that come up again
//! and again (k8s.io/apimachinery/pkg/util/validation/field, k8s.io/kubernetes/pkg/apis/core/validation).
//!
//! A [`Place`] knows its path only by what it is part of, so that an object without faults costs no texts.

use crate::status::Cause;
use crate::value::Value;
use crate::{names, quantity};

use super::checks;

/// The faults found so far.
pub type Causes = Vec<Cause>;

/// What upstream says of a field that may not change.
pub const IMMUTABLE: &str = "field is immutable";
/// What upstream says of a number below zero.
pub const NEGATIVE: &str = "must be greater than or equal to 0";

static ABSENT: Value = Value::Null;

/// A value, which may be absent, and where it is.
#[derive(Clone, Copy)]
pub struct Place<'v, 'p> {
    /// The value; null when it is absent.
    pub value: &'v Value,
    up: Option<&'p Place<'v, 'p>>,
    step: Step<'p>,
}

#[derive(Clone, Copy)]
enum Step<'p> {
    Root,
    Field(&'p str),
    Index(usize),
    Key(&'p str),
}

// === impl Place: the way down ===

impl<'v, 'p> Place<'v, 'p> {
    /// The whole object.
    pub fn root(value: &'v Value) -> Place<'v, 'p> {
        Place { value, up: None, step: Step::Root }
    }

    /// A field of this struct.
    pub fn field<'b>(&'b self, name: &'b str) -> Place<'v, 'b> {
        Place { value: self.value.get(name).unwrap_or(&ABSENT), up: Some(self), step: Step::Field(name) }
    }

    /// An entry of this map.
    pub fn key<'b>(&'b self, key: &'b str) -> Place<'v, 'b> {
        Place { value: self.value.get(key).unwrap_or(&ABSENT), up: Some(self), step: Step::Key(key) }
    }

    /// The item at `index` of this list.
    pub fn index<'b>(&'b self, index: usize) -> Place<'v, 'b> {
        let value = self.list().get(index).unwrap_or(&ABSENT);
        Place { value, up: Some(self), step: Step::Index(index) }
    }

    /// The items of this list.
    pub fn items<'b>(&'b self) -> impl Iterator<Item = Place<'v, 'b>> {
        (0..self.list().len()).map(|index| self.index(index))
    }

    /// The entries of this map.
    pub fn entries<'b>(&'b self) -> impl Iterator<Item = (&'v str, Place<'v, 'b>)>
    where
        'v: 'b,
    {
        let entries = self.value.as_map().into_iter().flat_map(|map| map.iter());
        entries.map(|(key, value)| (key.as_str(), Place { value, up: Some(self), step: Step::Key(key) }))
    }

    /// As upstream writes it: `spec.containers[0].resources.limits[cpu]`.
    pub fn path(&self) -> String {
        let up = self.up.map(Place::path).unwrap_or_default();
        match self.step {
            Step::Root => up,
            Step::Field(name) if up.is_empty() => name.to_owned(),
            Step::Field(name) => format!("{up}.{name}"),
            Step::Index(index) => format!("{up}[{index}]"),
            Step::Key(key) => format!("{up}[{key}]"),
        }
    }

    // === what is there ===

    /// Whether it is there: what Go sees as a pointer that is set.
    pub fn is_set(&self) -> bool {
        !self.value.is_null()
    }

    /// Whether there is nothing in it.
    pub fn is_empty(&self) -> bool {
        self.value.is_empty()
    }

    /// The text; empty when it is absent.
    pub fn text(&self) -> &'v str {
        self.value.as_str().unwrap_or_default()
    }

    /// The integer; 0 when it is absent.
    pub fn int(&self) -> i64 {
        self.value.as_int().unwrap_or(0)
    }

    /// Whether it is true.
    pub fn is_true(&self) -> bool {
        self.value.as_bool() == Some(true)
    }

    /// The items; none when it is absent.
    pub fn list(&self) -> &'v [Value] {
        self.value.as_list().unwrap_or(&[])
    }

    /// The quantity; nothing when it is absent.
    pub fn quantity(&self) -> quantity::Quantity {
        super::fill::parse_quantity(self.value)
    }

    // === what can be wrong with it ===

    /// It has to be there.
    pub fn required(&self, detail: &str) -> Cause {
        Cause::required(self.path(), detail)
    }

    /// It is not of the right form.
    pub fn invalid(&self, detail: &str) -> Cause {
        Cause::invalid(self.path(), self.value, detail)
    }

    /// It is not of the right form, which is shown as `value`.
    pub fn invalid_as(&self, value: impl Into<Value>, detail: &str) -> Cause {
        Cause::invalid(self.path(), &value.into(), detail)
    }

    /// It may not be set, or not like this.
    pub fn forbidden(&self, detail: &str) -> Cause {
        Cause::forbidden(self.path(), detail)
    }

    /// It is none of those allowed.
    pub fn not_supported(&self, allowed: &[&str]) -> Cause {
        Cause::not_supported(self.path(), self.text(), allowed)
    }

    /// It is there already.
    pub fn duplicate(&self) -> Cause {
        match self.value {
            Value::Int(int) => {
                Cause { message: format!("Duplicate value: {int}"), ..Cause::duplicate(self.path(), "") }
            }
            _ => Cause::duplicate(self.path(), self.text()),
        }
    }

    /// What it names is not there.
    pub fn not_found(&self) -> Cause {
        Cause::not_found(self.path(), self.text())
    }

    /// It has more items than it may.
    pub fn too_many(&self, max: usize) -> Cause {
        Cause::too_many(self.path(), self.list().len(), max)
    }

    // === rules ===

    /// A text that has to be there; whether it is.
    pub fn need(&self, out: &mut Causes) -> bool {
        if self.text().is_empty() {
            out.push(self.required(""));
        }
        !self.text().is_empty()
    }

    /// A text of these; absent is not one of them unless `""` is.
    pub fn one_of(&self, allowed: &[&str], out: &mut Causes) {
        if !allowed.contains(&self.text()) {
            out.push(self.not_supported(allowed));
        }
    }

    /// A text of these, which has to be there.
    pub fn need_one_of(&self, allowed: &[&str], out: &mut Causes) {
        if self.need(out) {
            self.one_of(allowed, out);
        }
    }

    /// A text of these, if it is there.
    pub fn one_of_if_set(&self, allowed: &[&str], out: &mut Causes) {
        if self.is_set() {
            self.one_of(allowed, out);
        }
    }

    /// A text that `reasons` has nothing against.
    pub fn check(&self, reasons: fn(&str) -> Vec<String>, out: &mut Causes) {
        out.extend(reasons(self.text()).iter().map(|why| self.invalid_as(self.text(), why)));
    }

    /// The same, if it is not empty.
    pub fn check_if_set(&self, reasons: fn(&str) -> Vec<String>, out: &mut Causes) {
        if !self.text().is_empty() {
            self.check(reasons, out);
        }
    }

    /// A text that has to be there, and that `reasons` has nothing against.
    pub fn need_checked(&self, reasons: fn(&str) -> Vec<String>, out: &mut Causes) {
        if self.need(out) {
            self.check(reasons, out);
        }
    }

    /// A number of at least 0.
    pub fn non_negative(&self, out: &mut Causes) {
        if self.int() < 0 {
            out.push(self.invalid(NEGATIVE));
        }
    }

    /// A number of at least 1.
    pub fn positive(&self, out: &mut Causes) {
        if self.int() <= 0 {
            out.push(self.invalid_as(self.int(), "must be greater than zero"));
        }
    }

    /// A number within bounds.
    pub fn within(&self, min: i64, max: i64, out: &mut Causes) {
        if !(min..=max).contains(&self.int()) {
            out.push(self.invalid_as(self.int(), &checks::between(min, max)));
        }
    }

    /// The number of a port.
    pub fn port(&self, out: &mut Causes) {
        self.within(1, 65535, out);
    }

    /// The number or the name of a port.
    pub fn port_or_name(&self, out: &mut Causes) {
        match self.value {
            Value::String(_) => self.check(checks::port_name, out),
            _ => self.port(out),
        }
    }

    /// A number of at least 0, or a percentage.
    pub fn int_or_percent(&self, out: &mut Causes) {
        match self.value {
            Value::String(_) => self.check(checks::percent, out),
            _ => self.non_negative(out),
        }
    }

    /// A percentage of no more than 100, or a number.
    pub fn at_most_all(&self, out: &mut Causes) {
        if percentage(self.value).is_some_and(|percentage| percentage > 100) {
            out.push(self.invalid("must not be greater than 100%"));
        }
    }

    /// Something that may not change.
    pub fn immutable(&self, old: Option<&Value>, out: &mut Causes) {
        let present = |value: &Value| !value.is_empty();
        if old.filter(|old| present(old)) != Some(self.value).filter(|new| present(new)) {
            out.push(self.invalid(IMMUTABLE));
        }
    }

    /// The mode of a file.
    pub fn file_mode(&self, out: &mut Causes) {
        if !(0..=0o777).contains(&self.int()) {
            out.push(self.invalid("must be a number between 0 and 0777 (octal), both inclusive"));
        }
    }

    /// Labels, or a selector by equality: upstream blames the map, not the entry.
    pub fn labels(&self, out: &mut Causes) {
        for (key, value) in self.entries() {
            out.extend(names::qualified_name(key).iter().map(|why| self.invalid_as(key, why)));
            let value = value.text();
            out.extend(names::label_value(value).iter().map(|why| self.invalid_as(value, why)));
        }
    }

    /// A label selector.
    pub fn label_selector(&self, out: &mut Causes) {
        self.field("matchLabels").labels(out);
        for expression in self.field("matchExpressions").items() {
            let values = expression.field("values");
            match expression.field("operator").text() {
                "In" | "NotIn" if values.list().is_empty() => {
                    out.push(values.required("must be specified when `operator` is 'In' or 'NotIn'"));
                }
                "Exists" | "DoesNotExist" if !values.list().is_empty() => {
                    out.push(
                        values
                            .forbidden("may not be specified when `operator` is 'Exists' or 'DoesNotExist'"),
                    );
                }
                "In" | "NotIn" | "Exists" | "DoesNotExist" => {}
                _ => out.push(
                    expression
                        .field("operator")
                        .invalid_as(expression.field("operator").text(), "not a valid selector operator"),
                ),
            }
            expression.field("key").check(names::qualified_name, out);
            values.items().for_each(|value| value.check(names::label_value, out));
        }
    }

    /// Whether it has neither labels nor expressions.
    pub fn is_empty_selector(&self) -> bool {
        self.field("matchLabels").is_empty() && self.field("matchExpressions").is_empty()
    }

    /// Texts that come twice.
    pub fn unique_texts(&self, out: &mut Causes) {
        let mut seen = Seen::default();
        out.extend(self.items().filter(|item| seen.again(item.text())).map(|item| item.duplicate()));
    }
}

/// What has been seen.
#[derive(Default)]
pub struct Seen<'v>(Vec<&'v str>);

// === impl Seen ===

impl<'v> Seen<'v> {
    /// Remembers `text`; whether it is here again.
    pub fn again(&mut self, text: &'v str) -> bool {
        let known = self.has(text);
        if !known {
            self.0.push(text);
        }
        known
    }

    /// Whether `text` has been seen.
    pub fn has(&self, text: &str) -> bool {
        self.0.contains(&text)
    }
}

/// The number before `%`.
pub fn percentage(value: &Value) -> Option<i64> {
    value.as_str()?.strip_suffix('%')?.parse().ok()
}

/// The number, be it a percentage.
pub fn int_or_percentage(value: &Value) -> i64 {
    percentage(value).or(value.as_int()).unwrap_or(0)
}

/// Whether both say the same, absent and empty being the same.
pub fn equal(a: &Value, b: &Value) -> bool {
    a == b || (a.is_empty() && b.is_empty())
}

/// The value at `path` of what was before, if there was anything.
pub fn before<'v>(old: Option<&'v Value>, path: &[&str]) -> Option<&'v Value> {
    old.and_then(|old| old.at(path))
}
