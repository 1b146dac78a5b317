//! The node: its network, the kubelet, the service proxy and DNS.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use decapod_api::{Status, value};
use decapod_apiserver::Server;
use decapod_apiserver::identity::{MASTERS, User};
use decapod_apiserver::pki::Subject;
use decapod_client::{Informer, Options, PatchType, Request, Selection, Verb};
use decapod_dns::Dns;
use decapod_kubelet::{Kubelet, RuntimeChoice, ServerConfig};
use decapod_network::{Kernel, Ledger, NetworkConfig};
use decapod_proxy::{Proxy, ProxyConfig};
use decapod_sys::Env;
use ipnet::{IpNet, Ipv4Net};
use k8s_openapi::api::core::v1::Node as NodeObject;

use super::addons::DNS_ACCOUNT;
use super::plane::Plane;
use super::{Error, Settings};

/// A node that runs.
pub struct Node {
    /// Its kubelet.
    pub kubelet: Kubelet,
    dns: Dns,
    proxy: Proxy,
}

impl Node {
    /// Starts it. The kubelet registers the node, a controller gives it a network for its pods, and then the network,
    /// the proxy and DNS can be.
    pub async fn start(env: &Env, settings: &Settings, plane: &Plane) -> Result<Node, Error> {
        let server = &plane.server;
        let client = server.client(User::node(&settings.node_name), "kubelet");
        let kubelet = Kubelet::start(env, client.clone(), kubelet_config(env, settings, server)?).await?;

        let pod_cidr = pod_cidr(env, server, settings).await?;
        let network = network_config(settings, pod_cidr);
        make_network(settings, &network)?;

        let proxy_client = server.client(User::new("system:kube-proxy", &[]), "kube-proxy");
        let cidr = |(address, bits): (Ipv4Addr, u8)| {
            Ipv4Net::new(address, bits).map(IpNet::V4).into_iter().collect()
        };
        let proxy_config = ProxyConfig::new(
            "",
            &settings.node_name,
            cidr(settings.cluster_cidr),
            cidr(settings.service_cidr),
        );
        let proxy = Proxy::start(env, &proxy_client, proxy_config, decapod_proxy::Kernel::system()?);

        let gateway = NetworkConfig::gateway(&pod_cidr);
        let dns_client = server.client(User::service_account("kube-system", DNS_ACCOUNT), "coredns");
        let dns = Dns::start(env, dns_client, dns_config(settings, gateway)).await?;
        lead_to_dns(server, gateway).await?;
        Ok(Node { kubelet, dns, proxy })
    }

    /// Returns when the node takes pods, services lead somewhere and names resolve.
    pub async fn ready(&self) {
        self.kubelet.ready().await;
        self.proxy.synced().await;
        self.dns.ready().await;
    }
}

fn kubelet_config(env: &Env, settings: &Settings, server: &Server) -> Result<decapod_kubelet::Config, Error> {
    let name = format!("system:node:{}", settings.node_name);
    let hosts = [settings.node_name.clone(), settings.node_ip.to_string(), "127.0.0.1".to_owned()];
    let subject = Subject { name: &name, groups: &["system:nodes"], hosts: &hosts };
    let serving = server.pki().identity("kubelet-server", &subject, env.now())?;
    let paths = &settings.paths;
    Ok(decapod_kubelet::Config {
        pod_log_dir: paths.pod_logs(),
        runtime: RuntimeChoice::Containerd { dirs: settings.runtime_dirs.clone() },
        node_ip: Some(IpAddr::V4(settings.node_ip)),
        cluster_dns: vec![IpAddr::V4(settings.dns_address())],
        cluster_domain: settings.cluster_domain.clone(),
        manifest_dir: Some(paths.manifests()),
        server: Some(ServerConfig {
            listen: SocketAddr::from(([0, 0, 0, 0], settings.kubelet_port)),
            cert_pem: serving.cert_pem.into_bytes(),
            key_pem: serving.key_pem.into_bytes(),
            client_ca_pem: server.pki().ca_pem().as_bytes().to_vec(),
        }),
        cni_conf_dir: paths.cni_conf(),
        cni_bin_dir: paths.cni_bin(),
        ..decapod_kubelet::Config::new(&settings.node_name, &paths.data)
    })
}

