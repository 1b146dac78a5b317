//! The typed client: `k8s-openapi`'s kinds in and out, over any [`Transport`].

use std::sync::Arc;

use bytes::Bytes;
use decapod_api::meta::GroupVersionResource;
use decapod_api::{Object, Status};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{DeleteOptions, ObjectMeta};
use k8s_openapi::{Metadata, Resource};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::request::{List, Options, PatchType, Reply, Request, Verb, Watch};
use crate::transport::Transport;

/// A kind that the typed client can carry.
pub trait Kind:
    Resource + Metadata<Ty = ObjectMeta> + Serialize + DeserializeOwned + Clone + Send + Sync + 'static
{
    /// Its resource.
    fn resource() -> GroupVersionResource {
        GroupVersionResource::new(Self::GROUP, Self::VERSION, Self::URL_PATH_SEGMENT)
    }
}

impl<K> Kind for K where
    K: Resource + Metadata<Ty = ObjectMeta> + Serialize + DeserializeOwned + Clone + Send + Sync + 'static
{
}

/// A client of one identity. Cloning shares it.
#[derive(Clone)]
pub struct Client {
    transport: Arc<dyn Transport>,
}

/// Decodes the canonical bytes of `object`.
pub fn decode<K: DeserializeOwned>(object: &Object) -> Result<K, Status> {
    serde_json::from_slice(object.body()).map_err(Status::internal)
}

// === impl Client ===

impl Client {
    /// A client over `transport`.
    pub fn new(transport: Arc<dyn Transport>) -> Client {
        Client { transport }
    }

    /// The transport, for requests of any shape.
    pub fn transport(&self) -> &Arc<dyn Transport> {
        &self.transport
    }

    /// Sends any request.
    pub async fn call(&self, request: Request) -> Result<Reply, Status> {
        self.transport.call(request).await
    }

    /// Sends a request that is answered with an object.
    pub async fn call_object(&self, request: Request) -> Result<Object, Status> {
        match self.call(request).await? {
            Reply::Object(object) => Ok(object),
            _ => Err(Status::internal("the server did not answer with an object")),
        }
    }

    /// One object. `namespace` is empty for cluster-scoped kinds.
    pub async fn get<K: Kind>(&self, namespace: &str, name: &str) -> Result<K, Status> {
        decode(&self.call_object(on::<K>(Verb::Get, namespace, name)).await?)
    }

    /// A page of objects, as bytes. An empty `namespace` lists all of them.
    pub async fn list<K: Kind>(&self, namespace: &str, options: Options) -> Result<List, Status> {
        self.list_resource(K::resource(), namespace, options).await
    }

    /// A page of objects of a resource known at run time.
    pub async fn list_resource(
        &self,
        resource: GroupVersionResource,
        namespace: &str,
        options: Options,
    ) -> Result<List, Status> {
        let request = Request { namespace: namespace.into(), options, ..Request::new(Verb::List, resource) };
        match self.call(request).await? {
            Reply::List(list) => Ok(list),
            _ => Err(Status::internal("the server did not answer with a list")),
        }
    }

    /// Changes of a resource.
    pub async fn watch_resource(
        &self,
        resource: GroupVersionResource,
        namespace: &str,
        options: Options,
    ) -> Result<Watch, Status> {
        let request = Request { namespace: namespace.into(), options, ..Request::new(Verb::Watch, resource) };
        match self.call(request).await? {
            Reply::Watch(watch) => Ok(watch),
            _ => Err(Status::internal("the server did not answer with a watch")),
        }
    }

    /// Creates `object` in its own namespace.
    pub async fn create<K: Kind>(&self, object: &K) -> Result<K, Status> {
        let namespace = object.metadata().namespace.clone().unwrap_or_default();
        let request = Request { body: encode(object)?, ..on::<K>(Verb::Create, &namespace, "") };
        decode(&self.call_object(request).await?)
    }

    /// Creates a subresource, such as `binding` or `eviction`, of an object of kind `K`; the answer is not decoded.
    pub async fn create_subresource<K: Kind>(
        &self,
        namespace: &str,
        name: &str,
        subresource: &str,
        body: &impl Serialize,
    ) -> Result<Reply, Status> {
        let mut request = on::<K>(Verb::Create, namespace, name);
        request.subresource = subresource.into();
        request.body = encode(body)?;
        self.call(request).await
    }

    /// Replaces `object`; its resourceVersion, if set, has to be the current one.
    pub async fn update<K: Kind>(&self, object: &K) -> Result<K, Status> {
        self.replace(object, "").await
    }

    /// Replaces the status of `object`.
    pub async fn update_status<K: Kind>(&self, object: &K) -> Result<K, Status> {
        self.replace(object, "status").await
    }

    async fn replace<K: Kind>(&self, object: &K, subresource: &str) -> Result<K, Status> {
        let meta = object.metadata();
        let (namespace, name) = (meta.namespace.as_deref(), meta.name.as_deref());
        let mut request = on::<K>(Verb::Update, namespace.unwrap_or_default(), name.unwrap_or_default());
        request.subresource = subresource.into();
        request.body = encode(object)?;
        decode(&self.call_object(request).await?)
    }

    /// Patches an object, or with a `subresource` that part of it.
    pub async fn patch<K: Kind>(
        &self,
        namespace: &str,
        name: &str,
        subresource: &str,
        patch_type: PatchType,
        patch: &impl Serialize,
    ) -> Result<K, Status> {
        let mut request = on::<K>(Verb::Patch, namespace, name);
        request.subresource = subresource.into();
        request.patch_type = patch_type;
        request.body = encode(patch)?;
        decode(&self.call_object(request).await?)
    }

    /// Deletes an object.
    pub async fn delete<K: Kind>(
        &self,
        namespace: &str,
        name: &str,
        options: &DeleteOptions,
    ) -> Result<(), Status> {
        let request = Request { body: encode(options)?, ..on::<K>(Verb::Delete, namespace, name) };
        self.call(request).await.map(drop)
    }
}

fn on<K: Kind>(verb: Verb, namespace: &str, name: &str) -> Request {
    Request { namespace: namespace.into(), name: name.into(), ..Request::new(verb, K::resource()) }
}

fn encode(body: &impl Serialize) -> Result<Bytes, Status> {
    serde_json::to_vec(body).map(Bytes::from).map_err(Status::internal)
}
