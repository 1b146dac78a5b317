//! Services and controllers by whose selectors pods are spread when they do not say it themselves
//! (pkg/scheduler/framework/plugins/helper, `DefaultSelector`).

use std::collections::BTreeMap;

use decapod_api::Str;

use crate::labels::Selector;
use crate::pod::{OwnerKind, Shape};
use crate::topology::FixedMap;

/// The selectors, by namespace and name.
#[derive(Clone, Debug, Default)]
pub struct Workloads {
    services: FixedMap<Str, BTreeMap<Str, BTreeMap<String, String>>>,
    owners: FixedMap<(OwnerKind, Str, Str), Selector>,
    version: u64,
}

// === impl Workloads ===

impl Workloads {
    /// Sets a service's selector; a service without one, or that is gone (`None`), selects nothing.
    pub fn set_service(&mut self, namespace: &str, name: &str, selector: Option<BTreeMap<String, String>>) {
        self.version += 1;
        match selector {
            Some(selector) => {
                self.services.entry(namespace.into()).or_default().insert(name.into(), selector);
            }
            None => {
                if let Some(services) = self.services.get_mut(namespace) {
                    services.remove(name);
                }
            }
        }
    }

    /// Sets a controller's selector; `None` when it is gone.
    pub fn set_owner(&mut self, kind: OwnerKind, namespace: &str, name: &str, selector: Option<Selector>) {
        self.version += 1;
        let key = (kind, namespace.into(), name.into());
        match selector {
            Some(selector) => self.owners.insert(key, selector),
            None => self.owners.remove(&key),
        };
    }

    /// Counts the changes.
    pub fn version(&self) -> u64 {
        self.version
    }

    /// The pods that are of one kind with those of `shape`; `None` when nothing says so.
    pub fn selector(&self, shape: &Shape) -> Option<Selector> {
        let mut labels = BTreeMap::new();
        for selector in self.services.get(&shape.namespace).into_iter().flat_map(BTreeMap::values) {
            if selector.iter().all(|(key, value)| shape.labels.get(key) == Some(value)) {
                labels.extend(selector.iter().map(|(k, v)| (k.clone(), v.clone())));
            }
        }
        let mut selector = Selector::equal(&labels);
        if let Some(owner) = &shape.owner {
            let key = (owner.kind, shape.namespace.clone(), owner.name.clone());
            if let Some(own) = self.owners.get(&key) {
                selector = selector.and(own);
            }
        }
        (!selector.is_everything()).then_some(selector)
    }
}
