//! Keeps PersistentVolumes as long as they are bound (k8s.io/kubernetes/pkg/controller/volume/pvprotection).

use decapod_client::{Informer, ObjectKey};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::PersistentVolume;

use crate::Wiring;
use crate::objects::protection;
use crate::runtime::{Live, Plan, Reconcile};

const FINALIZER: &str = "kubernetes.io/pv-protection";

struct Controller {
    volumes: Informer<PersistentVolume>,
}

/// Starts the controller.
pub fn start(wiring: &Wiring) {
    let volumes = wiring.informers.of::<PersistentVolume>();
    wiring
        .controller(Controller { volumes: volumes.clone() })
        .watch(volumes.untyped(), |change| {
            let volume = change.new.as_ref().filter(|volume| protection::concerns(volume, FINALIZER));
            volume.map(|_| change.key.clone()).into_iter().collect()
        })
        .workers(1)
        .start();
}

impl Reconcile for Controller {
    type Key = ObjectKey;
    type State = PersistentVolume;

    fn name(&self) -> &'static str {
        "pv-protection-controller"
    }

    fn gather(&self, key: &ObjectKey) -> Option<PersistentVolume> {
        self.volumes.get("", &key.name)
    }

    fn reconcile(&self, _: &ObjectKey, volume: &PersistentVolume, _: &Live, _: Timestamp) -> Plan {
        let phase = volume.status.as_ref().and_then(|status| status.phase.as_deref());
        protection::protect(volume, FINALIZER, phase == Some("Bound"))
    }
}

#[cfg(test)]
mod tests {
    use decapod_client::Kind;
    use serde_json::json;

    use super::*;
    use crate::testing::cluster::Cluster;

    #[tokio::test(start_paused = true)]
    async fn bound_volumes_stay() {
        let cluster = Cluster::new();
        let volumes = PersistentVolume::resource();
        for (name, phase) in [("free", "Available"), ("bound", "Bound")] {
            cluster.server.put(&volumes, json!({"metadata": {"name": name}, "status": {"phase": phase}}));
        }
        cluster.start(start);
        cluster.settle().await;
        let finalizers =
            |name: &str| cluster.get::<PersistentVolume>("", name)["metadata"]["finalizers"].clone();
        assert_eq!((finalizers("free"), finalizers("bound")), (json!([FINALIZER]), json!([FINALIZER])));
        for name in ["free", "bound"] {
            let options = json!({"deletionTimestamp": cluster.env.now().to_string()});
            cluster.server.change(&volumes, "", name, json!({"metadata": options}));
        }
        cluster.settle().await;
        assert_eq!(cluster.names::<PersistentVolume>(), "bound");
        cluster.server.change(&volumes, "", "bound", json!({"status": {"phase": "Released"}}));
        cluster.settle().await;
        assert_eq!(cluster.names::<PersistentVolume>(), "");
        cluster.env.shutdown().await;
    }
}
