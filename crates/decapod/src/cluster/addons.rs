//! The objects that a cluster of ours has beside upstream's: cluster DNS and the right to run it.

use decapod_api::{Status, Value, value};
use decapod_apiserver::identity::{MASTERS, User};
use decapod_client::{Request, Verb};

use super::plane::Plane;
use super::{Error, Settings};

/// The service account as which DNS reads the cluster.
pub const DNS_ACCOUNT: &str = "coredns";

/// Makes what is missing.
pub async fn apply(plane: &Plane, settings: &Settings) -> Result<(), Error> {
    let client = plane.server.client(User::new("system:apiserver", &[MASTERS]), "decapod");
    let kinds = plane.server.registry().kinds();
    for (group, plural, object) in objects(settings) {
        let name = object.str_at(&["metadata", "name"]).unwrap_or_default().to_owned();
        let failed = |status: Status| Error::Object { what: format!("{plural}/{name}"), status };
        let resource = kinds.find(group, plural).ok_or_else(|| failed(Status::no_such_path()))?;
        let mut request = Request::new(Verb::Create, resource.preferred());
        request.namespace = object.str_at(&["metadata", "namespace"]).unwrap_or_default().to_owned();
        request.body = serde_json::to_vec(&object).map_err(Status::internal).map_err(failed)?.into();
        match client.call(request).await {
            Err(status) if !status.is_already_exists() => return Err(failed(status)),
            _ => {}
        }
    }
    Ok(())
}

fn objects(settings: &Settings) -> Vec<(&'static str, &'static str, Value)> {
    const RBAC: &str = "rbac.authorization.k8s.io";
    let role = value!({
        "metadata": {"name": "system:coredns", "labels": {"kubernetes.io/bootstrapping": "rbac-defaults"}},
        "rules": [
            {"apiGroups": [""], "resources": ["endpoints", "services", "pods", "namespaces"], "verbs": ["list", "watch"]},
            {"apiGroups": ["discovery.k8s.io"], "resources": ["endpointslices"], "verbs": ["list", "watch"]},
        ],
    });
    let binding = value!({
        "metadata": {"name": "system:coredns", "labels": {"kubernetes.io/bootstrapping": "rbac-defaults"}},
        "roleRef": {"apiGroup": RBAC, "kind": "ClusterRole", "name": "system:coredns"},
        "subjects": [{"kind": "ServiceAccount", "name": DNS_ACCOUNT, "namespace": "kube-system"}],
    });
    let account = value!({"metadata": {"name": DNS_ACCOUNT, "namespace": "kube-system"}});
    let port = |name: &str, protocol: &str| value!({"name": name, "port": 53, "protocol": protocol, "targetPort": 53});
    let mut service = value!({
        "metadata": {"name": "kube-dns", "namespace": "kube-system",
            "labels": {"k8s-app": "kube-dns", "kubernetes.io/name": "CoreDNS", "kubernetes.io/cluster-service": "true"}},
        "spec": {"clusterIP": settings.dns_address().to_string()},
    });
    service.set_at(&["spec", "ports"], vec![port("dns", "UDP"), port("dns-tcp", "TCP")]);
    vec![
        (RBAC, "clusterroles", role),
        (RBAC, "clusterrolebindings", binding),
        ("", "serviceaccounts", account),
        ("", "services", service),
    ]
}
