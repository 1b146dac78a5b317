//! The control plane: API server, controllers and scheduler.

use std::net::SocketAddr;
use std::sync::Arc;

use decapod_api::kinds::Resource;
use decapod_apiserver::identity::User;
use decapod_apiserver::pki::{Identity, Subject};
use decapod_apiserver::{Config, Server};
use decapod_controllers::{ApiResource, Controllers, Resources, SHARED_INFORMERS};
use decapod_scheduler::Scheduler;
use decapod_sys::Env;

use super::{Error, Settings};

/// A control plane that runs.
pub struct Plane {
    /// The API server.
    pub server: Arc<Server>,
    /// The administrator.
    pub admin: Identity,
    _scheduler: Scheduler,
}

impl Plane {
    /// Starts it; when this returns, the API answers.
    pub async fn start(env: &Env, settings: &Settings) -> Result<Plane, Error> {
        let config = Config {
            data_dir: settings.paths.data.clone(),
            listen: SocketAddr::from(([0, 0, 0, 0], settings.port)),
            hosts: vec![settings.node_name.clone()],
            service_cidr: settings.service_cidr,
            node_ports: 30000..=32767,
            cluster_domain: settings.cluster_domain.clone(),
            advertise: settings.node_ip,
        };
        let server = Server::start(env, config).await?;
        let admin = Subject { name: "kubernetes-admin", groups: &["system:masters"], hosts: &[] };
        let admin = server.pki().identity("admin", &admin, env.now())?;
        Controllers::start(env, controllers_config(&server, settings), &|name| match name {
            SHARED_INFORMERS => {
                server.client(User::new("system:kube-controller-manager", &[]), "kube-controller-manager")
            }
            name => server.client(User::service_account("kube-system", name), name),
        })?;
        let scheduler_client = server.client(User::new("system:kube-scheduler", &[]), "kube-scheduler");
        let scheduler = Scheduler::start(env, scheduler_client, decapod_scheduler::Config::default());
        Ok(Plane { server, admin, _scheduler: scheduler })
    }
}

fn controllers_config(server: &Server, settings: &Settings) -> decapod_controllers::Config {
    let range = |(address, bits): (std::net::Ipv4Addr, u8)| format!("{address}/{bits}");
    decapod_controllers::Config {
        cluster_cidr: range(settings.cluster_cidr),
        service_cidr: range(settings.service_cidr),
        root_ca_pem: server.pki().ca_pem().to_owned(),
        resources: served(server),
        ..decapod_controllers::Config::default()
    }
}

/// The resources that controllers look at when they look at all.
fn served(server: &Server) -> Resources {
    let rows = server.registry().kinds().all();
    let of_row = |row: &Arc<Resource>| ApiResource {
        resource: row.preferred(),
        kind: row.kind.to_string(),
        is_namespaced: row.namespaced,
        verbs: row.verbs.iter().map(ToString::to_string).collect(),
    };
    tokio::sync::watch::channel(Arc::new(rows.iter().map(of_row).collect())).1
}
