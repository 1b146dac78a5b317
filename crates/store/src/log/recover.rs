//! Opens the files of a log: reads all segments into memory, tells a torn tail from damage, and finds where to go on.

use std::io;

use bytes::Bytes;
use decapod_api::{Object, Revision};
use thiserror::Error;

use super::record::{Kind, Record, records};
use super::segment::{FORMAT, FRAMES_AT, Header, numbered, segment_name};
use super::sequencer::last_body;
use super::space::{Segment, Space};
use super::writer::Active;
use crate::cache::{Memory, Op, OpKind};
use crate::config::Config;
use crate::disk::{FileId, Files};
use crate::key::Key;
use crate::transform::{OpenBodyError, Transform};

/// Why a store cannot be opened. Nothing has been changed then that was acknowledged.
#[derive(Debug, Error)]
pub enum OpenError {
    /// Another process has it open.
    #[error("the data directory is in use by another process")]
    InUse,
    /// Another version wrote it.
    #[error("the data directory has format {found}, this version reads format {expected}")]
    Format {
        /// Its format.
        found: String,
        /// Ours.
        expected: u32,
    },
    /// What is there is not what was written.
    #[error("the data is damaged: {file} at byte {at}: {reason}; restore it from a backup")]
    Damaged {
        /// Which file.
        file: String,
        /// Where.
        at: usize,
        /// What is wrong.
        reason: &'static str,
    },
    /// A body cannot be opened.
    #[error("{key} cannot be decrypted: {source}")]
    Sealed {
        /// Whose.
        key: String,
        /// Why.
        source: OpenBodyError,
    },
    /// The limits do not fit each other.
    #[error("a segment of {segment_bytes} bytes is too small for transactions of {txn_bytes_max}")]
    Limits {
        /// The size of a segment.
        segment_bytes: u64,
        /// The size of a transaction.
        txn_bytes_max: usize,
    },
    /// There is no room for a new log.
    #[error(
        "the disk has no room for the log, which begins with {bytes} bytes: free some, or keep the data on another disk"
    )]
    NoRoom {
        /// How much is needed.
        bytes: u64,
    },
    /// The disk failed.
    #[error("{step}: {source}")]
    Io {
        /// What was being done.
        step: &'static str,
        /// How it failed.
        source: io::Error,
    },
}

/// What recovery found.
pub(crate) struct Recovered {
    pub space: Space,
    pub active: Active,
}

/// The replay of the segments, oldest first.
struct Replay<'a> {
    memory: &'a Memory,
    transform: &'a dyn Transform,
    /// The newest revision so far.
    revision: Revision,
    /// The number of the next frame; none before the first segment.
    frame: Option<u64>,
    closed: Vec<Segment>,
    newest: Option<Newest>,
}

/// The segment that was read last.
struct Newest {
    header: Header,
    /// Where its frames end.
    end: usize,
    /// Its last frame and where it begins; of the newest segment of all.
    last: Option<(usize, Vec<u8>)>,
}

/// The file that names the format. It is written last when a store is made.
const FORMAT_FILE: &str = "FORMAT";
const FORMAT_TEXT: &str = "decapod store format ";
/// Nothing has happened in an empty store; etcd's begins at 1, too.
const FIRST_REVISION: Revision = 1;

/// Reads what is there into `memory`, or makes a new log.
pub(crate) async fn recover(
    files: &Files,
    config: &Config,
    memory: &Memory,
    nonce: u64,
) -> Result<Recovered, OpenError> {
    lock(files).await?;
    let names = files.list().await.map_err(at("list the data directory"))?;
    let is_made = check_format(files, &names).await?;
    let mut segments: Vec<(u64, u64)> =
        names.iter().filter_map(|(name, len)| Some((numbered(name, "log-")?, *len))).collect();
    segments.sort_unstable();
    let mut replay = Replay {
        memory,
        transform: &*config.transform,
        revision: FIRST_REVISION,
        frame: None,
        closed: Vec::new(),
        newest: None,
    };
    replay.read(files, &segments).await?;
    memory.advance(replay.revision);
    if !is_made && replay.has_frames() {
        return Err(damaged(FORMAT_FILE, 0, "it is missing"));
    }
    if is_made && segments.is_empty() {
        return Err(damaged(&segment_name(1), 0, "all segments are missing"));
    }
    let space = Space::new(files.clone(), config.segment_bytes, config.spare_segments, replay.closed);
    for (name, len) in &names {
        if let Some(id) = numbered(name, "spare-") {
            space.adopt(name, id, *len).await.map_err(at("take in a spare"))?;
        }
    }
    let active = match replay.newest {
        Some(newest) => {
            let len = segments.last().map_or(0, |(_, len)| *len);
            resume(files, newest, len, replay.frame).await?
        }
        None => begin(&space, nonce).await?,
    };
    space.set_active(active.at);
    if !is_made {
        write_format(files).await.map_err(at("write the format"))?;
    }
    Ok(Recovered { space, active })
}

