//! The objects that a cluster of ours has beside upstream's: cluster DNS and the right to run it, and what a machine
//! needs that joins.

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use decapod_api::meta::GroupVersionResource;
use decapod_api::{Status, Value, value};
use decapod_apiserver::identity::{MASTERS, User};
use decapod_cli::token;
use decapod_client::{Client, PatchType, Request, Verb};

use super::plane::Plane;
use super::{Error, Settings};

/// The service account as which DNS reads the cluster.
pub const DNS_ACCOUNT: &str = "coredns";
/// The ConfigMap of `kube-system` that says what the cluster looks like.
pub const LAYOUT: &str = "decapod-cluster";

const RBAC: &str = "rbac.authorization.k8s.io";

/// Group, plural and the object itself.
type Addon = (&'static str, &'static str, Value);

/// Makes what is missing, and changes back what has been changed of it.
pub async fn apply(plane: &Plane, settings: &Settings) -> Result<(), Error> {
    let client = plane.server.client(User::new("system:apiserver", &[MASTERS]), "decapod");
    let kinds = plane.server.registry().kinds();
    let objects = [dns(settings), nodes(settings), joining(plane, settings)].concat();
    for (group, plural, object) in objects {
        let name = object.str_at(&["metadata", "name"]).unwrap_or_default();
        let failed = |status: Status| Error::Object { what: format!("{plural}/{name}"), status };
        let resource = kinds.find(group, plural).ok_or_else(Status::no_such_path).map_err(failed)?;
        ensure(&client, resource.preferred(), &object).await.map_err(failed)?;
    }
    Ok(())
}

async fn ensure(client: &Client, resource: GroupVersionResource, object: &Value) -> Result<(), Status> {
    let text = |field: &str| object.str_at(&["metadata", field]).unwrap_or_default().to_owned();
    let create = Request {
        namespace: text("namespace"),
        body: serde_json::to_vec(object).map_err(Status::internal)?.into(),
        ..Request::new(Verb::Create, resource)
    };
    let mut patch = Request { verb: Verb::Patch, name: text("name"), ..create.clone() };
    patch.patch_type = PatchType::Merge;
    match client.call(create).await {
        Err(status) if status.is_already_exists() => client.call(patch).await.map(drop),
        result => result.map(drop),
    }
}

/// Cluster DNS: its service, and who runs it and keeps the service leading there.
fn dns(settings: &Settings) -> Vec<Addon> {
    let port = |name: &str, protocol: &str| value!({"name": name, "port": 53, "protocol": protocol, "targetPort": 53});
    let mut service = value!({
        "metadata": {"name": "kube-dns", "namespace": "kube-system",
            "labels": {"k8s-app": "kube-dns", "kubernetes.io/name": "CoreDNS", "kubernetes.io/cluster-service": "true"}},
        "spec": {"clusterIP": settings.layout.dns_address().to_string(), "trafficDistribution": "PreferSameNode"},
    });
    service.set_at(&["spec", "ports"], vec![port("dns", "UDP"), port("dns-tcp", "TCP")]);
    let reads = |group: &str, resources: Value| value!({"apiGroups": [group], "resources": resources, "verbs": ["list", "watch"]});
    let read = vec![
        reads("", value!(["endpoints", "services", "namespaces"])),
        reads("discovery.k8s.io", value!(["endpointslices"])),
    ];
    let keep = vec![
        value!({"apiGroups": ["discovery.k8s.io"], "resources": ["endpointslices"], "verbs": ["create", "patch"]}),
    ];
    let keeper = "cluster-dns-controller";
    [
        vec![(
            "",
            "serviceaccounts",
            value!({"metadata": {"name": DNS_ACCOUNT, "namespace": "kube-system"}}),
        )],
        role("system:coredns", "", read, account(DNS_ACCOUNT)),
        role("decapod:cluster-dns-controller", "kube-system", keep, account(keeper)),
        vec![("", "services", service)],
    ]
    .concat()
}

