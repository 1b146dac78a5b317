//! Admission: what is changed or refused on the way in, one module per plugin, in upstream's order.

mod always;
mod always_pull_images;
mod certificate_subject_restriction;
mod custom_resource_terminating;
mod default_class;
mod default_toleration_seconds;
mod deny_service_external_ips;
mod event_rate_limit;
mod extended_resource_toleration;
mod image_policy_webhook;
mod limit_pod_hard_anti_affinity_topology;
mod limit_ranger;
mod lru;
mod namespace_auto_provision;
mod namespace_exists;
mod namespace_lifecycle;
mod node_restriction;
mod owner_references;
mod persistent_volume_claim_resize;
mod plugins;
mod pod_node_selector;
mod pod_resize_validator;
pub mod pod_security;
mod pod_toleration_restriction;
mod pod_topology_labels;
mod priority;
mod resource_quota;
mod runtime_class;
mod service_account;
mod settings;
mod signers;
mod storage_object_in_use_protection;
mod taint_nodes_by_condition;
#[cfg(test)]
mod testing;
pub mod webhook;

use std::sync::{Arc, OnceLock, Weak};

use decapod_api::kinds::{Resource, Version};
use decapod_api::meta::GroupVersionKind;
use decapod_api::{Status, Value};
use futures::future::BoxFuture;
use jiff::Timestamp;

use crate::identity::User;
use crate::registry::{Lookup, Registry, Warnings};
pub use plugins::{Parts, build, known};
pub use resource_quota::Charge;
pub use settings::{Settings, SettingsError};

/// What is being done to an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation {
    /// It is made.
    Create,
    /// It is changed, by whatever verb.
    Update,
    /// It is ended.
    Delete,
    /// A connection to it is opened.
    Connect,
}

/// A request as admission sees it.
pub struct Attributes<'a> {
    /// What is done.
    pub operation: Operation,
    /// To which resource.
    pub resource: &'a Arc<Resource>,
    /// In which version.
    pub version: &'a Version,
    /// To which part of it; empty for the whole.
    pub subresource: &'a str,
    /// In which namespace; empty when it has none.
    pub namespace: &'a str,
    /// Of which name; empty when it is generated later.
    pub name: &'a str,
    /// What it is to be. Null for deletes.
    pub object: Value,
    /// What it was. Null for creates.
    pub old: Option<&'a Value>,
    /// The kind and version that both are of now.
    pub kind: &'a GroupVersionKind,
    /// Makes the request's options, such as `CreateOptions`, for whoever wants to see them.
    pub options: &'a (dyn Fn() -> Value + Send + Sync),
    /// Who asks.
    pub user: &'a User,
    /// Whether nothing is to be kept.
    pub dry_run: bool,
    /// What the client will be told.
    pub warnings: &'a Warnings,
    /// How often the mutating hooks have seen it.
    pub rounds: Rounds,
}

/// The rounds of mutation: a second one follows if what was there before a webhook may have to look again.
#[derive(Default)]
pub struct Rounds {
    /// Whether this is the second one.
    pub second: bool,
    /// Whether there is to be a second one.
    pub wanted: bool,
    /// What webhooks remember from one to the other.
    pub webhooks: webhook::Reinvocation,
}

/// What a plugin that has to wait comes to.
pub type Waiting<'a> = Option<BoxFuture<'a, Result<(), Status>>>;

/// An admission plugin. Both hooks see every request that [`Plugin::handles`] says yes to.
///
/// Plugins read the cluster through [`Lookup`], which is the store's memory: nothing here waits, but for those that ask
/// somebody outside the process.
pub trait Plugin: Send + Sync {
    /// Upstream's name, as in `--enable-admission-plugins`.
    fn name(&self) -> &'static str;

    /// Whether it has a say in this request.
    fn handles(&self, attributes: &Attributes) -> bool;

    /// Changes the object, or refuses.
    fn mutate(&self, _attributes: &mut Attributes, _lookup: &dyn Lookup) -> Result<(), Status> {
        Ok(())
    }

    /// Refuses, or does not.
    fn validate(&self, _attributes: &Attributes, _lookup: &dyn Lookup) -> Result<(), Status> {
        Ok(())
    }

