//! The metadata that controllers look at.

use std::collections::BTreeMap;

use decapod_api::Object;
use decapod_client::ObjectKey;
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference, Time};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer};

/// Metadata without `managedFields` and what else nobody reads here. Absent texts are empty.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Meta {
    /// The name.
    pub name: String,
    /// Empty for cluster-scoped objects.
    pub namespace: String,
    /// The UID.
    pub uid: String,
    /// The revision, as text.
    pub resource_version: String,
    /// How often the spec has changed.
    pub generation: i64,
    /// The labels.
    #[serde(deserialize_with = "nullable")]
    pub labels: BTreeMap<String, String>,
    /// The annotations.
    #[serde(deserialize_with = "nullable")]
    pub annotations: BTreeMap<String, String>,
    /// When it was created.
    pub creation_timestamp: Option<Time>,
    /// When it was, or will have been, asked to go away.
    pub deletion_timestamp: Option<Time>,
    /// How long it had to go away.
    pub deletion_grace_period_seconds: Option<i64>,
    /// Who has to do something before it may go away.
    #[serde(deserialize_with = "nullable")]
    pub finalizers: Vec<String>,
    /// Whom it belongs to.
    #[serde(deserialize_with = "nullable")]
    pub owner_references: Vec<OwnerReference>,
}

/// Decodes a field that Go may have written as `null`.
pub fn nullable<'de, D: Deserializer<'de>, T: Default + Deserialize<'de>>(
    deserializer: D,
) -> Result<T, D::Error> {
    Option::<T>::deserialize(deserializer).map(Option::unwrap_or_default)
}

/// The view `V` of `object`; one that cannot be decoded is reported and passed over.
pub fn view<V: DeserializeOwned>(object: &Object) -> Option<V> {
    serde_json::from_slice(object.body())
        .inspect_err(|error| tracing::warn!(object = %ObjectKey::of(object), %error, "cannot decode"))
        .ok()
}

/// The views of `objects`.
pub fn views<V: DeserializeOwned>(objects: &[Object]) -> Vec<V> {
    objects.iter().filter_map(view).collect()
}

/// The metadata of `object`.
pub fn meta_of(object: &Object) -> Meta {
    object.raw(&["metadata"]).and_then(|metadata| serde_json::from_slice(metadata).ok()).unwrap_or_default()
}

// === impl Meta ===

impl Meta {
    /// Whether it has been asked to go away.
    pub fn is_deleting(&self) -> bool {
        self.deletion_timestamp.is_some()
    }

    /// Its controlling owner.
    pub fn controller(&self) -> Option<&OwnerReference> {
        self.owner_references.iter().find(|owner| owner.controller == Some(true))
    }

    /// When it was created; the beginning of time if it has not been.
    pub fn created(&self) -> Timestamp {
        self.creation_timestamp.as_ref().map_or(Timestamp::UNIX_EPOCH, |time| time.0)
    }

    /// Its key.
    pub fn key(&self) -> ObjectKey {
        ObjectKey::new(self.namespace.as_str(), self.name.as_str())
    }
}

/// The same of a whole object's metadata; its managed fields are left behind.
impl From<&ObjectMeta> for Meta {
    fn from(meta: &ObjectMeta) -> Meta {
        Meta {
            name: meta.name.clone().unwrap_or_default(),
            namespace: meta.namespace.clone().unwrap_or_default(),
            uid: meta.uid.clone().unwrap_or_default(),
            resource_version: meta.resource_version.clone().unwrap_or_default(),
            generation: meta.generation.unwrap_or_default(),
            labels: meta.labels.clone().unwrap_or_default(),
            annotations: meta.annotations.clone().unwrap_or_default(),
            creation_timestamp: meta.creation_timestamp.clone(),
            deletion_timestamp: meta.deletion_timestamp.clone(),
            deletion_grace_period_seconds: meta.deletion_grace_period_seconds,
            finalizers: meta.finalizers.clone().unwrap_or_default(),
            owner_references: meta.owner_references.clone().unwrap_or_default(),
        }
    }
}
