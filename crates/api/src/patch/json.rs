//! JSON patch (RFC 6902), as github.com/evanphx/json-patch applies it, with upstream's limits: 10,000 operations, and copies
//! no larger than a request may be (CVE-2019-1002100).

use super::unprocessable;
use crate::codec::json;
use crate::status::Status;
use crate::value::Value;

/// Most operations of a patch (upstream's `JSONPatchMaxCopyBytes` and `maxJSONPatchOperations`).
const OPERATIONS_MAX: usize = 10_000;
const REFUSED: &str = "the server rejected our request due to an error in our request";
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
        step(&mut result, operation, &mut copied_bytes)
            .map_err(|why| unprocessable(format!("{REFUSED}: {why}")))?;
    }
    *target = result;
    Ok(())
}

fn step(root: &mut Value, operation: &Value, copied_bytes: &mut usize) -> Result<(), String> {
    let text = |field: &str| operation.str_at(&[field]);
    let op = text("op").unwrap_or("unknown");
    let pointer = |field: &'static str| Pointer::parse(text(field), op, field);
    // A value that is left out is null.
    let value = || operation.get("value").cloned().unwrap_or_default();
    match op {
        "add" => pointer("path")?.add(root, value()),
        "remove" => pointer("path")?.remove(root),
        "replace" => pointer("path")?.replace(root, value()),
        "move" => {
            let from = pointer("from")?;
            let value = from.get(root)?;
            from.remove(root)?;
            pointer("path")?.add(root, value)
        }
        "copy" => {
            let value = pointer("from")?.get(root)?;
            let mut bytes = Vec::new();
            json::write_any(&value, &mut bytes);
            *copied_bytes += bytes.len();
            if *copied_bytes > COPIED_BYTES_MAX {
                return Err(format!(
                    "Unable to complete the copy, the accumulated size increase of copy is {copied_bytes}, exceeding the limit {COPIED_BYTES_MAX}"
                ));
            }
            pointer("path")?.add(root, value)
        }
        "test" => pointer("path")?.test(root, &value()),
        other => Err(format!("Unexpected kind: {other}")),
    }
}

/// A JSON pointer of an operation.
struct Pointer<'o> {
    text: &'o str,
    op: &'o str,
    /// The names to the place's parent; none if the pointer names no place.
    parents: Vec<String>,
    /// The name of the place within its parent.
    last: Option<String>,
}

// === impl Pointer ===

