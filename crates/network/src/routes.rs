//! Routes to the pods of other nodes: each node's pod networks by that node's own address (upstream's "host-gw"). The
//! nodes need a network in common.
//!
//! What is to be changed is a function of the nodes and the routes that are there: [`plan`]. Ours are the routes within
//! the pods' networks that lead to a router; nobody else has a reason to make such.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;

use decapod_client::{Client, Informer, Selection};
use decapod_sys::Env;
use decapod_sys::netlink::Route;
use ipnet::IpNet;
use k8s_openapi::api::core::v1::Node;

use crate::config::NetworkConfig;
use crate::kernel::Kernel;
use crate::{NetworkError, at};

/// How long until a route that the kernel refused is tried again.
const AGAIN: Duration = Duration::from_secs(30);
/// How long the routes that are there count as known, whatever the nodes say: links come and go with their routes.
const KNOWN: Duration = Duration::from_secs(60);

/// Where the pods of other nodes are.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Peers(BTreeMap<IpNet, IpAddr>);

/// What is to be changed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Changes {
    /// Routes that are missing or lead elsewhere.
    pub set: Vec<Route>,
    /// Routes to nobody.
    pub delete: Vec<IpNet>,
}

/// Keeps a node's routes.
#[derive(Debug)]
pub struct Routes;

/// What brings the routes that are there to what they have to be.
pub fn plan(config: &NetworkConfig, peers: &Peers, there: &[Route]) -> Changes {
    let wanted = &peers.0;
    let ours = there.iter().filter(|route| is_ours(config, route));
    let known: BTreeMap<IpNet, Option<IpAddr>> = ours.map(|route| (route.to, route.gateway)).collect();
    let missing = wanted.iter().filter(|(to, gateway)| known.get(*to) != Some(&Some(**gateway)));
    let route =
        |(to, gateway): (&IpNet, &IpAddr)| Route { to: *to, gateway: Some(*gateway), link: 0, source: None };
    Changes {
        set: missing.map(route).collect(),
        delete: known.into_keys().filter(|to| !wanted.contains_key(to)).collect(),
    }
}

/// Removes all of our routes.
pub fn remove(kernel: &Kernel, config: &NetworkConfig) -> Result<(), NetworkError> {
    let there = at("read the node's routes", kernel.links.all_routes())?;
    for to in plan(config, &Peers::default(), &there).delete {
        match kernel.links.delete_route(to) {
            Err(error) if error.is_absent() => {}
            deleted => at("remove a route", deleted)?,
        }
    }
    Ok(())
}

fn is_ours(config: &NetworkConfig, route: &Route) -> bool {
    route.gateway.is_some() && config.cluster_cidrs.iter().any(|cidr| cidr.contains(&route.to))
}

// === impl Peers ===

impl Peers {
    /// The pod networks of all `nodes` but `own`, by their own addresses. Networks outside the cluster's are left out:
    /// a node says itself what it has, and must not draw in other traffic.
    pub fn of(config: &NetworkConfig, own: &str, nodes: &[Node]) -> Peers {
        let others = nodes.iter().filter(|node| node.metadata.name.as_deref() != Some(own));
        let mut peers = BTreeMap::new();
        for node in others {
            let spec = node.spec.as_ref();
            let cidrs = spec.and_then(|spec| spec.pod_cidrs.clone()).unwrap_or_default();
            for cidr in cidrs.iter().filter_map(|cidr| cidr.parse::<IpNet>().ok()) {
                let inside = config.cluster_cidrs.iter().any(|whole| whole.contains(&cidr))
                    && !config.pod_cidrs.iter().any(|own| own.contains(&cidr) || cidr.contains(own));
                if let Some(address) = address(node, cidr.addr().is_ipv4()).filter(|_| inside) {
                    peers.insert(cidr.trunc(), address);
                }
            }
        }
        Peers(peers)
    }
}

/// A node's own address of a family.
fn address(node: &Node, ipv4: bool) -> Option<IpAddr> {
    let addresses = node.status.as_ref()?.addresses.as_ref()?;
    let internal = addresses.iter().filter(|address| address.type_ == "InternalIP");
    internal
        .filter_map(|address| address.address.parse().ok())
        .find(|address: &IpAddr| address.is_ipv4() == ipv4)
}

// === impl Routes ===

