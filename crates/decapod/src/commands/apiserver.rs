//! `decapod apiserver`: the API server alone.

use std::net::SocketAddr;

use decapod_apiserver::pki::Subject;
use decapod_apiserver::{Config, Server};
use decapod_cli::kubeconfig::{self, Access};
use decapod_sys::Env;

use super::{Error, asked_to_end};
use crate::args;
use crate::cluster::paths;

/// Runs until asked to end.
pub async fn run(args: args::Apiserver) -> Result<(), Error> {
    let env = Env::system();
    let config = Config {
        listen: SocketAddr::from((args.bind_address, args.port)),
        hosts: vec![],
        service_cidr: (args.service_cidr.network(), args.service_cidr.prefix_len()),
        node_ports: 30000..=32767,
        cluster_domain: args.cluster_domain,
        advertise: args.advertise_address.unwrap_or_else(super::own_address),
        admission: args.admission.into(),
        data_dir: args.data_dir,
    };
    paths::make_data(&config.data_dir)?;
    let server = Server::start(&env, config).await?;
    let admin = Subject { name: "kubernetes-admin", groups: &["system:masters"], hosts: &[] };
    let admin = server.pki().identity("admin", &admin, env.now())?;
    let config = server.config();
    let path = config.data_dir.join("admin.kubeconfig");
    let access = Access {
        name: "decapod",
        server: &format!("https://127.0.0.1:{}", config.listen.port()),
        ca_pem: server.pki().ca_pem(),
        cert_pem: &admin.cert_pem,
        key_pem: &admin.key_pem,
    };
    kubeconfig::write(&path, &access)?;
    println!("ready: kubectl --kubeconfig {} get namespaces", path.display());
    asked_to_end().await?;
    env.shutdown().await;
    Ok(())
}
