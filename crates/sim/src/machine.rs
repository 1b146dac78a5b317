//! The machine that the API server runs on: its disk outlives the server.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use decapod_apiserver::pki::Pki;
use decapod_apiserver::{Server, StartError};
use decapod_store::disk::FakeDisk;
use decapod_store::disk::fake::Loss;
use decapod_store::{Config, Place, Store};
use decapod_sys::Env;

use crate::gate::Gate;
use crate::trace::Trace;

/// The machine.
pub(crate) struct Machine {
    env: Env,
    trace: Trace,
    pub(crate) disk: FakeDisk,
    pki: Arc<Pki>,
    pub(crate) gate: Arc<Gate>,
    /// The scope of the server's tasks, while it lives.
    scope: Mutex<Option<Env>>,
}

/// The log's files, and the largest transaction: small, so that runs fill several files.
const SEGMENT_BYTES: u64 = 1 << 20;
const TXN_BYTES_MAX: usize = 256 << 10;
/// How long a server that was killed is away at most, when nobody says when it is to come back.
const AWAY_MS_MAX: u64 = 500;

// === impl Machine ===

impl Machine {
    /// A machine with an empty disk and a certificate authority.
    pub(crate) fn new(env: &Env, disk: FakeDisk, trace: Trace) -> Result<Machine, StartError> {
        let gate = Gate::new(env, disk.clone(), trace.clone());
        let pki = Arc::new(Pki::simulated(env)?);
        Ok(Machine { env: env.clone(), trace, disk, pki, gate, scope: Mutex::new(None) })
    }

    /// The certificate of the authority, in PEM.
    pub(crate) fn ca_pem(&self) -> &str {
        self.pki.ca_pem()
    }

    /// Starts the server on what the disk has.
    pub(crate) async fn start(&self) -> Result<(), StartError> {
        let scope = self.env.scope();
        let config = Config {
            segment_bytes: SEGMENT_BYTES,
            txn_bytes_max: TXN_BYTES_MAX,
            log_bytes_min: 4 * SEGMENT_BYTES,
            ..Config::new(Place::Disk(Arc::new(self.disk.clone())))
        };
        let store = Store::open(config, &scope).await?;
        let (has, told) = (store.revision(), self.gate.told());
        self.trace.note(format_args!("the store opens at {has}"));
        if has < told {
            self.trace.fail(format!(
                "the store has forgotten: it opens at revision {has}, and {told} was acknowledged"
            ));
        }
        let server = Server::over(&scope, server_config(), self.pki.clone(), store).await?;
        *self.scope.lock().unwrap_or_else(PoisonError::into_inner) = Some(scope);
        self.gate.open(server);
        Ok(())
    }

    /// Kills the server, if it lives; `loss` is what that costs the disk.
    pub(crate) async fn kill(&self, loss: Loss) {
        self.gate.kill();
        let scope = self.scope.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(scope) = scope {
            scope.shutdown().await;
        }
        self.disk.reboot(loss);
    }

    /// Brings the server back, with or without a loss, whenever it has been killed by a write.
    pub(crate) async fn revive(self: Arc<Machine>) {
        let mut deaths = self.gate.deaths.subscribe();
        while deaths.changed().await.is_ok() {
            if !self.gate.kills() {
                continue;
            }
            self.kill(self.some_loss()).await;
            tokio::time::sleep(Duration::from_millis(self.env.random_below(AWAY_MS_MAX))).await;
            if let Err(error) = self.start().await {
                self.trace.fail(format!("the server does not start again: {error}"));
            }
        }
    }

    /// What a failure of the machine costs this time; one of the server alone costs nothing.
    pub(crate) fn some_loss(&self) -> Loss {
        let losses = [Loss::Nothing, Loss::Everything, Loss::Anything];
        losses[self.env.random_below(losses.len() as u64) as usize]
    }
}

fn server_config() -> decapod_apiserver::Config {
    decapod_apiserver::Config {
        data_dir: PathBuf::new(),
        listen: SocketAddr::from(([10, 0, 0, 1], 6443)),
        hosts: Vec::new(),
        service_cidr: (Ipv4Addr::new(10, 43, 0, 0), 16),
        node_ports: 30000..=32767,
        cluster_domain: "cluster.local".to_owned(),
        advertise: Ipv4Addr::new(10, 0, 0, 1),
        admission: decapod_apiserver::admission::Settings::default(),
    }
}
