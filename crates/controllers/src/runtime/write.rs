//! One request of a plan.

use decapod_api::meta::GroupVersionResource;
use decapod_client::{Kind, PatchType, Request, Verb};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{DeleteOptions, ObjectMeta, Preconditions};
use serde::Serialize;

use super::Note;

/// One request, and what its outcome means.
#[derive(Debug)]
pub struct Write {
    /// The request.
    pub request: Request,
    /// Reasons of failure that are as good as success, such as `NotFound` of a delete.
    pub tolerated: &'static [&'static str],
    /// Word of success.
    pub done: Option<Note>,
    /// Word of failure.
    pub failed: Option<Note>,
}

// === impl Write ===

impl Write {
    /// `request` as it is.
    pub fn new(request: Request) -> Write {
        Write { request, tolerated: &[], done: None, failed: None }
    }

    /// To create `object` in its own namespace.
    pub fn create<K: Kind>(object: &K) -> Write {
        let mut request = Request::new(Verb::Create, K::resource());
        request.namespace = object.metadata().namespace.clone().unwrap_or_default();
        request.body = encode(object);
        Write::new(request)
    }

    /// To replace `object`; its resourceVersion has to be the current one.
    pub fn update<K: Kind>(object: &K) -> Write {
        Write::replace(object, "")
    }

    /// To replace the status of `object`; its resourceVersion has to be the current one.
    pub fn update_status<K: Kind>(object: &K) -> Write {
        Write::replace(object, "status")
    }

    /// To replace the part `subresource` of `object`.
    pub fn replace<K: Kind>(object: &K, subresource: &str) -> Write {
        let meta: &ObjectMeta = object.metadata();
        let mut request = Request::new(Verb::Update, K::resource());
        request.namespace = meta.namespace.clone().unwrap_or_default();
        request.name = meta.name.clone().unwrap_or_default();
        request.subresource = subresource.to_owned();
        request.body = encode(object);
        Write::new(request)
    }

    /// To change an object with a strategic merge patch.
    pub fn patch<K: Kind>(namespace: &str, name: &str, subresource: &str, patch: &impl Serialize) -> Write {
        Write::patch_resource(K::resource(), namespace, name, subresource, PatchType::Strategic, patch)
    }

    /// To change an object of a resource known at run time.
    pub fn patch_resource(
        resource: GroupVersionResource,
        namespace: &str,
        name: &str,
        subresource: &str,
        patch_type: PatchType,
        patch: &impl Serialize,
    ) -> Write {
        let mut request = Request::new(Verb::Patch, resource);
        request.namespace = namespace.to_owned();
        request.name = name.to_owned();
        request.subresource = subresource.to_owned();
        request.patch_type = patch_type;
        request.body = encode(patch);
        Write::new(request)
    }

    /// To delete the object of that UID.
    pub fn delete<K: Kind>(namespace: &str, name: &str, uid: &str) -> Write {
        let preconditions =
            (!uid.is_empty()).then(|| Preconditions { uid: Some(uid.to_owned()), resource_version: None });
        let options = DeleteOptions { preconditions, ..DeleteOptions::default() };
        Write::delete_resource(K::resource(), namespace, name, &options)
    }

    /// To delete an object of a resource known at run time.
    pub fn delete_resource(
        resource: GroupVersionResource,
        namespace: &str,
        name: &str,
        options: &DeleteOptions,
    ) -> Write {
        let mut request = Request::new(Verb::Delete, resource);
        request.namespace = namespace.to_owned();
        request.name = name.to_owned();
        request.body = encode(options);
        Write { tolerated: &["NotFound"], ..Write::new(request) }
    }

    /// With reasons of failure that are as good as success.
    pub fn tolerating(self, tolerated: &'static [&'static str]) -> Write {
        Write { tolerated, ..self }
    }

    /// With word of success.
    pub fn saying(self, done: Note) -> Write {
        Write { done: Some(done), ..self }
    }

    /// With word of failure.
    pub fn or_saying(self, failed: Note) -> Write {
        Write { failed: Some(failed), ..self }
    }

    /// The body as a tree; null when there is none.
    pub fn body(&self) -> serde_json::Value {
        serde_json::from_slice(&self.request.body).unwrap_or_default()
    }
}

/// What is to be written, without what it says; of a create, the name or what it begins with.
impl std::fmt::Display for Write {
    fn fmt(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
        let request = &self.request;
        write!(f, "{} {}", request.verb.as_str(), request.resource.group_resource())?;
        if !request.subresource.is_empty() {
            write!(f, "/{}", request.subresource)?;
        }
        f.write_str(" ")?;
        if !request.namespace.is_empty() {
            write!(f, "{}/", request.namespace)?;
        }
        if request.verb == Verb::Create {
            let metadata = &self.body()["metadata"];
            let name = metadata["name"].as_str().or(metadata["generateName"].as_str());
            return f.write_str(name.unwrap_or_default());
        }
        f.write_str(&request.name)
    }
}

fn encode(body: &impl Serialize) -> bytes::Bytes {
    serde_json::to_vec(body).expect("objects have text keys and encode into memory").into()
}
