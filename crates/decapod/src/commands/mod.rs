//! The commands, a file each.

mod agent;
mod apiserver;
mod component;
mod doctor;
mod down;
mod images;
mod server;
pub mod sim;
mod status;
mod token;
mod up;

use std::future::Future;

use crate::args::Command;

/// Why a command failed; the text is for the person who gave it.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The API server did not start.
    #[error(transparent)]
    Apiserver(#[from] decapod_apiserver::StartError),
    /// A kubeconfig could not be written.
    #[error(transparent)]
    Kubeconfig(#[from] decapod_cli::kubeconfig::Error),
    /// The kubeconfig that leads to the API server.
    #[error("--kubeconfig: {0}")]
    Server(decapod_client::kubeconfig::KubeconfigError),
    /// Keys or certificates could not be made.
    #[error(transparent)]
    Pki(#[from] decapod_apiserver::pki::Error),
    /// The cluster did not start.
    #[error(transparent)]
    Cluster(#[from] crate::cluster::Error),
    /// The process in the background ended.
    #[error("the cluster did not start: {0}")]
    DidNotStart(String),
    /// Something could not be taken away.
    #[error("not everything could be removed: {0}")]
    Left(String),
    /// Another process has the folder.
    #[error("{} is in use by process {by}: stop that with decapod down, or choose another --data-dir", path.display())]
    InUse {
        /// Which.
        path: std::path::PathBuf,
        /// The process.
        by: String,
    },
    /// A token does not read.
    #[error("--token: {0}")]
    Token(decapod_cli::token::NoToken),
    /// A token is not there.
    #[error("there is no token {0}: see decapod token list")]
    NoSuchToken(String),
    /// There is nothing to take down.
    #[error("no cluster is kept in {}: name its folder with --data-dir", .0.display())]
    NoCluster(std::path::PathBuf),
    /// There is nothing to ask.
    #[error("no cluster runs in {}: start one with decapod up", .0.display())]
    NotUp(std::path::PathBuf),
    /// The API server did not answer.
    #[error("asking the API server: {0}")]
    Ask(String),
    /// Images.
    #[error("{0}")]
    Images(String),
    /// A file.
    #[error("{}: {source}", path.display())]
    File {
        /// Which.
        path: std::path::PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A cluster cannot be here.
    #[error("this machine cannot run a cluster yet: {0} of the lines above say fail, and what to do")]
    Unfit(usize),
    /// The process lacks something.
    #[error("{0}")]
    Runtime(std::io::Error),
}

impl Error {
    /// The error of a step with the file at `path`.
    fn file(path: &std::path::Path) -> impl Fn(std::io::Error) -> Error {
        let path = path.to_owned();
        move |source| Error::File { path: path.clone(), source }
    }
}

/// Runs a command.
pub fn run(command: Command) -> Result<(), Error> {
    match command {
        Command::Up(args) => up::run(args),
        Command::Server(args) => block_on(server::run(args)),
        Command::Agent(args) => block_on(agent::run(args)),
        Command::Token(args) => block_on(token::run(args)),
        Command::Apiserver(args) => block_on(apiserver::run(args)),
        Command::Scheduler(args) => block_on(component::scheduler(args)),
        Command::ControllerManager(args) => block_on(component::controller_manager(args)),
        Command::Kubelet(args) => block_on(component::kubelet(args)),
        Command::Proxy(args) => block_on(component::proxy(args)),
        Command::Doctor(args) => doctor::run(args),
        Command::Down(args) => block_on(down::down(args)),
        Command::Status(args) => block_on(status::run(args)),
        Command::Uninstall(args) => block_on(down::uninstall(args)),
        Command::Images(args) => block_on(images::run(args)),
        Command::Sim(args) => block_on(sim::run(args)),
        Command::Version => {
            println!("decapod {} (Kubernetes v1.36.3)", env!("CARGO_PKG_VERSION"));
            Ok(())
        }
    }
}

/// Runs a future on the process's executor.
fn block_on(future: impl Future<Output = Result<(), Error>>) -> Result<(), Error> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().map_err(Error::Runtime)?;
    runtime.block_on(future)
}

/// Returns when somebody asks the process to end.
async fn asked_to_end() -> Result<(), Error> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut terminate = signal(SignalKind::terminate()).map_err(Error::Runtime)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(Error::Runtime)?;
    tokio::select! {
        biased;
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    Ok(())
}

/// This machine's address on the default route, or the loopback one where there is none.
fn own_address() -> std::net::Ipv4Addr {
    match decapod_kubelet::node::own_ip() {
        std::net::IpAddr::V4(v4) => v4,
        std::net::IpAddr::V6(_) => std::net::Ipv4Addr::LOCALHOST,
    }
}

/// Acts as the network plugin when the container runtime calls this binary as one.
pub fn as_plugin() -> Option<std::process::ExitCode> {
    let name = std::env::args().next()?;
    if !decapod_network::cni::is_plugin(&name) {
        return None;
    }
    let variable = |name: &str| std::env::var(name).ok();
    Some(decapod_network::cni::cni_main(&variable, &mut std::io::stdin(), &mut std::io::stdout()))
}
