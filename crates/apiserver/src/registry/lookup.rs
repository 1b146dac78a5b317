//! Reads for those inside the server: admission, authorization and the special resources.

use std::sync::Arc;

use decapod_api::kinds::Resource;
use decapod_api::meta::GroupVersionKind;
use decapod_api::{Object, Status, Value};
use decapod_store::At;
use futures::FutureExt;
use futures::future::BoxFuture;

use super::Registry;

/// The cluster as the store's memory has it. Reads are immediate and see every acknowledged write.
pub trait Lookup: Send + Sync {
    /// One object. `namespace` is empty for cluster-scoped resources.
    fn object(&self, group: &str, plural: &str, namespace: &str, name: &str) -> Option<Object>;

    /// All objects of a namespace, or of the cluster when `namespace` is empty, in order of their keys.
    fn objects(&self, group: &str, plural: &str, namespace: &str) -> Vec<Object>;

    /// The rows of everything that is served.
    fn rows(&self) -> Arc<Vec<Arc<Resource>>> {
        Arc::default()
    }

    /// A draft of `resource` from one version in another.
    fn converted<'a>(
        &'a self,
        resource: &'a Resource,
        mut draft: Value,
        from: &'a GroupVersionKind,
        to: &'a GroupVersionKind,
    ) -> BoxFuture<'a, Result<Value, Status>> {
        let converted = super::draft::convert(resource, &mut draft, from, to).map(|()| draft);
        Box::pin(std::future::ready(converted))
    }

    /// One object as a draft.
    fn draft(&self, group: &str, plural: &str, namespace: &str, name: &str) -> Option<Value> {
        let object = self.object(group, plural, namespace, name)?;
        serde_json::from_slice(object.body()).ok()
    }

    /// All objects of a namespace or of the cluster, as drafts.
    fn drafts(&self, group: &str, plural: &str, namespace: &str) -> Vec<Value> {
        let objects = self.objects(group, plural, namespace);
        objects.iter().filter_map(|object| serde_json::from_slice(object.body()).ok()).collect()
    }
}

impl Lookup for Registry {
    fn rows(&self) -> Arc<Vec<Arc<Resource>>> {
        self.kinds.all()
    }

    fn converted<'a>(
        &'a self,
        resource: &'a Resource,
        mut draft: Value,
        from: &'a GroupVersionKind,
        to: &'a GroupVersionKind,
    ) -> BoxFuture<'a, Result<Value, Status>> {
        Box::pin(async move {
            if resource.custom.is_some() && from != to {
                return self.custom_converted(resource, draft, from, to).await;
            }
            super::draft::convert(resource, &mut draft, from, to).map(|()| draft)
        })
    }

    fn object(&self, group: &str, plural: &str, namespace: &str, name: &str) -> Option<Object> {
        self.store.get(&self.kinds.find(group, plural)?.key(namespace, name))
    }

    fn objects(&self, group: &str, plural: &str, namespace: &str) -> Vec<Object> {
        let Some(resource) = self.kinds.find(group, plural) else { return vec![] };
        // Whatever is durable now is there at once.
        match self.store.snapshot(&resource.prefix_in(namespace), At::Any).now_or_never() {
            Some(Ok(snapshot)) => snapshot.iter().map(|(_, object)| object.clone()).collect(),
            _ => vec![],
        }
    }
}
