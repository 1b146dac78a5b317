//! `decapod up`: a cluster of one node, in the foreground or (`-d`) in the background.

use std::fs::File;
use std::io::{BufRead, BufReader, IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use decapod_cli::kubeconfig::{self, Access};
use decapod_network::Ledger;
use decapod_sys::{Env, process};

use super::{Error, asked_to_end};
use crate::cluster::settings::cgroup_root;
use crate::cluster::{Cluster, Layout, NodeSettings, Paths, Settings, modules};
use crate::{args, cluster};

/// What the process in the background says when the cluster is up.
pub const READY: &str = "ready";
/// How long a process that has a folder may take to end, if it is about to.
const END_TIMEOUT: Duration = Duration::from_secs(1);

/// Runs the cluster until asked to end, or starts the process that does.
pub fn run(args: args::Up) -> Result<(), Error> {
    let kubeconfig = args::kubeconfig_path(args.kubeconfig.as_ref());
    if args.detach {
        let before = modules::before();
        check(&settings(&args.cluster), Some(&kubeconfig))?;
        return detach(&args, before);
    }
    let name = &args.cluster.node.folder.name;
    let hint = format!("kubectl --context {name} get pods --all-namespaces");
    super::block_on(foreground(&args.cluster, Some(kubeconfig), &hint))
}

/// Refuses, before anything is begun, what cannot end well.
fn check(settings: &Settings, kubeconfig: Option<&Path>) -> Result<(), Error> {
    settings.check()?;
    cluster::preflight::check().map_err(cluster::Error::from)?;
    Ok(kubeconfig.map_or(Ok(()), kubeconfig::check)?)
}

/// Runs a cluster until asked to end. A context of it is merged into `kubeconfig`; `hint` is said when it is ready.
pub async fn foreground(
    args: &args::ClusterArgs,
    kubeconfig: Option<PathBuf>,
    hint: &str,
) -> Result<(), Error> {
    let env = Env::system();
    let settings = settings(args);
    let before = modules::before();
    check(&settings, kubeconfig.as_deref())?;
    let running = Running::claim(&settings.node.paths)?;
    modules::note(&settings.node.paths, before)?;
    let say = progress();
    let cluster = tokio::select! {
        biased;
        ended = asked_to_end() => return running.end(&env, ended).await,
        cluster = Cluster::start(&env, &settings, &say) => cluster?,
    };
    write_kubeconfigs(&settings, kubeconfig, &cluster)?;
    say("waiting for the node and DNS");
    tokio::select! {
        biased;
        ended = asked_to_end() => return running.end(&env, ended).await,
        () = cluster.node.ready() => {}
    }
    say("the node is ready and DNS answers");
    println!("{READY}: {hint}");
    let ended = asked_to_end().await;
    running.end(&env, ended).await
}

fn write_kubeconfigs(
    settings: &Settings,
    kubeconfig: Option<PathBuf>,
    cluster: &Cluster,
) -> Result<(), Error> {
    let (server, admin) = (&cluster.plane.server, &cluster.plane.admin);
    let access = Access {
        name: &settings.node.name,
        server: &format!("https://127.0.0.1:{}", settings.port),
        ca_pem: server.pki().ca_pem(),
        cert_pem: &admin.cert_pem,
        key_pem: &admin.key_pem,
    };
    kubeconfig::write(&settings.node.paths.admin_kubeconfig(), &access)?;
    if let Some(path) = kubeconfig {
        kubeconfig::merge(&path, &access)?;
    }
    Ok(())
}

/// How `args` set a cluster up.
pub fn settings(args: &args::ClusterArgs) -> Settings {
    Settings {
        node: node_settings(&args.node),
        layout: Layout {
            cluster_cidr: args.cluster_cidr,
            service_cidr: args.service_cidr,
            cluster_domain: args.cluster_domain.clone(),
        },
        port: args.port,
    }
}

/// How `args` set a node up.
pub fn node_settings(args: &args::NodeArgs) -> NodeSettings {
    let name = &args.folder.name;
    NodeSettings {
        name: name.clone(),
        paths: Paths { data: args.folder.path() },
        node_name: args.node_name.clone().unwrap_or_else(host_name),
        node_ip: args.node_ip.unwrap_or_else(super::own_address),
        kubelet_port: args.kubelet_port,
        runtime_dirs: args.runtime_dir.clone(),
        cgroup_root: args.cgroup_root.clone().unwrap_or_else(|| cgroup_root(name)),
    }
}

/// The machine's name, as a node may be called.
pub fn host_name() -> String {
    let name = rustix::system::uname().nodename().to_string_lossy().to_lowercase();
    let name: String = name
        .chars()
        .map(|c| if c.is_ascii_alphanumeric() || c == '-' || c == '.' { c } else { '-' })
        .collect();
    if name.is_empty() { "node".to_owned() } else { name }
}

/// Says each step, with the time since now. It goes to standard output, which `-d` hands on until the cluster is up.
pub fn progress() -> impl Fn(&str) {
    let began = tokio::time::Instant::now();
    move |text| {
        let text = format!("{:6.2} s  {text}", began.elapsed().as_secs_f64());
        if std::io::stdout().is_terminal() {
            println!("\x1b[2m{text}\x1b[0m");
        } else {
            println!("{text}");
        }
    }
}

/// That this process, and no other, runs what is in a folder.
pub struct Running {
    pid: PathBuf,
    _lock: File,
}

// === impl Running ===

impl Running {
    /// Claims the folder, and writes down which process has.
    pub fn claim(paths: &Paths) -> Result<Running, Error> {
        paths.make()?;
        let lock = paths.lock();
        let file = File::options().create(true).truncate(false).write(true).open(&lock);
        let file = file.map_err(Error::file(&lock))?;
        let pid = paths.pid();
        if file.try_lock().is_err() {
            let by = std::fs::read_to_string(&pid).unwrap_or_default().trim().to_owned();
            wait_for_end(&by);
            file.try_lock().map_err(|_| Error::InUse { path: paths.data.clone(), by })?;
        }
        let write = || File::create(&pid)?.write_all(std::process::id().to_string().as_bytes());
        write().map_err(Error::file(&pid))?;
        Ok(Running { pid, _lock: file })
    }

    /// Ends everything in `env` and gives the folder back.
    pub async fn end(self, env: &Env, ended: Result<(), Error>) -> Result<(), Error> {
        env.shutdown().await;
        ended
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Err(error) = std::fs::remove_file(&self.pid) {
            tracing::warn!(%error, path = %self.pid.display(), "cannot remove the file that names this process");
        }
    }
}

/// Gives a process that was just killed the time to end: its last thread may still hold what it had.
fn wait_for_end(pid: &str) {
    if let Some(process) = pid.parse().ok().and_then(|pid| process::open(pid).ok()) {
        process::wait(&process, END_TIMEOUT);
    }
}

/// Starts the same command in a session of its own and hands on what it says until the cluster is up.
fn detach(args: &args::Up, before: Ledger) -> Result<(), Error> {
    let paths = Paths { data: args.cluster.node.folder.path() };
    paths.make()?;
    modules::note(&paths, before)?;
    let log = paths.log();
    let log_file =
        std::fs::OpenOptions::new().create(true).append(true).open(&log).map_err(Error::file(&log))?;
    let begins = log_file.metadata().map_err(Error::file(&log))?.len();
    let arguments: Vec<_> =
        std::env::args_os().skip(1).filter(|arg| arg != "-d" && arg != "--detach").collect();
    let binary = std::env::current_exe().map_err(Error::Runtime)?;
    let mut child = Command::new("setsid")
        .arg(binary)
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(log_file)
        .spawn()
        .map_err(Error::Runtime)?;
    let Some(output) = child.stdout.take() else { return Ok(()) };
    for line in BufReader::new(output).lines() {
        let line = line.map_err(Error::Runtime)?;
        println!("{line}");
        if line.starts_with(READY) {
            return Ok(());
        }
    }
    Err(Error::DidNotStart(why(&log, begins).unwrap_or_else(|| format!("its log is {}", log.display()))))
}

/// What the process in the background gave as its error, after the first `begins` bytes of the log.
fn why(log: &Path, begins: u64) -> Option<String> {
    let text = std::fs::read(log).ok()?;
    let text = String::from_utf8_lossy(text.get(usize::try_from(begins).ok()?..)?).into_owned();
    text.lines().rev().find_map(|line| line.strip_prefix("decapod: ")).map(str::to_owned)
}
