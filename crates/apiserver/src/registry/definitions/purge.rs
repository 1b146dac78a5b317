//! The end of a definition: its instances are deleted like any object, but that admission is not asked, and when the last
//! has gone, so does the definition (k8s.io/apiextensions-apiserver/pkg/controller/finalizer).

use std::sync::Arc;

use decapod_api::kinds::strategies::apiextensions::{CLEANUP, is_true, set_condition};
use decapod_api::{Status, Value, value};
use decapod_store::At;

use crate::registry::{Registry, Target, list, meta};

/// Deletes the instances of `definition`, waits until they have gone, and lets it go.
pub(super) async fn run(registry: Arc<Registry>, name: String, definition: Value) {
    let condition = |status: &str, reason: &str, message: &str| value!({"type": "Terminating", "status": status, "reason": reason, "message": message});
    let progress = condition("True", "InstanceDeletionInProgress", "CustomResource deletion is in progress");
    let outcome = async {
        say(&registry, &name, &progress, false).await?;
        let last = if is_true(&definition, "Established") {
            delete_all(&registry, &definition).await?;
            condition("False", "InstanceDeletionCompleted", "removed all instances")
        } else {
            condition("False", "NeverEstablished", "resource was never established")
        };
        say(&registry, &name, &last, true).await
    };
    if let Err(status) = outcome.await {
        let why = format!("could not issue all deletes: {status}");
        let failed = condition("True", "InstanceDeletionFailed", &why);
        if let Err(status) = say(&registry, &name, &failed, false).await {
            tracing::warn!(%status, name, "ending a definition");
        }
    }
}

/// Sets the condition, and at the end takes the finalizer off.
async fn say(registry: &Registry, name: &str, condition: &Value, is_last: bool) -> Result<(), Status> {
    let now = meta::timestamp(registry.env.now());
    let change = |draft: &mut Value| {
        set_condition(draft, condition.clone(), now.as_str());
        if is_last {
            draft.entry_at(&["metadata", "finalizers"]).ensure_list().retain(|one| *one != CLEANUP.into());
        }
    };
    match super::set(registry, name, change).await {
        Err(status) if status.is_not_found() => Ok(()),
        result => result,
    }
}

async fn delete_all(registry: &Arc<Registry>, definition: &Value) -> Result<(), Status> {
    // In the version that is stored, be it served or not: there is no need to convert what goes.
    let resource = decapod_api::custom::whole(definition).map_err(Status::internal)?;
    let stored = resource.stored_kind().version.clone();
    let version = resource.versions.iter().position(|version| version.name == stored);
    let target = Target {
        resource: Arc::new(resource),
        version: version.unwrap_or(0),
        namespace: String::new(),
        name: String::new(),
        subresource: String::new(),
    };
    let prefix = target.prefix();
    loop {
        let snapshot = registry.store.snapshot(&prefix, At::Latest).await.map_err(list::read_failed)?;
        if snapshot.is_empty() {
            return Ok(());
        }
        for (_, object) in snapshot.iter() {
            match registry.end_unasked(&target.at(object)).await {
                Err(status) if !status.is_not_found() => return Err(status),
                _ => {}
            }
        }
        // Those that wait for others go when these are done.
        let expired = |_| Status::expired("the history of the instances is gone");
        let mut cursor = registry.store.watch(&prefix, snapshot.revision()).map_err(expired)?;
        while !registry.store.snapshot(&prefix, At::Latest).await.map_err(list::read_failed)?.is_empty() {
            match cursor.next().await {
                Ok(_) => {}
                Err(_) => break,
            }
        }
    }
}