impl<'o> Pointer<'o> {
    fn parse(text: Option<&'o str>, op: &'o str, field: &str) -> Result<Pointer<'o>, String> {
        let text = text.ok_or_else(|| format!("{op} operation failed to decode {field}: missing value"))?;
        // What stands before the first slash is not looked at.
        let mut names: Vec<String> =
            text.split('/').skip(1).map(|name| name.replace("~1", "/").replace("~0", "~")).collect();
        let last = names.pop();
        Ok(Pointer { text, op, parents: names, last })
    }

    fn missing(&self) -> String {
        format!("{} operation does not apply: doc is missing path: {:?}: missing value", self.op, self.text)
    }

    /// What holds the place, and the place's name.
    fn holder<'v>(&self, root: &'v mut Value) -> Result<(&'v mut Value, &str), String> {
        let last = self.last.as_deref().ok_or_else(|| self.missing())?;
        let mut holder = root;
        for name in &self.parents {
            let found = match holder {
                Value::Map(map) => map.get_mut(name),
                Value::List(list) => place(name, list.len()).ok().and_then(|at| list.get_mut(at)),
                _ => None,
            };
            holder = found.ok_or_else(|| self.missing())?;
        }
        match holder {
            Value::Map(_) | Value::List(_) => Ok((holder, last)),
            _ => Err(self.missing()),
        }
    }

    /// What is there; null where a map has nothing.
    fn get(&self, root: &mut Value) -> Result<Value, String> {
        match self.holder(root)? {
            (Value::List(list), name) => {
                let at = place(name, list.len()).map_err(|why| self.failed(&why))?;
                list.get(at).cloned().ok_or_else(|| self.failed(&out_of_range(name)))
            }
            (holder, name) => Ok(holder.get(name).cloned().unwrap_or_default()),
        }
    }

    fn add(&self, root: &mut Value, value: Value) -> Result<(), String> {
        match self.holder(root)? {
            (Value::List(list), "-") => list.push(value),
            (Value::List(list), name) => {
                // Counted from the end, places begin behind the last item.
                let at = place(name, list.len() + 1).map_err(|why| self.failed(&why))?;
                if at > list.len() {
                    return Err(self.failed(&out_of_range(name)));
                }
                list.insert(at, value);
            }
            (holder, name) => drop(holder.ensure_map().insert(name, value)),
        }
        Ok(())
    }

    fn remove(&self, root: &mut Value) -> Result<(), String> {
        match self.holder(root)? {
            (Value::List(list), name) => {
                let at = place(name, list.len()).map_err(|why| self.failed(&why))?;
                if at >= list.len() {
                    return Err(self.failed(&out_of_range(name)));
                }
                list.remove(at);
            }
            (holder, name) => {
                if holder.ensure_map().remove(name).is_none() {
                    return Err(
                        self.failed(&format!("Unable to remove nonexistent key: {name}: missing value"))
                    );
                }
            }
        }
        Ok(())
    }

    /// Upstream's library replaces what is not there, too, in maps.
    fn replace(&self, root: &mut Value, value: Value) -> Result<(), String> {
        if self.text.is_empty() {
            return match value {
                Value::Map(_) | Value::List(_) => {
                    *root = value;
                    Ok(())
                }
                _ => Err("replace operation value must be object or array".to_owned()),
            };
        }
        match self.holder(root)? {
            (Value::List(list), name) => {
                let at = place(name, list.len()).map_err(|_| self.missing())?;
                *list.get_mut(at).ok_or_else(|| self.missing())? = value;
            }
            (holder, name) => drop(holder.ensure_map().insert(name, value)),
        }
        Ok(())
    }

    fn test(&self, root: &mut Value, value: &Value) -> Result<(), String> {
        let actual = if self.text.is_empty() { root.clone() } else { self.get(root)? };
        if actual == *value {
            Ok(())
        } else {
            Err(format!("testing value {} failed: test failed", self.text))
        }
    }

    fn failed(&self, why: &str) -> String {
        format!("error in {} for path: '{}': {why}", self.op, self.text)
    }
}

/// The place that `name` means in a list of `length` items; negative ones count from the end.
fn place(name: &str, length: usize) -> Result<usize, String> {
    let at: i64 = name.parse().map_err(|_| format!("value was not a proper array index: '{name}'"))?;
    let at = if at < 0 { at + length as i64 } else { at };
    usize::try_from(at).map_err(|_| out_of_range(name))
}

fn out_of_range(name: &str) -> String {
    format!("Unable to access invalid index: {name}: invalid index referenced")
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
            (value!({"a":[1]}), value!([{"op":"replace","path":"/a/1","value":1}]), None),
            (value!({"a":[1,2]}), value!([{"op":"remove","path":"/a/-1"}]), Some(value!({"a":[1]}))),
            (value!({"a":[1]}), value!([{"op":"add","path":"/a/-1","value":2}]), Some(value!({"a":[1,2]}))),
            (value!({"a":1}), value!([{"op":"test","path":"/a","value":2}]), None),
            (value!({"a":1}), value!([{"op":"move","from":"/a","path":"/b"}]), Some(value!({"b":1}))),
            (
                value!({"a~/b":1}),
                value!([{"op":"copy","from":"/a~0~1b","path":"/c"}]),
                Some(value!({"a~/b":1,"c":1})),
            ),
            (value!({"a":[1]}), value!([{"op":"add","path":"/a/2","value":2}]), None),
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
