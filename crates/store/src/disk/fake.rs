//! A disk in memory that fails, crashes and forgets, from one seed.
//!
//! What is written is only in its "page cache" until it is synced. A crash keeps any of it: each sector by itself,
//! so writes are lost, torn and reordered. Creations, renames and removals are kept by a crash in their order up
//! to some point, or each by itself. A failed sync drops what it should have kept, and later ones succeed without
//! it, as Linux does.

use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::{Answer, Call, Completion, Disk, FileId};

/// The disk. Cloning shares it.
#[derive(Clone)]
pub struct FakeDisk(Arc<Mutex<State>>);

/// What goes wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The power fails: this call and all later ones do nothing until [`FakeDisk::reboot`].
    Crash,
    /// The call fails with EIO.
    Io,
    /// This call and all later ones fail with EIO.
    IoForever,
    /// The call fails with ENOSPC.
    NoSpace,
}

/// What a reboot loses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Loss {
    /// Nothing: only the process was killed.
    Nothing,
    /// All that was not synced.
    Everything,
    /// Any of what was not synced.
    Anything,
}

struct State {
    random: u64,
    files: BTreeMap<u64, Content>,
    /// The directory as the process sees it, and as the disk has it.
    names: BTreeMap<String, u64>,
    durable_names: BTreeMap<String, u64>,
    /// What [`Call::SyncDir`] has yet to make durable.
    name_changes: Vec<NameChange>,
    handles: BTreeMap<FileId, u64>,
    next: u64,
    locked: bool,
    calls: u64,
    fault: Option<(u64, Fault)>,
    fired: bool,
    crashed: bool,
    broken: bool,
    capacity: u64,
    trace: u64,
}

/// A file.
#[derive(Clone, Default)]
struct Content {
    cached: Vec<u8>,
    durable: Vec<u8>,
    /// Ranges of `cached` that were written and not synced.
    dirty: Vec<std::ops::Range<usize>>,
    allocated: u64,
}

#[derive(Clone)]
enum NameChange {
    Create(String, u64),
    Rename(String, String),
    Remove(String),
}

/// What the disk writes at once or not at all.
const SECTOR_BYTES: usize = 512;
/// The slowest call.
const LATENCY_US_MAX: u64 = 300;

// === impl FakeDisk ===

impl FakeDisk {
    /// An empty disk.
    pub fn new(seed: u64) -> FakeDisk {
        FakeDisk(Arc::new(Mutex::new(State {
            random: seed ^ 0x5851_f42d_4c95_7f2d,
            files: BTreeMap::new(),
            names: BTreeMap::new(),
            durable_names: BTreeMap::new(),
            name_changes: Vec::new(),
            handles: BTreeMap::new(),
            next: 0,
            locked: false,
            calls: 0,
            fault: None,
            fired: false,
            crashed: false,
            broken: false,
            capacity: u64::MAX,
            trace: 0,
        })))
    }

    /// Lets the `nth` call from now (from 1) go wrong.
    pub fn fail(&self, nth: u64, fault: Fault) {
        let mut state = self.state();
        state.fault = Some((state.calls + nth, fault));
        state.fired = false;
    }

    /// Whether the fault has happened.
    pub fn fired(&self) -> bool {
        self.state().fired
    }

    /// Fails allocations beyond `bytes` with ENOSPC.
    pub fn set_capacity(&self, bytes: u64) {
        self.state().capacity = bytes;
    }

    /// How many calls there have been.
    pub fn calls(&self) -> u64 {
        self.state().calls
    }

    /// A figure that tells whether two runs made the same calls.
    pub fn trace(&self) -> u64 {
        self.state().trace
    }

    /// Fails the power now: no call does anything until [`FakeDisk::reboot`].
    pub fn cut_power(&self) {
        let mut state = self.state();
        (state.crashed, state.broken) = (true, true);
    }

    /// Starts anew, with what is left. A fault that is yet to come still comes.
    pub fn reboot(&self, loss: Loss) {
        self.state().reboot(loss);
    }

    /// The names of the files.
    pub fn names(&self) -> Vec<String> {
        self.state().names.keys().cloned().collect()
    }

    /// The bytes of a file.
    pub fn bytes(&self, name: &str) -> Option<Vec<u8>> {
        let state = self.state();
        state.files.get(state.names.get(name)?).map(|content| content.cached.clone())
    }

    /// Puts `bytes` there as a file, durably; over any other: for planting damage.
    pub fn plant(&self, name: &str, bytes: Vec<u8>) {
        let mut state = self.state();
        state.next += 1;
        let (inode, allocated) = (state.next, bytes.len() as u64);
        let content = Content { cached: bytes.clone(), durable: bytes, dirty: Vec::new(), allocated };
        state.files.insert(inode, content);
        state.names.insert(name.to_owned(), inode);
        state.durable_names.insert(name.to_owned(), inode);
    }

