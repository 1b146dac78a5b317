//! JSON patch (RFC 6902), with upstream's limits: 10,000 operations, and a result no larger than a request may be
//! (CVE-2019-1002100).

use crate::status::Status;
use crate::value::{Str, Value};

/// Most operations of a patch (upstream's `JSONPatchMaxCopyBytes` and `maxJSONPatchOperations`).
const OPERATIONS_MAX: usize = 10_000;
/// Most bytes that copies may make.
const COPIED_BYTES_MAX: usize = 3 * 1024 * 1024;

/// Changes `target` by the operations of `patch`; 422 if one of them does not fit, and then nothing is changed.
pub fn apply(target: &mut Value, patch: &Value) -> Result<(), Status> {
    let Some(operations) = patch.as_list() else {
        return Err(Status::bad_request("error decoding patch: a JSON patch is a list of operations"));
    };
    if operations.len() > OPERATIONS_MAX {
        let why = format!(
            "The allowed maximum operations in a JSON patch is {OPERATIONS_MAX}, got {}",
            operations.len()
        );
        let mut status = Status::too_large(OPERATIONS_MAX);
        status.message = why;
        return Err(status);
    }
    let mut result = target.clone();
    let mut copied_bytes = 0;
    for operation in operations {
        step(&mut result, operation, &mut copied_bytes).map_err(refused)?;
    }
    *target = result;
    Ok(())
}

fn refused(why: String) -> Status {
    let mut status =
        Status::bad_request(format!("the server rejected our request due to an error in our request: {why}"));
    status.code = 422;
    status.reason = "Invalid".into();
    status
}

fn step(root: &mut Value, operation: &Value, copied_bytes: &mut usize) -> Result<(), String> {
    let text = |field: &str| operation.str_at(&[field]);
    let pointer = |field: &str| -> Result<Vec<Str>, String> {
        parse(text(field).ok_or_else(|| format!("operation has no {field:?}"))?)
    };
    let value = || operation.get("value").cloned().ok_or_else(|| "operation has no \"value\"".to_owned());
    let path = pointer("path")?;
    match text("op").unwrap_or_default() {
        "add" => add(root, &path, value()?),
        "remove" => remove(root, &path).map(drop),
        // As in upstream's library, a field that is not there yet can be replaced; an item cannot.
        "replace" => match path.split_last().map(|(last, parents)| (last, find_mut(root, parents))) {
            Some((last, Some(Value::Map(map)))) => {
                map.insert(last.clone(), value()?);
                Ok(())
            }
            _ => {
                *find_mut(root, &path).ok_or_else(|| missing("replace", &path))? = value()?;
                Ok(())
            }
        },
        "move" => {
            let from = pointer("from")?;
            if path.len() > from.len() && path.starts_with(&from) {
                return Err("a value cannot be moved into itself".to_owned());
            }
            let value = remove(root, &from)?;
            add(root, &path, value)
        }
        "copy" => {
            let from = pointer("from")?;
            let value = find(root, &from).ok_or_else(|| missing("copy", &from))?.clone();
            *copied_bytes += size(&value);
            if *copied_bytes > COPIED_BYTES_MAX {
                return Err(format!("copies make more than {COPIED_BYTES_MAX} bytes"));
            }
            add(root, &path, value)
        }
        "test" => {
            let actual = find(root, &path).unwrap_or(&Value::Null);
            if *actual == value().unwrap_or_default() {
                Ok(())
            } else {
                Err(format!("testing value {} failed", show(&path)))
            }
        }
        other => Err(format!("unexpected kind of operation {other:?}")),
    }
}

fn parse(pointer: &str) -> Result<Vec<Str>, String> {
    match pointer {
        "" => Ok(vec![]),
        _ if pointer.starts_with('/') => Ok(pointer[1..]
            .split('/')
            .map(|part| part.replace("~1", "/").replace("~0", "~").into())
            .collect()),
        _ => Err(format!("{pointer:?} is no JSON pointer")),
    }
}

fn show(path: &[Str]) -> String {
    path.iter().map(|part| format!("/{part}")).collect()
}

fn missing(operation: &str, path: &[Str]) -> String {
    format!("{operation} operation does not apply: doc is missing path: {}: missing value", show(path))
}

fn index(part: &str, len: usize) -> Option<usize> {
    let canonical = part == "0" || (!part.starts_with('0') && part.bytes().all(|b| b.is_ascii_digit()));
    part.parse().ok().filter(|i| canonical && *i < len)
}

