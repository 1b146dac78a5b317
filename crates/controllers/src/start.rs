//! All controllers, started together.

use std::sync::Arc;

use decapod_client::Client;
use decapod_sys::Env;

use crate::csrsigning::Authority;
use crate::nodeipam::{Cidr, Ranges};
use crate::resources::Resources;
use crate::runtime::Informers;
use crate::{
    Wiring, clusterdns, clusterroleaggregation, cronjob, csrapproving, csrcleaner, csrsigning, daemonset,
    deployment, disruption, endpoints, endpointslice, endpointslicemirroring, ephemeralvolume,
    garbagecollector, job, namespace, nodeipam, nodelifecycle, podgc, pvcprotection, pvprotection,
    replicaset, resourcequota, rootca, serviceaccount, statefulset, tainteviction, ttl, ttlafterfinished,
    vacprotection, volumebinder,
};

/// What the controllers' informers read as: the controller manager itself, as upstream's shared informers do.
pub const SHARED_INFORMERS: &str = "shared-informers";
/// How many pods that have ended are kept (upstream's --terminated-pod-gc-threshold).
pub const ENDED_PODS_MAX: usize = 12_500;
/// How long the ranges of nodes are, where that is not said (upstream's --node-cidr-mask-size).
const NODE_PREFIX_BITS: (u8, u8) = (24, 64);

/// What the controllers are told.
#[derive(Clone)]
pub struct Config {
    /// Ranges of pod addresses, such as `10.42.0.0/16`, one or one of each family, with commas; empty if somebody
    /// else gives nodes their ranges.
    pub cluster_cidr: String,
    /// Ranges of Services, which are kept out of those of pods; may be empty.
    pub service_cidr: String,
    /// How long a node's IPv4 range is in bits; 0 for 24.
    pub node_cidr_mask_size: u8,
    /// The certificates by which pods trust the API server, in PEM.
    pub root_ca_pem: String,
    /// Who signs certificates that are asked for by CertificateSigningRequests; `None` if somebody else does.
    pub signer: Option<Arc<Authority>>,
    /// Whether nodes' requests for serving certificates of their own names are approved. Upstream leaves that to an
    /// administrator.
    pub approve_serving: bool,
    /// Whether the service `kube-dns` is made to lead to the nodes that say that they run DNS.
    pub cluster_dns: bool,
    /// How many pods that have ended are kept; 0 for any number.
    pub ended_pods_max: usize,
    /// Which resources are served, kept up to date by who knows.
    pub resources: Resources,
}

/// Why a [`Config`] is of no use.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// It is no range of addresses.
    #[error("{0:?} is no range of addresses such as 10.42.0.0/16")]
    Cidr(String),
    /// The nodes' ranges do not fit.
    #[error("nodes cannot have ranges of {node} bits each out of {cluster}")]
    MaskSize {
        /// The range that they are cut from.
        cluster: String,
        /// How long they should be.
        node: u8,
    },
}

/// All controllers.
#[derive(Debug)]
pub struct Controllers;

// === impl Controllers ===

impl Controllers {
    /// Starts all controllers in the scope of `env`, each acting as the client that `clients` has for the name of its
    /// service account in `kube-system`; [`SHARED_INFORMERS`] is the controller manager's own.
    pub fn start(env: &Env, config: Config, clients: &dyn Fn(&str) -> Client) -> Result<(), ConfigError> {
        let ranges = ranges(&config)?;
        let informers = Informers::new(env, clients(SHARED_INFORMERS));
        let wiring = Wiring { env, informers, clients };
        namespace::start(&wiring, config.resources.clone());
        serviceaccount::start(&wiring);
        rootca::start(&wiring, config.root_ca_pem);
        replicaset::start(&wiring);
        deployment::start(&wiring);
        daemonset::start(&wiring);
        statefulset::start(&wiring);
        job::start(&wiring);
        cronjob::start(&wiring);
        ttlafterfinished::start(&wiring);
        disruption::start(&wiring, config.resources.clone());
        clusterroleaggregation::start(&wiring);
        ttl::start(&wiring);
        volumebinder::start(&wiring);
        pvcprotection::start(&wiring);
        pvprotection::start(&wiring);
        vacprotection::start(&wiring);
        ephemeralvolume::start(&wiring);
        endpointslice::start(&wiring);
        endpointslicemirroring::start(&wiring);
        endpoints::start(&wiring);
        if let Some(ranges) = ranges {
            nodeipam::start(&wiring, ranges);
        }
        nodelifecycle::start(&wiring);
        tainteviction::start(&wiring);
        podgc::start(&wiring, config.ended_pods_max);
        if config.cluster_dns {
            clusterdns::start(&wiring);
        }
        csrapproving::start(&wiring, config.approve_serving);
        csrcleaner::start(&wiring);
        if let Some(signer) = config.signer {
            csrsigning::start(&wiring, signer);
        }
        resourcequota::start(&wiring, config.resources.clone());
        garbagecollector::start(&wiring, config.resources);
        Ok(())
    }
}

