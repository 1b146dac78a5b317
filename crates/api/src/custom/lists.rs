//! That the items of sets, and the keys of list maps, are unique
//! (k8s.io/apiextensions-apiserver/pkg/apiserver/schema/listtype).

use super::schema::Structural;
use crate::schema::ListType;
use crate::status::Cause;
use crate::value::{Map, Value};

/// The items that come twice.
pub fn duplicates(schema: &Structural, object: &Value) -> Vec<Cause> {
    let mut causes = Vec::new();
    walk(schema, object, "", &mut causes);
    causes
}

fn walk(schema: &Structural, value: &Value, path: &str, causes: &mut Vec<Cause>) {
    match value {
        Value::Map(map) => {
            for (name, value) in map.iter() {
                let dot = if path.is_empty() { "" } else { "." };
                match (schema.property(name), schema.field(name)) {
                    (Some(of), _) => walk(of, value, &format!("{path}{dot}{name}"), causes),
                    (None, Some(of)) => walk(of, value, &format!("{path}[{name}]"), causes),
                    _ => {}
                }
            }
        }
        Value::List(list) => {
            let keys: Vec<Value> = match schema.list_type {
                Some(ListType::Set) => list.clone(),
                Some(ListType::Map) => {
                    let odd = list.iter().position(|item| !matches!(item, Value::Map(_) | Value::Null));
                    if let Some(at) = odd {
                        let why = "must be an object for an array of list-type map";
                        causes.push(Cause::invalid(format!("{path}[{at}]"), &list[at], why));
                        vec![]
                    } else {
                        list.iter().map(|item| key_of(schema, item)).collect()
                    }
                }
                _ => vec![],
            };
            for at in repeated(&keys) {
                causes.push(Cause::duplicate_value(format!("{path}[{at}]"), &keys[at]));
            }
            if let Some(of) = schema.items.as_deref() {
                for (at, item) in list.iter().enumerate() {
                    walk(of, item, &format!("{path}[{at}]"), causes);
                }
            }
        }
        _ => {}
    }
}

fn key_of(schema: &Structural, item: &Value) -> Value {
    let keys = schema.list_keys.iter().filter_map(|key| Some((key.clone(), item.get(key)?.clone())));
    Value::Map(keys.collect::<Map>())
}

/// Where values come for the second time.
fn repeated(values: &[Value]) -> Vec<usize> {
    let mut seen: std::collections::BTreeMap<String, usize> = Default::default();
    let text = |value: &Value| serde_json::to_string(value).unwrap_or_default();
    let is_second = |(at, value): (usize, &Value)| {
        let times = seen.entry(text(value)).or_default();
        *times += 1;
        (*times == 2).then_some(at)
    };
    values.iter().enumerate().filter_map(is_second).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::value;

    #[test]
    fn items_and_keys_are_unique() {
        let schema = value!({"type": "object", "properties": {
            "set": {"type": "array", "x-kubernetes-list-type": "set", "items": {"type": "string"}},
            "map": {"type": "array", "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["k"],
                "items": {"type": "object", "properties": {"k": {"type": "string"}}}},
        }});
        let schema = Structural::parse(&schema).expect("schema");
        let object = value!({"set": ["a", "b", "a", "a"], "map": [{"k": "1", "v": 1}, {"k": "1"}, {}]});
        let causes: Vec<_> =
            duplicates(&schema, &object).into_iter().map(|c| format!("{}: {}", c.field, c.message)).collect();
        assert_eq!(causes, ["map[1]: Duplicate value: {\"k\":\"1\"}", "set[2]: Duplicate value: \"a\""]);
    }
}
