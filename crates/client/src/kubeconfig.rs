//! Reads a kubeconfig: where a cluster is and how to get in (k8s.io/client-go/tools/clientcmd).

use std::path::{Path, PathBuf};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;

use crate::remote::RemoteConfig;

/// Why a kubeconfig is of no use.
#[derive(Debug, thiserror::Error)]
pub enum KubeconfigError {
    /// A file cannot be read.
    #[error("cannot read {}: {source}", path.display())]
    Read {
        /// Which.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// It is no kubeconfig.
    #[error("{} is no kubeconfig: {source}", path.display())]
    Parse {
        /// Which.
        path: PathBuf,
        /// Why.
        source: serde_norway::Error,
    },
    /// It refers to something that it does not have.
    #[error("{} has no {what} {name:?}", path.display())]
    Missing {
        /// Which file.
        path: PathBuf,
        /// A context, cluster or user.
        what: &'static str,
        /// Its name.
        name: String,
    },
    /// A `-data` field is no base64 of text.
    #[error("{} has a malformed {field}", path.display())]
    Data {
        /// Which file.
        path: PathBuf,
        /// Which field.
        field: &'static str,
    },
    /// It asks for something that is not done.
    #[error("{} uses {what}, which is not supported", path.display())]
    Unsupported {
        /// Which file.
        path: PathBuf,
        /// What it asks for.
        what: &'static str,
    },
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case", default)]
#[derive(Default)]
struct File {
    clusters: Option<Vec<NamedCluster>>,
    users: Option<Vec<NamedUser>>,
    contexts: Option<Vec<NamedContext>>,
    current_context: String,
}

#[derive(Deserialize)]
struct NamedCluster {
    name: String,
    cluster: Cluster,
}

#[derive(Deserialize)]
struct NamedUser {
    name: String,
    #[serde(default)]
    user: User,
}

#[derive(Deserialize)]
struct NamedContext {
    name: String,
    context: Context,
}

#[derive(Clone, Deserialize, Default)]
#[serde(rename_all = "kebab-case", default)]
struct Cluster {
    server: String,
    certificate_authority: String,
    certificate_authority_data: String,
    insecure_skip_tls_verify: bool,
    tls_server_name: String,
}

#[derive(Clone, Deserialize, Default)]
#[serde(rename_all = "kebab-case", default)]
struct User {
    client_certificate: String,
    client_certificate_data: String,
    client_key: String,
    client_key_data: String,
    token: String,
    #[serde(rename = "tokenFile")]
    token_file: String,
    exec: Option<serde::de::IgnoredAny>,
    auth_provider: Option<serde::de::IgnoredAny>,
    username: String,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Context {
    cluster: String,
    user: String,
}

/// What a kubeconfig says, with the file that it came from, for messages and relative paths.
struct Loader<'a> {
    path: &'a Path,
}

/// The way into the cluster of `context`, or of the current one, as the kubeconfig at `path` says.
pub fn load(path: &Path, context: Option<&str>) -> Result<RemoteConfig, KubeconfigError> {
    Loader { path }.load(context)
}

// === impl Loader ===

impl Loader<'_> {
    fn load(&self, context: Option<&str>) -> Result<RemoteConfig, KubeconfigError> {
        let text = self.read(self.path)?;
        let file: Option<File> = serde_norway::from_str(&text)
            .map_err(|source| KubeconfigError::Parse { path: self.path.to_owned(), source })?;
        let file = file.unwrap_or_default();
        let name = context.unwrap_or(&file.current_context);
        let contexts = file.contexts.unwrap_or_default();
        let named = contexts.into_iter().find(|entry| entry.name == name).map(|entry| entry.context);
        let context = named.ok_or_else(|| self.missing("context", name))?;
        let clusters = file.clusters.unwrap_or_default().into_iter();
        let cluster =
            clusters.filter(|entry| entry.name == context.cluster).map(|entry| entry.cluster).next();
        let cluster = cluster.ok_or_else(|| self.missing("cluster", &context.cluster))?;
        let user = match context.user.as_str() {
            "" => User::default(),
            name => {
                let users = file.users.unwrap_or_default().into_iter();
                let user = users.filter(|entry| entry.name == name).map(|entry| entry.user).next();
                user.ok_or_else(|| self.missing("user", name))?
            }
        };
        self.resolve(cluster, user)
    }

    fn resolve(&self, cluster: Cluster, user: User) -> Result<RemoteConfig, KubeconfigError> {
        let unsupported = |what| KubeconfigError::Unsupported { path: self.path.to_owned(), what };
        if cluster.insecure_skip_tls_verify {
            return Err(unsupported("insecure-skip-tls-verify"));
        }
        if user.exec.is_some() || user.auth_provider.is_some() {
            return Err(unsupported("a credential plugin"));
        }
        if !user.username.is_empty() {
            return Err(unsupported("a password"));
        }
        let (cert, key) = (&user.client_certificate_data, &user.client_key_data);
        let named = cert.is_empty() && key.is_empty() && !user.client_certificate.is_empty();
        let files = named.then(|| (self.beside(&user.client_certificate), self.beside(&user.client_key)));
        Ok(RemoteConfig {
            server: cluster.server,
            ca_pem: self.pem(
                "certificate-authority-data",
                &cluster.certificate_authority_data,
                &cluster.certificate_authority,
            )?,
            client_cert_pem: self.pem("client-certificate-data", cert, &user.client_certificate)?,
            client_key_pem: self.pem("client-key-data", key, &user.client_key)?,
            client_files: files,
            token: user.token,
            token_file: (!user.token_file.is_empty()).then(|| self.beside(&user.token_file)),
            tls_server_name: cluster.tls_server_name,
        })
    }

    /// PEM given in base64, or else in a file.
    fn pem(&self, field: &'static str, data: &str, file: &str) -> Result<String, KubeconfigError> {
        match (data, file) {
            ("", "") => Ok(String::new()),
            ("", file) => self.read(&self.beside(file)),
            (data, _) => STANDARD
                .decode(data.trim())
                .ok()
                .and_then(|bytes| String::from_utf8(bytes).ok())
                .ok_or_else(|| KubeconfigError::Data { path: self.path.to_owned(), field }),
        }
    }

    /// Relative paths count from the kubeconfig.
    fn beside(&self, file: &str) -> PathBuf {
        self.path.parent().unwrap_or(Path::new("")).join(file)
    }

    fn read(&self, path: &Path) -> Result<String, KubeconfigError> {
        std::fs::read_to_string(path)
            .map_err(|source| KubeconfigError::Read { path: path.to_owned(), source })
    }

    fn missing(&self, what: &'static str, name: &str) -> KubeconfigError {
        KubeconfigError::Missing { path: self.path.to_owned(), what, name: name.to_owned() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = r#"
apiVersion: v1
kind: Config
current-context: a
clusters:
- name: one
  cluster: {server: "https://10.0.0.1:6443", certificate-authority: ca.pem}
users:
- name: admin
  user: {client-certificate-data: Y2VydA==, client-key-data: a2V5, token: secret}
- name: plugin
  user: {exec: {command: get-token}}
contexts:
- name: a
  context: {cluster: one, user: admin, namespace: web}
- name: b
  context: {cluster: two}
- name: c
  context: {cluster: one, user: plugin}
"#;

    #[test]
    fn contexts_resolve_or_say_why_not() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("config");
        std::fs::write(&path, FILE).unwrap();
        std::fs::write(directory.path().join("ca.pem"), "authority").unwrap();
        let config = load(&path, None).unwrap();
        assert_eq!((config.server.as_str(), config.ca_pem.as_str()), ("https://10.0.0.1:6443", "authority"));
        assert_eq!((config.client_cert_pem.as_str(), config.client_key_pem.as_str()), ("cert", "key"));
        assert_eq!(config.token, "secret");
        let error = |context| load(&path, Some(context)).unwrap_err().to_string();
        assert!(error("b").ends_with("has no cluster \"two\""));
        assert!(error("c").ends_with("uses a credential plugin, which is not supported"));
        assert!(error("d").ends_with("has no context \"d\""));
    }
}
