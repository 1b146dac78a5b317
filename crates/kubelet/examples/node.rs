//! A node of any cluster: the kubelet alone, with a containerd of its own, for trying it by hand.
//!
//! `node KUBECONFIG NAME DATA_DIR PORT CONTAINERD_DIR CERT KEY CLIENT_CA [MANIFESTS]`

use std::path::Path;

use decapod_client::{CertifiedFiles, Client, Remote, kubeconfig};
use decapod_kubelet::{Config, Kubelet, RuntimeChoice, ServerConfig, clean_up};
use decapod_sys::Env;

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let filter = std::env::var("RUST_LOG").unwrap_or_else(|_| "info".to_owned());
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).init();
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [kubeconfig, name, data_dir, port, containerd, cert, key, ca, manifests @ ..] = arguments.as_slice()
    else {
        return Err("node KUBECONFIG NAME DATA_DIR PORT CONTAINERD_DIR CERT KEY CLIENT_CA [MANIFESTS]".into());
    };
    let env = Env::system();
    let client = Client::new(Remote::new(&env, kubeconfig::load(Path::new(kubeconfig), None)?)?);
    let mut config = Config::new(name, data_dir);
    config.runtime = RuntimeChoice::Containerd { dirs: vec![containerd.into()] };
    config.pod_log_dir = Path::new(data_dir).join("logs");
    config.cgroup_root = "/decapod-node".to_owned();
    config.cni_conf_dir = Path::new(data_dir).join("cni/net.d");
    config.cni_bin_dir = Path::new(data_dir).join("cni/bin");
    config.manifest_dir = manifests.first().map(Into::into);
    config.server = Some(ServerConfig {
        listen: format!("0.0.0.0:{port}").parse()?,
        certificate: CertifiedFiles::open(cert.into(), key.into())?,
        client_ca_pem: std::fs::read(ca)?,
    });
    let kubelet = Kubelet::start(&env, client, config.clone()).await?;
    kubelet.ready().await;
    println!("ready; SIGINT ends the kubelet and leaves the pods, SIGTERM takes everything down");
    let mut terminated = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())?;
    tokio::select! {
        biased;
        interrupted = tokio::signal::ctrl_c() => {
            interrupted?;
            kubelet.stop().await;
        }
        _ = terminated.recv() => {
            kubelet.stop_everything(&env).await;
            clean_up(&config)?;
        }
    }
    Ok(())
}
