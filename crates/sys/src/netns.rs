//! Network namespaces. They belong to threads, so all work in another one happens on a thread of its own.

use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use rustix::thread::{LinkNameSpaceType, UnshareFlags};

/// A network namespace, alive as long as this is.
#[derive(Debug)]
pub struct Namespace(OwnedFd);

/// Why a network namespace could not be used.
#[derive(Debug, thiserror::Error)]
pub enum NamespaceError {
    /// It could not be opened.
    #[error("cannot open the network namespace {path}: {code}")]
    Open {
        /// Where it was looked for.
        path: PathBuf,
        /// Why.
        code: Errno,
    },
    /// A new one could not be made.
    #[error("cannot make a network namespace: {0}")]
    Create(Errno),
    /// The thread could not enter it.
    #[error("cannot enter a network namespace: {0}")]
    Enter(Errno),
    /// The work in it panicked.
    #[error("work in a network namespace panicked")]
    Panicked,
}

/// The calling thread's own.
const OF_THREAD: &str = "/proc/thread-self/ns/net";

// === impl Namespace ===

impl Namespace {
    /// The one at `path`, such as `/run/netns/a` or `/proc/7/ns/net`.
    pub fn open(path: &Path) -> Result<Namespace, NamespaceError> {
        let opened = rustix::fs::open(path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty());
        opened.map(Namespace).map_err(|code| NamespaceError::Open { path: path.to_owned(), code })
    }

    /// The calling thread's.
    pub fn current() -> Result<Namespace, NamespaceError> {
        Namespace::open(Path::new(OF_THREAD))
    }

    /// A new one, with nothing but a loopback link that is down. It ends with the last that uses it.
    #[allow(unsafe_code, reason = "leaving a namespace can break what else the thread relies on")]
    pub fn create() -> Result<Namespace, NamespaceError> {
        on_thread(|| {
            // SAFETY: leaving the shared network namespace affects this thread alone, which ends right after; no
            // file descriptor table is unshared.
            unsafe { rustix::thread::unshare_unsafe(UnshareFlags::NEWNET) }
                .map_err(NamespaceError::Create)?;
            Namespace::current()
        })?
    }

    /// Runs `work` within it, on a thread of its own. What `work` opens stays of this namespace.
    pub fn run<T: Send>(&self, work: impl FnOnce() -> T + Send) -> Result<T, NamespaceError> {
        on_thread(|| {
            rustix::thread::move_into_link_name_space(self.0.as_fd(), Some(LinkNameSpaceType::Network))
                .map_err(NamespaceError::Enter)?;
            Ok(work())
        })?
    }

    /// A path to it that is good while this value lives, for whoever wants one.
    pub fn path(&self) -> PathBuf {
        PathBuf::from(format!("/proc/{}/fd/{}", std::process::id(), self.0.as_raw_fd()))
    }
}

impl AsFd for Namespace {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

fn on_thread<T: Send>(work: impl FnOnce() -> T + Send) -> Result<T, NamespaceError> {
    std::thread::scope(|scope| scope.spawn(work).join()).map_err(|_| NamespaceError::Panicked)
}
