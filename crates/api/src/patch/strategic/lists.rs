//! Lists that are merged: by the keys of their items or, of scalars, by themselves.

use super::place::{Place, Strategy};
use super::{DIRECTIVE, ELEMENT_ORDER, Result, merge_map, without_directives};
use crate::patch::{Refused, go_map, go_type};
use crate::value::{Map, Str, Value};

/// Lists longer than this are ordered by a sort that upstream's does not equal where the order leaves a choice.
const ODD_ITEMS_MAX: usize = 20;

/// Whether Go has one type for both.
pub(super) fn same_type(a: &Value, b: &Value) -> bool {
    std::mem::discriminant(a) == std::mem::discriminant(b)
}

/// Merges the lists for which the patch gives an order, and takes them out of it.
pub(super) fn merge_ordered(original: &mut Map, patch: &mut Map, place: Place) -> Result<()> {
    let keys: Vec<Str> =
        patch.iter().map(|(key, _)| key.clone()).filter(|key| key.starts_with(ELEMENT_ORDER)).collect();
    for key in keys {
        let order = as_list(patch.remove(&key).unwrap_or_default())?;
        let name =
            key[ELEMENT_ORDER.len()..].strip_prefix('/').ok_or(Refused::Format("setElementOrder list"))?;
        let current = original.get(name).cloned().map(as_list).transpose()?;
        let changes = patch.get(name).cloned().map(as_list).transpose()?;
        let (inner, strategy, merge_key) = place.list(name)?;
        check_order(changes.as_deref().unwrap_or_default(), &order, merge_key)?;
        let merged = match (current.clone(), changes.clone()) {
            (None, None) => continue,
            (Some(current), None) => current,
            (None, Some(changes)) => match without_directives(Value::List(changes)) {
                Some(Value::List(list)) => list,
                _ => continue,
            },
            (Some(current), Some(changes)) if strategy == Strategy::Merge => {
                merge(current, changes, inner, merge_key)?
            }
            (Some(_), Some(changes)) => changes,
        };
        let (ordered, others) = partition(merged, &order, merge_key)?;
        let current = current.unwrap_or_default();
        let maps = of_maps(&[&current, changes.as_deref().unwrap_or_default()])?
            .ok_or_else(|| Refused::Unfit("no elements in any of the given slices".to_owned()))?;
        let list = in_order(ordered, others, &order, &current, merge_key, maps)?;
        original.insert(name, list);
        patch.remove(name);
    }
    Ok(())
}

/// `original` with the items of `patch`.
pub(super) fn merge(original: Vec<Value>, patch: Vec<Value>, place: Place, key: &str) -> Result<Vec<Value>> {
    match of_maps(&[&original, &patch])? {
        None => Ok(original),
        Some(false) => {
            let mut merged: Vec<Value> = Vec::new();
            for item in original.iter().chain(&patch) {
                if !merged.contains(item) {
                    merged.push(item.clone());
                }
            }
            let (patched, others) = partition(merged, &patch, key)?;
            in_order(patched, others, &patch, &original, key, false)
        }
        Some(true) if key.is_empty() => {
            Err(Refused::Unfit("cannot merge lists without merge key for struct".to_owned()))
        }
        Some(true) => {
            let (original, patch) = special(original, patch, key)?;
            let mut merged = original.clone();
            for item in &patch {
                let id = id_of(item, key)?;
                match merged.iter().position(|other| other.get(key) == Some(id)) {
                    Some(at) => {
                        let current = std::mem::take(merged[at].ensure_map());
                        let changes = item.as_map().cloned().unwrap_or_default();
                        merged[at] = Value::Map(merge_map(current, changes, place)?);
                    }
                    None => merged.push(item.clone()),
                }
            }
            let (patched, others) = partition(merged, &patch, key)?;
            in_order(patched, others, &patch, &original, key, true)
        }
    }
}

/// `original` without the scalars of `gone`.
pub(super) fn delete(original: Vec<Value>, gone: Vec<Value>, place: Place, key: &str) -> Result<Vec<Value>> {
    match of_maps(&[&original, &gone])? {
        Some(true) => merge(original, gone, place, key),
        _ => Ok(original.into_iter().filter(|item| !gone.contains(item)).collect()),
    }
}

fn as_list(value: Value) -> Result<Vec<Value>> {
    match value {
        Value::List(list) => Ok(list),
        other => {
            let found = go_type(&other);
            Err(Refused::Unfit(format!("expected a []interface {{}}, but received a {found}")))
        }
    }
}

fn id_of<'v>(item: &'v Value, key: &str) -> Result<&'v Value> {
    let Value::Map(map) = item else {
        let found = go_type(item);
        return Err(Refused::Unfit(format!("expected a map[string]interface {{}}, but received a {found}")));
    };
    map.get(key).ok_or_else(|| {
        Refused::Unfit(format!("map: {} does not contain declared merge key: {key}", go_map(map)))
    })
}

/// Whether the items of all lists are maps, if there are any; they have to be of one type.
fn of_maps(lists: &[&[Value]]) -> Result<Option<bool>> {
    let mut items = lists.iter().flat_map(|list| list.iter());
    let Some(first) = items.next() else { return Ok(None) };
    match first {
        Value::List(_) => return Err(Refused::ListOfLists),
        Value::Null => return Err(Refused::Unfit("an item is null".to_owned())),
        _ => {}
    }
    if items.any(|item| !same_type(item, first)) {
        return Err(Refused::Unfit("list element types are not identical".to_owned()));
    }
    Ok(Some(matches!(first, Value::Map(_))))
}

