//! The control plane: API server, controllers and scheduler.

use std::net::SocketAddr;
use std::sync::Arc;

use decapod_api::kinds::Resource;
use decapod_apiserver::admission::Settings as AdmissionSettings;
use decapod_apiserver::aggregation::{Known, Served};
use decapod_apiserver::identity::User;
use decapod_apiserver::pki::{Identity, Subject};
use decapod_apiserver::registry::Rows;
use decapod_apiserver::{Config, Server};
use decapod_controllers::csrsigning::Authority;
use decapod_controllers::{ApiResource, Controllers, Resources, SHARED_INFORMERS, undiscovered};
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

/// The resources that controllers look at when they look at all; custom ones and those of aggregated servers come and go.
fn served(env: &Env, server: &Server) -> Resources {
    let (mut rows, mut known) = (server.registry().kinds().follow(), server.aggregator().follow());
    let (sender, resources) =
        tokio::sync::watch::channel(resources_of(&rows.borrow_and_update(), &known.borrow_and_update()));
    env.spawn("resources", async move {
        loop {
            let changed = tokio::select! {
                biased;
                changed = rows.changed() => changed,
                changed = known.changed() => changed,
            };
            let now = resources_of(&rows.borrow_and_update(), &known.borrow_and_update());
            let is_news = |before: &mut Arc<Vec<ApiResource>>| {
                let differs = *before != now;
                *before = now;
                differs
            };
            sender.send_if_modified(is_news);
            if changed.is_err() || sender.is_closed() {
                break;
            }
        }
    });
    resources
}

fn resources_of(rows: &Rows, known: &Known) -> Arc<Vec<ApiResource>> {
    let of_row = |row: &Arc<Resource>| ApiResource {
        resource: row.preferred(),
        kind: row.kind.to_string(),
        is_namespaced: row.namespaced,
        verbs: row.verbs.iter().map(ToString::to_string).collect(),
    };
    let of_other = |other: Served| ApiResource {
        resource: other.resource,
        kind: other.kind,
        is_namespaced: other.is_namespaced,
        verbs: other.verbs,
    };
    let is_own = |row: &&Arc<Resource>| known.remote(&row.group, &row.preferred().version).is_none();
    let own = rows.iter().filter(is_own).map(of_row);
    let stale =
        known.undiscovered().map(|(group, version)| undiscovered(group.to_owned(), version.to_owned()));
    Arc::new(own.chain(known.resources().into_iter().map(of_other)).chain(stale).collect())
}
