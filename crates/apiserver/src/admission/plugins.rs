//! Every plugin by name, in upstream's order (k8s.io/kubernetes/pkg/kubeapiserver/options, plugins.go).

use std::collections::BTreeSet;
use std::sync::Arc;

use decapod_api::Cause;
use serde::de::DeserializeOwned;

use super::settings::{Settings, SettingsError, Told, versioned};
use super::webhook::{Caller, Phase, Webhooks};
use super::{
    Admission, Plugin, RegistryOnceThere, event_rate_limit, image_policy_webhook, pod_security, signers,
};
use super::{
    always::{AlwaysAdmit, AlwaysDeny},
    always_pull_images::AlwaysPullImages,
    certificate_subject_restriction::CertificateSubjectRestriction,
    custom_resource_terminating::CustomResourceTerminating,
    default_class,
    default_toleration_seconds::DefaultTolerationSeconds,
    deny_service_external_ips::DenyServiceExternalIps,
    event_rate_limit::EventRateLimit,
    extended_resource_toleration::ExtendedResourceToleration,
    image_policy_webhook::ImagePolicyWebhook,
    limit_pod_hard_anti_affinity_topology::LimitPodHardAntiAffinityTopology,
    limit_ranger::LimitRanger,
    namespace_auto_provision::NamespaceAutoProvision,
    namespace_exists::NamespaceExists,
    namespace_lifecycle::NamespaceLifecycle,
    node_restriction::NodeRestriction,
    owner_references::OwnerReferencesPermissionEnforcement,
    persistent_volume_claim_resize::PersistentVolumeClaimResize,
    pod_node_selector::PodNodeSelector,
    pod_resize_validator::PodResizeValidator,
    pod_security::PodSecurity,
    pod_toleration_restriction::PodTolerationRestriction,
    pod_topology_labels::PodTopologyLabels,
    priority::Priority,
    resource_quota::ResourceQuota,
    runtime_class::RuntimeClass,
    service_account::ServiceAccount,
    signers::Signers,
    storage_object_in_use_protection::StorageObjectInUseProtection,
    taint_nodes_by_condition::TaintNodesByCondition,
};
use crate::authz::Authorizer;

/// What plugins are made of.
pub struct Parts {
    /// Calls webhooks.
    pub caller: Arc<Caller>,
    /// Decides who may what.
    pub authorizer: Arc<dyn Authorizer>,
    /// Where plugins write.
    pub registry: RegistryOnceThere,
}

struct Row {
    name: &'static str,
    state: State,
    make: Make,
}

/// Makes a plugin of its parts and of what the file tells it. The error says what is wrong with the latter.
type Make = fn(&Parts, Option<serde_json::Value>) -> Result<Box<dyn Plugin>, String>;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// It runs unless it is turned off.
    On,
    /// It runs if it is turned on.
    Off,
    /// Upstream's does nothing without a feature that is off.
    Dormant,
    /// It has still to be written.
    Missing,
}

use State::{Dormant, Missing, Off, On};

