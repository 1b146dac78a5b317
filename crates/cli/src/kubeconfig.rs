//! Kubeconfig files: a new one, or a context merged into a person's own.

use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, chown};
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
    #[error("the kubeconfig {}: {source}", path.display())]
    File {
        /// Which file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The file is there and is no kubeconfig; it is left as it is.
    #[error("{} is no kubeconfig: {why}: mend or move it and try again", path.display())]
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

/// Whether a context could be put into it: it is a kubeconfig or not there, and can be written.
pub fn check(path: &Path) -> Result<(), Error> {
    load(path)?;
    let (temporary, _) = temporary(path)?;
    std::fs::remove_file(temporary).map_err(|source| Error::File { path: path.to_owned(), source })
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
    let text = serde_norway::to_string(config)
        .map_err(|error| Error::Damaged { path: path.to_owned(), why: error.to_string() })?;
    // What is a link to a file stays one.
    let path = &path.canonicalize().unwrap_or_else(|_| path.to_owned());
    let failed = |source| Error::File { path: path.to_owned(), source };
    let (temporary, mut file) = temporary(path)?;
    file.write_all(text.as_bytes()).and_then(|()| file.sync_all()).map_err(failed)?;
    std::fs::rename(&temporary, path).map_err(failed)
}

/// A new file beside `path`, of the same owner: whoever runs us by sudo is to read it afterwards. Folders on the way are
/// made, for the owner of the one that they are in.
fn temporary(path: &Path) -> Result<(PathBuf, std::fs::File), Error> {
    let failed = |source| Error::File { path: path.to_owned(), source };
    let here = |path: &Path| if path.as_os_str().is_empty() { PathBuf::from(".") } else { path.to_owned() };
    let there = path.ancestors().find_map(|path| std::fs::metadata(here(path)).ok());
    let give = |made: &Path| match (&there, std::fs::metadata(made)?.uid()) {
        (Some(there), uid) if there.uid() != uid => chown(made, Some(there.uid()), Some(there.gid())),
        _ => Ok(()),
    };
    let missing = path.ancestors().skip(1).take_while(|dir| !here(dir).exists());
    for dir in missing.collect::<Vec<_>>().into_iter().rev() {
        std::fs::DirBuilder::new().mode(0o700).create(dir).and_then(|()| give(dir)).map_err(failed)?;
    }
    let temporary = path.with_extension("decapod-new");
    let mut options = std::fs::OpenOptions::new();
    let file =
        options.write(true).create(true).truncate(true).mode(0o600).open(&temporary).map_err(failed)?;
    give(&temporary).map_err(failed)?;
    Ok((temporary, file))
}
