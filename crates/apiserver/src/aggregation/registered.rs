//! The APIServices that there are, and whom a path belongs to by them.

use std::collections::BTreeMap;
use std::sync::Arc;

use decapod_api::meta::GroupVersionResource;
use serde_json::Value as Json;

use super::api_service::{ApiService, Priority, by_version};
use super::priorities;
use super::remote::Remote;
use crate::http::query::percent_decode;

/// An APIService.
pub struct Registered {
    /// What it says.
    pub service: ApiService,
    /// Who serves it, if it is not this server.
    pub remote: Option<Arc<Remote>>,
}

/// All APIServices, by name.
#[derive(Clone, Default)]
pub struct Known {
    all: BTreeMap<String, Arc<Registered>>,
    /// How many of them others serve.
    remotes: usize,
}

/// A resource that another server serves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Served {
    /// Itself.
    pub resource: GroupVersionResource,
    /// The kind of its objects.
    pub kind: String,
    /// Whether its objects are in namespaces.
    pub is_namespaced: bool,
    /// What can be done with it.
    pub verbs: Vec<String>,
}

// === impl Known ===

impl Known {
    /// The one of this group and version.
    pub fn get(&self, group: &str, version: &str) -> Option<&Arc<Registered>> {
        self.all.get(&format!("{version}.{group}"))
    }

    /// The one of this name.
    pub fn named(&self, name: &str) -> Option<&Arc<Registered>> {
        self.all.get(name)
    }

    /// Those that others serve.
    pub fn remotes(&self) -> impl Iterator<Item = (&Arc<Registered>, &Arc<Remote>)> {
        self.all.values().filter_map(|registered| Some((registered, registered.remote.as_ref()?)))
    }

    /// Adds one, or changes it.
    pub fn put(&mut self, registered: Arc<Registered>) {
        self.all.insert(registered.service.name.clone(), registered);
        self.remotes = self.remotes().count();
    }

    /// Takes one away.
    pub fn remove(&mut self, name: &str) {
        self.all.remove(name);
        self.remotes = self.remotes().count();
    }

    /// Who else serves a group and version.
    pub fn remote(&self, group: &str, version: &str) -> Option<(&Arc<Registered>, &Arc<Remote>)> {
        // Mostly there is none, and every request asks.
        if self.remotes == 0 {
            return None;
        }
        let registered = self.get(group, version)?;
        Some((registered, registered.remote.as_ref()?))
    }

    /// Who else serves what is below `path`, which is as the client wrote it: resources and discovery of a group and
    /// version, or its document of OpenAPI 3.
    pub fn serving(&self, path: &str) -> Option<(&Arc<Registered>, &Arc<Remote>)> {
        if self.remotes == 0 {
            return None;
        }
        let path = &percent_decode(path, false);
        if let Some(name) = path.strip_prefix("/openapi/v3/") {
            let has = |remote: &Remote| remote.documents().openapi_v3.contains_key(name);
            return self.remotes().find(|(_, remote)| has(remote));
        }
        let mut segments = path.trim_start_matches('/').split('/');
        let (group, version) = match (segments.next()?, segments.next()?) {
            ("api", version) => ("", version),
            ("apis", group) if !group.is_empty() => (group, segments.next()?),
            _ => return None,
        };
        self.remote(group, version)
    }

    /// The resources that others serve, each in the version that is preferred.
    pub fn resources(&self) -> Vec<Served> {
        let mut remotes: Vec<_> =
            self.remotes().map(|(registered, remote)| (&registered.service, remote)).collect();
        remotes.sort_by(|(a, _), (b, _)| {
            let version = |service: &ApiService| service.priority.version;
            a.group.cmp(&b.group).then_with(|| by_version((&a.version, version(a)), (&b.version, version(b))))
        });
        let mut found: Vec<Served> = Vec::new();
        for (service, remote) in remotes {
            let documents = remote.documents();
            let said = documents.discovery.iter().flat_map(|said| said.json["resources"].as_array());
            for resource in said.flatten().map(|resource| Served::read(service, resource)) {
                let is_same = |other: &Served| {
                    (&other.resource.group, &other.resource.resource)
                        == (&resource.resource.group, &resource.resource.resource)
                };
                if !found.iter().any(is_same) {
                    found.push(resource);
                }
            }
        }
        found
    }

    /// The groups and versions that others serve who cannot be asked.
    pub fn undiscovered(&self) -> impl Iterator<Item = (&str, &str)> {
        let stale = self.remotes().filter(|(_, remote)| remote.documents().discovery.is_none());
        stale.map(|(other, _)| (other.service.group.as_str(), other.service.version.as_str()))
    }

    /// Where a group and version stand among others.
    pub fn priority(&self, group: &str, version: &str) -> Priority {
        let said = self.get(group, version).map(|registered| registered.service.priority);
        said.or_else(|| priorities::built_in(group, version)).unwrap_or(priorities::CUSTOM)
    }
}

// === impl Served ===

impl Served {
    /// From what aggregated discovery says of a resource.
    fn read(service: &ApiService, resource: &Json) -> Served {
        let text = |json: &Json| json.as_str().unwrap_or_default().to_owned();
        let (group, version) = (service.group.clone(), service.version.clone());
        Served {
            resource: GroupVersionResource::new(group, version, text(&resource["resource"])),
            kind: text(&resource["responseKind"]["kind"]),
            is_namespaced: resource["scope"] == "Namespaced",
            verbs: resource["verbs"].as_array().into_iter().flatten().map(text).collect(),
        }
    }
}
