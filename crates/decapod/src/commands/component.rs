//! `decapod scheduler`, `controller-manager`, `kubelet` and `proxy`: one component of a cluster alone, against any API
//! server. All go the same way: a kubeconfig leads to the server, the component starts, says `ready`, and runs until
//! the process is asked to end.

use std::path::Path;
use std::sync::Arc;

use decapod_client::{CertifiedFiles, Client, Remote, RemoteConfig, kubeconfig};
use decapod_controllers::csrsigning::Authority;
use decapod_controllers::{Controllers, discovery};
use decapod_kubelet::RuntimeChoice;
use decapod_proxy::{Kernel, Proxy, ProxyConfig};
use decapod_scheduler::{Config as SchedulerConfig, Scheduler};
use decapod_sys::Env;
use jiff::SignedDuration;

use super::{Error, asked_to_end, up};
use crate::args::component as args;
use crate::cluster::node::{self, Access};
use crate::cluster::settings::{Layout, kernel_name};
use crate::cluster::{self, modules, plane};

/// The way to an API server.
struct Server {
    env: Env,
    config: RemoteConfig,
    remote: Arc<Remote>,
    client: Client,
}

/// Runs the scheduler.
pub async fn scheduler(args: args::Scheduler) -> Result<(), Error> {
    run("scheduler", &args.server, async |server| {
        let config = SchedulerConfig { name: args.scheduler_name, ..SchedulerConfig::default() };
        let scheduler = Scheduler::start(&server.env, server.client.clone(), config);
        scheduler.ready().await;
        Ok(scheduler)
    })
    .await
}

/// Runs the controllers.
pub async fn controller_manager(args: args::ControllerManager) -> Result<(), Error> {
    run("controller-manager", &args.server, async |server| {
        let config = controllers_config(&args, server).await?;
        Controllers::start(&server.env, config, &|_| server.client.clone()).map_err(cluster::Error::from)?;
        Ok(())
    })
    .await
}

async fn controllers_config(
    args: &args::ControllerManager,
    server: &Server,
) -> Result<decapod_controllers::Config, Error> {
    let signer = match (&args.cluster_signing_cert_file, &args.cluster_signing_key_file) {
        (Some(cert), Some(key)) => {
            let longest =
                SignedDuration::try_from(args.cluster_signing_duration).unwrap_or(plane::CERTIFICATES_LAST);
            let authority = Authority::new(&server.env, &read(cert)?, &read(key)?, longest);
            Some(Arc::new(authority.map_err(cluster::Error::from)?))
        }
        _ => None,
    };
    Ok(decapod_controllers::Config {
        cluster_cidr: args.cluster_cidr.clone().unwrap_or_default(),
        service_cidr: args.service_cluster_ip_range.clone(),
        node_cidr_mask_size: args.node_cidr_mask_size,
        root_ca_pem: read_or(args.root_ca_file.as_deref(), &server.config.ca_pem)?,
        signer,
        ended_pods_max: args.terminated_pod_gc_threshold,
        resources: discovery::follow(&server.env, Arc::clone(&server.remote)).await,
        ..decapod_controllers::Config::default()
    })
}

/// Runs the kubelet, and the network of its pods.
pub async fn kubelet(args: args::Kubelet) -> Result<(), Error> {
    let settings = up::node_settings(&args.node);
    let _running = up::Running::claim(&settings.paths)?;
    modules::note(&settings.paths, modules::before())?;
    run("kubelet", &args.server, async |server| {
        let layout = Layout {
            cluster_cidr: args.cluster_cidr,
            service_cidr: args.service_cidr,
            cluster_domain: args.cluster_domain.clone(),
        };
        let serving = match (&args.tls_cert_file, &args.tls_private_key_file) {
            (Some(cert), Some(key)) => {
                CertifiedFiles::open(cert.clone(), key.clone()).map_err(cluster::Error::from)?
            }
            _ => node::own_certificate(&server.env, &settings)?,
        };
        let access = Access {
            kubelet: server.client.clone(),
            proxy: server.client.clone(),
            dns: server.client.clone(),
            serving,
            ca_pem: read_or(args.client_ca_file.as_deref(), &server.config.ca_pem)?,
        };
        let mut config = node::kubelet_config(&settings, &layout, &access);
        config.cluster_dns.clone_from(&args.cluster_dns);
        config.pods_max = args.max_pods;
        // The label says that the node runs cluster DNS, which a kubelet alone does not.
        config.node_labels.clear();
        if let Some(endpoint) = &args.container_runtime_endpoint {
            let path = endpoint.strip_prefix("unix://").unwrap_or(endpoint);
            config.runtime = RuntimeChoice::Socket(path.into());
        }
        let kubelet = node::start_kubelet(&server.env, &settings, &access, config).await?;
        node::start_network(&server.env, &settings, &layout, &access).await?;
        kubelet.ready().await;
        Ok(kubelet)
    })
    .await
}

/// Runs the service proxy, or removes what one has left.
pub async fn proxy(args: args::Proxy) -> Result<(), Error> {
    let node = args.node_name.clone().unwrap_or_else(up::host_name);
    let (pods, services) = (args.cluster_cidr.into(), args.service_cidr.into());
    let config = ProxyConfig {
        masquerade_all: args.masquerade_all,
        ..ProxyConfig::new(kernel_name(&args.name), &node, vec![pods], vec![services])
    };
    let kernel = Kernel::system().map_err(cluster::Error::from)?;
    if args.cleanup {
        return decapod_proxy::uninstall(&*kernel.nftables, &config)
            .map_err(|error| Error::Left(format!("the service rules: {error}")));
    }
    run("proxy", &args.server, async |server| {
        let proxy = Proxy::start(&server.env, &server.client, config, kernel);
        proxy.synced().await;
        Ok(proxy)
    })
    .await
}

/// Runs what `start` starts until the process is asked to end. `start` returns when the component is ready.
async fn run<T>(
    what: &str,
    server: &args::Server,
    start: impl AsyncFnOnce(&Server) -> Result<T, Error>,
) -> Result<(), Error> {
    let env = Env::system();
    let config = kubeconfig::load(&server.kubeconfig, None).map_err(Error::Server)?;
    let remote = Remote::open(&env, config.clone()).map_err(cluster::Error::from)?;
    let client = Client::new(remote.clone());
    let server = Server { env, config, remote, client };
    let ended = tokio::select! {
        biased;
        ended = asked_to_end() => ended,
        started = start(&server) => match started {
            Ok(_component) => {
                println!("{}: {what} of {}", up::READY, server.config.server);
                asked_to_end().await
            }
            Err(error) => Err(error),
        },
    };
    server.env.shutdown().await;
    ended
}

fn read(path: &Path) -> Result<String, Error> {
    std::fs::read_to_string(path).map_err(Error::file(path))
}

fn read_or(path: Option<&Path>, text: &str) -> Result<String, Error> {
    path.map_or_else(|| Ok(text.to_owned()), read)
}