/// The network that a controller gives the node for its pods.
async fn pod_cidr(env: &Env, server: &std::sync::Arc<Server>, settings: &Settings) -> Result<IpNet, Error> {
    let scope = env.scope();
    let client = server.client(User::node(&settings.node_name), "decapod");
    let own =
        Selection { field_selector: format!("metadata.name={}", settings.node_name), ..Selection::default() };
    let nodes = Informer::<NodeObject>::start(&scope, &client, own);
    let mut changes = nodes.subscribe();
    let found = loop {
        let Some(change) = changes.next().await else {
            let status = Status::unavailable("the node got no network for its pods");
            return Err(Error::Object { what: format!("nodes/{}", settings.node_name), status });
        };
        let cidr = change
            .new
            .as_ref()
            .and_then(|node| node.text(&["spec", "podCIDR"]).and_then(|text| text.parse().ok()));
        if let Some(cidr) = cidr {
            break cidr;
        }
    };
    scope.shutdown().await;
    Ok(found)
}

/// The network of this node.
pub fn network_config(settings: &Settings, pod_cidr: IpNet) -> NetworkConfig {
    let net = |(address, bits): (Ipv4Addr, u8)| Ipv4Net::new(address, bits).map_or(pod_cidr, IpNet::V4);
    NetworkConfig {
        service_cidrs: vec![net(settings.service_cidr)],
        ..NetworkConfig::new("", pod_cidr, net(settings.cluster_cidr), settings.paths.leases())
    }
}

/// Sets the network up, after writing down what that changes about the machine.
fn make_network(settings: &Settings, network: &NetworkConfig) -> Result<(), Error> {
    let kernel = Kernel::system()?;
    let path = settings.paths.ledger();
    let failed = |source| Error::File { path: path.clone(), source };
    let mut ledger: Ledger = match std::fs::read(&path) {
        Ok(bytes) => serde_json::from_slice(&bytes).map_err(|error| failed(error.into()))?,
        Err(_) => Ledger::default(),
    };
    let planned = decapod_network::plan(&kernel, network);
    ledger.merge(planned.clone());
    let text = serde_json::to_vec_pretty(&ledger).map_err(|error| failed(error.into()))?;
    std::fs::write(&path, text).map_err(failed)?;
    decapod_network::ensure(&kernel, network, &planned)?;
    let paths = &settings.paths;
    let binary = std::env::current_exe().map_err(failed)?;
    decapod_network::install::install(&paths.cni_conf(), &paths.cni_bin(), &binary, network).map_err(failed)
}

fn dns_config(settings: &Settings, gateway: IpAddr) -> decapod_dns::Config {
    decapod_dns::Config {
        listen: vec![SocketAddr::new(gateway, 53)],
        domain: settings.cluster_domain.clone(),
        ..decapod_dns::Config::default()
    }
}

/// Makes the DNS service lead to this node's DNS.
async fn lead_to_dns(server: &std::sync::Arc<Server>, gateway: IpAddr) -> Result<(), Error> {
    let client = server.client(User::new("system:apiserver", &[MASTERS]), "decapod");
    let failed = |status| Error::Object { what: "endpointslices/kube-dns".into(), status };
    let slice = value!({
        "metadata": {"name": "kube-dns", "namespace": "kube-system",
            "labels": {"kubernetes.io/service-name": "kube-dns", "endpointslice.kubernetes.io/managed-by": "decapod"}},
        "addressType": "IPv4",
        "endpoints": [{"addresses": [gateway.to_string()], "conditions": {"ready": true}}],
        "ports": [{"name": "dns", "port": 53, "protocol": "UDP"}, {"name": "dns-tcp", "port": 53, "protocol": "TCP"}],
    });
    let kinds = server.registry().kinds();
    let resource =
        kinds.find("discovery.k8s.io", "endpointslices").ok_or_else(Status::no_such_path).map_err(failed)?;
    let body: bytes::Bytes = serde_json::to_vec(&slice).map_err(Status::internal).map_err(failed)?.into();
    let create = Request {
        namespace: "kube-system".into(),
        body: body.clone(),
        ..Request::new(Verb::Create, resource.preferred())
    };
    let mut patch =
        Request { verb: Verb::Patch, name: "kube-dns".into(), options: Options::default(), ..create.clone() };
    patch.patch_type = PatchType::Merge;
    match client.call(create).await {
        Err(status) if status.is_already_exists() => client.call(patch).await.map(drop).map_err(failed),
        result => result.map(drop).map_err(failed),
    }
}
