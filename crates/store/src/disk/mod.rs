//! The disk, as submitted calls that complete later: a real directory, or a fake that loses, tears and fails.
//!
//! A call takes its place in line when it is submitted, not when its completion is awaited; so an append and its
//! sync go down together. Writes are assumed to leave other sectors alone when power fails ("powersafe overwrite").

pub mod fake;
mod real;

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;

pub use fake::FakeDisk;
pub use real::RealDisk;

/// An open file of a [`Disk`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct FileId(pub u64);

/// A call to a [`Disk`]. Names are plain file names within its one directory.
#[derive(Debug)]
pub enum Call {
    /// Keeps others out of the directory; fails with `WouldBlock` if another is in.
    Lock,
    /// Lets others in.
    Unlock,
    /// The files and their sizes: [`Answer::Names`].
    List,
    /// Opens a file, or makes it if `create`: [`Answer::File`].
    Open {
        /// Its name.
        name: String,
        /// Whether to make it if it is not there.
        create: bool,
    },
    /// Closes a file.
    Close {
        /// Which.
        file: FileId,
    },
    /// Makes sure that the first `len` bytes of a file have room on disk.
    Allocate {
        /// Which.
        file: FileId,
        /// Up to where.
        len: u64,
    },
    /// Reads up to `len` bytes, fewer at the end of the file: [`Answer::Data`].
    Read {
        /// Which.
        file: FileId,
        /// From where.
        at: u64,
        /// How many.
        len: usize,
    },
    /// Writes all of `data`; gives the buffer back: [`Answer::Data`].
    Write {
        /// Which.
        file: FileId,
        /// Where.
        at: u64,
        /// What.
        data: Vec<u8>,
    },
    /// Makes what has been written to a file durable.
    Sync {
        /// Which.
        file: FileId,
    },
    /// Makes creations, renames and removals durable.
    SyncDir,
    /// Renames a file, over any other.
    Rename {
        /// Its name.
        from: String,
        /// Its new name.
        to: String,
    },
    /// Removes a file.
    Remove {
        /// Its name.
        name: String,
    },
}

/// What a [`Call`] brings.
#[derive(Debug)]
pub enum Answer {
    /// It is done.
    Done,
    /// Names and sizes in bytes.
    Names(Vec<(String, u64)>),
    /// The open file.
    File(FileId),
    /// Bytes.
    Data(Vec<u8>),
}

/// What is to come of a [`Call`].
pub type Completion = Pin<Box<dyn Future<Output = io::Result<Answer>> + Send>>;

/// A directory on some disk.
pub trait Disk: Send + Sync {
    /// Submits a call. Writes and syncs happen in the order of their submission; of other calls, only those
    /// that have completed are sure to come before.
    fn submit(&self, call: Call) -> Completion;
}

/// The calls with their answers typed.
#[derive(Clone)]
pub(crate) struct Files(pub Arc<dyn Disk>);

// === impl Files ===

impl Files {
    pub async fn lock(&self) -> io::Result<()> {
        self.done(Call::Lock).await
    }

    pub async fn unlock(&self) -> io::Result<()> {
        self.done(Call::Unlock).await
    }

    pub async fn list(&self) -> io::Result<Vec<(String, u64)>> {
        match self.0.submit(Call::List).await? {
            Answer::Names(names) => Ok(names),
            other => Err(unexpected(&other)),
        }
    }

    pub async fn open(&self, name: &str, create: bool) -> io::Result<FileId> {
        match self.0.submit(Call::Open { name: name.to_owned(), create }).await? {
            Answer::File(file) => Ok(file),
            other => Err(unexpected(&other)),
        }
    }

    pub async fn close(&self, file: FileId) -> io::Result<()> {
        self.done(Call::Close { file }).await
    }

    pub async fn allocate(&self, file: FileId, len: u64) -> io::Result<()> {
        self.done(Call::Allocate { file, len }).await
    }

    /// Submits the read at once.
    pub fn read(
        &self,
        file: FileId,
        at: u64,
        len: usize,
    ) -> impl Future<Output = io::Result<Vec<u8>>> + use<> {
        data(self.0.submit(Call::Read { file, at, len }))
    }

    /// A whole file of `len` bytes.
    pub async fn read_all(&self, name: &str, len: u64) -> io::Result<Vec<u8>> {
        let file = self.open(name, false).await?;
        let bytes = self.read(file, 0, len as usize).await;
        self.close(file).await?;
        bytes
    }

    /// Submits the write at once.
    pub fn write(
        &self,
        file: FileId,
        at: u64,
        bytes: Vec<u8>,
    ) -> impl Future<Output = io::Result<Vec<u8>>> + use<> {
        data(self.0.submit(Call::Write { file, at, data: bytes }))
    }

    /// Submits the sync at once.
    pub fn sync(&self, file: FileId) -> impl Future<Output = io::Result<()>> + use<> {
        done(self.0.submit(Call::Sync { file }))
    }

    pub async fn sync_dir(&self) -> io::Result<()> {
        self.done(Call::SyncDir).await
    }

    pub async fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        self.done(Call::Rename { from: from.to_owned(), to: to.to_owned() }).await
    }

    pub async fn remove(&self, name: &str) -> io::Result<()> {
        self.done(Call::Remove { name: name.to_owned() }).await
    }

    fn done(&self, call: Call) -> impl Future<Output = io::Result<()>> + use<> {
        done(self.0.submit(call))
    }
}

async fn done(completion: Completion) -> io::Result<()> {
    match completion.await? {
        Answer::Done => Ok(()),
        other => Err(unexpected(&other)),
    }
}

async fn data(completion: Completion) -> io::Result<Vec<u8>> {
    match completion.await? {
        Answer::Data(bytes) => Ok(bytes),
        other => Err(unexpected(&other)),
    }
}

fn unexpected(answer: &Answer) -> io::Error {
    io::Error::other(format!("the disk answered with something else: {answer:?}"))
}
