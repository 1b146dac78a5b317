//! The objects that every cluster has: made, or brought back to what they should be, once at each start and durably,
//! before the server says that it is ready.

use decapod_api::{Status, Value};
use decapod_client::{Options, Request, Verb};
use futures::future;

use crate::identity::{MASTERS, User};
use crate::registry::{Context, Edit, Lookup, Media, Target};
use crate::server::{KUBELET_CLIENT, Server};

/// One object a line: group (`core` for the empty one), plural, JSON.
const OBJECTS: &str = include_str!("objects.txt");

/// The annotation by which an operator keeps a default object from being changed back.
const AUTOUPDATE: &str = "rbac.authorization.kubernetes.io/autoupdate";

const RBAC: &str = "rbac.authorization.k8s.io";

/// Makes what is missing, restores RBAC objects that are to be kept current, and sets up the `kubernetes` service.
pub async fn reconcile(server: &Server) -> Result<(), Status> {
    let context = Context::new(User::new("system:apiserver", &[MASTERS]), "kube-apiserver");
    let objects: Vec<[&str; 3]> = OBJECTS.lines().filter(|line| !line.starts_with('#')).map(parts).collect();
    // Those of one resource do not need one another: at once, so that they are made durable together.
    for some in objects.chunk_by(|[group, plural, _], [next_group, next_plural, _]| {
        (group, plural) == (next_group, next_plural)
    }) {
        let ensure = |[group, plural, object]: [_; 3]| ensure(server, &context, group, plural, object);
        future::try_join_all(some.iter().copied().map(ensure)).await?;
    }
    aggregate(server, &context).await?;
    for object in service_objects(server) {
        let (group, plural, object) = object;
        ensure(server, &context, group, plural, &serde_json::to_string(&object).unwrap_or_default()).await?;
    }
    Ok(())
}

/// Group, plural and JSON of a line.
fn parts(line: &str) -> [&str; 3] {
    let mut parts = line.splitn(3, ' ');
    let [group, plural, object] = [(); 3].map(|()| parts.next().unwrap_or_default());
    [if group == "core" { "" } else { group }, plural, object]
}

async fn ensure(
    server: &Server,
    context: &Context,
    group: &str,
    plural: &str,
    json: &str,
) -> Result<(), Status> {
    let registry = &server.registry;
    let resource = registry.kinds().find(group, plural).ok_or_else(Status::no_such_path)?;
    let wanted: Value = serde_json::from_str(json).map_err(Status::internal)?;
    let text = |field: &str| wanted.str_at(&["metadata", field]).unwrap_or_default().to_owned();
    let (namespace, name) = (text("namespace"), text("name"));
    let mut request =
        Request { namespace: namespace.clone(), ..Request::new(Verb::Create, resource.preferred()) };
    request.body = json.to_owned().into();
    match registry.draft(group, plural, &namespace, &name) {
        None => match registry.handle(context, request, Media::Json).await {
            Err(status) if !status.is_already_exists() => Err(status),
            _ => Ok(()),
        },
        Some(current)
            if group == RBAC && current.str_at(&["metadata", "annotations", AUTOUPDATE]) == Some("true") =>
        {
            restore(server, context, &resource.preferred(), &wanted, &current, request).await
        }
        Some(_) => Ok(()),
    }
}

/// Adds the rules and subjects that a default RBAC object has lost; what was added to it stays
/// (upstream's `ReconcileRoleOptions` without removal).
async fn restore(
    server: &Server,
    context: &Context,
    resource: &decapod_api::meta::GroupVersionResource,
    wanted: &Value,
    current: &Value,
    mut request: Request,
) -> Result<(), Status> {
    let mut new = current.clone();
    for field in ["rules", "subjects"] {
        let missing: Vec<Value> = wanted
            .list_at(&[field])
            .iter()
            .filter(|item| !current.list_at(&[field]).contains(item))
            .cloned()
            .collect();
        if !missing.is_empty() {
            new.entry_at(&[field]).ensure_list().extend(missing);
        }
    }
    if new == *current {
        return Ok(());
    }
    request.verb = Verb::Update;
    request.resource = resource.clone();
    request.name = new.str_at(&["metadata", "name"]).unwrap_or_default().to_owned();
    request.body = serde_json::to_vec(&new).map_err(Status::internal)?.into();
    server.registry.handle(context, request, Media::Json).await.map(drop)
}

