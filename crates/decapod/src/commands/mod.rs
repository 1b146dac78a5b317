//! The commands, a file each.

mod apiserver;

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
    /// Keys or certificates could not be made.
    #[error(transparent)]
    Pki(#[from] decapod_apiserver::pki::Error),
    /// The process lacks something.
    #[error("{0}")]
    Runtime(std::io::Error),
}

/// Runs a command.
pub fn run(command: Command) -> Result<(), Error> {
    match command {
        Command::Apiserver(args) => block_on(apiserver::run(args)),
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
