//! A container's environment, from everything it can come from (pkg/kubelet kubelet_pods.go makeEnvironmentVariables,
//! pkg/kubelet/envvars).

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{ConfigMap, Container, EnvVar, Secret, Service};

use super::NodePod;
use super::expand::expand;
use crate::downward::{self, DownwardError, Node};

/// Where objects that a pod names are looked up.
pub trait Lookup: Send + Sync {
    /// A config map of the pod's namespace.
    fn config_map(&self, namespace: &str, name: &str) -> Option<ConfigMap>;
    /// A secret of the pod's namespace.
    fn secret(&self, namespace: &str, name: &str) -> Option<Secret>;
}

/// Why a container's environment cannot be made.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum EnvError {
    /// There is no such config map.
    #[error("configmap {0:?} not found")]
    NoConfigMap(String),
    /// There is no such secret.
    #[error("secret {0:?} not found")]
    NoSecret(String),
    /// The config map has no such key.
    #[error("couldn't find key {key} in ConfigMap {namespace}/{name}")]
    NoConfigMapKey {
        /// The key.
        key: String,
        /// The object's namespace.
        namespace: String,
        /// The object's name.
        name: String,
    },
    /// The secret has no such key.
    #[error("couldn't find key {key} in Secret {namespace}/{name}")]
    NoSecretKey {
        /// The key.
        key: String,
        /// The object's namespace.
        namespace: String,
        /// The object's name.
        name: String,
    },
    /// The pod has no such field.
    #[error(transparent)]
    Downward(#[from] DownwardError),
}

/// What there is around the container.
pub struct Around<'a> {
    /// Config maps and secrets.
    pub lookup: &'a dyn Lookup,
    /// The pod's addresses.
    pub pod_ips: &'a [String],
    /// The node.
    pub node: &'a Node,
    /// All services of the cluster.
    pub services: &'a [Service],
}

/// The variables of `container`, sorted by name.
pub fn environment(
    pod: &NodePod,
    container: &Container,
    around: &Around,
) -> Result<Vec<(String, String)>, EnvError> {
    let services = service_variables(pod, around.services);
    let mut variables: BTreeMap<String, String> = BTreeMap::new();
    for source in container.env_from.iter().flatten() {
        let prefix = source.prefix.as_deref().unwrap_or_default();
        let mut add = |key: &str, value: String| {
            let name = format!("{prefix}{key}");
            // Such a name cannot be told from its value.
            if !name.is_empty() && !name.contains('=') {
                variables.insert(name, value);
            }
        };
        if let Some(reference) = &source.config_map_ref {
            let found = around.lookup.config_map(pod.namespace(), &reference.name);
            let found =
                required(found, reference.optional, || EnvError::NoConfigMap(reference.name.clone()))?;
            found.and_then(|map| map.data).into_iter().flatten().for_each(|(key, value)| add(&key, value));
        } else if let Some(reference) = &source.secret_ref {
            let found = around.lookup.secret(pod.namespace(), &reference.name);
            let found = required(found, reference.optional, || EnvError::NoSecret(reference.name.clone()))?;
            let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
            found
                .and_then(|secret| secret.data)
                .into_iter()
                .flatten()
                .for_each(|(key, value)| add(&key, text(value.0)));
        }
    }
    for variable in container.env.iter().flatten() {
        let known = |name: &str| variables.get(name).or_else(|| services.get(name)).cloned();
        if let Some(value) = value_of(pod, container, variable, around, known)? {
            variables.insert(variable.name.clone(), value);
        }
    }
    for (name, value) in services {
        variables.entry(name).or_insert(value);
    }
    Ok(variables.into_iter().collect())
}

