//! `decapod down` and `decapod uninstall`.

use decapod_cli::kubeconfig;
use decapod_sys::Env;

use super::{Error, up};
use crate::args;
use crate::cluster::{Paths, teardown};

/// Stops the cluster; its data stays.
pub async fn down(args: args::Down) -> Result<(), Error> {
    let paths = Paths { data: args.data_dir.clone() };
    let problems = teardown::down(&Env::system(), &paths).await;
    report(problems)?;
    println!("stopped; the data is in {}: decapod up starts it again", args.data_dir.display());
    Ok(())
}

/// Stops the cluster and removes all of it.
pub async fn uninstall(args: args::Uninstall) -> Result<(), Error> {
    let paths = Paths { data: args.data_dir.clone() };
    let mut problems = teardown::down(&Env::system(), &paths).await;
    problems.extend(teardown::uninstall(&paths)?);
    kubeconfig::remove(&args::kubeconfig_path(args.kubeconfig.as_ref()), up::CONTEXT)?;
    report(problems)?;
    println!("removed {}", args.data_dir.display());
    Ok(())
}

fn report(problems: Vec<String>) -> Result<(), Error> {
    if problems.is_empty() { Ok(()) } else { Err(Error::Left(problems.join("; "))) }
}
