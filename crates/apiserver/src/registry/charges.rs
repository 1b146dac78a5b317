//! Writes together with what they take of quotas: either both are kept, or neither.

use std::hash::{BuildHasher, BuildHasherDefault, DefaultHasher};

use decapod_api::quota;
use decapod_api::{Object, Status};
use decapod_store::{CommitError, Committed, Expect, Txn, Write};
use tokio::sync::{Mutex, MutexGuard};

use super::update::{Outcome, Preconditions};
use super::{Lookup, Registry, Target};
use crate::admission::{Attributes, Charge};

/// How many namespaces with quotas may create at once. Those that share a place wait for each other.
const PLACES: usize = 64;

/// Whose turn it is in namespaces with quotas: creations there would only get into each other's way.
pub(crate) struct Turns([Mutex<()>; PLACES]);

impl Default for Turns {
    fn default() -> Turns {
        Turns([const { Mutex::const_new(()) }; PLACES])
    }
}

impl Registry {
    /// Waits for the turn of a creation in `namespace`, if it has quotas.
    pub(super) async fn turn(&self, namespace: &str) -> Option<MutexGuard<'_, ()>> {
        if namespace.is_empty() || self.objects("", "resourcequotas", namespace).is_empty() {
            return None;
        }
        let hash = BuildHasherDefault::<DefaultHasher>::default().hash_one(namespace);
        Some(self.turns.0[(hash % PLACES as u64) as usize].lock().await)
    }

    /// What the write that `attributes` describe takes of quotas.
    pub(super) fn charge(&self, attributes: &Attributes) -> Result<Vec<Charge>, Status> {
        self.admission.charge(attributes, self, self.env.now())
    }

    /// Commits `write` and `charges`. A conflict may be about a quota, as its key says; then nothing is kept.
    pub(super) async fn commit_charged(
        &self,
        target: &Target,
        write: Write,
        mut charges: Vec<Charge>,
    ) -> Result<Object, CommitError> {
        let Some(last) = charges.pop() else { return self.commit(target, write).await };
        let quota = self.kinds.find("", "resourcequotas");
        let unserved = || CommitError::Unavailable { reason: "quotas are not served".to_owned() };
        let quota = Target {
            resource: quota.ok_or_else(unserved)?,
            version: 0,
            subresource: "status".to_owned(),
            ..target.clone()
        };
        // A revision is of one object of a resource: all charges but one are committed before, each by itself.
        let with_last = quota.resource.plural != target.resource.plural;
        let mut before: Vec<Charge> = charges;
        let mut writes = vec![write];
        if with_last {
            writes.push(self.quota_write(&quota, &last)?);
        } else {
            before.push(last);
        }
        let mut kept: Vec<Charge> = Vec::new();
        let mut result = Ok(());
        for charge in before {
            let write = self.quota_write(&quota, &charge)?;
            result = self.store.commit(Txn(vec![write])).await.map(drop);
            if result.is_err() {
                break;
            }
            kept.push(charge);
        }
        let committed = match result {
            Ok(()) => self.store.commit(Txn(writes)).await,
            Err(error) => Err(error),
        };
        match committed {
            Ok(Committed { objects, .. }) => objects
                .into_iter()
                .next()
                .ok_or_else(|| CommitError::Unavailable { reason: format!("no answer for {target}") }),
            Err(error) => {
                for charge in kept {
                    // Boxed: a refund is a change as any other.
                    Box::pin(self.refund(&quota, charge)).await;
                }
                Err(error)
            }
        }
    }

    fn quota_write(&self, quota: &Target, charge: &Charge) -> Result<Write, CommitError> {
        let value = self.encode(&quota.resource, &charge.draft);
        let value = value.map_err(|status| CommitError::Unavailable { reason: status.message })?;
        let key = quota.resource.key(&quota.namespace, &charge.quota.name());
        Ok(Write::Put { key: key.into(), value, expect: Expect::Revision(charge.quota.revision()) })
    }

    /// Gives back what was taken for a write that is not kept. If even that fails, the controller will find out.
    async fn refund(&self, quota: &Target, charge: Charge) {
        let place = Target { name: charge.quota.name().into_owned(), ..quota.clone() };
        let refunded = self
            .guaranteed_update(&place, &Preconditions::default(), false, |current| {
                let mut draft = current.draft.clone();
                let used = quota::read(draft.at(&["status", "used"]));
                let left = quota::subtract(&used, &charge.taken);
                let known: Vec<&String> = used.keys().collect();
                draft.set_at(&["status", "used"], quota::write(&quota::masked(&left, &known)));
                Ok(Outcome::Put(draft))
            })
            .await;
        if let Err(status) = refunded {
            tracing::warn!(quota = %place, error = %status, "cannot give back what was not used");
        }
    }
}
