//! `decapod doctor`: whether this machine can run a cluster, and what to do if not.

use decapod_sys::Env;

use super::Error;
use crate::args;
use crate::cluster::Paths;
use crate::cluster::checks::{self, Finding, Level};

/// Prints a line for each subject; fails if one of them keeps a cluster from running.
pub fn run(args: args::Doctor) -> Result<(), Error> {
    let findings = examine(&args);
    findings.iter().for_each(|finding| println!("{finding}"));
    let failed = findings.iter().filter(|finding| finding.level == Level::Fail).count();
    if failed == 0 { Ok(()) } else { Err(Error::Unfit(failed)) }
}

fn examine(args: &args::Doctor) -> Vec<Finding> {
    let paths = Paths { data: args.folder.path() };
    let mut findings = vec![checks::rights()];
    findings.extend(checks::features());
    findings.push(checks::control_groups());
    findings.extend(checks::runtime(&args.runtime_dir));
    findings.extend([
        checks::port(&paths, args.port, "--port"),
        checks::port(&paths, args.kubelet_port, "--kubelet-port"),
        checks::disk(&paths.data),
        checks::clock(&paths, Env::system().now()),
    ]);
    findings
}
