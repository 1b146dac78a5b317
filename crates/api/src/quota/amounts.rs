//! Amounts by the names of resources.

use std::collections::BTreeMap;

use crate::quantity::Quantity;
use crate::value::{Map, Str, Value};

/// How much of each resource.
pub type Amounts = BTreeMap<String, Quantity>;

/// The amounts in a map of quantities; what is none is left out.
pub fn read(map: Option<&Value>) -> Amounts {
    let entries = map.and_then(Value::as_map).into_iter().flat_map(|map| map.iter());
    let amount = |value: &Value| match value {
        Value::Int(int) => Some(Quantity::new(*int, Default::default())),
        other => Quantity::parse(other.as_str()?).ok(),
    };
    entries.filter_map(|(name, value)| Some((name.to_string(), amount(value)?))).collect()
}

/// The same as objects carry it.
pub fn write(amounts: &Amounts) -> Value {
    let entries = amounts.iter().map(|(name, amount)| (Str::from(name), Value::from(amount.to_string())));
    Value::Map(entries.collect::<Map>())
}

/// Adds `more` to `sum`.
pub fn add(sum: &mut Amounts, more: &Amounts) {
    for (name, amount) in more {
        let total = sum.get(name).map_or(*amount, |before| before.plus(*amount));
        sum.insert(name.clone(), total);
    }
}

/// What `amounts` are more than `less`, and nothing where they are not.
pub fn subtract(amounts: &Amounts, less: &Amounts) -> Amounts {
    let of = |name: &String, amount: &Quantity| {
        let left = less.get(name).map_or(*amount, |less| amount.minus(*less));
        if left.is_negative() { Quantity::ZERO } else { left }
    };
    let mut left: Amounts = amounts.iter().map(|(name, amount)| (name.clone(), of(name, amount))).collect();
    for name in less.keys() {
        left.entry(name.clone()).or_insert(Quantity::ZERO);
    }
    left
}

/// Only the amounts of these resources.
pub fn masked<N: AsRef<str>>(amounts: &Amounts, names: &[N]) -> Amounts {
    let is_named = |name: &String| names.iter().any(|other| other.as_ref() == name);
    amounts.iter().filter(|(name, _)| is_named(name)).map(|(name, amount)| (name.clone(), *amount)).collect()
}

/// The resources of which there is more than `limits` allow.
pub fn exceeding(amounts: &Amounts, limits: &Amounts) -> Vec<String> {
    let exceeds =
        |(name, amount): &(&String, &Quantity)| limits.get(*name).is_some_and(|limit| *amount > limit);
    amounts.iter().filter(exceeds).map(|(name, _)| name.clone()).collect()
}

/// As refusals print them: `cpu=1,pods=3`.
pub fn print(amounts: &Amounts) -> String {
    let parts: Vec<String> = amounts.iter().map(|(name, amount)| format!("{name}={amount}")).collect();
    parts.join(",")
}
