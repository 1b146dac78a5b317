//! What the kernel says of the server's processes.

use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::Error;

/// The processes of one side, as the file that `conformance/upstream/lib.sh` writes names them.
#[derive(Clone)]
pub struct Server {
    processes: Vec<Process>,
}

#[derive(Clone)]
struct Process {
    dir: PathBuf,
    /// When it started, in ticks since the machine did.
    started: u64,
}

/// What the processes need together, in bytes.
#[derive(Clone, Copy, Debug, Default)]
pub struct Memory {
    /// Resident.
    pub rss: u64,
    /// Resident, with what is shared counted by its share.
    pub pss: u64,
}

/// The kernel's ticks a second, which programs see the same everywhere.
const TICKS: u64 = 100;

// === impl Server ===

impl Server {
    /// Reads which processes there are.
    pub fn read(pids: &Path) -> Result<Server, Error> {
        let text = read(pids)?;
        let process = |line: &str| {
            let mut words = line.split_whitespace().skip(1);
            let pid = words.next()?;
            Some(Process { dir: Path::new("/proc").join(pid), started: words.next()?.parse().ok()? })
        };
        Ok(Server { processes: text.lines().filter_map(process).collect() })
    }

    /// The CPU that they, all their threads and the programs that they ran to the end have used.
    pub fn cpu(&self) -> Result<Duration, Error> {
        let mut ticks = 0;
        for process in &self.processes {
            let stat = read(&process.dir.join("stat"))?;
            let fields: Vec<&str> = stat.rsplit(") ").next().unwrap_or_default().split(' ').collect();
            let field = |at: usize| fields.get(at).and_then(|text| text.parse::<u64>().ok()).unwrap_or(0);
            ticks += (11..=14).map(field).sum::<u64>();
        }
        Ok(Duration::from_millis(ticks * 1000 / TICKS))
    }

    /// Their memory.
    pub fn memory(&self) -> Result<Memory, Error> {
        let mut memory = Memory::default();
        for process in &self.processes {
            let rollup = read(&process.dir.join("smaps_rollup"))?;
            let field = |name: &str| {
                let line = rollup.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_default();
                line.split_whitespace().next().and_then(|text| text.parse::<u64>().ok()).unwrap_or(0) * 1024
            };
            memory.rss += field("Rss:");
            memory.pss += field("Pss:");
        }
        Ok(memory)
    }

    /// Whether there is one at all.
    pub fn is_there(&self) -> bool {
        !self.processes.is_empty()
    }

    /// How long ago the first of them started, to within a tick.
    pub fn age(&self) -> Result<Duration, Error> {
        let uptime = read(Path::new("/proc/uptime"))?;
        let seconds = uptime.split(' ').next().and_then(|text| text.parse().ok()).unwrap_or_default();
        let first = self.processes.iter().map(|process| process.started).min().unwrap_or(0);
        Ok(Duration::from_secs_f64(seconds).saturating_sub(Duration::from_millis(first * 1000 / TICKS)))
    }
}

fn read(path: &Path) -> Result<String, Error> {
    std::fs::read_to_string(path).map_err(|source| Error::File { path: path.display().to_string(), source })
}
