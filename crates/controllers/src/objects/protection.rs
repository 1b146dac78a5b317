//! Finalizers that keep an object while it is used (k8s.io/kubernetes/pkg/controller/util/protectionutil).

use decapod_api::Object;
use decapod_client::Kind;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use crate::runtime::{Plan, Write};

/// Whether an object with this metadata is to go as soon as `finalizer` is off.
pub fn is_to_go(meta: &ObjectMeta, finalizer: &str) -> bool {
    meta.deletion_timestamp.is_some() && has(meta, finalizer)
}

/// Whether an object, read from its bytes, lacks `finalizer` or waits for it to be taken off.
pub fn concerns(object: &Object, finalizer: &str) -> bool {
    let meta = super::meta::meta_of(object);
    let has = meta.finalizers.iter().any(|other| other == finalizer);
    has == meta.is_deleting()
}

fn has(meta: &ObjectMeta, finalizer: &str) -> bool {
    meta.finalizers.iter().flatten().any(|other| other == finalizer)
}

/// Puts `finalizer` on an object that is to stay, and takes it off one that is to go and is not used.
pub fn protect<K: Kind>(object: &K, finalizer: &str, is_used: bool) -> Plan {
    let mut new = object.clone();
    let meta = new.metadata_mut();
    match (meta.deletion_timestamp.is_some(), has(meta, finalizer)) {
        (false, false) => meta.finalizers.get_or_insert_default().push(finalizer.to_owned()),
        (true, true) if !is_used => {
            meta.finalizers.get_or_insert_default().retain(|other| other != finalizer);
        }
        _ => return Plan::nothing(),
    }
    let mut plan = Plan::nothing();
    plan.write(Write::update(&new).tolerating(&["NotFound"]));
    plan
}
