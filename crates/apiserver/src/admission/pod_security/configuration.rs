//! `PodSecurityConfiguration`: what namespaces without labels ask for, and whom nobody asks
//! (k8s.io/pod-security-admission/admission/api).

use std::collections::BTreeSet;

use decapod_api::{Cause, names};
use serde::Deserialize;

use super::policy::{Level, Policy, Standard, Version};

/// The settings, read and checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Configuration {
    /// What holds where no label says otherwise.
    pub defaults: Policy,
    /// Users who may make any pod.
    pub users: BTreeSet<String>,
    /// Namespaces that may have any pod.
    pub namespaces: BTreeSet<String>,
    /// Runtime classes that may run any pod.
    pub runtime_classes: BTreeSet<String>,
}

/// Its file, in the versions `v1`, `v1beta1` and `v1alpha1`, which are the same.
#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
pub struct File {
    #[serde(rename = "apiVersion")]
    _api_version: String,
    #[serde(rename = "kind")]
    _kind: String,
    defaults: Defaults,
    exemptions: Exemptions,
}

#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
struct Defaults {
    enforce: String,
    enforce_version: String,
    audit: String,
    audit_version: String,
    warn: String,
    warn_version: String,
}

#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
struct Exemptions {
    usernames: Vec<String>,
    namespaces: Vec<String>,
    runtime_classes: Vec<String>,
}

// === impl Configuration ===

impl Default for Configuration {
    fn default() -> Configuration {
        let (enforce, audit, warn) = (Standard::PRIVILEGED, Standard::PRIVILEGED, Standard::PRIVILEGED);
        Configuration {
            defaults: Policy { enforce, audit, warn },
            users: BTreeSet::new(),
            namespaces: BTreeSet::new(),
            runtime_classes: BTreeSet::new(),
        }
    }
}

impl TryFrom<File> for Configuration {
    type Error = Vec<Cause>;

    fn try_from(file: File) -> Result<Configuration, Vec<Cause>> {
        let (defaults, exempt, mut causes) = (&file.defaults, file.exemptions, Vec::new());
        let enforce = standard("enforce", &defaults.enforce, &defaults.enforce_version, &mut causes);
        let warn = standard("warn", &defaults.warn, &defaults.warn_version, &mut causes);
        let audit = standard("audit", &defaults.audit, &defaults.audit_version, &mut causes);
        let namespaces = set("namespaces", exempt.namespaces, names::label, &mut causes);
        let runtime_classes = set("runtimeClasses", exempt.runtime_classes, names::subdomain, &mut causes);
        let some = |name: &str| match name {
            "" => vec!["username must not be empty".to_owned()],
            _ => vec![],
        };
        let users = set("usernames", exempt.usernames, some, &mut causes);
        match causes.is_empty() {
            true => Ok(Configuration {
                defaults: Policy { enforce, audit, warn },
                users,
                namespaces,
                runtime_classes,
            }),
            false => Err(causes),
        }
    }
}

fn standard(mode: &str, level: &str, version: &str, causes: &mut Vec<Cause>) -> Standard {
    let mut standard = Standard::PRIVILEGED;
    if !level.is_empty() {
        match Level::parse(level) {
            Ok(level) => standard.level = level,
            Err(why) => causes.push(Cause::invalid(format!("defaults.{mode}"), &level.into(), why)),
        }
    }
    if !version.is_empty() {
        match Version::parse(version) {
            Ok(version) => standard.version = version,
            Err(why) => causes.push(Cause::invalid(format!("defaults.{mode}-version"), &version.into(), why)),
        }
    }
    standard
}

fn set(
    field: &str,
    names: Vec<String>,
    faults: impl Fn(&str) -> Vec<String>,
    causes: &mut Vec<Cause>,
) -> BTreeSet<String> {
    let mut set = BTreeSet::new();
    for (at, name) in names.into_iter().enumerate() {
        let field = format!("exemptions.{field}[{at}]");
        let faults = faults(&name);
        if !faults.is_empty() {
            causes.push(Cause::invalid(field, &name.into(), &faults.join(", ")));
        } else if set.contains(&name) {
            causes.push(Cause::duplicate(field, &name));
        } else {
            set.insert(name);
        }
    }
    set
}
