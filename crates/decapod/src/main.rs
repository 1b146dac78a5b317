//! Kubernetes as one small binary: arguments in, one command run, an exit code out.
#![forbid(unsafe_code)]

mod args;
mod cluster;
mod commands;
mod logging;

use std::process::ExitCode;

use clap::Parser;

/// The command was understood and failed.
const FAILED: u8 = 1;

fn main() -> ExitCode {
    // The container runtime calls this binary by the name of its network plugin.
    if let Some(code) = commands::as_plugin() {
        return code;
    }
    let args = args::Args::parse();
    logging::start(args.verbose);
    match commands::run(args.command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("decapod: {error}");
            ExitCode::from(FAILED)
        }
    }
}