impl Routes {
    /// Follows the nodes as `client` sees them, in the scope of `env`.
    pub fn start(env: &Env, client: &Client, kernel: Kernel, config: NetworkConfig, own: &str) {
        let nodes = Informer::<Node>::start(env, client, Selection::default());
        let own = own.to_owned();
        env.supervise("routes", move || follow(nodes.clone(), kernel.clone(), config.clone(), own.clone()));
    }
}

async fn follow(nodes: Informer<Node>, kernel: Kernel, config: NetworkConfig, own: String) {
    nodes.synced().await;
    let mut changes = nodes.subscribe();
    let mut known: Option<(Peers, tokio::time::Instant)> = None;
    loop {
        let peers = Peers::of(&config, &own, &nodes.list());
        // Nodes' statuses change all the time; their addresses hardly ever.
        let mut good = true;
        if !known.as_ref().is_some_and(|(before, at)| *before == peers && at.elapsed() < KNOWN) {
            good = apply(&kernel, &config, &peers);
            known = good.then(|| (peers, tokio::time::Instant::now()));
        }
        let changed = async {
            if good {
                changes.next().await
            } else {
                tokio::time::timeout(AGAIN, changes.next()).await.ok().flatten()
            }
        };
        if changed.await.is_none() && good {
            return;
        }
    }
}

/// Whether all is as it has to be now.
fn apply(kernel: &Kernel, config: &NetworkConfig, peers: &Peers) -> bool {
    let there = match kernel.links.all_routes() {
        Ok(there) => there,
        Err(error) => {
            tracing::warn!(%error, "cannot read the node's routes");
            return false;
        }
    };
    let Changes { set, delete } = plan(config, peers, &there);
    let mut good = true;
    for route in set {
        if let Err(error) = kernel.links.set_route(&route) {
            let gateway = route.gateway.map(|gateway| gateway.to_string()).unwrap_or_default();
            tracing::warn!(%error, to = %route.to, gateway, "cannot route to a node's pods: the nodes need a network in common");
            good = false;
        }
    }
    for to in delete {
        if let Err(error) = kernel.links.delete_route(to)
            && !error.is_absent()
        {
            tracing::warn!(%error, %to, "cannot remove a route");
            good = false;
        }
    }
    good
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn node(name: &str, cidr: &str, address: &str) -> Node {
        let node = json!({
            "metadata": {"name": name},
            "spec": {"podCIDR": cidr, "podCIDRs": [cidr]},
            "status": {"addresses": [{"type": "Hostname", "address": name}, {"type": "InternalIP", "address": address}]},
        });
        serde_json::from_value(node).expect("a node")
    }

    fn route(to: &str, gateway: Option<&str>) -> Route {
        let gateway = gateway.map(|gateway| gateway.parse().expect("an address"));
        Route { to: to.parse().expect("a network"), gateway, link: 3, source: None }
    }

    #[test]
    fn routes_follow_the_nodes() {
        let net = |text: &str| text.parse::<IpNet>().expect("a network");
        let config = NetworkConfig::new("", net("10.42.0.0/24"), net("10.42.0.0/16"), "/leases".into());
        let nodes = [
            node("a", "10.42.0.0/24", "192.168.0.1"),
            node("b", "10.42.1.0/24", "192.168.0.2"),
            node("c", "10.42.2.0/24", "192.168.0.3"),
            node("thief", "192.168.0.0/24", "192.168.0.4"),
            node("twin", "10.42.0.0/24", "192.168.0.5"),
        ];
        let peers = Peers::of(&config, "a", &nodes);
        let there = [
            route("0.0.0.0/0", Some("192.168.0.254")),
            route("10.42.0.5/32", None),
            route("10.42.2.0/24", Some("192.168.0.9")),
            route("10.42.7.0/24", Some("192.168.0.7")),
            route("10.43.0.0/16", None),
        ];
        let changes = plan(&config, &peers, &there);
        let set: Vec<String> =
            changes.set.iter().map(|route| format!("{} {}", route.to, route.gateway.expect("one"))).collect();
        assert_eq!(set, ["10.42.1.0/24 192.168.0.2", "10.42.2.0/24 192.168.0.3"]);
        assert_eq!(changes.delete, [net("10.42.7.0/24")]);
        let there = [route("10.42.1.0/24", Some("192.168.0.2")), route("10.42.2.0/24", Some("192.168.0.3"))];
        assert_eq!(plan(&config, &peers, &there), Changes::default());
    }
}
