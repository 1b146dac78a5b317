//! The strategy of each kind that has one: a file a kind, a folder a group.

mod admissionregistration;
pub mod apiextensions;
mod apiregistration;
mod apps;
mod autoscaling;
mod batch;
mod certificates;
mod checks;
mod conditions;
mod coordination;
mod core;
mod discovery;
mod fill;
mod flowcontrol;
mod image;
mod networking;
mod node;
mod policy;
mod rbac;
mod resource;
mod rules;
mod scheduling;
mod storage;

pub(crate) use self::core::pod::qos;
pub use self::core::pod::qos::class as qos_class;
pub(crate) use self::core::resource_names;
pub use self::core::resource_names::is_extended as is_extended_resource;

use std::sync::Arc;

use super::strategy::{Plain, Strategy};
use crate::{Cause, Value};

/// What is wrong with a list of tolerations that stands in the field `field`.
pub fn tolerations(field: &str, tolerations: &Value) -> Vec<Cause> {
    let (mut holder, mut out) = (Value::map(), Vec::new());
    holder.set_at(&[field], tolerations.clone());
    self::core::pod_spec::validate::scheduling::tolerations(
        &rules::Place::root(&holder).field(field),
        &mut out,
    );
    out
}

/// The strategy of a built-in kind.
pub fn of(group: &str, kind: &str) -> Arc<dyn Strategy> {
    match (group, kind) {
        ("", kind) => of_core(kind),
        ("events.k8s.io", "Event") => Arc::new(core::Event { strict: true }),
        ("apps", "ControllerRevision") => Arc::new(apps::ControllerRevision),
        ("apps", "DaemonSet") => Arc::new(apps::DaemonSet),
        ("apps", "Deployment") => Arc::new(apps::Deployment),
        ("apps", "ReplicaSet") => Arc::new(apps::ReplicaSet),
        ("apps", "StatefulSet") => Arc::new(apps::StatefulSet),
        ("batch", "Job") => Arc::new(batch::Job),
        ("batch", "CronJob") => Arc::new(batch::CronJob),
        ("autoscaling", "HorizontalPodAutoscaler") => Arc::new(autoscaling::HorizontalPodAutoscaler),
        ("certificates.k8s.io", "CertificateSigningRequest") => {
            Arc::new(certificates::CertificateSigningRequest)
        }
        ("coordination.k8s.io", "Lease") => Arc::new(coordination::Lease),
        ("networking.k8s.io", "Ingress") => Arc::new(networking::Ingress),
        ("networking.k8s.io", "IngressClass") => Arc::new(networking::IngressClass),
        ("networking.k8s.io", "NetworkPolicy") => Arc::new(networking::NetworkPolicy),
        ("networking.k8s.io", "IPAddress") => Arc::new(networking::IpAddress),
        ("networking.k8s.io", "ServiceCIDR") => Arc::new(networking::ServiceCidr),
        ("node.k8s.io", "RuntimeClass") => Arc::new(node::RuntimeClass),
        ("policy", "PodDisruptionBudget") => Arc::new(policy::PodDisruptionBudget),
        ("rbac.authorization.k8s.io", "Role" | "ClusterRole") => {
            Arc::new(rbac::Role { namespaced: kind == "Role" })
        }
        ("rbac.authorization.k8s.io", "RoleBinding" | "ClusterRoleBinding") => {
            Arc::new(rbac::RoleBinding { namespaced: kind == "RoleBinding" })
        }
        ("scheduling.k8s.io", "PriorityClass") => Arc::new(scheduling::PriorityClass),
        ("storage.k8s.io", "CSIDriver") => Arc::new(storage::CsiDriver),
        ("storage.k8s.io", "CSINode") => Arc::new(storage::CsiNode),
        ("storage.k8s.io", "CSIStorageCapacity") => Arc::new(storage::CsiStorageCapacity),
        ("storage.k8s.io", "VolumeAttributesClass") => Arc::new(storage::VolumeAttributesClass),
        ("storage.k8s.io", "StorageClass") => Arc::new(storage::StorageClass),
        ("storage.k8s.io", "VolumeAttachment") => Arc::new(storage::VolumeAttachment),
        ("admissionregistration.k8s.io", "ValidatingWebhookConfiguration") => {
            Arc::new(admissionregistration::ValidatingWebhooks)
        }
        ("admissionregistration.k8s.io", "MutatingWebhookConfiguration") => {
            Arc::new(admissionregistration::MutatingWebhooks)
        }
        ("admissionregistration.k8s.io", "ValidatingAdmissionPolicy" | "MutatingAdmissionPolicy") => {
            Arc::new(admissionregistration::Policy { validates: kind.starts_with("Validating") })
        }
        (
            "admissionregistration.k8s.io",
            "ValidatingAdmissionPolicyBinding" | "MutatingAdmissionPolicyBinding",
        ) => Arc::new(admissionregistration::PolicyBinding { validates: kind.starts_with("Validating") }),
        ("apiextensions.k8s.io", "CustomResourceDefinition") => {
            Arc::new(apiextensions::CustomResourceDefinition)
        }
        ("apiregistration.k8s.io", "APIService") => Arc::new(apiregistration::ApiService),
        ("discovery.k8s.io", "EndpointSlice") => Arc::new(discovery::EndpointSlice),
        ("flowcontrol.apiserver.k8s.io", "FlowSchema") => Arc::new(flowcontrol::FlowSchema),
        ("flowcontrol.apiserver.k8s.io", "PriorityLevelConfiguration") => {
            Arc::new(flowcontrol::PriorityLevelConfiguration)
        }
        ("resource.k8s.io", "DeviceClass") => Arc::new(resource::DeviceClass),
        ("resource.k8s.io", "ResourceClaim") => Arc::new(resource::ResourceClaim),
        ("resource.k8s.io", "ResourceClaimTemplate") => Arc::new(resource::ResourceClaimTemplate),
        ("resource.k8s.io", "ResourceSlice") => Arc::new(resource::ResourceSlice),
        _ => Arc::new(Plain),
    }
}

/// The strategy of a kind of the core group.
fn of_core(kind: &str) -> Arc<dyn Strategy> {
    match kind {
        "ConfigMap" => Arc::new(core::ConfigMap),
        "Endpoints" => Arc::new(core::Endpoints),
        "Event" => Arc::new(core::Event { strict: false }),
        "LimitRange" => Arc::new(core::LimitRange),
        "Namespace" => Arc::new(core::Namespace),
        "Node" => Arc::new(core::Node),
        "PersistentVolume" => Arc::new(core::PersistentVolume),
        "PersistentVolumeClaim" => Arc::new(core::PersistentVolumeClaim),
        "Pod" => Arc::new(core::Pod),
        "PodTemplate" => Arc::new(core::PodTemplate),
        "ReplicationController" => Arc::new(core::ReplicationController),
        "ResourceQuota" => Arc::new(core::ResourceQuota),
        "Secret" => Arc::new(core::Secret),
        "Service" => Arc::new(core::Service),
        "ServiceAccount" => Arc::new(core::ServiceAccount),
        _ => Arc::new(Plain),
    }
}

#[cfg(test)]
mod tests;
