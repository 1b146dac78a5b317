//! The control plane: API server, controllers and scheduler.

use std::net::SocketAddr;
use std::sync::Arc;

use decapod_api::kinds::Resource;
use decapod_apiserver::admission::Settings as AdmissionSettings;
use decapod_apiserver::identity::User;
use decapod_apiserver::pki::{Identity, Subject};
use decapod_apiserver::registry::Rows;
use decapod_apiserver::{Config, Server};
use decapod_controllers::csrsigning::Authority;
use decapod_controllers::{ApiResource, Controllers, Resources, SHARED_INFORMERS};
use decapod_scheduler::Scheduler;
use decapod_sys::Env;
use jiff::SignedDuration;

use super::{Error, Settings};

/// How long certificates are good that the cluster signs (upstream's --cluster-signing-duration).
pub const CERTIFICATES_LAST: SignedDuration = SignedDuration::from_hours(365 * 24);

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
            data_dir: settings.node.paths.data.clone(),
            listen: SocketAddr::from(([0, 0, 0, 0], settings.port)),
            hosts: vec![settings.node.node_name.clone()],
            service_cidr: settings.layout.service_range(),
            node_ports: 30000..=32767,
            cluster_domain: settings.layout.cluster_domain.clone(),
            advertise: settings.node.node_ip,
            admission: AdmissionSettings::default(),
        };
        let server = Server::start(env, config).await?;
        let admin = Subject { name: "kubernetes-admin", groups: &["system:masters"], hosts: &[] };
        let admin = server.pki().identity("admin", &admin, env.now())?;
        Controllers::start(env, controllers_config(env, &server, settings)?, &|name| match name {
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

fn controllers_config(
    env: &Env,
    server: &Server,
    settings: &Settings,
) -> Result<decapod_controllers::Config, Error> {
    let pki = server.pki();
    let signer = Authority::new(env, pki.ca_pem(), &pki.ca_key_pem()?, CERTIFICATES_LAST)?;
    Ok(decapod_controllers::Config {
        cluster_cidr: settings.layout.cluster_cidr.to_string(),
        service_cidr: settings.layout.service_cidr.to_string(),
        root_ca_pem: pki.ca_pem().to_owned(),
        signer: Some(Arc::new(signer)),
        approve_serving: true,
        cluster_dns: true,
        resources: served(env, server),
        ..decapod_controllers::Config::default()
    })
}

/// The resources that controllers look at when they look at all; custom ones come and go.
fn served(env: &Env, server: &Server) -> Resources {
    let mut rows = server.registry().kinds().follow();
    let of_row = |row: &Arc<Resource>| ApiResource {
        resource: row.preferred(),
        kind: row.kind.to_string(),
        is_namespaced: row.namespaced,
        verbs: row.verbs.iter().map(ToString::to_string).collect(),
    };
    let of_rows = move |rows: &Rows| Arc::new(rows.iter().map(of_row).collect::<Vec<_>>());
    let (sender, resources) = tokio::sync::watch::channel(of_rows(&rows.borrow_and_update()));
    env.spawn("resources", async move {
        while rows.changed().await.is_ok() {
            let now = of_rows(&rows.borrow_and_update());
            if sender.send(now).is_err() {
                break;
            }
        }
    });
    resources
}
