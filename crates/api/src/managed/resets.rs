//! Which fields a write to a resource or to a part of it puts back as they were, so that nobody comes to own them by it
//! (`GetResetFields` of upstream's strategies).

use super::update::Filter;

impl Filter {
    /// What a write to `subresource` (empty for the whole) of the resource `plural` of `group` does not set.
    /// `has_status` is whether its status is a subresource.
    pub fn of_write(group: &str, plural: &str, subresource: &str, has_status: bool) -> Filter {
        match (group, plural, subresource) {
            ("certificates.k8s.io", "certificatesigningrequests", "") => {
                Filter::except(&[&["spec"], &["status"]])
            }
            ("certificates.k8s.io", "certificatesigningrequests", "status") => {
                Filter::except(&[&["spec"], &["status", "conditions"]])
            }
            ("certificates.k8s.io", "certificatesigningrequests", "approval") => {
                Filter::except(&[&["spec"], &["status", "certificate"]])
            }
            ("apps", "deployments", "status") => Filter::except(&[&["spec"], &["metadata", "labels"]]),
            ("", "pods", "status") => Filter::except(&[
                &["spec"],
                &["metadata", "deletionTimestamp"],
                &["metadata", "ownerReferences"],
            ]),
            ("", "namespaces", "finalize") => Filter::except(&[&["status"]]),
            (_, _, "") if has_status => Filter::except(&[&["status"]]),
            (_, _, "status") if puts_metadata_back(group, plural) => {
                Filter::except(&[&["metadata"], &["spec"]])
            }
            (_, _, "status") => Filter::except(&[&["spec"]]),
            _ => Filter::default(),
        }
    }

    /// The same of a custom resource (k8s.io/apiextensions-apiserver/pkg/registry/customresource).
    pub fn of_custom_write(subresource: &str, has_status: bool) -> Filter {
        match (subresource, has_status) {
            ("status", _) => Filter::only("status"),
            (_, true) => Filter::except(&[&["status"]]),
            (_, false) => Filter::default(),
        }
    }
}

/// Whether a write of the status leaves metadata as it is.
fn puts_metadata_back(group: &str, plural: &str) -> bool {
    matches!(
        (group, plural),
        ("networking.k8s.io", "servicecidrs")
            | ("resource.k8s.io", "resourceclaims")
            | ("storage.k8s.io", "volumeattachments")
            | ("flowcontrol.apiserver.k8s.io", _)
            | ("admissionregistration.k8s.io", _)
            | ("apiregistration.k8s.io", _)
    )
}
