//! A containerd of our own: chosen, configured, started in a session of its own so that it outlives us, found again
//! by its pid file, and started again when it dies.

mod config;
mod find;
mod remains;

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use decapod_sys::{Env, process};

pub use config::Settings;
pub use find::{Found, find};
pub use remains::remove as remove_remains;

/// How long it may take from start to answering.
const START_TIMEOUT: Duration = Duration::from_secs(30);
/// How long it may take to stop before it is killed.
const STOP_TIMEOUT: Duration = Duration::from_secs(10);
/// How long to wait before one that died is started again, at first and at most.
const RESTART_MIN: Duration = Duration::from_millis(100);
const RESTART_MAX: Duration = Duration::from_secs(30);

/// Containerd cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ContainerdError {
    /// None was found.
    #[error(
        "no containerd is installed: install the package `containerd`, or put a containerd 2.2 or newer in PATH"
    )]
    Missing,
    /// No OCI runtime was found.
    #[error("neither runc nor crun is in PATH: install the package `runc`")]
    NoRuntime,
    /// Its files cannot be written.
    #[error("cannot write {path}: {source}")]
    Write {
        /// What was to be written.
        path: PathBuf,
        /// Why it was not.
        source: std::io::Error,
    },
    /// It does not start.
    #[error("cannot start {program}: {source}")]
    Spawn {
        /// Which program.
        program: PathBuf,
        /// Why it does not start.
        source: std::io::Error,
    },
    /// It ended or did not answer.
    #[error("containerd does not answer at {socket}; its log is {log}")]
    Silent {
        /// Where it should answer.
        socket: PathBuf,
        /// Where it says why.
        log: PathBuf,
    },
}

/// A containerd of our own that runs.
#[derive(Clone, Debug)]
pub struct Containerd {
    dir: PathBuf,
    found: Found,
}

// === impl Containerd ===

impl Containerd {
    /// Finds the one that runs below `dir`, or starts it; returns when it answers. While `env` lives it is started
    /// again if it dies.
    pub async fn start(
        env: &Env,
        dir: &Path,
        found: Found,
        settings: &Settings,
    ) -> Result<Containerd, ContainerdError> {
        let lacks = found.lacks();
        if !lacks.is_empty() {
            let (major, minor) = found.version;
            tracing::warn!(
                "containerd {major}.{minor} has no {}: put a 2.2 or newer in PATH or --runtime-dir",
                lacks.join(", no ")
            );
        }
        let containerd = Containerd { dir: dir.to_path_buf(), found };
        containerd.prepare(settings)?;
        let mut child = None;
        if !containerd.answers().await {
            // One that runs without answering would hold the same data.
            containerd.stop(env).await;
            child = Some(containerd.spawn()?);
            containerd.wait_until_it_answers().await?;
        }
        let supervised = containerd.clone();
        let supervisor = env.clone();
        env.spawn("containerd", async move { supervised.supervise(supervisor, child).await });
        Ok(containerd)
    }

    /// Where it answers.
    pub fn socket(&self) -> PathBuf {
        self.dir.join("containerd.sock")
    }

    /// Its `ctr` program.
    pub fn ctr(&self) -> &Path {
        &self.found.ctr
    }

    /// Which containerd it is.
    pub fn found(&self) -> &Found {
        &self.found
    }

    /// Stops the containerd below `dir`, started by whomever; containers go on. Fine if none runs.
    pub async fn stop_below(env: &Env, dir: &Path) {
        let Some(pid) = read_pid(&dir.join("containerd.pid")) else { return };
        env.spawn_blocking(move || {
            let Ok(pidfd) = process::open(pid) else { return };
            if process::signal(&pidfd, false).is_ok() && !process::wait(&pidfd, STOP_TIMEOUT) {
                tracing::warn!(pid, "containerd does not stop; killing it");
                if process::signal(&pidfd, true).is_ok() {
                    process::wait(&pidfd, STOP_TIMEOUT);
                }
            }
        })
        .await;
    }

    /// Stops it; containers go on.
    pub async fn stop(&self, env: &Env) {
        Containerd::stop_below(env, &self.dir).await;
    }

