//! ServiceAccount: every pod runs as a service account and gets its token mounted
//! (k8s.io/kubernetes/plugin/pkg/admission/serviceaccount).

use decapod_api::{Status, Value, value};

use super::{Attributes, Operation, Plugin};
use crate::registry::Lookup;

/// The plugin.
pub struct ServiceAccount;

const MOUNT_PATH: &str = "/var/run/secrets/kubernetes.io/serviceaccount";
const MIRROR: &str = "kubernetes.io/config.mirror";
const VOLUME_PREFIX: &str = "kube-api-access-";
const TOKEN_SECONDS: i64 = 3607;

impl Plugin for ServiceAccount {
    fn name(&self) -> &'static str {
        "ServiceAccount"
    }

    fn handles(&self, attributes: &Attributes) -> bool {
        attributes.operation == Operation::Create
            && attributes.is("", "pods")
            && attributes.subresource.is_empty()
    }

    fn mutate(&self, attributes: &mut Attributes, lookup: &dyn Lookup) -> Result<(), Status> {
        if attributes.object.at(&["metadata", "annotations", MIRROR]).is_some() {
            return mirror(attributes);
        }
        if attributes.object.str_at(&["spec", "serviceAccountName"]).unwrap_or_default().is_empty() {
            attributes.object.set_at(&["spec", "serviceAccountName"], "default");
            attributes.object.set_at(&["spec", "serviceAccount"], "default");
        }
        let name = attributes.object.str_at(&["spec", "serviceAccountName"]).unwrap_or_default().to_owned();
        let account = lookup.draft("", "serviceaccounts", attributes.namespace, &name).ok_or_else(|| {
            let why = format!(
                "error looking up service account {}/{name}: serviceaccount \"{name}\" not found",
                attributes.namespace
            );
            attributes.forbid(&why)
        })?;
        let automount = |value: Option<&Value>| value.and_then(Value::as_bool);
        let of_pod = automount(attributes.object.at(&["spec", "automountServiceAccountToken"]));
        let wanted = of_pod.or(automount(account.get("automountServiceAccountToken"))).unwrap_or(true);
        if wanted {
            mount(&mut attributes.object, attributes.user);
        }
        if attributes.object.list_at(&["spec", "imagePullSecrets"]).is_empty() {
            let secrets = account.list_at(&["imagePullSecrets"]).to_vec();
            if !secrets.is_empty() {
                attributes.object.set_at(&["spec", "imagePullSecrets"], secrets);
            }
        }
        Ok(())
    }
}

/// Pods that mirror a node's static ones have no rights in the cluster.
fn mirror(attributes: &Attributes) -> Result<(), Status> {
    if !attributes.object.str_at(&["spec", "serviceAccountName"]).unwrap_or_default().is_empty() {
        return Err(attributes.forbid("a mirror pod may not reference service accounts"));
    }
    let refers = |volume: &Value| {
        volume
            .list_at(&["projected", "sources"])
            .iter()
            .any(|source| source.get("serviceAccountToken").is_some())
    };
    if attributes.object.list_at(&["spec", "volumes"]).iter().any(refers) {
        return Err(attributes.forbid("a mirror pod may not use ServiceAccountToken volume projections"));
    }
    Ok(())
}

/// Gives every container that has nothing at the path the token, the CA and the namespace.
fn mount(pod: &mut Value, _user: &crate::identity::User) {
    let existing = pod
        .list_at(&["spec", "volumes"])
        .iter()
        .filter_map(|volume| volume.str_at(&["name"]))
        .find(|name| name.starts_with(VOLUME_PREFIX))
        .map(str::to_owned);
    let name = existing.clone().unwrap_or_else(|| format!("{VOLUME_PREFIX}{}", suffix(pod)));
    let mut needed = false;
    for field in ["initContainers", "containers"] {
        let Some(containers) = pod.at_mut(&["spec", field]).and_then(Value::as_list_mut) else { continue };
        for container in containers {
            let taken = |mount: &Value| mount.str_at(&["mountPath"]) == Some(MOUNT_PATH);
            if !container.list_at(&["volumeMounts"]).iter().any(taken) {
                needed = true;
                let mount = value!({"name": name, "readOnly": true, "mountPath": MOUNT_PATH});
                container.entry_at(&["volumeMounts"]).ensure_list().push(mount);
            }
        }
    }
    if needed && existing.is_none() {
        let volume = value!({"name": name, "projected": {"defaultMode": 0o644, "sources": [
            {"serviceAccountToken": {"path": "token", "expirationSeconds": TOKEN_SECONDS}},
            {"configMap": {"name": "kube-root-ca.crt", "items": [{"key": "ca.crt", "path": "ca.crt"}]}},
            {"downwardAPI": {"items": [{"path": "namespace",
                "fieldRef": {"apiVersion": "v1", "fieldPath": "metadata.namespace"}}]}},
        ]}});
        pod.entry_at(&["spec", "volumes"]).ensure_list().push(volume);
    }
}

/// Five letters that tell the volume from the pod's own. They need not be random: a name within one pod collides with
/// none of its own volumes.
fn suffix(pod: &Value) -> String {
    const ALPHABET: &[u8] = b"bcdfghjklmnpqrstvwxz2456789";
    let text = serde_json::to_string(pod).unwrap_or_default();
    let mut hash = text
        .bytes()
        .fold(0xcbf2_9ce4_8422_2325u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3));
    let mut out = String::new();
    for _ in 0..5 {
        out.push(char::from(ALPHABET[(hash % ALPHABET.len() as u64) as usize]));
        hash /= ALPHABET.len() as u64;
    }
    out
}
