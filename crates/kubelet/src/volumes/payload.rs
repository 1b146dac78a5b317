//! The files of config map, secret and downward API volumes, and of the parts of projected ones: pure
//! (pkg/volume/{configmap,secret,downwardapi,projected}).

use k8s_openapi::api::core::v1::{ConfigMap, DownwardAPIVolumeFile, KeyToPath, Secret};

use super::atomic::{File, Payload};
use crate::downward::{self, DownwardError, Node};
use crate::pod::NodePod;

/// Why a volume's files cannot be made.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum PayloadError {
    /// There is no such config map.
    #[error("configmap {0:?} not found")]
    NoConfigMap(String),
    /// There is no such secret.
    #[error("secret {0:?} not found")]
    NoSecret(String),
    /// The config map has no such key.
    #[error("configmap references non-existent config key: {0}")]
    NoConfigMapKey(String),
    /// The secret has no such key.
    #[error("references non-existent secret key: {0}")]
    NoSecretKey(String),
    /// The pod has no such field.
    #[error(transparent)]
    Downward(#[from] DownwardError),
}

/// Which keys of an object become files, and how.
pub struct Selection<'a> {
    /// All keys when empty.
    pub items: &'a [KeyToPath],
    /// The permissions of files that say none.
    pub mode: u32,
    /// Whether what is missing is passed over.
    pub optional: bool,
}

/// The files of a config map.
pub fn config_map(
    name: &str,
    found: Option<ConfigMap>,
    selection: &Selection,
) -> Result<Payload, PayloadError> {
    let Some(map) = found else {
        return if selection.optional {
            Ok(Payload::new())
        } else {
            Err(PayloadError::NoConfigMap(name.to_owned()))
        };
    };
    let texts = map.data.into_iter().flatten().map(|(key, text)| (key, text.into_bytes()));
    let data =
        texts.chain(map.binary_data.into_iter().flatten().map(|(key, bytes)| (key, bytes.0))).collect();
    select(data, selection, PayloadError::NoConfigMapKey)
}

/// The files of a secret.
pub fn secret(name: &str, found: Option<Secret>, selection: &Selection) -> Result<Payload, PayloadError> {
    let Some(secret) = found else {
        return if selection.optional {
            Ok(Payload::new())
        } else {
            Err(PayloadError::NoSecret(name.to_owned()))
        };
    };
    let data = secret.data.into_iter().flatten().map(|(key, bytes)| (key, bytes.0)).collect();
    select(data, selection, PayloadError::NoSecretKey)
}

fn select(
    mut data: std::collections::BTreeMap<String, Vec<u8>>,
    selection: &Selection,
    missing: fn(String) -> PayloadError,
) -> Result<Payload, PayloadError> {
    let file = |data, mode| File { data, mode, uid: None };
    if selection.items.is_empty() {
        return Ok(data.into_iter().map(|(key, data)| (key, file(data, selection.mode))).collect());
    }
    let mut payload = Payload::new();
    for item in selection.items {
        let mode = item.mode.map_or(selection.mode, i32::cast_unsigned);
        match data.get_mut(&item.key) {
            Some(data) => drop(payload.insert(item.path.clone(), file(data.clone(), mode))),
            None if selection.optional => {}
            None => return Err(missing(item.key.clone())),
        }
    }
    Ok(payload)
}

/// The files of the downward API.
pub fn downward_api(
    pod: &NodePod,
    items: &[DownwardAPIVolumeFile],
    mode: u32,
    node: &Node,
) -> Result<Payload, PayloadError> {
    let mut payload = Payload::new();
    for item in items {
        let text = match (&item.field_ref, &item.resource_field_ref) {
            (Some(field), _) => downward::field(pod, &field.field_path, &[], node)?,
            (None, Some(resource)) => downward::resource(pod, &Default::default(), resource, node)?,
            (None, None) => continue,
        };
        let mode = item.mode.map_or(mode, i32::cast_unsigned);
        payload.insert(item.path.clone(), File { data: text.into_bytes(), mode, uid: None });
    }
    Ok(payload)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn keys_become_files() {
        let map = || {
            Some(serde_json::from_value(json!({ "metadata": {}, "data": { "a": "1", "b": "2" } })).unwrap())
        };
        let items: Vec<KeyToPath> =
            serde_json::from_value(json!([{ "key": "a", "path": "x/y", "mode": 256 }])).unwrap();
        let selection = |items, optional| Selection { items, mode: 0o644, optional };
        let all = config_map("c", map(), &selection(&[], false)).unwrap();
        assert_eq!(all.keys().collect::<Vec<_>>(), ["a", "b"]);
        assert_eq!(config_map("c", map(), &selection(&items, false)).unwrap()["x/y"].mode, 0o400);
        let absent: Vec<KeyToPath> = serde_json::from_value(json!([{ "key": "z", "path": "z" }])).unwrap();
        let error = config_map("c", map(), &selection(&absent, false)).unwrap_err().to_string();
        assert_eq!(error, "configmap references non-existent config key: z");
        assert!(config_map("c", map(), &selection(&absent, true)).unwrap().is_empty());
        assert_eq!(
            config_map("c", None, &selection(&[], false)).unwrap_err().to_string(),
            "configmap \"c\" not found"
        );
    }
}