async fn lock(files: &Files) -> Result<(), OpenError> {
    files.lock().await.map_err(|error| match error.kind() {
        io::ErrorKind::WouldBlock => OpenError::InUse,
        _ => at("lock the data directory")(error),
    })
}

/// Whether the directory holds a store; refuses another format.
async fn check_format(files: &Files, names: &[(String, u64)]) -> Result<bool, OpenError> {
    let Some((_, len)) = names.iter().find(|(name, _)| name == FORMAT_FILE) else { return Ok(false) };
    let text = files.read_all(FORMAT_FILE, *len).await.map_err(at("read the format"))?;
    let text = String::from_utf8_lossy(&text);
    let found = text.strip_prefix(FORMAT_TEXT).unwrap_or(&text).trim();
    if found == FORMAT.to_string() {
        return Ok(true);
    }
    let found = if found.is_empty() { "(none)" } else { found };
    Err(OpenError::Format { found: found.chars().take(20).collect(), expected: FORMAT })
}

async fn write_format(files: &Files) -> io::Result<()> {
    const NEW: &str = "FORMAT.new";
    let file = files.open(NEW, true).await?;
    files.write(file, 0, format!("{FORMAT_TEXT}{FORMAT}\n").into_bytes()).await?;
    files.sync(file).await?;
    files.close(file).await?;
    files.rename(NEW, FORMAT_FILE).await?;
    files.sync_dir().await
}

/// Goes on in the newest segment. Its last frame is written again before anyone sees what it says: a killed process
/// may have left it unsynced, and after a failed sync Linux shows what it will never write. All frames before it
/// were synced before it was written.
async fn resume(
    files: &Files,
    newest: Newest,
    file_bytes: u64,
    frame: Option<u64>,
) -> Result<Active, OpenError> {
    let Newest { header, end, last } = newest;
    let name = segment_name(header.number);
    let file = files.open(&name, false).await.map_err(at("open the newest segment"))?;
    if let Some((start, bytes)) = last {
        files.write(file, start as u64, bytes).await.map_err(at("write the newest frame again"))?;
    }
    files.sync(file).await.map_err(at("sync the newest segment"))?;
    files.sync_dir().await.map_err(at("sync the data directory"))?;
    let frame = frame.unwrap_or(header.first_frame);
    Ok(Active { number: header.number, file, nonce: header.nonce, file_bytes, at: end as u64, frame })
}

/// Begins the first segment of a new log.
async fn begin(space: &Space, nonce: u64) -> Result<Active, OpenError> {
    let no_room = || OpenError::NoRoom { bytes: space.segment_bytes() };
    let (spare, _) = space.spare().await.map_err(at("allocate the first segment"))?.ok_or_else(no_room)?;
    let header = Header { number: 1, nonce, first_frame: 1, revision: FIRST_REVISION };
    let file = space.begin(&spare, 1, header.write()).await.map_err(at("begin the first segment"))?;
    Ok(Active { number: 1, file, nonce, file_bytes: space.segment_bytes(), at: FRAMES_AT as u64, frame: 1 })
}

// === impl Replay ===

