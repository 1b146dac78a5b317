//! A directory on this machine.
//!
//! Two threads: one for writes and syncs, whose wait is a client's wait, and one for everything else, so that a
//! removal or a read never delays a commit. Both sleep when there is nothing to do.

use std::collections::HashMap;
use std::fs::{DirBuilder, File, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::{DirBuilderExt, FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::mpsc;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use decapod_sys::Env;
use rustix::fs::FallocateFlags;
use tokio::sync::oneshot;

use super::{Answer, Call, Completion, Disk, FileId};

/// A directory on this machine, private to its owner.
pub struct RealDisk {
    log: mpsc::Sender<Job>,
    background: mpsc::Sender<Job>,
}

/// A call and who waits for it.
struct Job {
    call: Call,
    reply: oneshot::Sender<io::Result<Answer>>,
}

/// What both threads share.
struct Directory {
    path: PathBuf,
    open: Mutex<Open>,
    /// Whether a sync is one; see [`planted`].
    syncs: bool,
}

/// What is open.
#[derive(Default)]
struct Open {
    files: HashMap<FileId, Arc<File>>,
    next: u64,
    lock: Option<File>,
}

/// The file whose lock keeps others out.
const LOCK: &str = "LOCK";

// === impl RealDisk ===

impl RealDisk {
    /// The directory `path`, made if it is not there, served by threads of `env`.
    pub fn open(path: &Path, env: &Env) -> io::Result<RealDisk> {
        if !path.is_dir() {
            DirBuilder::new().recursive(true).mode(0o700).create(path)?;
        }
        let syncs = !planted("no-sync");
        let directory = Arc::new(Directory { path: path.to_owned(), open: Mutex::default(), syncs });
        let start = || {
            let directory = directory.clone();
            let (sender, receiver) = mpsc::channel::<Job>();
            // The thread ends when the disk is dropped.
            drop(env.thread(move || {
                for job in receiver {
                    // Whoever asked may have gone.
                    drop(job.reply.send(directory.run(job.call)));
                }
            }));
            sender
        };
        Ok(RealDisk { log: start(), background: start() })
    }
}

impl Disk for RealDisk {
    fn submit(&self, call: Call) -> Completion {
        let lane =
            if matches!(call, Call::Write { .. } | Call::Sync { .. }) { &self.log } else { &self.background };
        let (reply, answer) = oneshot::channel();
        let sent = lane.send(Job { call, reply });
        Box::pin(async move {
            let gone = || io::Error::other("the disk's thread has ended");
            sent.map_err(|_| gone())?;
            answer.await.map_err(|_| gone())?
        })
    }
}

// === impl Directory ===

impl Directory {
    fn run(&self, call: Call) -> io::Result<Answer> {
        match call {
            Call::Lock => self.lock().map(|()| Answer::Done),
            Call::Unlock => {
                self.opened().lock = None;
                Ok(Answer::Done)
            }
            Call::List => self.list().map(Answer::Names),
            Call::Open { name, create } => {
                let path = self.path.join(name);
                let file = OpenOptions::new().read(true).write(true).create(create).mode(0o600).open(path)?;
                let mut open = self.opened();
                open.next += 1;
                let id = FileId(open.next);
                open.files.insert(id, Arc::new(file));
                Ok(Answer::File(id))
            }
            Call::Close { file } => {
                self.opened().files.remove(&file);
                Ok(Answer::Done)
            }
            Call::Allocate { file, len } => allocate(&*self.file(file)?, len).map(|()| Answer::Done),
            Call::Read { file, at, len } => read(&*self.file(file)?, at, len).map(Answer::Data),
            Call::Write { file, at, data } => {
                self.file(file)?.write_all_at(&data, at)?;
                Ok(Answer::Data(data))
            }
            Call::Sync { .. } | Call::SyncDir if !self.syncs => Ok(Answer::Done),
            Call::Sync { file } => self.file(file)?.sync_data().map(|()| Answer::Done),
            Call::SyncDir => File::open(&self.path)?.sync_all().map(|()| Answer::Done),
            Call::Rename { from, to } => {
                std::fs::rename(self.path.join(from), self.path.join(to)).map(|()| Answer::Done)
            }
            Call::Remove { name } => std::fs::remove_file(self.path.join(name)).map(|()| Answer::Done),
        }
    }

    fn lock(&self) -> io::Result<()> {
        let path = self.path.join(LOCK);
        let file = OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(path)?;
        file.try_lock().map_err(|error| match error {
            TryLockError::WouldBlock => io::ErrorKind::WouldBlock.into(),
            TryLockError::Error(error) => error,
        })?;
        self.opened().lock = Some(file);
        Ok(())
    }

    fn list(&self) -> io::Result<Vec<(String, u64)>> {
        let mut names = Vec::new();
        for entry in std::fs::read_dir(&self.path)? {
            let entry = entry?;
            if let Ok(name) = entry.file_name().into_string() {
                names.push((name, entry.metadata()?.len()));
            }
        }
        names.sort();
        Ok(names)
    }

    fn file(&self, id: FileId) -> io::Result<Arc<File>> {
        self.opened().files.get(&id).cloned().ok_or_else(|| io::Error::other("the file is not open"))
    }

    fn opened(&self) -> MutexGuard<'_, Open> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether a tester asked for a bug, by which a test shows that it finds such. Release builds have none.
fn planted(bug: &str) -> bool {
    cfg!(debug_assertions) && std::env::var_os("DECAPOD_PLANTED_BUG").is_some_and(|asked| asked == bug)
}

/// Reads `len` bytes, fewer at the end of the file.
fn read(file: &File, at: u64, len: usize) -> io::Result<Vec<u8>> {
    let mut bytes = vec![0; len];
    let mut filled = 0;
    while filled < len {
        match file.read_at(&mut bytes[filled..], at + filled as u64) {
            Ok(0) => break,
            Ok(n) => filled += n,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    bytes.truncate(filled);
    Ok(bytes)
}

/// Allocates the first `len` bytes; writes zeros beyond the end where the file system cannot allocate.
fn allocate(file: &File, len: u64) -> io::Result<()> {
    match rustix::fs::fallocate(file, FallocateFlags::empty(), 0, len) {
        Err(rustix::io::Errno::OPNOTSUPP) => {
            let zeros = vec![0; 1 << 20];
            let mut at = file.metadata()?.len();
            while at < len {
                let n = (len - at).min(zeros.len() as u64);
                file.write_all_at(&zeros[..n as usize], at)?;
                at += n;
            }
            Ok(())
        }
        other => other.map_err(io::Error::from),
    }
}

#[cfg(test)]
mod tests {
    use super::super::Files;
    use super::*;

    #[tokio::test]
    async fn a_directory_does_all_calls() -> io::Result<()> {
        let (dir, env) = (tempfile::tempdir()?, Env::simulated(1));
        let path = dir.path().join("a/b");
        let files = Files(Arc::new(RealDisk::open(&path, &env)?));
        files.lock().await?;
        let other = Files(Arc::new(RealDisk::open(&path, &env)?));
        assert_eq!(other.lock().await.err().map(|e| e.kind()), Some(io::ErrorKind::WouldBlock));
        let file = files.open("one", true).await?;
        files.allocate(file, 4096).await?;
        files.write(file, 4090, b"0123456789".to_vec()).await?;
        files.sync(file).await?;
        assert_eq!(files.read(file, 4094, 100).await?, b"456789");
        files.rename("one", "two").await?;
        files.sync_dir().await?;
        assert_eq!(files.list().await?, [("LOCK".to_owned(), 0), ("two".to_owned(), 4100)]);
        files.close(file).await?;
        assert!(files.read(file, 0, 1).await.is_err());
        files.remove("two").await?;
        assert!(files.open("two", false).await.is_err());
        files.unlock().await?;
        other.lock().await
    }
}