/// Does what the directives among the items say, and takes them out.
fn special(mut original: Vec<Value>, patch: Vec<Value>, key: &str) -> Result<(Vec<Value>, Vec<Value>)> {
    let (mut plain, mut replaces) = (Vec::new(), false);
    for item in patch {
        match item.get(DIRECTIVE) {
            None => plain.push(item),
            Some(directive) => match directive.as_str() {
                Some("delete") => {
                    let id = id_of(&item, key)?;
                    original.retain(|other| other.get(key) != Some(id));
                }
                Some("replace") => replaces = true,
                Some("merge") => {
                    return Err(Refused::Unfit(
                        "merging lists cannot yet be specified in the patch".to_owned(),
                    ));
                }
                _ => {
                    let map = item.as_map().map(go_map).unwrap_or_default();
                    let why = format!(
                        "unknown patch type: {} in map: {map}",
                        directive.as_str().unwrap_or_default()
                    );
                    return Err(Refused::Unfit(why));
                }
            },
        }
    }
    Ok(if replaces { (plain, Vec::new()) } else { (original, plain) })
}

/// The items that `by` names, and the others.
fn partition(items: Vec<Value>, by: &[Value], key: &str) -> Result<(Vec<Value>, Vec<Value>)> {
    if key.is_empty() {
        return Ok(items.into_iter().partition(|item| by.contains(item)));
    }
    let (mut named, mut others) = (Vec::new(), Vec::new());
    for item in items {
        let id = id_of(&item, key)?;
        if by.iter().any(|other| !matches!(other, Value::Map(_))) {
            return Err(Refused::Unfit("a value that has to have a key is not a map".to_owned()));
        }
        let is_named = by.iter().any(|other| other.get(key) == Some(id));
        if is_named { named.push(item) } else { others.push(item) }
    }
    Ok((named, others))
}

/// The order has to name what the patch sets, in the patch's order.
fn check_order(patch: &[Value], order: &[Value], key: &str) -> Result<()> {
    if patch.is_empty() || order.is_empty() {
        return Ok(());
    }
    let is_deleted = |item: &&Value| !key.is_empty() && item.get(DIRECTIVE).is_some();
    if !key.is_empty() && patch.iter().any(|item| !matches!(item, Value::Map(_))) {
        return Err(Refused::Unfit("an item of a list with keys is not a map".to_owned()));
    }
    let mut rest = order.iter();
    for item in patch.iter().filter(|item| !is_deleted(item)) {
        let found = loop {
            match rest.next() {
                None => break false,
                Some(next) if key.is_empty() && next == item => break true,
                Some(_) if key.is_empty() => {}
                Some(next) if id_of(item, key)? == id_of(next, key)? => break true,
                Some(_) => {}
            }
        };
        if !found {
            return Err(Refused::Unfit(
                "the order in patch list doesn't match $setElementOrder list".to_owned(),
            ));
        }
    }
    Ok(())
}

/// The patched items in the patch's order and the others in the server's, laid together so that both keep theirs and
/// otherwise the server's holds.
fn in_order(
    patched: Vec<Value>,
    others: Vec<Value>,
    patch_order: &[Value],
    server_order: &[Value],
    key: &str,
    maps: bool,
) -> Result<Vec<Value>> {
    let at = |list: &[Value], item: &Value| {
        list.iter().position(|other| if maps { other.get(key) == item.get(key) } else { other == item })
    };
    let mut patched = sorted(patched, patch_order, key, maps, at)?.into_iter().peekable();
    let mut others = sorted(others, server_order, key, maps, at)?.into_iter().peekable();
    let mut merged = Vec::new();
    while let (Some(other), Some(next)) = (others.peek(), patched.peek()) {
        let places = (at(server_order, other), at(server_order, next));
        let first =
            if matches!(places, (Some(a), Some(b)) if a < b) { others.next() } else { patched.next() };
        merged.extend(first);
    }
    Ok(merged.into_iter().chain(others).chain(patched).collect())
}

fn sorted(
    items: Vec<Value>,
    order: &[Value],
    key: &str,
    maps: bool,
    at: impl Fn(&[Value], &Value) -> Option<usize>,
) -> Result<Vec<Value>> {
    let mut deleted = Vec::new();
    let mut kept = items;
    if maps {
        kept.iter().chain(order).try_for_each(|item| id_of(item, key).map(drop))?;
        (deleted, kept) = kept.into_iter().partition(|item| item.str_at(&[DIRECTIVE]) == Some("delete"));
    }
    let mut ranked: Vec<(Option<usize>, Value)> =
        kept.into_iter().map(|item| (at(order, &item), item)).collect();
    if ranked.len() > ODD_ITEMS_MAX || ranked.iter().all(|(rank, _)| rank.is_some()) {
        ranked.sort_by_key(|(rank, _)| *rank);
    } else {
        // What the order does not name upstream takes for less than anything, and sorts by insertion.
        let is_less = |a: &Option<usize>, b: &Option<usize>| match (a, b) {
            (Some(a), Some(b)) => a < b,
            _ => true,
        };
        for end in 1..ranked.len() {
            for at in (1..=end).rev() {
                if !is_less(&ranked[at].0, &ranked[at - 1].0) {
                    break;
                }
                ranked.swap(at, at - 1);
            }
        }
    }
    Ok(ranked.into_iter().map(|(_, item)| item).chain(deleted).collect())
}