impl Replay<'_> {
    /// Reads the segments, one ahead of the one that is replayed.
    async fn read(&mut self, files: &Files, segments: &[(u64, u64)]) -> Result<(), OpenError> {
        let mut ahead = None;
        for (index, (number, _)) in segments.iter().enumerate() {
            let reading = match ahead.take() {
                Some(reading) => reading,
                None => start_reading(files, segments[index]).await?,
            };
            let (file, bytes) = (reading.0, reading.1.await.map_err(at("read a segment"))?);
            if let Some(next) = segments.get(index + 1) {
                ahead = Some(start_reading(files, *next).await?);
            }
            self.segment(*number, &bytes, index + 1 == segments.len())?;
            files.close(file).await.map_err(at("close a segment"))?;
        }
        Ok(())
    }

    fn has_frames(&self) -> bool {
        !self.closed.is_empty() || self.newest.as_ref().is_some_and(|newest| newest.end > FRAMES_AT)
    }

    fn segment(&mut self, number: u64, bytes: &[u8], is_newest: bool) -> Result<(), OpenError> {
        let name = segment_name(number);
        let header =
            Header::read(bytes, number).ok_or_else(|| damaged(&name, 0, "its header cannot be read"))?;
        match &self.newest {
            None => self.revision = header.revision,
            Some(before) if before.header.number + 1 != number => {
                return Err(damaged(&segment_name(before.header.number + 1), 0, "it is missing"));
            }
            Some(before) if Some(header.first_frame) != self.frame || header.revision != self.revision => {
                return Err(damaged(
                    &segment_name(before.header.number),
                    before.end,
                    "a frame cannot be read",
                ));
            }
            Some(_) => {}
        }
        let mut frames = header.frames(bytes);
        let (mut start, mut last) = (frames.at, None);
        while let Some(payload) = frames.next() {
            for record in records(payload) {
                let record = record.map_err(|_| damaged(&name, start, "a record cannot be read"))?;
                self.record(&record, &name, start)?;
            }
            last = Some(start);
            start = frames.at;
        }
        if is_newest && frames.later().is_some() {
            return Err(damaged(&name, start, "a frame cannot be read, and later ones can"));
        }
        self.frame = Some(frames.number);
        let last = last.filter(|_| is_newest).map(|at| (at, bytes[at..start].to_vec()));
        self.newest = Some(Newest { header, end: start, last });
        if !is_newest {
            let (used_bytes, file_bytes) = (start as u64, bytes.len() as u64);
            self.closed.push(Segment { number, used_bytes, file_bytes });
        }
        Ok(())
    }

    fn record(&mut self, record: &Record, file: &str, start: usize) -> Result<(), OpenError> {
        let key = || Key::new(record.key);
        match record.kind {
            Kind::Put | Kind::Delete | Kind::DeleteAs if record.revision < self.revision => {
                return Err(damaged(file, start, "revisions go backwards"));
            }
            Kind::Put => self.apply(Op { key: key(), object: self.open(record)?, kind: OpKind::Put }),
            Kind::DeleteAs => {
                self.apply(Op { key: key(), object: self.open(record)?, kind: OpKind::DeleteAs })
            }
            Kind::Delete => {
                // What was put in a segment that is gone, and kept nowhere, was deleted here: nothing to forget.
                if let Some(current) = self.memory.get(record.key) {
                    let object = last_body(&current, record.revision);
                    self.apply(Op { key: key(), object, kind: OpKind::Delete });
                }
            }
            Kind::Keep => self.memory.keep(&key(), self.open(record)?),
            Kind::Compact | Kind::Floor => self.memory.compact(record.revision),
            Kind::Close => {}
        }
        if record.kind != Kind::Keep {
            self.revision = self.revision.max(record.revision);
        }
        Ok(())
    }

    fn apply(&self, op: Op) {
        self.memory.replay(&op);
    }

    fn open(&self, record: &Record) -> Result<Object, OpenError> {
        let sealed = |source| OpenError::Sealed { key: record.key.to_owned(), source };
        let body = self.transform.open(record.key, record.value).map_err(sealed)?;
        // A copy of its own size, so that no object keeps a whole segment alive.
        Ok(Object::new(Bytes::from(body.into_owned()), record.revision))
    }
}

/// Opens a segment and starts to read it.
async fn start_reading(
    files: &Files,
    (number, len): (u64, u64),
) -> Result<(FileId, impl Future<Output = io::Result<Vec<u8>>> + use<>), OpenError> {
    let file = files.open(&segment_name(number), false).await.map_err(at("open a segment"))?;
    Ok((file, files.read(file, 0, len as usize)))
}

fn damaged(file: &str, at: usize, reason: &'static str) -> OpenError {
    OpenError::Damaged { file: file.to_owned(), at, reason }
}

fn at(step: &'static str) -> impl Fn(io::Error) -> OpenError {
    move |source| OpenError::Io { step, source }
}