    /// Asks outside the process whether and how to change the object, after [`Plugin::mutate`].
    fn ask_mutating<'a>(
        &'a self,
        _attributes: &'a mut Attributes<'_>,
        _lookup: &'a dyn Lookup,
    ) -> Waiting<'a> {
        None
    }

    /// Asks outside the process whether to refuse, after [`Plugin::validate`].
    fn ask_validating<'a>(&'a self, _attributes: &'a Attributes<'_>, _lookup: &'a dyn Lookup) -> Waiting<'a> {
        None
    }

    /// Says what the write takes of quotas, or refuses. Asked last of all, and again if a quota changes meanwhile.
    fn charge(
        &self,
        _attributes: &Attributes,
        _lookup: &dyn Lookup,
        _now: Timestamp,
    ) -> Result<Vec<Charge>, Status> {
        Ok(Vec::new())
    }
}

/// The registry that asks the plugins, once it is there.
pub type RegistryOnceThere = Arc<OnceLock<Weak<Registry>>>;

/// The plugins, in order.
#[derive(Default)]
pub struct Admission {
    plugins: Vec<Box<dyn Plugin>>,
}

// === impl Operation ===

impl Operation {
    /// Its name in rules and reviews.
    pub fn as_str(self) -> &'static str {
        match self {
            Operation::Create => "CREATE",
            Operation::Update => "UPDATE",
            Operation::Delete => "DELETE",
            Operation::Connect => "CONNECT",
        }
    }
}

// === impl Admission ===

impl Admission {
    /// These plugins, in this order.
    pub fn new(plugins: Vec<Box<dyn Plugin>>) -> Admission {
        Admission { plugins }
    }

    /// Runs all mutating hooks; all of them again if one asks for that (upstream's `reinvoker`).
    pub async fn mutate(&self, attributes: &mut Attributes<'_>, lookup: &dyn Lookup) -> Result<(), Status> {
        self.mutate_once(attributes, lookup).await?;
        if attributes.rounds.wanted {
            attributes.rounds.second = true;
            self.mutate_once(attributes, lookup).await?;
        }
        Ok(())
    }

    async fn mutate_once(&self, attributes: &mut Attributes<'_>, lookup: &dyn Lookup) -> Result<(), Status> {
        for plugin in &self.plugins {
            if plugin.handles(attributes) {
                plugin.mutate(attributes, lookup)?;
                if let Some(asked) = plugin.ask_mutating(attributes, lookup) {
                    asked.await?;
                }
            }
        }
        Ok(())
    }

    /// Runs all validating hooks.
    pub async fn validate(&self, attributes: &Attributes<'_>, lookup: &dyn Lookup) -> Result<(), Status> {
        for plugin in self.plugins.iter().filter(|plugin| plugin.handles(attributes)) {
            plugin.validate(attributes, lookup)?;
            if let Some(asked) = plugin.ask_validating(attributes, lookup) {
                asked.await?;
            }
        }
        Ok(())
    }

    /// Gathers what the write takes of quotas.
    pub fn charge(
        &self,
        attributes: &Attributes,
        lookup: &dyn Lookup,
        now: Timestamp,
    ) -> Result<Vec<Charge>, Status> {
        let mut charges = Vec::new();
        for plugin in self.plugins.iter().filter(|plugin| plugin.handles(attributes)) {
            charges.extend(plugin.charge(attributes, lookup, now)?);
        }
        Ok(charges)
    }
}

// === impl Attributes ===

impl Attributes<'_> {
    /// Whether it is about this resource of this group.
    pub fn is(&self, group: &str, plural: &str) -> bool {
        self.resource.group == group && self.resource.plural == plural
    }

    /// The refusal that names this object (upstream's `admission.NewForbidden`).
    pub fn forbid(&self, why: &str) -> Status {
        let name = match self.name {
            "" => self.object.str_at(&["metadata", "name"]).unwrap_or("Unknown"),
            name => name,
        };
        Status::forbidden(&self.resource.group_resource(), name, why)
    }
}

/// A refusal that upstream hands out as it is: without a reason, as if it were the server's fault.
fn bare(why: impl Into<String>) -> Status {
    Status { reason: String::new(), details: None, message: why.into(), ..Status::internal("") }
}
