//! `decapod down` and `decapod uninstall`.

use decapod_cli::kubeconfig;
use decapod_sys::Env;

use super::Error;
use crate::args;
use crate::cluster::{Paths, teardown};

/// Stops the cluster; its data stays.
pub async fn down(args: args::Folder) -> Result<(), Error> {
    let paths = Paths { data: args.path() };
    refuse_others(&paths)?;
    let problems = teardown::down(&Env::system(), &paths).await;
    report(problems)?;
    println!("stopped; the data is in {}: the command that started it starts it again", paths.data.display());
    Ok(())
}

/// Stops the cluster and removes all of it.
pub async fn uninstall(args: args::Uninstall) -> Result<(), Error> {
    let paths = Paths { data: args.folder.path() };
    refuse_others(&paths)?;
    let mut problems = teardown::down(&Env::system(), &paths).await;
    let left = teardown::uninstall(&paths).await?;
    problems.extend(left.problems);
    kubeconfig::remove(&args::kubeconfig_path(args.kubeconfig.as_ref()), &args.folder.name)?;
    report(problems)?;
    println!("removed {}", paths.data.display());
    if !left.modules.is_empty() {
        println!("kernel modules that stay loaded, for somebody uses them: {}", left.modules.join(" "));
    }
    Ok(())
}

/// A folder that no cluster of ours is kept in may be anything.
fn refuse_others(paths: &Paths) -> Result<(), Error> {
    if paths.is_cluster() { Ok(()) } else { Err(Error::NoCluster(paths.data.clone())) }
}

fn report(problems: Vec<String>) -> Result<(), Error> {
    if problems.is_empty() { Ok(()) } else { Err(Error::Left(problems.join("; "))) }
}
