//! Scheduler and controllers on any API server, over TLS, with the rights of a kubeconfig:
//! `cargo run -p decapod-sim --example sim_plane -- KUBECONFIG`.

use std::path::Path;
use std::sync::Arc;

use decapod_api::kinds::BUILT_IN;
use decapod_client::{Client, Remote, kubeconfig};
use decapod_controllers::{ApiResource, Controllers};
use decapod_scheduler::Scheduler;
use decapod_sys::Env;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let path = std::env::args().nth(1).ok_or("say which kubeconfig")?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let env = Env::system();
        let client = Client::new(Remote::new(&env, kubeconfig::load(Path::new(&path), None)?)?);
        let of_row = |row: &Arc<decapod_api::kinds::Resource>| ApiResource {
            resource: row.preferred(),
            kind: row.kind.to_string(),
            is_namespaced: row.namespaced,
            verbs: row.verbs.iter().map(ToString::to_string).collect(),
        };
        let served = BUILT_IN.iter().map(of_row).collect();
        let config = decapod_controllers::Config {
            resources: tokio::sync::watch::channel(Arc::new(served)).1,
            ..decapod_controllers::Config::default()
        };
        Controllers::start(&env, config, &|_| client.clone())?;
        let scheduler = Scheduler::start(&env, client.clone(), decapod_scheduler::Config::default());
        scheduler.ready().await;
        println!("ready");
        std::future::pending::<()>().await;
        Ok(())
    })
}
