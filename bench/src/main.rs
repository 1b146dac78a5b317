//! The load generator: measures an API server, ours or upstream's, and prints figures side by side.
//!
//! `bench/run.sh` starts the servers, one at a time, and calls this for each; every figure is a line of a file, and
//! `table` puts the lines of both sides together. What it says of a server's CPU and memory comes from `/proc`.
#![forbid(unsafe_code)]

mod args;
mod connection;
mod copy;
mod load;
mod pods;
mod results;
mod rows;
mod server;
mod table;

use std::process::ExitCode;

use clap::Parser;
use decapod_sys::Env;

use crate::args::{Args, Command};

/// Why a figure could not be had.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file.
    #[error("{path}: {source}")]
    File {
        /// Which.
        path: String,
        /// Why.
        source: std::io::Error,
    },
    /// The generator's own set-up.
    #[error("setting up: {0}")]
    Setup(String),
    /// The server did not answer as it should.
    #[error("the server: {0}")]
    Server(String),
}

fn main() -> ExitCode {
    let args = Args::parse();
    let done = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime.block_on(run(args.command)),
        Err(error) => Err(Error::Setup(error.to_string())),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("decapod-bench: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn run(command: Command) -> Result<(), Error> {
    let env = Env::system();
    match command {
        Command::Ready(args) => rows::ready::run(&args).await,
        Command::Idle(args) => rows::idle::run(&args).await,
        Command::Requests(args) => rows::requests(&env, &args).await,
        Command::PodStart(args) => rows::pod_start::run(&env, &args).await,
        Command::Cri(args) => rows::cri::run(&args).await,
        Command::Bound(args) => rows::bound::run(&env, &args).await,
        Command::MakeServices(args) => rows::services::make(&env, &args).await,
        Command::SyncServices(args) => rows::services::sync(&env, &args).await,
        Command::Copy(args) => copy::run(&env, &args).await,
        Command::Table(args) => table::run(&args),
    }
}
