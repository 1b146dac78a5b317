//! Controllers running against the small server, with nodes that run what is bound to them.

use std::sync::Arc;
use std::time::Duration;

use decapod_api::meta::GroupVersionResource;
use decapod_client::Kind;
use decapod_sys::Env;
use k8s_openapi::api::core::v1::Pod;
use serde_json::{Value, json};

use super::server::Server;
use crate::Wiring;
use crate::runtime::Informers;

/// A cluster in memory, under paused time.
pub(crate) struct Cluster {
    pub(crate) env: Env,
    pub(crate) server: Arc<Server>,
}

impl Cluster {
    pub(crate) fn new() -> Cluster {
        let env = Env::simulated(1);
        let server = Server::new(&env);
        Cluster { env, server }
    }

    /// Starts controllers.
    pub(crate) fn start(&self, start: impl FnOnce(&Wiring)) {
        let informers = Informers::new(&self.env, self.server.client());
        let clients = |_: &str| self.server.client();
        start(&Wiring { env: &self.env, informers, clients: &clients });
    }

    /// Lets everything happen that happens by itself, for a second.
    pub(crate) async fn settle(&self) {
        tokio::time::sleep(Duration::from_secs(1)).await;
    }

    /// Binds, runs, and ends pods, and lets everything follow from that.
    pub(crate) async fn run_pods(&self) {
        let pods = Pod::resource();
        for pod in self.server.list(&pods) {
            let (name, namespace) =
                (pod["metadata"]["name"].as_str().unwrap(), pod["metadata"]["namespace"].as_str().unwrap());
            if !pod["metadata"]["deletionTimestamp"].is_null() {
                self.server.remove(&pods, namespace, name);
            } else if pod["status"]["phase"].is_null() {
                let ready = json!({"type": "Ready", "status": "True", "lastTransitionTime": self.env.now().to_string()});
                let status = json!({"phase": "Running", "conditions": [ready]});
                self.server.change(
                    &pods,
                    namespace,
                    name,
                    json!({"spec": {"nodeName": "n1"}, "status": status}),
                );
            }
        }
        self.settle().await;
    }

    pub(crate) fn get<K: Kind>(&self, namespace: &str, name: &str) -> Value {
        self.server.get(&K::resource(), namespace, name)
    }

    /// The names of all objects of kind `K`.
    pub(crate) fn names<K: Kind>(&self) -> String {
        let names = self
            .server
            .list(&K::resource())
            .into_iter()
            .map(|one| one["metadata"]["name"].as_str().unwrap().to_owned());
        names.collect::<Vec<_>>().join(" ")
    }

    pub(crate) fn count(&self, resource: &GroupVersionResource) -> usize {
        self.server.list(resource).len()
    }
}