    /// Takes a file away, durably.
    pub fn unplant(&self, name: &str) {
        let mut state = self.state();
        state.names.remove(name);
        state.durable_names.remove(name);
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Disk for FakeDisk {
    fn submit(&self, call: Call) -> Completion {
        let (answer, latency_us) = {
            let mut state = self.state();
            let latency_us = state.below(LATENCY_US_MAX);
            (state.run(call), latency_us)
        };
        Box::pin(async move {
            tokio::time::sleep(Duration::from_micros(latency_us)).await;
            answer
        })
    }
}

// === impl State ===

impl State {
    fn run(&mut self, call: Call) -> io::Result<Answer> {
        self.calls += 1;
        self.trace = self.trace.wrapping_mul(0x100_0000_01b3) ^ fingerprint(&call);
        if let Some((at, fault)) = self.fault
            && at == self.calls
        {
            self.fired = true;
            match fault {
                Fault::Crash => self.crashed = true,
                Fault::IoForever => self.broken = true,
                Fault::Io => return Err(self.spoil(call, rustix::io::Errno::IO)),
                Fault::NoSpace => return Err(self.spoil(call, rustix::io::Errno::NOSPC)),
            }
        }
        if self.crashed {
            return Err(self.crash(call));
        }
        if self.broken {
            return Err(self.spoil(call, rustix::io::Errno::IO));
        }
        self.perform(call)
    }

    fn perform(&mut self, call: Call) -> io::Result<Answer> {
        match call {
            Call::Lock if self.locked => return Err(io::ErrorKind::WouldBlock.into()),
            Call::Lock => self.locked = true,
            Call::Unlock => self.locked = false,
            Call::List => {
                let size = |inode| self.files.get(inode).map_or(0, |content| content.cached.len() as u64);
                return Ok(Answer::Names(
                    self.names.iter().map(|(name, inode)| (name.clone(), size(inode))).collect(),
                ));
            }
            Call::Open { name, create } => return self.open(name, create).map(Answer::File),
            Call::Close { file } => drop(self.handles.remove(&file)),
            Call::Allocate { file, len } => self.allocate(file, len)?,
            Call::Read { file, at, len } => {
                let cached = &self.content(file)?.cached;
                let start = cached.len().min(at as usize);
                return Ok(Answer::Data(cached[start..cached.len().min(start + len)].to_vec()));
            }
            Call::Write { file, at, data } => {
                self.content(file)?.write(at as usize, &data);
                return Ok(Answer::Data(data));
            }
            Call::Sync { file } => self.content(file)?.sync(),
            Call::SyncDir => {
                self.durable_names = self.names.clone();
                self.name_changes.clear();
            }
            Call::Rename { from, to } => self.change(NameChange::Rename(from, to))?,
            Call::Remove { name } => self.change(NameChange::Remove(name))?,
        }
        Ok(Answer::Done)
    }

    fn open(&mut self, name: String, create: bool) -> io::Result<FileId> {
        let inode = match self.names.get(&name) {
            Some(inode) => *inode,
            None if create => {
                self.next += 1;
                self.files.insert(self.next, Content::default());
                self.change(NameChange::Create(name, self.next))?;
                self.next
            }
            None => return Err(io::ErrorKind::NotFound.into()),
        };
        self.next += 1;
        let file = FileId(self.next);
        self.handles.insert(file, inode);
        Ok(file)
    }

    fn allocate(&mut self, file: FileId, len: u64) -> io::Result<()> {
        let used: u64 =
            self.names.values().filter_map(|inode| self.files.get(inode)).map(|f| f.allocated).sum();
        let capacity = self.capacity;
        let content = self.content(file)?;
        if used + len.saturating_sub(content.allocated) > capacity {
            return Err(rustix::io::Errno::NOSPC.into());
        }
        content.allocated = content.allocated.max(len);
        let end = content.cached.len();
        if end < len as usize {
            content.cached.resize(len as usize, 0);
            content.dirty.push(end..len as usize);
        }
        Ok(())
    }

    fn change(&mut self, change: NameChange) -> io::Result<()> {
        if !apply(&mut self.names, &change) {
            return Err(io::ErrorKind::NotFound.into());
        }
        self.name_changes.push(change);
        Ok(())
    }

    /// A call that fails: a write may be done in part; a sync loses what it should have kept.
    fn spoil(&mut self, call: Call, errno: rustix::io::Errno) -> io::Error {
        match call {
            Call::Write { file, at, data } => {
                let part = self.below(data.len() as u64 + 1) as usize;
                if let Ok(content) = self.content(file) {
                    content.write(at as usize, &data[..part]);
                }
            }
            Call::Sync { file } => {
                let seed = self.below(u64::MAX);
                if let Ok(content) = self.content(file) {
                    content.lose(seed);
                    content.dirty.clear();
                }
            }
            _ => {}
        }
        errno.into()
    }

    /// The call during which power fails: a write may be on its way.
    fn crash(&mut self, call: Call) -> io::Error {
        if let Call::Write { .. } = call
            && !self.broken
        {
            drop(self.perform(call));
        }
        self.broken = true;
        io::Error::other("the power failed")
    }

    fn reboot(&mut self, loss: Loss) {
        let keep_names = match loss {
            Loss::Nothing => self.name_changes.len(),
            Loss::Everything => 0,
            Loss::Anything => self.below(self.name_changes.len() as u64 + 1) as usize,
        };
        let in_order = loss != Loss::Anything || self.below(2) == 0;
        for (at, change) in std::mem::take(&mut self.name_changes).into_iter().enumerate() {
            if if in_order { at < keep_names } else { self.below(2) == 0 } {
                apply(&mut self.durable_names, &change);
            }
        }
        self.names = self.durable_names.clone();
        let inodes: Vec<u64> = self.files.keys().copied().collect();
        for inode in inodes {
            let seed = self.below(u64::MAX);
            let Some(content) = self.files.get_mut(&inode) else { continue };
            match loss {
                Loss::Nothing => continue,
                Loss::Everything => {}
                Loss::Anything => content.lose(seed),
            }
            content.dirty.clear();
            content.cached = content.durable.clone();
        }
        let kept: Vec<u64> = self.names.values().copied().collect();
        self.files.retain(|inode, _| kept.contains(inode));
        self.handles.clear();
        (self.locked, self.crashed, self.broken) = (false, false, false);
    }

    fn content(&mut self, file: FileId) -> io::Result<&mut Content> {
        let inode = self.handles.get(&file).ok_or_else(|| io::Error::other("the file is not open"))?;
        self.files.get_mut(inode).ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    /// A random number below `bound` (SplitMix64).
    fn below(&mut self, bound: u64) -> u64 {
        ((u128::from(next_random(&mut self.random)) * u128::from(bound)) >> 64) as u64
    }
}

// === impl Content ===

impl Content {
    fn write(&mut self, at: usize, data: &[u8]) {
        let end = at + data.len();
        if self.cached.len() < end {
            self.cached.resize(end, 0);
        }
        self.cached[at..end].copy_from_slice(data);
        self.allocated = self.allocated.max(end as u64);
        self.dirty.push(at..end);
    }

    fn sync(&mut self) {
        self.durable.resize(self.cached.len(), 0);
        for range in std::mem::take(&mut self.dirty) {
            self.durable[range.clone()].copy_from_slice(&self.cached[range]);
        }
    }

    /// Makes any of the unsynced sectors durable: each by a coin of its own, or all up to some point.
    fn lose(&mut self, mut random: u64) {
        let sectors: Vec<usize> = {
            let sectors =
                self.dirty.iter().flat_map(|r| r.start / SECTOR_BYTES..r.end.div_ceil(SECTOR_BYTES));
            let mut sectors: Vec<usize> = sectors.collect();
            sectors.sort_unstable();
            sectors.dedup();
            sectors
        };
        let in_order = next_random(&mut random).is_multiple_of(2);
        let kept = next_random(&mut random) as usize % (sectors.len() + 1);
        for (at, sector) in sectors.into_iter().enumerate() {
            if if in_order { at < kept } else { next_random(&mut random).is_multiple_of(2) } {
                let start = sector * SECTOR_BYTES;
                let end = self.cached.len().min(start + SECTOR_BYTES);
                self.durable.resize(self.durable.len().max(end), 0);
                self.durable[start..end].copy_from_slice(&self.cached[start..end]);
            }
        }
    }
}

/// Does `change`; whether there was something to change.
fn apply(names: &mut BTreeMap<String, u64>, change: &NameChange) -> bool {
    match change {
        NameChange::Create(name, inode) => {
            names.insert(name.clone(), *inode);
            true
        }
        NameChange::Rename(from, to) => match names.remove(from) {
            Some(inode) => {
                names.insert(to.clone(), inode);
                true
            }
            None => false,
        },
        NameChange::Remove(name) => names.remove(name).is_some(),
    }
}

/// A figure that differs between calls.
fn fingerprint(call: &Call) -> u64 {
    u64::from(match call {
        Call::Write { file, at, data } => crc32c::crc32c_append((file.0 ^ at) as u32, data),
        other => crc32c::crc32c(format!("{other:?}").as_bytes()),
    })
}

/// SplitMix64.
fn next_random(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut z = *state;
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}
