//! Claims for which a volume is to be made: by whom, and how they are told.

use std::collections::BTreeMap;

use decapod_client::reference;
use k8s_openapi::api::core::v1::PersistentVolumeClaim;
use k8s_openapi::api::storage::v1::StorageClass;

use super::matching::class_of_claim;
use crate::runtime::{Note, Plan, Write};

/// Who makes the volume; the second as it was called before.
const PROVISIONERS: [&str; 2] =
    ["volume.kubernetes.io/storage-provisioner", "volume.beta.kubernetes.io/storage-provisioner"];
/// What was part of Kubernetes once, and which driver does it now (k8s.io/csi-translation-lib).
const MIGRATED: [(&str, &str); 7] = [
    ("kubernetes.io/aws-ebs", "ebs.csi.aws.com"),
    ("kubernetes.io/azure-disk", "disk.csi.azure.com"),
    ("kubernetes.io/azure-file", "file.csi.azure.com"),
    ("kubernetes.io/cinder", "cinder.csi.openstack.org"),
    ("kubernetes.io/gce-pd", "pd.csi.storage.gke.io"),
    ("kubernetes.io/portworx-volume", "pxd.portworx.com"),
    ("kubernetes.io/vsphere-volume", "csi.vsphere.vmware.com"),
];
/// What begins the names of those that are part of Kubernetes.
const IN_TREE: &str = "kubernetes.io/";

/// Asks the provisioner of the claim's class for a volume.
pub(super) fn ask(claim: &PersistentVolumeClaim, classes: &[StorageClass]) -> Plan {
    let mut plan = Plan::nothing();
    let about = reference(claim);
    let wanted = class_of_claim(claim);
    let Some(class) = classes.iter().find(|class| class.metadata.name.as_deref() == Some(wanted)) else {
        let why = format!("storageclass.storage.k8s.io {wanted:?} not found");
        plan.note(Note::warning(about, "ProvisioningFailed", why));
        return plan;
    };
    let asked = class.provisioner.as_str();
    let migrated = MIGRATED.iter().find(|(name, _)| *name == asked).map(|(_, driver)| *driver);
    if migrated.is_none() && asked.starts_with(IN_TREE) {
        let why = format!("no volume plugin matched name: {asked}");
        plan.note(Note::warning(about, "ProvisioningFailed", why));
        return plan;
    }
    let provisioner = migrated.unwrap_or(asked);
    let marks: BTreeMap<String, String> =
        PROVISIONERS.iter().map(|key| ((*key).to_owned(), provisioner.to_owned())).collect();
    let annotations = claim.metadata.annotations.clone().unwrap_or_default();
    if annotations.get(PROVISIONERS[0]).is_none_or(|before| before != provisioner) {
        let mut marked = claim.clone();
        marked.metadata.annotations.get_or_insert_default().extend(marks);
        let failed = Note::warning(about.clone(), "ProvisioningFailed", "Error saving claim: {error}");
        plan.write(Write::update(&marked).or_saying(failed));
    }
    let message = format!(
        "Waiting for a volume to be created either by the external provisioner '{provisioner}' or manually by the system administrator. If volume creation is delayed, please verify that the provisioner is running and correctly registered."
    );
    plan.note(Note::normal(about, "ExternalProvisioning", message));
    plan
}
