//! Taking a cluster down, and taking away what it made. Both work on what they find, whatever became of the process
//! that made it.

use std::path::Path;

use decapod_kubelet::containerd::Containerd;
use decapod_kubelet::cri::Cri;
use decapod_network::{Kernel, Ledger, NetworkConfig};
use decapod_proxy::ProxyConfig;
use decapod_sys::Env;

use super::settings::{Record, kernel_name};
use super::{Error, Paths, ledger, modules, neighbors};

/// Stops the process that runs the cluster, all pods and the container runtime. What cannot be done is returned.
pub async fn down(env: &Env, paths: &Paths) -> Vec<String> {
    let mut problems = Vec::new();
    if let Err(error) = stop_process(env, &paths.pid()).await {
        problems.push(format!("stopping the cluster's process: {error}"));
    }
    let runtime = paths.data.join("containerd");
    let socket = runtime.join("containerd.sock");
    if socket.exists()
        && let Ok(cri) = Cri::new(&socket)
    {
        decapod_kubelet::remove_all_pods(&cri).await;
    }
    Containerd::stop_below(env, &runtime).await;
    if let Err(error) = decapod_kubelet::containerd::remove_remains(&runtime) {
        problems.push(format!("removing what the container runtime left: {error}"));
    }
    let mut config = decapod_kubelet::Config::new("", &paths.data);
    config.cgroup_root = Record::read(paths).cgroup_root;
    if let Err(error) = decapod_kubelet::clean_up(&config) {
        problems.push(format!("removing mounts and control groups: {error}"));
    }
    problems
}

/// What an uninstallation could not do.
#[derive(Debug, Default)]
pub struct Left {
    /// What is left behind and should not be.
    pub problems: Vec<String>,
    /// Kernel modules that were not loaded before, and that somebody uses.
    pub modules: Vec<String>,
}

/// Removes what a cluster that is down has left: links, rules, settings, files and kernel modules.
pub async fn uninstall(paths: &Paths) -> Result<Left, Error> {
    let mut problems = Vec::new();
    let mut ledger = ledger::read(paths).unwrap_or_default();
    if let Some(network) = installed_network(paths) {
        let others = neighbors::hand_over(paths, &ledger);
        let others = others.map_err(|source| Error::File { path: paths.ledger(), source })?;
        if others {
            ledger = Ledger::default();
        }
        problems.extend(decapod_network::remove(&Kernel::system()?, &network, &ledger));
        let name = Record::read(paths).name;
        let proxy = ProxyConfig::new(
            kernel_name(&name),
            "",
            network.cluster_cidrs.clone(),
            network.service_cidrs.clone(),
        );
        if let Err(error) = decapod_proxy::uninstall(&*decapod_proxy::Kernel::system()?.nftables, &proxy) {
            problems.push(format!("removing the service rules: {error}"));
        }
    }
    remove_dir(&paths.data)?;
    Ok(Left { problems, modules: modules::unload(ledger.modules).await })
}

/// The network that was set up, as CNI's configuration has it.
fn installed_network(paths: &Paths) -> Option<NetworkConfig> {
    let text = std::fs::read(paths.cni_conf().join(decapod_network::install::CONF)).ok()?;
    let conf: serde_json::Value = serde_json::from_slice(&text).ok()?;
    serde_json::from_value(conf["plugins"][0]["network"].clone()).ok()
}

fn remove_dir(path: &Path) -> Result<(), Error> {
    match std::fs::remove_dir_all(path) {
        Err(source) if source.kind() != std::io::ErrorKind::NotFound => {
            Err(Error::File { path: path.to_owned(), source })
        }
        _ => Ok(()),
    }
}

/// Asks the process that the file names to end, and waits until it has.
async fn stop_process(env: &Env, file: &Path) -> std::io::Result<()> {
    let Some(pid) = running(file) else { return Ok(()) };
    rustix::process::kill_process(pid, rustix::process::Signal::TERM)?;
    let handle = rustix::process::pidfd_open(pid, rustix::process::PidfdFlags::empty())?;
    let ended = env.spawn_blocking(move || {
        let mut poll = [rustix::event::PollFd::new(&handle, rustix::event::PollFlags::IN)];
        let limit = rustix::event::Timespec { tv_sec: 30, tv_nsec: 0 };
        rustix::event::poll(&mut poll, Some(&limit))
    });
    match ended.await {
        Some(Ok(0)) => rustix::process::kill_process(pid, rustix::process::Signal::KILL)?,
        Some(Err(error)) => return Err(error.into()),
        _ => {}
    }
    Ok(())
}

/// The process that the file names, if it is there and is one of ours.
pub fn running(file: &Path) -> Option<rustix::process::Pid> {
    let pid: i32 = std::fs::read_to_string(file).ok()?.trim().parse().ok()?;
    let name = std::fs::read_to_string(format!("/proc/{pid}/comm")).ok()?;
    (name.trim() == "decapod").then(|| rustix::process::Pid::from_raw(pid)).flatten()
}
