//! The values of a struct's fields, laid out in the order of the schema.

use crate::schema::Type;
use crate::value::{Map, Value};

/// As many fields as nearly every struct has; more cost an allocation.
pub(super) const FEW: usize = 64;

/// Calls `then` with the values of `map` at the indices of their fields; nulls count as absent.
pub(crate) fn slotted<'v, R>(
    ty: &Type,
    map: Option<&'v Map>,
    then: impl FnOnce(&[Option<&'v Value>]) -> R,
) -> R {
    let (mut few, mut many) = ([None; FEW], Vec::new());
    let slots = if ty.fields.len() <= FEW {
        &mut few[..ty.fields.len()]
    } else {
        many.resize(ty.fields.len(), None);
        many.as_mut_slice()
    };
    for (key, value) in map.into_iter().flat_map(Map::iter) {
        if let Some(at) = ty.index_of(key).filter(|_| !value.is_null()) {
            slots[at] = Some(value);
        }
    }
    then(slots)
}
