//! Which plugins run, and what they are told (k8s.io/apiserver/pkg/server/options, admission.go, and
//! k8s.io/apiserver/pkg/admission, config.go).

use std::path::{Path, PathBuf};

use decapod_api::codec::yaml;
use serde::Deserialize;
use serde::de::DeserializeOwned;

/// What the flags of the API server say about admission.
#[derive(Clone, Debug, Default)]
pub struct Settings {
    /// `--enable-admission-plugins`: these, too.
    pub enable: Vec<String>,
    /// `--disable-admission-plugins`: these not.
    pub disable: Vec<String>,
    /// `--admission-control-config-file`: what plugins are told.
    pub config_file: Option<PathBuf>,
}

/// Why plugins are not there.
#[derive(Debug, thiserror::Error)]
pub enum SettingsError {
    /// There is none of this name.
    #[error("{flag} plugin {name:?} is unknown")]
    Unknown {
        /// The flag, without its dashes.
        flag: &'static str,
        /// The plugin.
        name: String,
    },
    /// Both flags name it.
    #[error("[{0}] in enable-admission-plugins and disable-admission-plugins overlapped")]
    Overlap(String),
    /// Upstream has it, and it has still to be written here.
    #[error("enable-admission-plugins plugin {0:?} is not there yet")]
    Missing(String),
    /// The file cannot be read.
    #[error("unable to read admission control configuration from {path:?}: {source}")]
    Read {
        /// Which.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The file says what makes no sense.
    #[error("failed to read plugin config: {path:?}: {why}")]
    Decode {
        /// Which.
        path: PathBuf,
        /// Why.
        why: String,
    },
    /// What the plugin is told makes no sense to it.
    #[error("couldn't init admission plugin {name:?}: {why}")]
    Plugin {
        /// Which.
        name: &'static str,
        /// Why.
        why: String,
    },
}

/// What the file says, by plugin.
#[derive(Debug, Default)]
pub struct Told(Vec<(String, serde_json::Value)>);

/// An `AdmissionConfiguration`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(rename = "apiVersion")]
    _api_version: String,
    #[serde(rename = "kind")]
    _kind: String,
    #[serde(default)]
    plugins: Vec<Entry>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    name: String,
    #[serde(default)]
    path: PathBuf,
    configuration: Option<serde_json::Value>,
}

const VERSIONS: [&str; 2] = ["apiserver.config.k8s.io/v1", "apiserver.k8s.io/v1alpha1"];
/// Files of two plugins had no version, and were given as the whole file.
const LEGACY: [(&str, &str); 2] =
    [("imagePolicy", "ImagePolicyWebhook"), ("podNodeSelectorPluginConfig", "PodNodeSelector")];

// === impl Told ===

impl Told {
    /// Reads the file, and those that it names.
    pub fn read(path: Option<&Path>) -> Result<Told, SettingsError> {
        let Some(path) = path else { return Ok(Told::default()) };
        let value = load(path)?;
        let legacy: Vec<_> = LEGACY.iter().filter(|(key, _)| value.get(key).is_some()).collect();
        if value.get("kind").is_none() && !legacy.is_empty() {
            return Ok(Told(legacy.iter().map(|(_, name)| ((*name).to_owned(), value.clone())).collect()));
        }
        let file: File = versioned(value, "AdmissionConfiguration", &VERSIONS)
            .map_err(|why| SettingsError::Decode { path: path.to_owned(), why })?;
        let mut told = Vec::new();
        for entry in file.plugins {
            let said = match entry.configuration {
                Some(configuration) => configuration,
                None if entry.path.as_os_str().is_empty() => continue,
                // Relative to the file that names it.
                None => load(&path.parent().unwrap_or(Path::new("")).join(&entry.path))?,
            };
            told.push((entry.name, said));
        }
        Ok(Told(told))
    }

    /// What `plugin` is told, if anything.
    pub fn of(&self, plugin: &str) -> Option<serde_json::Value> {
        self.0.iter().find(|(name, _)| name == plugin).map(|(_, said)| said.clone())
    }
}

fn load(path: &Path) -> Result<serde_json::Value, SettingsError> {
    let bytes = std::fs::read(path);
    let bytes = bytes.map_err(|source| SettingsError::Read { path: path.to_owned(), source })?;
    let json = yaml::to_json(&bytes).map_err(|error| error.to_string());
    let value = json.and_then(|json| serde_json::from_slice(&json).map_err(|error| error.to_string()));
    value.map_err(|why| SettingsError::Decode { path: path.to_owned(), why })
}

/// Reads a file of `kind` in any of `versions`, which are alike.
pub fn versioned<T: DeserializeOwned>(
    value: serde_json::Value,
    kind: &str,
    versions: &[&str],
) -> Result<T, String> {
    let text =
        |field: &str| value.get(field).and_then(serde_json::Value::as_str).unwrap_or_default().to_owned();
    let (found, version) = (text("kind"), text("apiVersion"));
    if found.is_empty() {
        return Err("Object 'Kind' is missing".to_owned());
    }
    if version.is_empty() {
        return Err("Object 'apiVersion' is missing".to_owned());
    }
    if found != kind || !versions.contains(&version.as_str()) {
        return Err(format!("no kind {found:?} is registered for version {version:?}"));
    }
    serde_json::from_value(value).map_err(|error| error.to_string())
}