const PLUGINS: [Row; 41] = [
    row("AlwaysAdmit", Off, |_, _| boxed(AlwaysAdmit)),
    row("NamespaceAutoProvision", Off, |parts, _| boxed(NamespaceAutoProvision::new(parts.registry.clone()))),
    row("NamespaceLifecycle", On, |_, _| boxed(NamespaceLifecycle)),
    row("NamespaceExists", Off, |_, _| boxed(NamespaceExists)),
    row("LimitPodHardAntiAffinityTopology", Off, |_, _| boxed(LimitPodHardAntiAffinityTopology)),
    row("LimitRanger", On, |_, _| boxed(LimitRanger)),
    row("ServiceAccount", On, |_, _| boxed(ServiceAccount)),
    row("NodeRestriction", On, |_, _| boxed(NodeRestriction)),
    row("TaintNodesByCondition", On, |_, _| boxed(TaintNodesByCondition)),
    row("AlwaysPullImages", Off, |_, _| boxed(AlwaysPullImages)),
    row("ImagePolicyWebhook", Off, image_policy),
    row("PodSecurity", On, |_, told| pod_security(told)),
    row("PodNodeSelector", Off, |_, told| boxed(unversioned::<PodNodeSelector>(told)?)),
    row("Priority", On, |_, _| boxed(Priority)),
    row("DefaultTolerationSeconds", On, |_, _| boxed(DefaultTolerationSeconds)),
    row("PodTolerationRestriction", Off, |_, told| pod_toleration_restriction(told)),
    row("EventRateLimit", Off, |_, told| event_rate_limit(told)),
    row("ExtendedResourceToleration", Off, |_, _| boxed(ExtendedResourceToleration)),
    row("DefaultStorageClass", On, |_, _| boxed(default_class::STORAGE)),
    row("StorageObjectInUseProtection", On, |_, _| boxed(StorageObjectInUseProtection)),
    none("PodGroupProtection", Dormant),
    row("OwnerReferencesPermissionEnforcement", Off, |parts, _| {
        boxed(OwnerReferencesPermissionEnforcement::new(parts.authorizer.clone()))
    }),
    row("PersistentVolumeClaimResize", On, |_, _| boxed(PersistentVolumeClaimResize)),
    row("RuntimeClass", On, |_, _| boxed(RuntimeClass)),
    row("CertificateApproval", On, |parts, _| signers(parts, &signers::APPROVAL)),
    row("CertificateSigning", On, |parts, _| signers(parts, &signers::SIGNING)),
    row("ClusterTrustBundleAttest", On, |parts, _| signers(parts, &signers::ATTEST)),
    row("CertificateSubjectRestriction", On, |_, _| boxed(CertificateSubjectRestriction)),
    row("DefaultIngressClass", On, |_, _| boxed(default_class::INGRESS)),
    row("DenyServiceExternalIPs", Off, |_, _| boxed(DenyServiceExternalIps)),
    row("PodTopologyLabels", On, |_, _| boxed(PodTopologyLabels)),
    none("PodGroupWorkloadExists", Dormant),
    none("NodeDeclaredFeatureValidator", Missing),
    none("JobValidation", Dormant),
    row("PodResizeValidator", On, |_, _| boxed(PodResizeValidator)),
    none("MutatingAdmissionPolicy", Missing),
    row("MutatingAdmissionWebhook", On, |parts, told| webhooks(parts, told, Phase::Mutating)),
    none("ValidatingAdmissionPolicy", Missing),
    row("ValidatingAdmissionWebhook", On, |parts, told| webhooks(parts, told, Phase::Validating)),
    row("ResourceQuota", On, |_, told| match told {
        None => boxed(ResourceQuota),
        Some(_) => Err("limited resources are not read yet".to_owned()),
    }),
    row("AlwaysDeny", Off, |_, _| boxed(AlwaysDeny)),
];

const fn row(name: &'static str, state: State, make: Make) -> Row {
    Row { name, state, make }
}

const fn none(name: &'static str, state: State) -> Row {
    row(name, state, |_, _| boxed(AlwaysAdmit))
}

/// The plugins that `settings` ask for, in order.
pub fn build(settings: &Settings, parts: &Parts) -> Result<Admission, SettingsError> {
    let (enable, disable) = (names(&settings.enable), names(&settings.disable));
    for (flag, names) in [("enable-admission-plugins", &enable), ("disable-admission-plugins", &disable)] {
        if let Some(name) = names.iter().find(|name| PLUGINS.iter().all(|row| row.name != **name)) {
            return Err(SettingsError::Unknown { flag, name: (*name).to_owned() });
        }
    }
    let both: Vec<&str> = enable.intersection(&disable).copied().collect();
    if !both.is_empty() {
        return Err(SettingsError::Overlap(both.join(" ")));
    }
    let told = Told::read(settings.config_file.as_deref())?;
    // Upstream's handler of custom resources does this itself.
    let mut plugins: Vec<Box<dyn Plugin>> = vec![Box::new(CustomResourceTerminating)];
    for row in &PLUGINS {
        let runs = match row.state {
            Missing if enable.contains(row.name) => {
                return Err(SettingsError::Missing(row.name.to_owned()));
            }
            Dormant | Missing => false,
            On => !disable.contains(row.name),
            Off => enable.contains(row.name),
        };
        if runs {
            let made = (row.make)(parts, told.of(row.name));
            plugins.push(made.map_err(|why| SettingsError::Plugin { name: row.name, why })?);
        }
    }
    Ok(Admission::new(plugins))
}

