//! The last words of containers: what they left in their file, or the end of their log
//! (pkg/kubelet/kuberuntime getTerminationMessage).

use std::io::Read;
use std::path::Path;

use super::Worker;
use crate::logs;
use crate::pod::observed::{PodRuntime, State};

/// How much a file may say; all containers of a pod together 12 KiB.
const FILE_BYTES_MAX: u64 = 4096;
const TOTAL_BYTES_MAX: u64 = 12 << 10;
/// How much of a log stands in.
const LOG_BYTES_MAX: usize = 2048;
const LOG_LINES_MAX: usize = 80;

impl Worker {
    /// Reads the last words of containers that have ended since the last time.
    pub(super) fn read_messages(&mut self, runtime: &PodRuntime) {
        let share = TOTAL_BYTES_MAX / (self.pod.init().len() + self.pod.regular().len()).max(1) as u64;
        for container in runtime.containers.iter().filter(|container| container.state == State::Exited) {
            if self.messages.contains_key(&container.id) {
                continue;
            }
            let path = container.termination_log.as_deref().map(Path::new);
            let mut message = path.map(|path| read(path, share.min(FILE_BYTES_MAX))).unwrap_or_default();
            if message.is_empty() && container.log_is_message && container.exit_code != 0 {
                message = logs::tail_text(Path::new(&container.log_path), LOG_LINES_MAX, LOG_BYTES_MAX);
            }
            let why = if message.is_empty() { container.message.clone() } else { message };
            self.messages.insert(container.id.clone(), why);
        }
        self.messages.retain(|id, _| runtime.containers.iter().any(|container| container.id == *id));
    }
}

fn read(path: &Path, bytes_max: u64) -> String {
    let mut bytes = Vec::new();
    let read = std::fs::File::open(path).and_then(|file| file.take(bytes_max).read_to_end(&mut bytes));
    if let Err(error) = read {
        tracing::debug!(path = %path.display(), %error, "cannot read a container's last words");
    }
    String::from_utf8_lossy(&bytes).into_owned()
}
