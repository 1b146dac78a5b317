//! Kubernetes as one small binary: arguments in, one command run, an exit code out.
#![forbid(unsafe_code)]

mod args;
mod commands;
mod logging;

use std::process::ExitCode;

use clap::Parser;

/// The command was understood and failed.
const FAILED: u8 = 1;

fn main() -> ExitCode {
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