    fn prepare(&self, settings: &Settings) -> Result<(), ContainerdError> {
        let write = |path: PathBuf, result: std::io::Result<()>| {
            result.map_err(|source| ContainerdError::Write { path, source })
        };
        for directory in ["bin", "root", "state", "opt"] {
            let path = self.dir.join(directory);
            write(path.clone(), std::fs::create_dir_all(path))?;
        }
        write(self.dir.clone(), remains::note(&self.dir))?;
        // Containerd looks for its shim by name in PATH.
        for (name, target) in
            [("containerd", &self.found.containerd), ("ctr", &self.found.ctr), (SHIM, &self.found.shim)]
        {
            let link = self.dir.join("bin").join(name);
            write(link.clone(), relink(target, &link))?;
        }
        let path = self.dir.join("config.toml");
        write(path.clone(), std::fs::write(path, config::render(&self.dir, &self.found, settings)))
    }

    fn spawn(&self) -> Result<Child, ContainerdError> {
        let log = self.dir.join("containerd.log");
        let open = std::fs::OpenOptions::new().create(true).append(true).open(&log);
        let log = open.map_err(|source| ContainerdError::Write { path: log, source })?;
        let path = std::env::var_os("PATH").unwrap_or_else(|| "/usr/sbin:/usr/bin:/sbin:/bin".into());
        let path = std::iter::once(self.dir.join("bin")).chain(std::env::split_paths(&path));
        let path = std::env::join_paths(path).unwrap_or_default();
        let program = self.found.containerd.clone();
        let mut command = Command::new(&program);
        command
            .arg("--config")
            .arg(self.dir.join("config.toml"))
            .arg("--log-level")
            .arg("warn")
            .env("PATH", path);
        command.current_dir("/").stdin(Stdio::null()).stdout(Stdio::null()).stderr(log);
        let child =
            process::spawn_detached(command).map_err(|source| ContainerdError::Spawn { program, source })?;
        let path = self.dir.join("containerd.pid");
        std::fs::write(&path, child.id().to_string())
            .map_err(|source| ContainerdError::Write { path, source })?;
        Ok(child)
    }

    /// Whether someone accepts connections at the socket. Containerd binds it when its plugins are loaded.
    async fn answers(&self) -> bool {
        tokio::net::UnixStream::connect(self.socket()).await.is_ok()
    }

    async fn wait_until_it_answers(&self) -> Result<(), ContainerdError> {
        let started = tokio::time::Instant::now();
        while !self.answers().await {
            let alive =
                read_pid(&self.dir.join("containerd.pid")).is_some_and(|pid| process::open(pid).is_ok());
            if !alive || started.elapsed() > START_TIMEOUT {
                return Err(ContainerdError::Silent {
                    socket: self.socket(),
                    log: self.dir.join("containerd.log"),
                });
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        Ok(())
    }

    async fn supervise(&self, env: Env, mut child: Option<Child>) {
        let mut delay = RESTART_MIN;
        loop {
            let began = tokio::time::Instant::now();
            self.ended().await;
            // A child of ours stays a zombie until someone asks for its status.
            if let Some(mut child) = child.take() {
                env.spawn_blocking(move || child.wait().map(drop)).await;
            }
            if env.is_cancelled() {
                return;
            }
            tracing::error!(log = %self.dir.join("containerd.log").display(), "containerd ended; starting it again");
            if began.elapsed() > RESTART_MAX {
                delay = RESTART_MIN;
            }
            tokio::time::sleep(delay).await;
            delay = (delay * 2).min(RESTART_MAX);
            match self.spawn() {
                Ok(started) => child = Some(started),
                Err(error) => tracing::error!(%error, "containerd does not start"),
            }
        }
    }

    /// Returns when the process of the pid file has ended.
    async fn ended(&self) {
        let Some(pidfd) = read_pid(&self.dir.join("containerd.pid")).and_then(|pid| process::open(pid).ok())
        else {
            return;
        };
        if let Err(error) = process::ended(pidfd).await {
            tracing::error!(%error, "cannot watch containerd; it will not be started again");
            std::future::pending::<()>().await;
        }
    }
}

const SHIM: &str = "containerd-shim-runc-v2";

fn read_pid(path: &Path) -> Option<u32> {
    let pid: u32 = std::fs::read_to_string(path).ok()?.trim().parse().ok()?;
    // The number may long belong to another program.
    let name = std::fs::read_to_string(format!("/proc/{pid}/comm")).ok()?;
    name.starts_with("containerd").then_some(pid)
}

fn relink(target: &Path, link: &Path) -> std::io::Result<()> {
    if std::fs::read_link(link).is_ok_and(|there| there == target) {
        return Ok(());
    }
    if link.is_symlink() {
        std::fs::remove_file(link)?;
    }
    std::os::unix::fs::symlink(target, link)
}