/// A variable's value; `None` if it comes from an optional source that is not there.
fn value_of(
    pod: &NodePod,
    container: &Container,
    variable: &EnvVar,
    around: &Around,
    known: impl Fn(&str) -> Option<String>,
) -> Result<Option<String>, EnvError> {
    let source = match (variable.value.as_deref(), &variable.value_from) {
        (Some(value), _) if !value.is_empty() => return Ok(Some(expand(value, known))),
        (_, None) => return Ok(Some(String::new())),
        (_, Some(source)) => source,
    };
    let namespace = pod.namespace().to_owned();
    if let Some(field) = &source.field_ref {
        return Ok(Some(downward::field(pod, &field.field_path, around.pod_ips, around.node)?));
    }
    if let Some(resource) = &source.resource_field_ref {
        return Ok(Some(downward::resource(pod, container, resource, around.node)?));
    }
    if let Some(reference) = &source.config_map_key_ref {
        let (name, key) = (&reference.name, &reference.key);
        let found = around.lookup.config_map(&namespace, name);
        let Some(found) = required(found, reference.optional, || EnvError::NoConfigMap(name.clone()))? else {
            return Ok(None);
        };
        let value = found.data.and_then(|mut data| data.remove(key));
        return required(value, reference.optional, || EnvError::NoConfigMapKey {
            key: key.clone(),
            namespace,
            name: name.clone(),
        });
    }
    if let Some(reference) = &source.secret_key_ref {
        let (name, key) = (&reference.name, &reference.key);
        let found = around.lookup.secret(&namespace, name);
        let Some(found) = required(found, reference.optional, || EnvError::NoSecret(name.clone()))? else {
            return Ok(None);
        };
        let value = found
            .data
            .and_then(|mut data| data.remove(key))
            .map(|value| String::from_utf8_lossy(&value.0).into_owned());
        return required(value, reference.optional, || EnvError::NoSecretKey {
            key: key.clone(),
            namespace,
            name: name.clone(),
        });
    }
    Ok(None)
}

fn required<T>(
    found: Option<T>,
    optional: Option<bool>,
    missing: impl FnOnce() -> EnvError,
) -> Result<Option<T>, EnvError> {
    if found.is_none() && optional != Some(true) { Err(missing()) } else { Ok(found) }
}

/// Where the services of the pod's namespace are, and the API server.
fn service_variables(pod: &NodePod, services: &[Service]) -> BTreeMap<String, String> {
    let linked = pod.spec().enable_service_links != Some(false);
    let mut variables = BTreeMap::new();
    for service in services {
        let namespace = service.metadata.namespace.as_deref().unwrap_or_default();
        let name = service.metadata.name.as_deref().unwrap_or_default();
        let is_master = namespace == "default" && name == "kubernetes";
        if !(is_master || linked && namespace == pod.namespace()) {
            continue;
        }
        // A service of that name in the pod's own namespace does not hide the API server.
        if !is_master && name == "kubernetes" {
            continue;
        }
        add_service(&mut variables, name, service);
    }
    variables
}

