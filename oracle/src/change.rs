//! Random changes to an object, and random patches that make some.

use decapod_api::{Map, Value};

use crate::random::Random;
use crate::scalar;

/// The value with some of it taken away, changed, or in another order.
pub fn value(before: &Value, random: &mut Random) -> Value {
    match before {
        Value::Map(map) => {
            let mut changed = Map::new();
            for (key, inner) in map.iter() {
                let typed = key == "kind" || key == "apiVersion";
                match random.below(10) {
                    0 if !typed => {}
                    _ if typed => drop(changed.insert(key.clone(), inner.clone())),
                    1..5 => drop(changed.insert(key.clone(), inner.clone())),
                    _ => drop(changed.insert(key.clone(), value(inner, random))),
                }
            }
            Value::Map(changed)
        }
        Value::List(list) => {
            let mut changed: Vec<Value> = list.iter().filter(|_| random.below(6) > 0).cloned().collect();
            changed = changed
                .iter()
                .map(|item| if random.once_in(2) { value(item, random) } else { item.clone() })
                .collect();
            if random.once_in(4) {
                random.shuffle(&mut changed);
            }
            Value::List(changed)
        }
        Value::String(_) if random.once_in(2) => scalar::plain(random).into(),
        Value::Int(_) if random.once_in(2) => Value::Int(scalar::int32(random)),
        Value::Bool(bool) if random.once_in(2) => Value::Bool(!bool),
        other => other.clone(),
    }
}

/// Lays some of `from` over `onto`; lists grow.
pub fn overlay(onto: &mut Value, from: Value, random: &mut Random) {
    match (onto, from) {
        (Value::Map(onto), Value::Map(from)) => {
            for (key, inner) in from {
                match onto.get_mut(&key) {
                    Some(current) => overlay(current, inner, random),
                    None if random.once_in(2) => drop(onto.insert(key, inner)),
                    None => {}
                }
            }
        }
        (Value::List(onto), Value::List(from)) => {
            let at = random.below(onto.len() + 1);
            onto.splice(at..at, from);
        }
        _ => {}
    }
}

/// A patch that says some of what `after` has and `before` has not, with nulls for what is gone.
pub fn partial(before: &Value, after: &Value, random: &mut Random) -> Value {
    let (Value::Map(old), Value::Map(new)) = (before, after) else { return after.clone() };
    let mut patch = Map::new();
    for (key, inner) in new.iter() {
        match (old.get(key), random.below(4)) {
            (Some(same), 1..) if same == inner => {}
            (Some(other), _) => drop(patch.insert(key.clone(), partial(other, inner, random))),
            (None, 0) => {}
            (None, _) => drop(patch.insert(key.clone(), inner.clone())),
        }
    }
    for (key, _) in old.iter().filter(|(key, _)| !new.contains(key)) {
        if random.below(4) > 0 {
            patch.insert(key.clone(), Value::Null);
        }
    }
    if random.once_in(12) {
        patch.insert(scalar::plain(random), random.choose(&[Value::Null, Value::map(), Value::Int(1)]));
    }
    Value::Map(patch)
}

/// Puts directives of strategic patches here and there, mostly where they make sense.
pub fn directives(patch: &mut Value, random: &mut Random) {
    match patch {
        Value::Map(map) => {
            map.iter_mut().for_each(|(_, inner)| directives(inner, random));
            let lists: Vec<_> = map
                .iter()
                .filter(|(_, inner)| inner.as_list().is_some())
                .map(|(key, inner)| (key.clone(), inner.clone()))
                .collect();
            for (key, list) in lists {
                match random.below(6) {
                    0 => drop(map.insert(format!("$setElementOrder/{key}"), order(&list, random))),
                    1 if random.once_in(2) => {
                        map.insert(format!("$deleteFromPrimitiveList/{key}"), value(&list, random));
                        // Which of the two Go does first is chance.
                        map.remove(&key);
                    }
                    _ => {}
                }
            }
            match random.below(24) {
                0 => drop(map.insert("$patch", random.choose(&["delete", "replace", "merge", "foo"]))),
                1 => {
                    let keys = map.iter().map(|(key, _)| Value::String(key.clone()));
                    let mut keys: Vec<Value> = keys.filter(|_| random.below(8) > 0).collect();
                    keys.push(scalar::plain(random).into());
                    map.insert("$retainKeys", keys);
                }
                _ => {}
            }
        }
        Value::List(list) => {
            list.iter_mut().for_each(|inner| directives(inner, random));
            for item in list.iter_mut().filter_map(Value::as_map_mut) {
                if random.once_in(8) {
                    item.insert("$patch", random.choose(&["delete", "replace", "delete", "merge"]));
                }
            }
            if random.once_in(20) {
                let mut replace = Map::new();
                replace.insert("$patch", "replace");
                list.push(Value::Map(replace));
            }
        }
        _ => {}
    }
}

