//! A node that joins a cluster elsewhere: it learns whom it joins, gets certificates of its own, and runs.

use std::net::IpAddr;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use decapod_api::Status;
use decapod_cli::token::JoinToken;
use decapod_client::{CertifiedFiles, Client, Pin, Remote, RemoteConfig, pinned_authority};
use decapod_kubelet::certificate::{NodeCertificate, Purpose};
use decapod_sys::Env;
use k8s_openapi::api::core::v1::ConfigMap;

use super::Error;
use super::addons::LAYOUT;
use super::node::{Access, Node};
use super::settings::{Layout, NodeSettings};

/// How a node joins.
#[derive(Clone, Debug)]
pub struct AgentSettings {
    /// The node.
    pub node: NodeSettings,
    /// The API server, such as `https://10.0.0.1:6443`.
    pub server: String,
    /// The token to join with. A node that has joined needs none any more.
    pub token: Option<JoinToken>,
}

/// Joins, unless that has been done, and starts the node.
pub async fn start(env: &Env, settings: &AgentSettings, say: &dyn Fn(&str)) -> Result<Node, Error> {
    let AgentSettings { node, server, .. } = settings;
    let paths = &node.paths;
    paths.make()?;
    let dir = paths.node_pki();
    let client_cert =
        NodeCertificate::new(env, &node.node_name, Purpose::Client, dir.join("kubelet-client.pem"));
    let ca_pem = if client_cert.is_good() && paths.node_ca().exists() {
        read(&paths.node_ca())?
    } else {
        say("joining the cluster");
        join(env, settings, &client_cert).await?
    };
    let file = client_cert.path().clone();
    let config = RemoteConfig {
        server: server.clone(),
        ca_pem: ca_pem.clone(),
        client_files: Some((file.clone(), file)),
        ..RemoteConfig::default()
    };
    let client = Client::new(Remote::new(env, config)?);
    let layout = layout(&client).await?;
    let hosts = vec![node.node_name.clone(), IpAddr::V4(node.node_ip).to_string()];
    let serving =
        NodeCertificate::new(env, &node.node_name, Purpose::Serving(hosts), dir.join("kubelet-server.pem"));
    if !serving.is_good() {
        say("getting a certificate for the kubelet");
        serving.obtain(&client).await?;
    }
    let file = serving.path().clone();
    let access = Access {
        kubelet: client.clone(),
        proxy: client.clone(),
        dns: client.clone(),
        serving: CertifiedFiles::open(file.clone(), file)?,
        ca_pem,
    };
    for certificate in [client_cert, serving] {
        let client = client.clone();
        env.supervise("certificate", move || certificate.clone().keep(client.clone()));
    }
    say("starting the node");
    Node::start(env, node, &layout, access).await
}

/// Learns the cluster's authority, and gets a certificate for the node; the authority, in PEM.
async fn join(env: &Env, settings: &AgentSettings, certificate: &NodeCertificate) -> Result<String, Error> {
    let token = settings.token.as_ref().ok_or(Error::NoToken)?;
    let pin: Pin = token.pin.parse().map_err(|()| Error::NoPin)?;
    let ca_pem = pinned_authority(env, &settings.server, &pin).await?;
    let config = RemoteConfig {
        server: settings.server.clone(),
        ca_pem: ca_pem.clone(),
        token: token.bootstrap(),
        ..RemoteConfig::default()
    };
    let client = Client::new(Remote::new(env, config)?);
    certificate.obtain(&client).await?;
    write(&settings.node.paths.node_ca(), &ca_pem)?;
    Ok(ca_pem)
}

/// What the control plane says about the cluster.
async fn layout(client: &Client) -> Result<Layout, Error> {
    let failed = |status| Error::Layout { what: format!("configmaps/{LAYOUT}"), status };
    let map = client.get::<ConfigMap>("kube-system", LAYOUT).await.map_err(failed)?;
    let data = map.data.unwrap_or_default();
    let data = serde_json::to_value(data).and_then(serde_json::from_value);
    data.map_err(|error| failed(Status::internal(error)))
}

fn read(path: &Path) -> Result<String, Error> {
    std::fs::read_to_string(path).map_err(|source| Error::File { path: path.to_owned(), source })
}

fn write(path: &Path, text: &str) -> Result<(), Error> {
    use std::io::Write;
    let open = std::fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path);
    open.and_then(|mut file| file.write_all(text.as_bytes()))
        .map_err(|source| Error::File { path: path.to_owned(), source })
}
