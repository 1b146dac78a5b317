//! Which endpoints a node sends a service's traffic to (upstream: pkg/proxy/topology.go, CategorizeEndpoints).

use std::net::SocketAddr;

use crate::endpoints::{Condition, Endpoint};

/// The endpoints for each policy.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Selected {
    /// For traffic that may go anywhere.
    pub cluster: Vec<SocketAddr>,
    /// For traffic that has to stay on the node.
    pub local: Vec<SocketAddr>,
    /// Whether the service has a usable endpoint on any node.
    pub any: bool,
}

/// Which policies a service's port uses.
#[derive(Clone, Copy, Debug, Default)]
pub struct Policies {
    /// Whether some of its traffic may go anywhere.
    pub cluster: bool,
    /// Whether some of its traffic has to stay on the node.
    pub local: bool,
}

/// What hints narrow the choice to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Topology {
    Anywhere,
    SameNode,
    SameZone,
}

/// Sorts out `endpoints` for `node` in `zone`. Endpoints that are ending are used when no others are left, for each
/// policy by itself.
pub fn select(endpoints: &[Endpoint], policies: Policies, node: &str, zone: &str) -> Selected {
    let pick = |wanted: &dyn Fn(&Endpoint) -> bool| -> Vec<SocketAddr> {
        endpoints.iter().filter(|endpoint| wanted(endpoint)).map(|endpoint| endpoint.target).collect()
    };
    let ready = |endpoint: &Endpoint| endpoint.condition == Condition::Ready;
    let ending = |endpoint: &Endpoint| endpoint.condition == Condition::Terminating;
    let mut selected = Selected::default();
    if policies.cluster {
        let topology = topology(endpoints, node, zone);
        selected.cluster = pick(&|endpoint| {
            ready(endpoint)
                && match topology {
                    Topology::Anywhere => true,
                    Topology::SameNode => endpoint.nodes.iter().any(|hint| hint == node),
                    Topology::SameZone => endpoint.zones.iter().any(|hint| hint == zone),
                }
        });
        if selected.cluster.is_empty() {
            selected.cluster = pick(&ending);
        }
    }
    if policies.local {
        selected.local = pick(&|endpoint| endpoint.local && ready(endpoint));
        if selected.local.is_empty() {
            selected.local = pick(&|endpoint| endpoint.local && ending(endpoint));
        }
    }
    let usable = |endpoint: &Endpoint| ready(endpoint) || ending(endpoint);
    selected.any = !selected.cluster.is_empty() || policies.local && endpoints.iter().any(usable);
    selected
}

/// Hints count when every ready endpoint has them and one of them is for us: else they are out of date, or would
/// leave us without.
fn topology(endpoints: &[Endpoint], node: &str, zone: &str) -> Topology {
    let ready = || endpoints.iter().filter(|endpoint| endpoint.condition == Condition::Ready);
    let for_us = |hints: fn(&Endpoint) -> &Vec<String>, us: &str| {
        ready().all(|endpoint| !hints(endpoint).is_empty())
            && ready().any(|endpoint| hints(endpoint).iter().any(|hint| hint == us))
    };
    if for_us(|endpoint| &endpoint.nodes, node) {
        Topology::SameNode
    } else if for_us(|endpoint| &endpoint.zones, zone) {
        Topology::SameZone
    } else {
        Topology::Anywhere
    }
}