fn add_service(variables: &mut BTreeMap<String, String>, name: &str, service: &Service) {
    let Some(spec) = &service.spec else { return };
    let Some(ip) = spec.cluster_ip.as_deref().filter(|ip| !ip.is_empty() && *ip != "None") else { return };
    let ports = spec.ports.as_deref().unwrap_or_default();
    let Some(first) = ports.first() else { return };
    let host = if ip.contains(':') { format!("[{ip}]") } else { ip.to_owned() };
    let upper = |text: &str| text.to_uppercase().replace('-', "_");
    let prefix = upper(name);
    variables.insert(format!("{prefix}_SERVICE_HOST"), ip.to_owned());
    variables.insert(format!("{prefix}_SERVICE_PORT"), first.port.to_string());
    for (index, port) in ports.iter().enumerate() {
        if let Some(name) = port.name.as_deref().filter(|name| !name.is_empty()) {
            variables.insert(format!("{prefix}_SERVICE_PORT_{}", upper(name)), port.port.to_string());
        }
        let protocol = port.protocol.as_deref().unwrap_or("TCP");
        let (number, lower) = (port.port, protocol.to_lowercase());
        let url = format!("{lower}://{host}:{number}");
        if index == 0 {
            variables.insert(format!("{prefix}_PORT"), url.clone());
        }
        let port_prefix = format!("{prefix}_PORT_{number}_{}", protocol.to_uppercase());
        variables.insert(port_prefix.clone(), url);
        variables.insert(format!("{port_prefix}_PROTO"), lower);
        variables.insert(format!("{port_prefix}_PORT"), number.to_string());
        variables.insert(format!("{port_prefix}_ADDR"), ip.to_owned());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pod::tests::pod;
    use serde_json::json;

    struct Objects;

    impl Lookup for Objects {
        fn config_map(&self, _: &str, name: &str) -> Option<ConfigMap> {
            (name == "c").then(|| {
                serde_json::from_value(json!({ "metadata": {}, "data": { "K": "v", "a=b": "no" } })).unwrap()
            })
        }

        fn secret(&self, _: &str, name: &str) -> Option<Secret> {
            (name == "s")
                .then(|| serde_json::from_value(json!({ "metadata": {}, "data": { "P": "cHc=" } })).unwrap())
        }
    }

    fn vars(container: serde_json::Value) -> Result<String, String> {
        let pod = pod(json!({ "serviceAccountName": "sa", "containers": [container] }));
        let services: Vec<Service> = vec![serde_json::from_value(json!({
            "metadata": { "name": "kubernetes", "namespace": "default" },
            "spec": { "clusterIP": "10.43.0.1", "ports": [{ "name": "https", "port": 443, "protocol": "TCP" }] },
        })).unwrap()];
        let node = Node { name: "n".into(), ips: vec!["1.1.1.1".into()], ..Node::default() };
        let around =
            Around { lookup: &Objects, pod_ips: &["10.1.0.1".into()], node: &node, services: &services };
        let variables = environment(&pod, &pod.regular()[0], &around).map_err(|error| error.to_string())?;
        let shown = variables.iter().filter(|(name, _)| !name.starts_with("KUBERNETES"));
        Ok(shown.map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join(" "))
    }

    #[test]
    fn all_sources() {
        let field = |path: &str| json!({ "fieldRef": { "fieldPath": path } });
        let cases = [
            (
                json!([{ "name": "A", "value": "$(B)$$(C)" }, { "name": "B", "value": "1" }]),
                Ok("A=$(B)$(C) B=1"),
            ),
            (
                json!([{ "name": "B", "value": "1" }, { "name": "A", "value": "$(B)$(KUBERNETES_SERVICE_PORT)" }]),
                Ok("A=1443 B=1"),
            ),
            (
                json!([{ "name": "A", "valueFrom": field("status.podIP") }, { "name": "B", "valueFrom": field("spec.nodeName") }]),
                Ok("A=10.1.0.1 B=n"),
            ),
            (
                json!([{ "name": "A", "valueFrom": { "configMapKeyRef": { "name": "c", "key": "K" } } }]),
                Ok("A=v"),
            ),
            (
                json!([{ "name": "A", "valueFrom": { "configMapKeyRef": { "name": "x", "key": "K", "optional": true } } }]),
                Ok(""),
            ),
            (
                json!([{ "name": "A", "valueFrom": { "configMapKeyRef": { "name": "x", "key": "K" } } }]),
                Err("configmap \"x\" not found"),
            ),
            (
                json!([{ "name": "A", "valueFrom": { "secretKeyRef": { "name": "s", "key": "P" } } }]),
                Ok("A=pw"),
            ),
            (
                json!([{ "name": "A", "valueFrom": { "secretKeyRef": { "name": "s", "key": "Q" } } }]),
                Err("couldn't find key Q in Secret default/s"),
            ),
        ];
        for (env, expected) in cases {
            let shown = vars(json!({ "name": "a", "env": env.clone() }));
            assert_eq!(shown, expected.map(str::to_owned).map_err(str::to_owned), "{env}");
        }
        let from =
            json!([{ "prefix": "X_", "configMapRef": { "name": "c" } }, { "secretRef": { "name": "s" } }]);
        assert_eq!(vars(json!({ "name": "a", "envFrom": from })).unwrap(), "P=pw X_K=v");
    }
}