/// What nodes read that upstream's do not as themselves: the proxy and DNS of a node that has joined act as the node.
fn nodes(settings: &Settings) -> Vec<Addon> {
    let reads = |group: &str, resources: Value| value!({"apiGroups": [group], "resources": resources, "verbs": ["list", "watch"]});
    let rules = vec![
        reads("", value!(["endpoints", "services", "namespaces", "nodes"])),
        reads("discovery.k8s.io", value!(["endpointslices"])),
        reads("networking.k8s.io", value!(["servicecidrs"])),
    ];
    let read_layout = vec![
        value!({"apiGroups": [""], "resources": ["configmaps"], "resourceNames": [LAYOUT], "verbs": ["get"]}),
    ];
    let layout = serde_json::to_value(&settings.layout).unwrap_or_default();
    let mut map = value!({"metadata": {"name": LAYOUT, "namespace": "kube-system"}});
    map.set_at(&["data"], decapod_api::value::from_json(layout));
    [
        role("decapod:node", "", rules, group("system:nodes")),
        role("decapod:cluster-layout", "kube-system", read_layout, group("system:nodes")),
        vec![("", "configmaps", map)],
    ]
    .concat()
}

/// What a machine needs that joins, under the names that `kubeadm` has for it: everybody may know the cluster's
/// authority; who has a token may ask for a node's certificate, and gets it; and nodes may renew theirs.
fn joining(plane: &Plane, settings: &Settings) -> Vec<Addon> {
    let server = format!("https://{}:{}", settings.node.node_ip, settings.port);
    let authority = BASE64.encode(plane.server.pki().ca_pem());
    let kubeconfig = value!({
        "apiVersion": "v1", "kind": "Config", "preferences": {}, "contexts": [], "users": [], "current-context": "",
        "clusters": [{"name": "", "cluster": {"server": server, "certificate-authority-data": authority}}],
    });
    let kubeconfig = serde_json::to_string(&kubeconfig).unwrap_or_default();
    let info = value!({
        "metadata": {"name": "cluster-info", "namespace": "kube-public"}, "data": {"kubeconfig": kubeconfig},
    });
    let read_info = vec![
        value!({"apiGroups": [""], "resources": ["configmaps"], "resourceNames": ["cluster-info"], "verbs": ["get"]}),
    ];
    let anybody = value!({"apiGroup": RBAC, "kind": "User", "name": "system:anonymous"});
    let approve = vec![value!({"apiGroups": ["certificates.k8s.io"], "resources": ["signers"],
        "resourceNames": ["kubernetes.io/kubelet-serving"], "verbs": ["approve"]})];
    let requests = |of: &str| format!("system:certificates.k8s.io:certificatesigningrequests:{of}");
    [
        vec![("", "configmaps", info)],
        role("kubeadm:bootstrap-signer-clusterinfo", "kube-public", read_info, anybody),
        role("decapod:kubelet-serving-approver", "", approve, account("certificate-controller")),
        vec![
            binding("kubeadm:kubelet-bootstrap", "", "system:node-bootstrapper", group(token::GROUP)),
            binding("kubeadm:node-autoapprove-bootstrap", "", &requests("nodeclient"), group(token::GROUP)),
            binding(
                "kubeadm:node-autoapprove-certificate-rotation",
                "",
                &requests("selfnodeclient"),
                group("system:nodes"),
            ),
        ],
    ]
    .concat()
}

fn group(name: &str) -> Value {
    value!({"apiGroup": RBAC, "kind": "Group", "name": name})
}

fn account(name: &str) -> Value {
    value!({"kind": "ServiceAccount", "name": name, "namespace": "kube-system"})
}

/// A role, and that `subject` has it, in `namespace` or everywhere.
fn role(name: &str, namespace: &str, rules: Vec<Value>, subject: Value) -> Vec<Addon> {
    let plural = if namespace.is_empty() { "clusterroles" } else { "roles" };
    let mut role = value!({"metadata": metadata(name, namespace)});
    role.set_at(&["rules"], rules);
    vec![(RBAC, plural, role), binding(name, namespace, name, subject)]
}

/// That `subject` has a role.
fn binding(name: &str, namespace: &str, role: &str, subject: Value) -> Addon {
    let (plural, kind) =
        if namespace.is_empty() { ("clusterrolebindings", "ClusterRole") } else { ("rolebindings", "Role") };
    let mut binding = value!({
        "metadata": metadata(name, namespace),
        "roleRef": {"apiGroup": RBAC, "kind": kind, "name": role},
    });
    binding.set_at(&["subjects"], vec![subject]);
    (RBAC, plural, binding)
}

fn metadata(name: &str, namespace: &str) -> Value {
    let mut metadata = value!({"name": name, "labels": {"kubernetes.io/bootstrapping": "rbac-defaults"}});
    if !namespace.is_empty() {
        metadata.set_at(&["namespace"], namespace);
    }
    metadata
}
