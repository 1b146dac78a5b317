//! Strategic merge patch: a merge patch that knows which lists have keys, with directives for what it cannot say
//! (k8s.io/apimachinery/pkg/util/strategicpatch, StrategicMergeMapPatch).

mod lists;
mod place;

use super::Refused;
use crate::schema::TypeRef;
use crate::status::Status;
use crate::value::{Map, Str, Value};
use place::{Place, Strategy};

const DIRECTIVE: &str = "$patch";
const RETAIN_KEYS: &str = "$retainKeys";
const DELETE_FROM: &str = "$deleteFromPrimitiveList";
const ELEMENT_ORDER: &str = "$setElementOrder";

type Result<T> = std::result::Result<T, Refused>;

/// Changes `target`, of type `ty`, by `patch`; if it does not fit, nothing is changed.
pub fn apply(target: &mut Value, patch: &Value, ty: TypeRef) -> std::result::Result<(), Status> {
    let Value::Map(patch) = patch else {
        return Err(Status::bad_request("error decoding patch: a strategic merge patch is a JSON object"));
    };
    let original = target.as_map().cloned().unwrap_or_default();
    *target = Value::Map(merge_map(original, patch.clone(), Place::root(ty)).map_err(Status::from)?);
    Ok(())
}

/// `original` with the fields of `patch`.
fn merge_map(mut original: Map, mut patch: Map, place: Place) -> Result<Map> {
    match patch.remove(DIRECTIVE).as_ref().map(|directive| directive.as_str().unwrap_or_default()) {
        None => {}
        Some("replace") => return Ok(patch),
        Some("delete") => return Ok(Map::new()),
        Some(other) => {
            let map = super::go_map(&patch);
            return Err(Refused::Unfit(format!("unknown patch type: {other} in map: {map}")));
        }
    }
    retain_keys(&mut original, &mut patch)?;
    lists::merge_ordered(&mut original, &mut patch, place)?;
    for (key, value) in patch {
        match key.strip_prefix(DELETE_FROM) {
            Some(rest) => {
                let name = rest.strip_prefix('/').ok_or(Refused::Format("primitive list"))?;
                delete_scalars(&mut original, name, value, place)?;
            }
            None => merge_field(&mut original, key, value, place)?,
        }
    }
    Ok(original)
}

fn merge_field(original: &mut Map, key: Str, mut patch: Value, place: Place) -> Result<()> {
    if patch.is_null() {
        original.remove(&key);
        return Ok(());
    }
    let merged = match (original.remove(&key), patch) {
        (Some(Value::Map(current)), Value::Map(patch)) => {
            let (inner, strategy) = place.field(&key)?;
            Some(Value::Map(match strategy {
                Strategy::Replace => patch,
                _ => merge_map(current, patch, inner)?,
            }))
        }
        (Some(Value::List(current)), Value::List(patch)) => {
            let (inner, strategy, merge_key) = place.list(&key)?;
            Some(Value::List(match strategy {
                Strategy::Merge => lists::merge(current, patch, inner, merge_key)?,
                _ => patch,
            }))
        }
        (_, mixed) => {
            patch = mixed;
            discard_nulls(&mut patch);
            without_directives(patch)
        }
    };
    if let Some(merged) = merged {
        original.insert(key, merged);
    }
    Ok(())
}

/// Removes the scalars of `gone` from the list, whatever its strategy.
fn delete_scalars(original: &mut Map, name: &str, gone: Value, place: Place) -> Result<()> {
    if gone.is_null() {
        original.remove(name);
        return Ok(());
    }
    match (original.get_mut(name), gone) {
        (Some(Value::List(current)), Value::List(gone)) => {
            let (inner, _, merge_key) = place.list(name)?;
            *current = lists::delete(std::mem::take(current), gone, inner, merge_key)?;
            Ok(())
        }
        (Some(Value::Map(current)), Value::Map(gone)) => {
            let (inner, strategy) = place.field(name)?;
            *current = match strategy {
                Strategy::Replace => gone,
                _ => merge_map(std::mem::take(current), gone, inner)?,
            };
            Ok(())
        }
        (Some(current), gone) if lists::same_type(current, &gone) => {
            *current = gone;
            Ok(())
        }
        _ => Ok(()),
    }
}

/// Leaves only those fields that the directive names, which has to name all that the patch sets.
fn retain_keys(original: &mut Map, patch: &mut Map) -> Result<()> {
    let Some(retained) = patch.remove(RETAIN_KEYS) else { return Ok(()) };
    let retained = retained.as_list().ok_or(Refused::Format("retainKeys"))?;
    let is_retained = |key: &str| retained.iter().any(|kept| kept.as_str() == Some(key));
    let sets = |key: &str, value: &Value| {
        !value.is_null() && !key.starts_with(DELETE_FROM) && !key.starts_with(ELEMENT_ORDER)
    };
    if patch.iter().any(|(key, value)| sets(key, value) && !is_retained(key)) {
        return Err(Refused::Format("retainKeys"));
    }
    original.retain(|key, _| is_retained(key));
    Ok(())
}

/// A null says that a field is to go; where there is none, it says nothing.
fn discard_nulls(patch: &mut Value) {
    match patch {
        Value::Map(map) => map.retain(|_, value| {
            discard_nulls(value);
            !value.is_null()
        }),
        Value::List(list) => list.iter_mut().for_each(discard_nulls),
        _ => {}
    }
}

/// What a patch says of something that was not there: maps with a directive are none.
fn without_directives(patch: Value) -> Option<Value> {
    match patch {
        Value::Map(map) if map.contains(DIRECTIVE) => None,
        Value::Map(map) => {
            let kept = map.into_iter().filter_map(|(key, value)| Some((key, without_directives(value)?)));
            Some(Value::Map(kept.collect()))
        }
        Value::List(list) => Some(Value::List(list.into_iter().filter_map(without_directives).collect())),
        scalar => Some(scalar),
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
            (value!({"spec": {"$patch": "replace", "nodeName": "n"}}), value!({"spec": {"nodeName": "n"}})),
            (value!({"spec": {"containers": null}}), value!({"spec": {}})),
            (
                value!({"spec": {"containers": [{"name": "c"}, {"name": "a", "image": "z"}]}}),
                value!({"spec": {"containers": [{"name": "c"}, {"name": "a", "image": "z"}, {"name": "b", "image": "y"}]}}),
            ),
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

    #[test]
    fn what_does_not_fit_is_refused() {
        let before =
            value!({"spec": {"containers": [{"name": "a"}], "volumes": [{"name": "v", "emptyDir": {}}]}});
        let table = [
            value!({"$patch": "foo"}),
            value!({"spec": {"containers": [{"image": "x"}]}}),
            value!({"spec": {"$setElementOrder/containers": [{"name": "b"}], "containers": [{"name": "c"}]}}),
            value!({"spec": {"$retainKeys": ["a"], "nodeName": "n"}}),
            value!({"spec": {"containers": [["a"]]}}),
            value!({"metadata": {"$deleteFromPrimitiveList": []}, "spec": {"$setElementOrder": []}}),
        ];
        for patch in table {
            let mut after = before.clone();
            assert!(apply(&mut after, &patch, pod()).is_err(), "{patch:?}");
        }
    }
}
