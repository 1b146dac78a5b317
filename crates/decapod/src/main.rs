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
/// The command was not understood.
const REFUSED: u8 = 2;

fn main() -> ExitCode {
    // The container runtime calls this binary by the name of its network plugin.
    if let Some(code) = commands::as_plugin() {
        return code;
    }
    let args = match args::Args::try_parse() {
        Ok(args) => args,
        Err(error) => return refuse(&error),
    };
    logging::start(args.verbose);
    match commands::run(args.command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("decapod: {error}");
            ExitCode::from(FAILED)
        }
    }
}

/// Says what is not understood, or the help that was asked for.
fn refuse(error: &clap::Error) -> ExitCode {
    let words = std::env::args_os().skip(1).map(|word| word.to_string_lossy().into_owned());
    if let Some(line) = args::one_line(error, words) {
        eprintln!("decapod: {line}");
        return ExitCode::from(REFUSED);
    }
    // Whoever asked may have stopped reading.
    let _printed = error.print();
    if error.exit_code() == 0 { ExitCode::SUCCESS } else { ExitCode::from(REFUSED) }
}
