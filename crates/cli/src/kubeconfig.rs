//! Kubeconfig files: a new one, or a context merged into a person's own.

use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde_json::{Value, json};

/// What a context needs to reach a cluster.
pub struct Access<'a> {
    /// The name of the cluster, its user and its context.
    pub name: &'a str,
    /// Such as `https://127.0.0.1:6443`.
    pub server: &'a str,
    /// The cluster's CA.
    pub ca_pem: &'a str,
    /// The user's certificate.
    pub cert_pem: &'a str,
    /// Its key.
    pub key_pem: &'a str,
}

/// Why a kubeconfig could not be read or written.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The file system says no.
    #[error("{path}: {source}")]
    File {
        /// Which file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The file is there and is no kubeconfig; it is left as it is.
    #[error("{path} is no kubeconfig: {why}: mend or move it and try again")]
    Damaged {
        /// Which file.
        path: PathBuf,
        /// Why.
        why: String,
    },
}

/// Writes a kubeconfig of one context, which is current.
pub fn write(path: &Path, access: &Access) -> Result<(), Error> {
    let mut config = empty();
    put(&mut config, access);
    config["current-context"] = access.name.into();
    save(path, &config)
}

/// Puts a context into a kubeconfig that may hold others. The current context stays, if there is one.
pub fn merge(path: &Path, access: &Access) -> Result<(), Error> {
    let mut config = load(path)?.unwrap_or_else(empty);
    put(&mut config, access);
    if config["current-context"].as_str().unwrap_or_default().is_empty() {
        config["current-context"] = access.name.into();
    }
    save(path, &config)
}

/// Takes the context `name` out again. A file that holds nothing else is removed.
pub fn remove(path: &Path, name: &str) -> Result<(), Error> {
    let Some(mut config) = load(path)? else { return Ok(()) };
    for list in ["clusters", "users", "contexts"] {
        if let Some(entries) = config[list].as_array_mut() {
            entries.retain(|entry| entry["name"] != name);
        }
    }
    if config["current-context"] == name {
        config["current-context"] = "".into();
    }
    let is_empty = ["clusters", "users", "contexts"]
        .iter()
        .all(|list| config[*list].as_array().is_none_or(Vec::is_empty));
    if is_empty {
        return std::fs::remove_file(path).map_err(|source| Error::File { path: path.to_owned(), source });
    }
    save(path, &config)
}

/// The server of the first cluster in a kubeconfig's text.
pub fn server(text: &str) -> Option<String> {
    let config: Value = serde_norway::from_str(text).ok()?;
    config["clusters"][0]["cluster"]["server"].as_str().map(str::to_owned)
}

fn empty() -> Value {
    json!({"apiVersion": "v1", "kind": "Config", "preferences": {}, "clusters": [], "users": [], "contexts": [], "current-context": ""})
}

fn put(config: &mut Value, access: &Access) {
    let name = access.name;
    let cluster =
        json!({"server": access.server, "certificate-authority-data": BASE64.encode(access.ca_pem)});
    let user = json!({"client-certificate-data": BASE64.encode(access.cert_pem), "client-key-data": BASE64.encode(access.key_pem)});
    let context = json!({"cluster": name, "user": name});
    for (list, field, value) in
        [("clusters", "cluster", cluster), ("users", "user", user), ("contexts", "context", context)]
    {
        if !config[list].is_array() {
            config[list] = json!([]);
        }
        let entry = json!({"name": name, field: value});
        if let Some(entries) = config[list].as_array_mut() {
            entries.retain(|other| other["name"] != name);
            entries.push(entry);
        }
    }
}

fn load(path: &Path) -> Result<Option<Value>, Error> {
    let text = match std::fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(source) => return Err(Error::File { path: path.to_owned(), source }),
    };
    if text.trim().is_empty() {
        return Ok(None);
    }
    let damaged = |why: String| Error::Damaged { path: path.to_owned(), why };
    let config: Value = serde_norway::from_str(&text).map_err(|error| damaged(error.to_string()))?;
    match config.is_object() {
        true => Ok(Some(config)),
        false => Err(damaged("it holds no map".into())),
    }
}

/// Writes the file whole or not at all, for its owner's eyes only.
fn save(path: &Path, config: &Value) -> Result<(), Error> {
    let failed = |source| Error::File { path: path.to_owned(), source };
    if let Some(dir) = path.parent().filter(|dir| !dir.as_os_str().is_empty()) {
        std::fs::DirBuilder::new().recursive(true).mode(0o700).create(dir).map_err(failed)?;
    }
    let text = serde_norway::to_string(config)
        .map_err(|error| Error::Damaged { path: path.to_owned(), why: error.to_string() })?;
    let temporary = path.with_extension("decapod-new");
    let mut file = std::fs::OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&temporary)
        .map_err(failed)?;
    file.write_all(text.as_bytes()).and_then(|()| file.sync_all()).map_err(failed)?;
    std::fs::rename(&temporary, path).map_err(failed)
}