impl Default for Config {
    /// No ranges, no certificates, no resources, and upstream's number of ended pods.
    fn default() -> Config {
        let (_, resources) = tokio::sync::watch::channel(std::sync::Arc::default());
        Config {
            cluster_cidr: String::new(),
            service_cidr: String::new(),
            node_cidr_mask_size: 0,
            root_ca_pem: String::new(),
            signer: None,
            approve_serving: false,
            cluster_dns: false,
            ended_pods_max: ENDED_PODS_MAX,
            resources,
        }
    }
}

/// What nodes are given ranges from.
fn ranges(config: &Config) -> Result<Option<Ranges>, ConfigError> {
    let parse = |text: &str| -> Result<Vec<Cidr>, ConfigError> {
        let parts = text.split(',').map(str::trim).filter(|part| !part.is_empty());
        parts.map(|part| part.parse().map_err(|()| ConfigError::Cidr(part.to_owned()))).collect()
    };
    let mut pools = Vec::new();
    for range in parse(&config.cluster_cidr)? {
        let node = match (range.is_ipv4(), config.node_cidr_mask_size) {
            (true, 0) => NODE_PREFIX_BITS.0.max(range.prefix_bits()),
            (true, bits) => bits,
            (false, _) => NODE_PREFIX_BITS.1.max(range.prefix_bits()),
        };
        if node < range.prefix_bits() || range.is_ipv4() && node > 32 || node - range.prefix_bits() > 16 {
            return Err(ConfigError::MaskSize { cluster: range.to_string(), node });
        }
        pools.push((range, node));
    }
    if pools.is_empty() {
        return Ok(None);
    }
    let mut ranges = Ranges::new(pools);
    parse(&config.service_cidr)?.iter().for_each(|service| ranges.exclude(service));
    Ok(Some(ranges))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::cluster::Cluster;

    #[tokio::test(start_paused = true)]
    async fn all_start_and_nothing_polls() {
        let cluster = Cluster::new();
        let config = Config { cluster_cidr: "10.42.0.0/16, fd00::/56".into(), ..Config::default() };
        Controllers::start(&cluster.env, config, &|_| cluster.server.client()).unwrap();
        cluster.settle().await;
        let before = cluster.server.requests();
        tokio::time::sleep(std::time::Duration::from_secs(24 * 3600)).await;
        assert_eq!(cluster.server.requests(), before);
        cluster.env.shutdown().await;
    }

    #[test]
    fn what_makes_no_sense_is_said() {
        let with = |cluster: &str, bits: u8| {
            let config =
                Config { cluster_cidr: cluster.into(), node_cidr_mask_size: bits, ..Config::default() };
            ranges(&config).map(|ranges| ranges.is_some()).map_err(|error| error.to_string())
        };
        assert_eq!(with("", 0), Ok(false));
        assert_eq!(with("10.42.0.0/16", 0), Ok(true));
        assert!(with("10.42.0.0", 0).unwrap_err().contains("is no range"));
        assert!(with("10.42.0.0/24", 16).unwrap_err().contains("cannot have ranges of 16 bits"));
    }
}