/// The names of the plugins that are there, in order.
pub fn known() -> impl Iterator<Item = &'static str> {
    PLUGINS.iter().filter(|row| row.state != Missing).map(|row| row.name)
}

fn names(given: &[String]) -> BTreeSet<&str> {
    given.iter().map(String::as_str).filter(|name| !name.is_empty()).collect()
}

// === how plugins are made ===

fn boxed(plugin: impl Plugin + 'static) -> Result<Box<dyn Plugin>, String> {
    Ok(Box::new(plugin))
}

fn signers(parts: &Parts, act: &'static signers::Act) -> Result<Box<dyn Plugin>, String> {
    boxed(Signers::new(act, parts.authorizer.clone()))
}

fn webhooks(parts: &Parts, told: Option<serde_json::Value>, phase: Phase) -> Result<Box<dyn Plugin>, String> {
    match told {
        None => boxed(Webhooks::new(phase, parts.caller.clone())),
        Some(_) => Err("credentials for webhooks are not read yet".to_owned()),
    }
}

fn pod_security(told: Option<serde_json::Value>) -> Result<Box<dyn Plugin>, String> {
    const GROUP: &str = "pod-security.admission.config.k8s.io";
    let Some(told) = told else { return boxed(PodSecurity::default()) };
    let versions = ["v1", "v1beta1", "v1alpha1"].map(|version| format!("{GROUP}/{version}"));
    let versions = versions.each_ref().map(String::as_str);
    let file: pod_security::File = versioned(told, "PodSecurityConfiguration", &versions)?;
    boxed(PodSecurity::new(pod_security::Configuration::try_from(file).map_err(|causes| faults(&causes))?))
}

/// Reads settings that bear no version. Without any it is as if they were empty.
fn unversioned<T: DeserializeOwned + Default>(told: Option<serde_json::Value>) -> Result<T, String> {
    told.map_or(Ok(T::default()), |told| serde_json::from_value(told).map_err(|error| error.to_string()))
}

fn image_policy(parts: &Parts, told: Option<serde_json::Value>) -> Result<Box<dyn Plugin>, String> {
    let told = told.ok_or("no config specified")?;
    let file: image_policy_webhook::File = unversioned(Some(told))?;
    boxed(ImagePolicyWebhook::new(file, parts.caller.clone())?)
}

fn pod_toleration_restriction(told: Option<serde_json::Value>) -> Result<Box<dyn Plugin>, String> {
    const VERSION: &str = "podtolerationrestriction.admission.k8s.io/v1alpha1";
    let plugin: PodTolerationRestriction = match told {
        None => PodTolerationRestriction::default(),
        Some(told) => versioned(told, "Configuration", &[VERSION])?,
    };
    match plugin.faults().as_slice() {
        [] => boxed(plugin),
        causes => Err(faults(causes)),
    }
}

fn event_rate_limit(told: Option<serde_json::Value>) -> Result<Box<dyn Plugin>, String> {
    const VERSION: &str = "eventratelimit.admission.k8s.io/v1alpha1";
    let file: event_rate_limit::File = match told {
        None => event_rate_limit::File::default(),
        Some(told) => versioned(told, "Configuration", &[VERSION])?,
    };
    boxed(EventRateLimit::try_from(file).map_err(|causes| faults(&causes))?)
}

/// All causes in one line.
fn faults(causes: &[Cause]) -> String {
    let one = |cause: &Cause| format!("{}: {}", cause.field, cause.message);
    match causes {
        [cause] => one(cause),
        causes => format!("[{}]", causes.iter().map(one).collect::<Vec<_>>().join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_bear_their_plugins_names() {
        // Those that need nothing can be asked.
        for row in PLUGINS.iter().filter(|row| matches!(row.state, On | Off)) {
            assert_eq!(PLUGINS.iter().filter(|other| other.name == row.name).count(), 1, "{}", row.name);
        }
    }
}
