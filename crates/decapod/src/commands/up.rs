//! `decapod up`: a cluster of one node, in the foreground or (`-d`) in the background.

use std::io::{BufRead, BufReader, IsTerminal};
use std::path::PathBuf;
use std::process::{Command, Stdio};

use decapod_cli::kubeconfig::{self, Access};
use decapod_sys::Env;

use super::{Error, asked_to_end};
use crate::args;
use crate::cluster::{Cluster, Paths, Settings};

/// The name of the context in kubeconfigs.
pub const CONTEXT: &str = "decapod";
/// What the process in the background says when the cluster is up.
const READY: &str = "ready";

/// Runs the cluster until asked to end, or starts the process that does.
pub fn run(args: args::Up) -> Result<(), Error> {
    if args.detach { detach(&args) } else { super::block_on(foreground(args)) }
}

async fn foreground(args: args::Up) -> Result<(), Error> {
    let env = Env::system();
    let settings = settings(&args);
    let began = tokio::time::Instant::now();
    let say = |text: &str| progress(&format!("{:6.2} s  {text}", began.elapsed().as_secs_f64()));
    let cluster = Cluster::start(&env, &settings, &say).await?;
    let pid = settings.paths.pid();
    std::fs::write(&pid, std::process::id().to_string()).map_err(Error::file(&pid))?;
    write_kubeconfigs(&args, &settings, &cluster)?;
    say("waiting for the node and DNS");
    tokio::select! {
        biased;
        ended = asked_to_end() => return end(&env, &settings, ended).await,
        () = cluster.node.ready() => {}
    }
    say("the node is ready and DNS answers");
    println!("{READY}: kubectl --context {CONTEXT} get pods --all-namespaces");
    let ended = asked_to_end().await;
    end(&env, &settings, ended).await
}

async fn end(env: &Env, settings: &Settings, ended: Result<(), Error>) -> Result<(), Error> {
    env.shutdown().await;
    let pid = settings.paths.pid();
    std::fs::remove_file(&pid).map_err(Error::file(&pid))?;
    ended
}

fn write_kubeconfigs(args: &args::Up, settings: &Settings, cluster: &Cluster) -> Result<(), Error> {
    let (server, admin) = (&cluster.plane.server, &cluster.plane.admin);
    let access = Access {
        name: CONTEXT,
        server: &format!("https://127.0.0.1:{}", settings.port),
        ca_pem: server.pki().ca_pem(),
        cert_pem: &admin.cert_pem,
        key_pem: &admin.key_pem,
    };
    kubeconfig::write(&settings.paths.admin_kubeconfig(), &access)?;
    kubeconfig::merge(&args.kubeconfig_path(), &access)?;
    Ok(())
}

/// How `args` set a cluster up.
pub fn settings(args: &args::Up) -> Settings {
    let node_ip = args.node_ip.unwrap_or_else(super::own_address);
    Settings {
        paths: Paths { data: args.data_dir.clone() },
        port: args.port,
        node_name: args.node_name.clone().unwrap_or_else(host_name),
        node_ip,
        cluster_cidr: args.cluster_cidr,
        service_cidr: args.service_cidr,
        cluster_domain: args.cluster_domain.clone(),
        kubelet_port: args.kubelet_port,
        runtime_dirs: args.runtime_dir.clone(),
    }
}

/// The machine's name, as a node may be called.
fn host_name() -> String {
    let name = rustix::system::uname().nodename().to_string_lossy().to_lowercase();
    let name: String = name
        .chars()
        .map(|c| if c.is_ascii_alphanumeric() || c == '-' || c == '.' { c } else { '-' })
        .collect();
    if name.is_empty() { "node".to_owned() } else { name }
}

/// Progress goes to standard output, which `-d` hands on until the cluster is up.
fn progress(text: &str) {
    if std::io::stdout().is_terminal() {
        println!("\x1b[2m{text}\x1b[0m");
    } else {
        println!("{text}");
    }
}

/// Starts the same command in a session of its own and hands on what it says until the cluster is up.
fn detach(args: &args::Up) -> Result<(), Error> {
    let paths = Paths { data: args.data_dir.clone() };
    paths.make()?;
    let log = paths.log();
    let log_file =
        std::fs::OpenOptions::new().create(true).append(true).open(&log).map_err(Error::file(&log))?;
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
    Err(Error::DidNotStart(last_lines(&log)))
}

/// The end of a log.
fn last_lines(path: &PathBuf) -> String {
    let text = std::fs::read_to_string(path).unwrap_or_default();
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(5)..].join("\n")
}
