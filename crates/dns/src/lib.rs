//! Cluster DNS.
//!
//! **Architecture Invariant:** what a query is answered with is a function of the zone and the packet
//! ([`answer::answer`]); the zone is built from objects ([`zone::Zone`]); sockets and informers are a thin shell.
//!
//! Names of the cluster follow the Kubernetes DNS specification v1.1.0, and CoreDNS where that says nothing: addresses
//! of services, endpoints of headless ones, pods by their address, SRV, PTR, ExternalName. Everything else is forwarded
//! to the host's resolvers and remembered for half a minute.
#![forbid(unsafe_code)]

pub mod answer;
pub mod cache;
mod forward;
pub mod lookup;
pub mod name;
pub mod resolv;
mod server;
mod sources;
#[cfg(test)]
mod tests;
pub mod wire;
pub mod zone;

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::sync::{Arc, RwLock};

use decapod_client::Client;
use decapod_sys::Env;
use tokio::net::{TcpListener, UdpSocket};
use tokio::sync::{Semaphore, watch};

use forward::Forwarder;
use name::Name;
use server::{ASKING_MAX, CONNECTIONS_MAX, Shared};
use sources::Sources;
use zone::Zone;

/// How a server is set up.
#[derive(Clone, Debug)]
pub struct Config {
    /// Where it listens, over UDP and TCP alike.
    pub listen: Vec<SocketAddr>,
    /// The cluster's domain.
    pub domain: String,
    /// The addresses that clients know it by: what `ns.dns.<domain>` stands for.
    pub addresses: Vec<IpAddr>,
    /// Whom to ask what the cluster does not know; empty for those in `resolv_conf`.
    pub upstreams: Vec<SocketAddr>,
    /// Where the host's resolvers are listed.
    pub resolv_conf: PathBuf,
    /// How long the cluster's records may be remembered, in seconds.
    pub ttl: u32,
}

/// A running server. It runs as long as the scope that it was started in.
#[derive(Clone)]
pub struct Dns {
    shared: Arc<Shared>,
    addresses: Vec<SocketAddr>,
}

/// Why a server could not be started.
#[derive(Debug, thiserror::Error)]
pub enum DnsError {
    /// The domain is no domain name.
    #[error("{0:?} is not a domain name")]
    Domain(String),
    /// An address cannot be listened on.
    #[error("cannot listen for DNS on {0}: {1}")]
    Listen(SocketAddr, std::io::Error),
}

// === impl Config ===

impl Default for Config {
    fn default() -> Config {
        Config {
            listen: Vec::new(),
            domain: "cluster.local".to_owned(),
            addresses: Vec::new(),
            upstreams: Vec::new(),
            resolv_conf: "/etc/resolv.conf".into(),
            ttl: 30,
        }
    }
}

// === impl Dns ===

impl Dns {
    /// Binds all addresses and starts to serve. Until the cluster has been seen its names fail, and others resolve.
    pub async fn start(env: &Env, client: Client, config: Config) -> Result<Dns, DnsError> {
        let domain = Name::parse(&config.domain).ok_or_else(|| DnsError::Domain(config.domain.clone()))?;
        let mut sockets = Vec::new();
        for address in &config.listen {
            sockets.push(bind(*address).await.map_err(|error| DnsError::Listen(*address, error))?);
        }
        let addresses: Vec<SocketAddr> =
            sockets.iter().filter_map(|(udp, _)| udp.local_addr().ok()).collect();
        let path = config.upstreams.is_empty().then_some(config.resolv_conf);
        let mut of_ours = addresses.clone();
        of_ours.extend(config.addresses.iter().map(|address| SocketAddr::from((*address, 53))));
        let shared = Arc::new(Shared {
            zone: RwLock::new(Zone::new(domain, config.ttl, config.addresses)),
            synced: watch::Sender::new(false),
            forwarder: Forwarder::new(env, config.upstreams, path, of_ours),
            asking: Arc::new(Semaphore::new(ASKING_MAX)),
            connections: Arc::new(Semaphore::new(CONNECTIONS_MAX)),
        });
        let sources = Sources::start(env, &client);
        let follower = shared.clone();
        env.supervise("dns-zone", move || sources.clone().follow(follower.clone()));
        for (udp, tcp) in sockets {
            let (udp, tcp) = (Arc::new(udp), Arc::new(tcp));
            let (scope, sharing) = (env.clone(), shared.clone());
            env.supervise("dns-udp", move || server::serve_udp(scope.clone(), udp.clone(), sharing.clone()));
            let (scope, sharing) = (env.clone(), shared.clone());
            env.supervise("dns-tcp", move || server::serve_tcp(scope.clone(), tcp.clone(), sharing.clone()));
        }
        Ok(Dns { shared, addresses })
    }

    /// Returns once the cluster's names are known.
    pub async fn ready(&self) {
        // The sender is ours: it cannot be gone.
        self.shared.synced.subscribe().wait_for(|synced| *synced).await.map(drop).unwrap_or_default();
    }

    /// Whether the cluster's names are known.
    pub fn is_ready(&self) -> bool {
        *self.shared.synced.borrow()
    }

    /// Where it listens.
    pub fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }
}

/// A socket and a listener on the same address; the same port for both where it was left open.
async fn bind(address: SocketAddr) -> std::io::Result<(UdpSocket, TcpListener)> {
    let listener = TcpListener::bind(address).await?;
    let socket = UdpSocket::bind(listener.local_addr()?).await?;
    Ok((socket, listener))
}
