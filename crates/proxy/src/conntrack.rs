//! Which UDP flows have to be forgotten. Pure.
//!
//! UDP has no end of its own: a client that keeps sending keeps its flow, and with it an endpoint that is gone
//! (upstream: pkg/proxy/conntrack/cleanup.go).

use std::collections::{HashMap, HashSet};
use std::net::SocketAddr;

use decapod_sys::conntrack::Flow;

use crate::frontend::{Compiled, FrontendKey, UDP};

/// Where flows to the frontends that have changed may go on going.
#[derive(Default)]
pub struct Stale(HashMap<FrontendKey, HashSet<SocketAddr>>);

// === impl Stale ===

impl Stale {
    /// Notes that a service has changed.
    pub fn note(&mut self, before: Option<&Compiled>, after: Option<&Compiled>) {
        let Some(after) = after.filter(|after| before.is_none_or(|before| before.udp != after.udp)) else {
            return;
        };
        // Without endpoints there is nowhere better to go; what is sent is refused until there are.
        for (key, serving) in after.udp.iter().filter(|(_, serving)| !serving.is_empty()) {
            self.0.insert(*key, serving.iter().copied().collect());
        }
    }

    /// Whether nothing has changed.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether `flow` goes where it should not.
    pub fn is(&self, flow: &Flow) -> bool {
        if flow.protocol != UDP {
            return false;
        }
        let meant = FrontendKey {
            address: flow.destination.ip(),
            protocol: flow.protocol,
            port: flow.destination.port(),
        };
        self.0.get(&meant).is_some_and(|serving| !serving.contains(&flow.answers))
    }
}