/// The keys of a list's items, mostly in their order.
fn order(list: &Value, random: &mut Random) -> Value {
    let keys = [
        "name",
        "type",
        "containerPort",
        "port",
        "mountPath",
        "devicePath",
        "topologyKey",
        "uid",
        "ip",
        "key",
    ];
    let mut items = Vec::new();
    for item in list.as_list().unwrap_or_default() {
        match item.as_map().and_then(|map| keys.iter().find_map(|key| Some((*key, map.get(key)?.clone())))) {
            Some((key, id)) => items.push(Value::Map(Map::from_entries(vec![(key.into(), id)]).0)),
            None => items.push(item.clone()),
        }
    }
    if random.once_in(4) {
        random.shuffle(&mut items);
    }
    if random.once_in(4) {
        items.push(Value::Map(Map::from_entries(vec![("name".into(), scalar::plain(random).into())]).0));
    }
    Value::List(items)
}

/// The operations of a JSON patch, most of which fit.
pub fn operations(object: &Value, random: &mut Random) -> Value {
    let mut paths = Vec::new();
    walk(object, &mut String::new(), &mut paths);
    let mut operations = Vec::new();
    for _ in 0..1 + random.below(4) {
        let mut operation = Map::new();
        let form =
            random.choose(&["add", "remove", "replace", "move", "copy", "test", "add", "replace", "foo"]);
        operation.insert("op", form);
        let path = |random: &mut Random| -> Value {
            let (mut path, _) = random.choose(&paths);
            match random.below(8) {
                0 => path.push_str(random.pick(&["/x", "/0", "/-", "/-1", "/1", "/~01", "/99", "x"])),
                1 => {
                    path = format!(
                        "{}/{}",
                        path.rsplit_once('/').map_or("", |(up, _)| up),
                        random.pick(&["-", "0", "00", "name", "+1"])
                    )
                }
                _ => {}
            }
            path.into()
        };
        operation.insert("path", path(random));
        if random.below(4) > 0 || form == "move" || form == "copy" {
            operation.insert("from", path(random));
        }
        if random.below(12) > 0 {
            let (_, some) = random.choose(&paths);
            let text = operation.get("path").and_then(Value::as_str).unwrap_or_default().to_owned();
            let own = paths.iter().find(|(path, _)| *path == text).map(|(_, value)| value.clone());
            let value = own.filter(|_| form == "test" && random.below(4) > 0).unwrap_or(some);
            operation.insert("value", value);
        }
        operations.push(Value::Map(operation));
    }
    Value::List(operations)
}

fn walk(value: &Value, path: &mut String, found: &mut Vec<(String, Value)>) {
    found.push((path.clone(), value.clone()));
    let length = path.len();
    let mut inner = |key: &str, value: &Value| {
        path.push('/');
        path.push_str(&key.replace('~', "~0").replace('/', "~1"));
        walk(value, path, found);
        path.truncate(length);
    };
    match value {
        Value::Map(map) => map.iter().for_each(|(key, value)| inner(key, value)),
        Value::List(list) => list.iter().enumerate().for_each(|(at, value)| inner(&at.to_string(), value)),
        _ => {}
    }
}