/// Gives the aggregated roles the rules of the roles that they select, so that they hold from the first request on;
/// afterwards the controller keeps them.
async fn aggregate(server: &Server, context: &Context) -> Result<(), Status> {
    let registry = &server.registry;
    let resource = registry.kinds().find(RBAC, "clusterroles").ok_or_else(Status::no_such_path)?;
    // Three times, because `admin` selects `edit` selects `view`.
    for _ in 0..3 {
        let roles = registry.drafts(RBAC, "clusterroles", "");
        for role in
            roles.iter().filter(|role| !role.list_at(&["aggregationRule", "clusterRoleSelectors"]).is_empty())
        {
            let rules = aggregated(role, &roles);
            // A start that changes nothing writes nothing: it has to succeed on a full disk.
            if role.list_at(&["rules"]) == rules {
                continue;
            }
            let name = role.str_at(&["metadata", "name"]).unwrap_or_default();
            let target = Target {
                resource: resource.clone(),
                version: 0,
                namespace: String::new(),
                name: name.to_owned(),
                subresource: String::new(),
            };
            let expect = Default::default();
            let set = |current: &Value| {
                let mut new = current.clone();
                new.set_at(&["rules"], rules.clone());
                Ok(Edit::Update(new))
            };
            registry.change(context, &target, &Options::default(), &expect, set).await?;
        }
    }
    Ok(())
}

/// The rules of the roles that `role` selects, each once.
fn aggregated(role: &Value, roles: &[Value]) -> Vec<Value> {
    let selectors: Vec<_> = role
        .list_at(&["aggregationRule", "clusterRoleSelectors"])
        .iter()
        .filter_map(|selector| decapod_api::selector::LabelSelector::from_value(selector).ok())
        .collect();
    let mut rules: Vec<Value> = Vec::new();
    for other in
        roles.iter().filter(|other| other.str_at(&["metadata", "name"]) != role.str_at(&["metadata", "name"]))
    {
        if selectors.iter().any(|selector| selector.matches_labels(other.at(&["metadata", "labels"]))) {
            for rule in other.list_at(&["rules"]) {
                if !rules.contains(rule) {
                    rules.push(rule.clone());
                }
            }
        }
    }
    rules
}

/// The service by which pods reach the API, where it leads, the range that services live in, the server's right to talk to
/// kubelets, and whose certificates it takes, for other servers to take them too (upstream's
/// pkg/controlplane/controller/clusterauthenticationtrust).
fn service_objects(server: &Server) -> Vec<(&'static str, &'static str, Value)> {
    let config = server.config();
    let (base, bits) = config.service_cidr;
    let (port, address) = (config.listen.port(), config.advertise.to_string());
    let service = decapod_api::value!({
        "metadata": {"name": "kubernetes", "namespace": "default",
            "labels": {"component": "apiserver", "provider": "kubernetes"}},
        "spec": {"type": "ClusterIP", "clusterIP": server.service_address().to_string(), "sessionAffinity": "None",
            "ports": [{"name": "https", "port": 443, "protocol": "TCP", "targetPort": port}]},
    });
    let endpoints = decapod_api::value!({
        "metadata": {"name": "kubernetes", "namespace": "default",
            "labels": {"endpointslice.kubernetes.io/skip-mirror": "true"}},
        "subsets": [{"addresses": [{"ip": address}], "ports": [{"name": "https", "port": port, "protocol": "TCP"}]}],
    });
    let slice = decapod_api::value!({
        "metadata": {"name": "kubernetes", "namespace": "default", "labels": {"kubernetes.io/service-name": "kubernetes"}},
        "addressType": "IPv4",
        "endpoints": [{"addresses": [address], "conditions": {"ready": true}}],
        "ports": [{"name": "https", "port": port, "protocol": "TCP"}],
    });
    // Kubelets ask whether the server may, when it connects to them.
    let kubelets = decapod_api::value!({
        "metadata": {"name": "decapod:kubelet-api-admin", "labels": {"kubernetes.io/bootstrapping": "rbac-defaults"}},
        "roleRef": {"apiGroup": RBAC, "kind": "ClusterRole", "name": "system:kubelet-api-admin"},
        "subjects": [{"apiGroup": RBAC, "kind": "User", "name": KUBELET_CLIENT.name}],
    });
    let range = decapod_api::value!({"metadata": {"name": "kubernetes"}, "spec": {"cidrs": [format!("{base}/{bits}")]}});
    let trust = decapod_api::value!({
        "metadata": {"name": "extension-apiserver-authentication", "namespace": "kube-system"},
        "data": {
            "client-ca-file": server.pki().ca_pem(),
            "requestheader-allowed-names": "[\"front-proxy-client\"]",
            "requestheader-client-ca-file": server.pki().front_proxy_ca_pem(),
            "requestheader-extra-headers-prefix": "[\"X-Remote-Extra-\"]",
            "requestheader-group-headers": "[\"X-Remote-Group\"]",
            "requestheader-uid-headers": "[\"X-Remote-Uid\"]",
            "requestheader-username-headers": "[\"X-Remote-User\"]",
        },
    });
    let mut objects = vec![
        ("", "configmaps", trust),
        (RBAC, "clusterrolebindings", kubelets),
        ("networking.k8s.io", "servicecidrs", range),
        ("", "services", service),
    ];
    // A loopback address leads nowhere from a pod, and no endpoint may have one.
    if !config.advertise.is_loopback() {
        objects.push(("", "endpoints", endpoints));
        objects.push(("discovery.k8s.io", "endpointslices", slice));
    }
    objects
}