fn find<'a>(root: &'a Value, path: &[Str]) -> Option<&'a Value> {
    path.iter().try_fold(root, |value, part| match value {
        Value::Map(map) => map.get(part),
        Value::List(list) => list.get(index(part, list.len())?),
        _ => None,
    })
}

fn find_mut<'a>(root: &'a mut Value, path: &[Str]) -> Option<&'a mut Value> {
    path.iter().try_fold(root, |value, part| match value {
        Value::Map(map) => map.get_mut(part),
        Value::List(list) => {
            let i = index(part, list.len())?;
            list.get_mut(i)
        }
        _ => None,
    })
}

fn add(root: &mut Value, path: &[Str], value: Value) -> Result<(), String> {
    let Some((last, parents)) = path.split_last() else {
        *root = value;
        return Ok(());
    };
    match find_mut(root, parents).ok_or_else(|| missing("add", path))? {
        Value::Map(map) => {
            map.insert(last.clone(), value);
            Ok(())
        }
        Value::List(list) => {
            let at = if last == "-" { Some(list.len()) } else { index(last, list.len() + 1) };
            list.insert(at.ok_or_else(|| format!("invalid array index {last:?}"))?, value);
            Ok(())
        }
        _ => Err(missing("add", path)),
    }
}

fn remove(root: &mut Value, path: &[Str]) -> Result<Value, String> {
    let (last, parents) = path.split_last().ok_or_else(|| "the whole object cannot be removed".to_owned())?;
    match find_mut(root, parents) {
        Some(Value::Map(map)) => map.remove(last).ok_or_else(|| missing("remove", path)),
        Some(Value::List(list)) => {
            let at = index(last, list.len()).ok_or_else(|| missing("remove", path))?;
            Ok(list.remove(at))
        }
        _ => Err(missing("remove", path)),
    }
}

/// About how many bytes a value is as JSON.
fn size(value: &Value) -> usize {
    match value {
        Value::String(text) => text.len() + 2,
        Value::List(list) => list.iter().map(|item| size(item) + 1).sum::<usize>() + 2,
        Value::Map(map) => map.iter().map(|(key, value)| key.len() + size(value) + 4).sum::<usize>() + 2,
        _ => 8,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::value;

    #[test]
    fn operations_do_what_the_rfc_says() {
        let table = [
            (
                value!({"a":{"b":1}}),
                value!([{"op":"add","path":"/a/c","value":2}]),
                Some(value!({"a":{"b":1,"c":2}})),
            ),
            (
                value!({"a":[1,2]}),
                value!([{"op":"add","path":"/a/1","value":9}]),
                Some(value!({"a":[1,9,2]})),
            ),
            (value!({"a":[1]}), value!([{"op":"add","path":"/a/-","value":2}]), Some(value!({"a":[1,2]}))),
            (value!({"a":1}), value!([{"op":"remove","path":"/a"}]), Some(value!({}))),
            (value!({"a":1}), value!([{"op":"remove","path":"/b"}]), None),
            (value!({"a":1}), value!([{"op":"replace","path":"/b","value":1}]), Some(value!({"a":1,"b":1}))),
            (value!({"a":[]}), value!([{"op":"replace","path":"/a/0","value":1}]), None),
            (value!({}), value!([{"op":"replace","path":"/a/b","value":1}]), None),
            (value!({"a":1}), value!([{"op":"test","path":"/a","value":2}]), None),
            (value!({"a":1}), value!([{"op":"move","from":"/a","path":"/b"}]), Some(value!({"b":1}))),
            (
                value!({"a~/b":1}),
                value!([{"op":"copy","from":"/a~0~1b","path":"/c"}]),
                Some(value!({"a~/b":1,"c":1})),
            ),
            (value!({"a":[1]}), value!([{"op":"add","path":"/a/01","value":2}]), None),
        ];
        for (before, patch, expected) in table {
            let mut after = before.clone();
            match (apply(&mut after, &patch), expected) {
                (Ok(()), Some(expected)) => assert_eq!(after, expected),
                (Err(status), None) => assert_eq!((status.code, after), (422, before)),
                (result, expected) => panic!("{patch:?}: {result:?}, expected {expected:?}"),
            }
        }
    }

    #[test]
    fn copies_cannot_explode() {
        let mut operations = vec![value!({"op":"add","path":"/a","value":["xxxxxxxxxxxxxxxx"]})];
        for _ in 0..64 {
            operations.push(value!({"op":"copy","from":"/a","path":"/a/-"}));
        }
        assert_eq!(apply(&mut Value::map(), &Value::List(operations)).map_err(|s| s.code), Err(422));
    }
}
