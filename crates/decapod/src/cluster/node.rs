//! The node: its network, the kubelet, the service proxy and DNS.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use decapod_api::Status;
use decapod_apiserver::Server;
use decapod_apiserver::identity::User;
use decapod_apiserver::pki::{Pki, Subject};
use decapod_client::{Client, Informer, Selection, certified_key};
use decapod_controllers::clusterdns;
use decapod_dns::Dns;
use decapod_kubelet::{Kubelet, RuntimeChoice, ServerConfig};
use decapod_network::{Kernel, NetworkConfig, Routes};
use decapod_proxy::{Proxy, ProxyConfig};
use decapod_sys::Env;
use ipnet::IpNet;
use k8s_openapi::api::core::v1::Node as NodeObject;
use rustls::server::ResolvesServerCert;
use rustls::sign::SingleCertAndKey;

use super::addons::DNS_ACCOUNT;
use super::settings::{Layout, NodeSettings};
use super::{Error, ledger, neighbors, ports};

/// A node that runs.
pub struct Node {
    /// Its kubelet.
    pub kubelet: Kubelet,
    dns: Dns,
    proxy: Proxy,
}

/// As whom the parts of a node ask the API server, and as what its own API is served.
pub struct Access {
    /// The kubelet.
    pub kubelet: Client,
    /// The service proxy, which sees services and nodes.
    pub proxy: Client,
    /// DNS.
    pub dns: Client,
    /// The certificate of the kubelet's API.
    pub serving: Arc<dyn ResolvesServerCert>,
    /// Who signs the certificates of the kubelet's callers, in PEM.
    pub ca_pem: String,
}

// === impl Access ===

impl Access {
    /// The way to an API server in this process, for each part as itself.
    pub fn local(env: &Env, server: &Arc<Server>, settings: &NodeSettings) -> Result<Access, Error> {
        Ok(Access {
            kubelet: server.client(User::node(&settings.node_name), "kubelet"),
            proxy: server.client(User::new("system:kube-proxy", &[]), "kube-proxy"),
            dns: server.client(User::service_account("kube-system", DNS_ACCOUNT), "coredns"),
            serving: serving_certificate(env, server.pki(), settings)?,
            ca_pem: server.pki().ca_pem().to_owned(),
        })
    }
}

// === impl Node ===

impl Node {
    /// Starts it. The kubelet registers the node, a controller gives it a network for its pods, and then the network,
    /// the proxy and DNS can be.
    pub async fn start(
        env: &Env,
        settings: &NodeSettings,
        layout: &Layout,
        access: Access,
    ) -> Result<Node, Error> {
        let kubelet =
            start_kubelet(env, settings, &access, kubelet_config(settings, layout, &access)).await?;
        let pod_cidr = start_network(env, settings, layout, &access).await?;

        let proxy_config = ProxyConfig::new(
            settings.kernel_name(),
            &settings.node_name,
            vec![layout.pods()],
            vec![layout.services()],
        );
        let proxy = Proxy::start(env, &access.proxy, proxy_config, decapod_proxy::Kernel::system()?);

        let gateway = NetworkConfig::gateway(&pod_cidr);
        let dns = Dns::start(env, access.dns.clone(), dns_config(layout, gateway)).await?;
        Ok(Node { kubelet, dns, proxy })
    }

    /// Returns when the node takes pods, services lead somewhere and names resolve.
    pub async fn ready(&self) {
        self.kubelet.ready().await;
        self.proxy.synced().await;
        self.dns.ready().await;
    }
}

/// A certificate for the kubelet's API by an authority of the node's own, as upstream's kubelet makes where it gets none.
pub fn own_certificate(env: &Env, settings: &NodeSettings) -> Result<Arc<dyn ResolvesServerCert>, Error> {
    serving_certificate(env, &Pki::open(&settings.paths.node_pki(), env.now())?, settings)
}

fn serving_certificate(
    env: &Env,
    pki: &Pki,
    settings: &NodeSettings,
) -> Result<Arc<dyn ResolvesServerCert>, Error> {
    let name = format!("system:node:{}", settings.node_name);
    let hosts = [settings.node_name.clone(), settings.node_ip.to_string(), "127.0.0.1".to_owned()];
    let subject = Subject { name: &name, groups: &["system:nodes"], hosts: &hosts };
    let serving = pki.identity("kubelet-server", &subject, env.now())?;
    let certified = certified_key(serving.cert_pem.as_bytes(), serving.key_pem.as_bytes())?;
    Ok(Arc::new(SingleCertAndKey::from(certified)))
}

