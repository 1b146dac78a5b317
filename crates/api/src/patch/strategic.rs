//! Strategic merge patch: a merge patch that knows which lists have keys
//! (k8s.io/apimachinery/pkg/util/strategicpatch).

use crate::schema::{Field, Shape, TypeRef};
use crate::status::Status;
use crate::value::{Map, Value};

const DIRECTIVE: &str = "$patch";
const RETAIN_KEYS: &str = "$retainKeys";
const DELETE_FROM: &str = "$deleteFromPrimitiveList/";
const ELEMENT_ORDER: &str = "$setElementOrder/";

/// Changes `target`, of type `ty`, by `patch`.
pub fn apply(target: &mut Value, patch: &Value, ty: TypeRef) -> Result<(), Status> {
    let Value::Map(patch) = patch else {
        return Err(Status::bad_request("error decoding patch: a strategic merge patch is a JSON object"));
    };
    merge_map(target, patch, Some(ty))
}

fn bad(why: String) -> Status {
    Status::bad_request(why)
}

/// What the schema says of a field.
struct Known<'s> {
    /// The struct that it is, or that its items or values are.
    inner: Option<TypeRef<'s>>,
    merges: bool,
    replaces: bool,
    key: &'s str,
}

impl<'s> Known<'s> {
    fn of(ty: Option<TypeRef<'s>>, name: &str) -> Known<'s> {
        let field: Option<&'s Field> = ty.and_then(|ty| ty.field(name));
        let has = |field: &Field, wanted: &str| {
            field
                .patch
                .as_ref()
                .is_some_and(|patch| patch.strategy.split(',').any(|strategy| strategy == wanted))
        };
        let inner = match field {
            Some(field) => {
                ty.and_then(|ty| ty.under(&field.shape)).filter(|_| !matches!(field.shape, Shape::Map(_)))
            }
            None => None,
        };
        Known {
            inner,
            merges: field.is_some_and(|field| has(field, "merge")),
            replaces: field.is_some_and(|field| has(field, "replace")),
            key: field.and_then(|field| field.patch.as_ref()).map_or("", |patch| patch.key.as_ref()),
        }
    }
}

fn merge_map(target: &mut Value, patch: &Map, ty: Option<TypeRef>) -> Result<(), Status> {
    match patch.get(DIRECTIVE).map(Value::as_str) {
        None | Some(Some("merge")) => {}
        Some(Some("replace")) => {
            let mut whole = patch.clone();
            whole.remove(DIRECTIVE);
            *target = Value::Map(whole);
            return Ok(());
        }
        Some(Some("delete")) => {
            *target = Value::map();
            return Ok(());
        }
        Some(other) => {
            return Err(bad(format!("Unknown patch type found: {}", other.unwrap_or("not a text"))));
        }
    }
    let target = target.ensure_map();
    if let Some(retained) = patch.get(RETAIN_KEYS) {
        let retained = retained.as_list().ok_or_else(|| bad(format!("{RETAIN_KEYS} is a list of keys")))?;
        target.retain(|key, _| retained.iter().any(|kept| kept.as_str() == Some(key)));
    }
    for (key, value) in patch.iter() {
        let name = key.as_str();
        if name == DIRECTIVE || name == RETAIN_KEYS || name.starts_with(ELEMENT_ORDER) {
            continue;
        }
        if let Some(name) = name.strip_prefix(DELETE_FROM) {
            delete_scalars(target, name, value);
            continue;
        }
        let order = patch.get(&format!("{ELEMENT_ORDER}{name}")).and_then(Value::as_list);
        merge_field(target, name, value, order, ty)?;
    }
    // Lists of which the client says nothing but the order.
    for (key, order) in patch.iter() {
        let Some(name) = key.strip_prefix(ELEMENT_ORDER).filter(|name| !patch.contains(name)) else {
            continue;
        };
        if let (Some(Value::List(list)), Some(order)) = (target.get_mut(name), order.as_list()) {
            let server = list.clone();
            set_order(list, order, &server, Known::of(ty, name).key);
        }
    }
    Ok(())
}

fn merge_field(
    target: &mut Map,
    name: &str,
    value: &Value,
    order: Option<&[Value]>,
    ty: Option<TypeRef>,
) -> Result<(), Status> {
    let known = Known::of(ty, name);
    match (value, target.get_mut(name)) {
        (Value::Null, _) => drop(target.remove(name)),
        (Value::Map(patch), Some(current @ Value::Map(_))) if !known.replaces => {
            merge_map(current, patch, known.inner)?
        }
        (Value::Map(patch), _) => {
            let mut new = Value::map();
            merge_map(&mut new, patch, known.inner)?;
            target.insert(name, new);
        }
        (Value::List(patch), current) if known.merges => {
            let mut list = match current {
                Some(Value::List(list)) => std::mem::take(list),
                _ => vec![],
            };
            let server = list.clone();
            merge_list(&mut list, patch, &known)?;
            if let Some(order) = order {
                set_order(&mut list, order, &server, known.key);
            }
            target.insert(name, list);
        }
        (value, _) => drop(target.insert(name, value.clone())),
    }
    Ok(())
}

fn merge_list(list: &mut Vec<Value>, patch: &[Value], known: &Known) -> Result<(), Status> {
    let directive = |item: &Value| item.str_at(&[DIRECTIVE]).map(str::to_owned);
    if patch.iter().any(|item| directive(item).as_deref() == Some("replace")) {
        let kept = patch.iter().filter(|item| directive(item).is_none());
        *list = kept.cloned().collect();
        return Ok(());
    }
    let server = list.clone();
    for item in patch {
        let Value::Map(fields) = item else {
            if !list.contains(item) {
                list.push(item.clone());
            }
            continue;
        };
        if known.key.is_empty() {
            return Err(bad(format!("map: {item:?} does not contain declared merge key")));
        }
        let id = fields
            .get(known.key)
            .ok_or_else(|| bad(format!("map does not contain declared merge key: {}", known.key)))?;
        let found = list.iter().position(|current| current.get(known.key) == Some(id));
        match (directive(item).as_deref(), found) {
            (Some("delete"), _) => list.retain(|current| current.get(known.key) != Some(id)),
            (_, Some(at)) => merge_map(&mut list[at], fields, known.inner)?,
            (_, None) => {
                let mut new = Value::map();
                merge_map(&mut new, fields, known.inner)?;
                list.push(new);
            }
        }
    }
    set_order(list, patch, &server, known.key);
    Ok(())
}

fn delete_scalars(target: &mut Map, name: &str, gone: &Value) {
    let gone = gone.as_list().unwrap_or(&[]);
    if let Some(Value::List(list)) = target.get_mut(name) {
        list.retain(|item| !gone.contains(item));
    }
}

/// Puts the items that the client named into its order. The server's others stay before those that they were before;
/// what the server did not have comes first (upstream's `normalizeElementOrder` and `mergeSortedSlice`).
fn set_order(list: &mut Vec<Value>, order: &[Value], server: &[Value], key: &str) {
    let id = |item: &Value| match item {
        Value::Map(fields) if !key.is_empty() => fields.get(key).cloned(),
        scalar => Some(scalar.clone()),
    };
    let among = |items: &[Value]| -> Vec<Option<Value>> { items.iter().map(id).collect() };
    let (wanted, server) = (among(order), among(server));
    let place = |places: &[Option<Value>], item: &Value| {
        let id = id(item)?;
        places.iter().position(|other| other.as_ref() == Some(&id))
    };
    let (mut named, others): (Vec<Value>, Vec<Value>) =
        list.drain(..).partition(|item| place(&wanted, item).is_some());
    named.sort_by_key(|item| place(&wanted, item));
    let mut named = named.into_iter().peekable();
    let mut others = others.into_iter().peekable();
    loop {
        let next = match (named.peek(), others.peek()) {
            (None, _) => others.next(),
            (_, None) => named.next(),
            (Some(mine), Some(theirs)) => match (place(&server, theirs), place(&server, mine)) {
                (Some(theirs), Some(mine)) if theirs < mine => others.next(),
                _ => named.next(),
            },
        };
        match next {
            Some(item) => list.push(item),
            None => break,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schema::Schema;
    use crate::value;

    fn pod() -> TypeRef<'static> {
        Schema::builtin().named("io.k8s.api.core.v1.Pod").expect("Pod")
    }

    #[test]
    fn lists_with_keys_are_merged() {
        let before =
            value!({"spec": {"containers": [{"name": "a", "image": "x"}, {"name": "b", "image": "y"}]}});
        let table = [
            (
                value!({"spec": {"containers": [{"name": "b", "image": "z"}]}}),
                value!({"spec": {"containers": [{"name": "a", "image": "x"}, {"name": "b", "image": "z"}]}}),
            ),
            (
                value!({"spec": {"containers": [{"name": "a", "$patch": "delete"}]}}),
                value!({"spec": {"containers": [{"name": "b", "image": "y"}]}}),
            ),
            (
                value!({"spec": {"containers": [{"$patch": "replace"}, {"name": "c"}]}}),
                value!({"spec": {"containers": [{"name": "c"}]}}),
            ),
            (
                value!({"spec": {"$setElementOrder/containers": [{"name": "c"}, {"name": "a"}], "containers": [{"name": "c"}]}}),
                value!({"spec": {"containers": [{"name": "c"}, {"name": "a", "image": "x"}, {"name": "b", "image": "y"}]}}),
            ),
            (
                value!({"spec": {"containers": [{"name": "c"}]}}),
                value!({"spec": {"containers": [{"name": "c"}, {"name": "a", "image": "x"}, {"name": "b", "image": "y"}]}}),
            ),
            (
                value!({"spec": {"$setElementOrder/containers": [{"name": "b"}, {"name": "a"}]}}),
                value!({"spec": {"containers": [{"name": "b", "image": "y"}, {"name": "a", "image": "x"}]}}),
            ),
            (value!({"spec": {"$patch": "replace", "nodeName": "n"}}), value!({"spec": {"nodeName": "n"}})),
            (value!({"spec": {"containers": null}}), value!({"spec": {}})),
        ];
        for (patch, expected) in table {
            let mut after = before.clone();
            apply(&mut after, &patch, pod()).expect("fits");
            assert_eq!(after, expected, "{patch:?}");
        }
    }

    #[test]
    fn scalars_are_deleted_from_lists() {
        let mut after = value!({"metadata": {"finalizers": ["a", "b", "c"]}});
        let patch = value!({"metadata": {"$deleteFromPrimitiveList/finalizers": ["b"], "finalizers": ["d"]}});
        apply(&mut after, &patch, pod()).expect("fits");
        assert_eq!(after, value!({"metadata": {"finalizers": ["d", "a", "c"]}}));
    }
}
