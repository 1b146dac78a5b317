//! `decapod status`: whether the cluster runs, and how it is.

use decapod_client::{Client, Options, Remote, decode, kubeconfig};
use decapod_sys::Env;
use k8s_openapi::api::core::v1::{Node, Pod};

use super::Error;
use crate::args;
use crate::cluster::{Paths, teardown};

/// Prints one line for the process, each node and the pods.
pub async fn run(args: args::Folder) -> Result<(), Error> {
    let paths = Paths { data: args.path() };
    let Some(pid) = teardown::running(&paths.pid()) else { return Err(Error::NotUp(paths.data)) };
    println!("process {} runs the cluster in {}", pid.as_raw_nonzero(), paths.data.display());
    let failed = |error: &dyn std::fmt::Display| Error::Ask(error.to_string());
    let config = kubeconfig::load(&paths.admin_kubeconfig(), None).map_err(|error| failed(&error))?;
    let client = Client::new(Remote::new(&Env::system(), config).map_err(|error| failed(&error))?);
    let nodes = client.list::<Node>("", Options::default()).await.map_err(|error| failed(&error))?;
    for node in nodes.items.iter().filter_map(|object| decode::<Node>(object).ok()) {
        let conditions = node.status.and_then(|status| status.conditions).unwrap_or_default();
        let ready =
            conditions.iter().any(|condition| condition.type_ == "Ready" && condition.status == "True");
        println!(
            "node {} is {}",
            node.metadata.name.unwrap_or_default(),
            if ready { "ready" } else { "not ready" }
        );
    }
    let pods = client.list::<Pod>("", Options::default()).await.map_err(|error| failed(&error))?;
    let running =
        pods.items.iter().filter(|pod| pod.text(&["status", "phase"]).as_deref() == Some("Running")).count();
    println!("{running} of {} pods run", pods.items.len());
    Ok(())
}