/// Starts the kubelet; it registers the node.
pub async fn start_kubelet(
    env: &Env,
    settings: &NodeSettings,
    access: &Access,
    config: decapod_kubelet::Config,
) -> Result<Kubelet, Error> {
    settings.record()?;
    ports::check(settings.kubelet_port, "--kubelet-port")?;
    Ok(Kubelet::start(env, access.kubelet.clone(), config).await?)
}

/// Starts the network of the node's pods once a controller has given the node one, which is returned.
pub async fn start_network(
    env: &Env,
    settings: &NodeSettings,
    layout: &Layout,
    access: &Access,
) -> Result<IpNet, Error> {
    let pod_cidr = pod_cidr(env, &access.kubelet, &settings.node_name).await?;
    let network = network_config(settings, layout, pod_cidr);
    let kernel = Kernel::system()?;
    make_network(&kernel, settings, &network)?;
    Routes::start(env, &access.proxy, kernel, network, &settings.node_name);
    Ok(pod_cidr)
}

/// What the kubelet of a node of `layout` is told.
pub fn kubelet_config(settings: &NodeSettings, layout: &Layout, access: &Access) -> decapod_kubelet::Config {
    let paths = &settings.paths;
    decapod_kubelet::Config {
        pod_log_dir: paths.pod_logs(),
        runtime: RuntimeChoice::Containerd { dirs: settings.runtime_dirs.clone() },
        node_ip: Some(IpAddr::V4(settings.node_ip)),
        cluster_dns: vec![IpAddr::V4(layout.dns_address())],
        cluster_domain: layout.cluster_domain.clone(),
        manifest_dir: Some(paths.manifests()),
        server: Some(ServerConfig {
            listen: SocketAddr::from(([0, 0, 0, 0], settings.kubelet_port)),
            certificate: Arc::clone(&access.serving),
            client_ca_pem: access.ca_pem.as_bytes().to_vec(),
        }),
        cgroup_root: settings.cgroup_root.clone(),
        cni_conf_dir: paths.cni_conf(),
        cni_bin_dir: paths.cni_bin(),
        node_labels: vec![(clusterdns::LABEL.to_owned(), "true".to_owned())],
        ..decapod_kubelet::Config::new(&settings.node_name, &paths.data)
    }
}

/// The network that a controller gives the node for its pods.
async fn pod_cidr(env: &Env, client: &Client, node: &str) -> Result<IpNet, Error> {
    let scope = env.scope();
    let own = Selection { field_selector: format!("metadata.name={node}"), ..Selection::default() };
    let nodes = Informer::<NodeObject>::start(&scope, client, own);
    let mut changes = nodes.subscribe();
    let found = loop {
        let Some(change) = changes.next().await else {
            let status = Status::unavailable("the node got no network for its pods");
            return Err(Error::Object { what: format!("nodes/{node}"), status });
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
fn network_config(settings: &NodeSettings, layout: &Layout, pod_cidr: IpNet) -> NetworkConfig {
    NetworkConfig {
        service_cidrs: vec![layout.services()],
        ..NetworkConfig::new(settings.kernel_name(), pod_cidr, layout.pods(), settings.paths.leases())
    }
}

/// Sets the network up, after writing down what that changes about the machine.
fn make_network(kernel: &Kernel, settings: &NodeSettings, network: &NetworkConfig) -> Result<(), Error> {
    let path = settings.paths.ledger();
    let failed = |source| Error::File { path: path.clone(), source };
    let planned = decapod_network::plan(kernel, network);
    ledger::add(&settings.paths, planned.clone())?;
    neighbors::register(&settings.name, &settings.paths).map_err(failed)?;
    decapod_network::ensure(kernel, network, &planned)?;
    let paths = &settings.paths;
    let binary = std::env::current_exe().map_err(failed)?;
    decapod_network::install::install(&paths.cni_conf(), &paths.cni_bin(), &binary, network).map_err(failed)
}

fn dns_config(layout: &Layout, gateway: IpAddr) -> decapod_dns::Config {
    decapod_dns::Config {
        listen: vec![SocketAddr::new(gateway, 53)],
        domain: layout.cluster_domain.clone(),
        ..decapod_dns::Config::default()
    }
}
