//! The streams of one connection, as a pure state machine.

use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::task::{Context, Poll, Waker};

use bytes::{Buf, BytesMut};

use super::{Error, Event, Farewell, Wire};
use crate::Limits;
use crate::spdy::Headers;

/// The most data in one frame or message: what upstream's clients have buffers for.
const MAX_DATA_BYTES: usize = 32 << 10;

/// The most that we answer (pongs, refusals) to a peer that takes none of it.
const MAX_ANSWER_BYTES: usize = 64 << 10;

/// The streams of one connection.
pub(crate) struct State {
    wire: Box<dyn Wire>,
    limits: Limits,
    slots: BTreeMap<u32, Slot>,
    incoming: VecDeque<(u32, Headers)>,
    /// Whether the peer keeps windows, and how large they are at first.
    peer_window: Option<u32>,
    output: BytesMut,
    /// Bytes of `output` that the peer made us write, since it was last taken.
    answers: usize,
    /// Received and not read yet.
    buffered: usize,
    no_more: bool,
    phase: Phase,
    driver: Option<Waker>,
    acceptor: Option<Waker>,
}

/// How far a connection is.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Phase {
    Open,
    /// Goodbye is said, by one side or the other: what is queued is sent, and no more.
    Leaving,
    /// Nothing moves any more.
    Gone,
}

/// One stream.
struct Slot {
    received: BytesMut,
    arrival: Arrival,
    departure: Departure,
    /// Whether the peer has accepted it.
    accepted: bool,
    /// What the peer lets us send; `None` for peers that do not say.
    window: Option<i64>,
    /// Read, and not granted to the peer again yet.
    credit: u32,
    /// Nobody reads it: what comes is dropped.
    discard: bool,
    /// Nobody holds it: once both sides have finished it is forgotten.
    dropped: bool,
    reader: Option<Waker>,
    writer: Option<Waker>,
}

/// What may still come from the peer.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Arrival {
    Open,
    Finished,
    Reset,
    Lost,
}

/// What we may still send.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Departure {
    /// Once the stream is accepted.
    Waiting,
    Open,
    Done,
}

// === impl State: what the connection does ===

impl State {
    /// The streams over `wire`; `channels` are there from the start.
    pub fn new(mut wire: Box<dyn Wire>, limits: Limits, channels: &[u32]) -> State {
        let mut output = BytesMut::new();
        wire.greet(&mut output);
        let slots = channels.iter().map(|id| (*id, Slot::new(Departure::Open, None))).collect();
        State {
            wire,
            limits,
            slots,
            incoming: VecDeque::new(),
            peer_window: None,
            output,
            answers: 0,
            buffered: 0,
            no_more: false,
            phase: Phase::Open,
            driver: None,
            acceptor: None,
        }
    }

    /// Takes in what the peer has sent; leaves in `input` what is not whole yet.
    pub fn receive(&mut self, input: &mut BytesMut) -> Result<(), Error> {
        loop {
            let before = self.output.len();
            let event = self.wire.next(input, &mut self.output)?;
            let more = event.is_some();
            if let Some(event) = event.filter(|_| self.phase == Phase::Open) {
                self.apply(event);
            }
            self.answers += self.output.len() - before;
            if self.answers > MAX_ANSWER_BYTES {
                return Err(Error::Flood);
            }
            if !more {
                return Ok(());
            }
        }
    }

    /// Swaps what is to be sent into `buffer`, which is empty. Writers have room again.
    pub fn take_output(&mut self, buffer: &mut BytesMut) {
        if self.output.is_empty() {
            return;
        }
        std::mem::swap(buffer, &mut self.output);
        self.answers = 0;
        self.slots.values_mut().for_each(|slot| wake(&mut slot.writer));
    }

    /// Whether the peer may be read: whether what it sent last is read, mostly.
    pub fn hungry(&self) -> bool {
        self.buffered < self.limits.receive_bytes
    }

    /// Whether goodbye is said.
    pub fn leaving(&self) -> bool {
        self.phase != Phase::Open
    }

    /// Shows the peer that we live.
    pub fn alive(&mut self) {
        self.wire.alive(&mut self.output);
    }

    /// Whom to wake when there is something to send or to read.
    pub fn set_driver(&mut self, waker: &Waker) {
        if !self.driver.as_ref().is_some_and(|driver| driver.will_wake(waker)) {
            self.driver = Some(waker.clone());
        }
    }

    /// Says goodbye: streams that are not finished are reset, what is queued is still sent.
    pub fn leave(&mut self, farewell: Farewell) {
        if self.phase != Phase::Open {
            return;
        }
        for (id, slot) in &self.slots {
            if slot.departure != Departure::Done {
                self.wire.reset(*id, &mut self.output);
            }
        }
        self.wire.farewell(farewell, &mut self.output);
        self.end(Phase::Leaving, if farewell == Farewell::Done { Arrival::Finished } else { Arrival::Lost });
    }

    /// The peer takes nothing any more; what it has sent may still come.
    pub fn unheard(&mut self) {
        self.output = BytesMut::new();
        self.no_more = true;
        for slot in self.slots.values_mut() {
            slot.departure = Departure::Done;
            slot.wake();
        }
        wake(&mut self.acceptor);
    }

    /// The connection is no more.
    pub fn lost(&mut self) {
        self.end(Phase::Gone, Arrival::Lost);
    }

    fn end(&mut self, phase: Phase, arrival: Arrival) {
        self.phase = phase;
        self.no_more = true;
        for slot in self.slots.values_mut() {
            if slot.arrival == Arrival::Open {
                slot.arrival = arrival;
            }
            slot.departure = Departure::Done;
            slot.wake();
        }
        wake(&mut self.acceptor);
        wake(&mut self.driver);
    }

    fn apply(&mut self, event: Event) {
        match event {
            Event::Opened { id, headers, finished } => self.opened(id, headers, finished),
            Event::Accepted { id, finished } => self.with(id, |slot| {
                slot.accepted = true;
                if slot.departure == Departure::Waiting {
                    slot.departure = Departure::Open;
                }
                if finished {
                    slot.finish_arrival();
                }
                slot.wake();
            }),
            Event::Data { id, bytes, finished } => self.data(id, &bytes, finished),
            Event::Reset { id } => self.with(id, |slot| {
                // Who resets a stream that we have finished has finished it, too: so upstream's clients end them.
                let arrival =
                    if slot.departure == Departure::Done { Arrival::Finished } else { Arrival::Reset };
                if slot.arrival == Arrival::Open {
                    slot.arrival = arrival;
                }
                slot.departure = Departure::Done;
                slot.wake();
            }),
            Event::Window { id, delta } => self.with(id, |slot| {
                slot.window = slot.window.map(|window| window.saturating_add(i64::from(delta)));
                wake(&mut slot.writer);
            }),
            Event::InitialWindow { bytes } => {
                let change = i64::from(bytes) - i64::from(self.peer_window.unwrap_or(0));
                self.peer_window = Some(bytes);
                for slot in self.slots.values_mut() {
                    slot.window = Some(slot.window.unwrap_or(0).saturating_add(change));
                    wake(&mut slot.writer);
                }
            }
            Event::NoMore => {
                self.no_more = true;
                wake(&mut self.acceptor);
            }
            Event::Ended { clean } => {
                self.end(Phase::Leaving, if clean { Arrival::Finished } else { Arrival::Lost });
            }
        }
    }

    fn opened(&mut self, id: u32, headers: Headers, finished: bool) {
        if self.slots.len() >= self.limits.max_streams {
            return self.wire.refuse(id, &mut self.output);
        }
        let mut slot = Slot::new(Departure::Waiting, self.peer_window);
        if finished {
            slot.finish_arrival();
        }
        self.slots.insert(id, slot);
        self.incoming.push_back((id, headers));
        wake(&mut self.acceptor);
    }

    fn data(&mut self, id: u32, bytes: &[u8], finished: bool) {
        let Some(slot) = self.slots.get_mut(&id).filter(|slot| slot.arrival == Arrival::Open) else { return };
        if slot.discard {
            slot.credit = slot.credit.saturating_add(bytes.len() as u32);
        } else {
            slot.received.extend_from_slice(bytes);
            self.buffered += bytes.len();
        }
        if finished {
            slot.finish_arrival();
        }
        wake(&mut slot.reader);
        self.grant(id);
        self.settle(id);
    }

    /// Grants the peer what has been read, in halves of a window.
    fn grant(&mut self, id: u32) {
        let Some(slot) = self.slots.get_mut(&id) else { return };
        if slot.credit >= self.limits.window_bytes / 2 && slot.arrival == Arrival::Open {
            let credit = std::mem::take(&mut slot.credit);
            if self.peer_window.is_some() {
                self.wire.grant(id, credit, &mut self.output);
                wake(&mut self.driver);
            }
        }
    }

    fn with(&mut self, id: u32, change: impl FnOnce(&mut Slot)) {
        if let Some(slot) = self.slots.get_mut(&id) {
            change(slot);
            self.settle(id);
        }
    }

    /// Forgets a stream that nobody holds and that both sides have finished.
    fn settle(&mut self, id: u32) {
        if self.slots.get(&id).is_some_and(|slot| slot.dropped && slot.finished()) {
            self.remove(id);
        }
    }
}

// === impl State: what the handles do ===

impl State {
    /// Opens a stream; it can be written once the peer has accepted it.
    pub fn open(&mut self, headers: &Headers) -> Result<u32, Error> {
        if self.no_more || self.slots.len() >= self.limits.max_streams {
            return Err(Error::NoMoreStreams);
        }
        let id = self.wire.open(headers, &mut self.output)?;
        self.slots.insert(id, Slot::new(Departure::Waiting, self.peer_window));
        wake(&mut self.driver);
        Ok(id)
    }

    /// Waits until the peer has accepted our stream; fails when it does not.
    pub fn poll_opened(&mut self, id: u32, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let Some(slot) = self.slots.get_mut(&id) else { return Poll::Ready(Err(lost())) };
        match (slot.departure, slot.arrival) {
            // Accepted, and perhaps more since: reads and writes tell.
            _ if slot.accepted => Poll::Ready(Ok(())),
            (Departure::Done, Arrival::Reset) => Poll::Ready(Err(io::ErrorKind::ConnectionRefused.into())),
            (Departure::Done, _) => Poll::Ready(Err(lost())),
            (Departure::Waiting | Departure::Open, _) => {
                slot.writer = Some(cx.waker().clone());
                Poll::Pending
            }
        }
    }

    /// Waits for a stream that the peer opens; `None` when it opens no more.
    pub fn poll_incoming(&mut self, cx: &mut Context<'_>) -> Poll<Option<(u32, Headers)>> {
        match self.incoming.pop_front() {
            Some(incoming) if self.phase == Phase::Open => Poll::Ready(Some(incoming)),
            _ if self.no_more => Poll::Ready(None),
            _ => {
                self.acceptor = Some(cx.waker().clone());
                Poll::Pending
            }
        }
    }

    /// Accepts a stream that the peer has opened.
    pub fn accept(&mut self, id: u32) {
        if let Some(slot) = self.slots.get_mut(&id).filter(|slot| slot.departure == Departure::Waiting) {
            slot.departure = Departure::Open;
            self.wire.accept(id, &mut self.output);
            wake(&mut self.driver);
        }
    }

    /// Refuses a stream that the peer has opened.
    pub fn refuse(&mut self, id: u32) {
        if self.remove(id) && self.phase == Phase::Open {
            self.wire.refuse(id, &mut self.output);
        }
    }

    /// Reads into `buffer`, which is not empty: 0 bytes at the peer's end, an error when it did not come to that.
    pub fn poll_read(&mut self, id: u32, buffer: &mut [u8], cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        let Some(slot) = self.slots.get_mut(&id) else { return Poll::Ready(Err(lost())) };
        if slot.received.is_empty() {
            return match slot.arrival {
                Arrival::Open => {
                    slot.reader = Some(cx.waker().clone());
                    Poll::Pending
                }
                Arrival::Finished => Poll::Ready(Ok(0)),
                Arrival::Reset => Poll::Ready(Err(io::ErrorKind::ConnectionReset.into())),
                Arrival::Lost => Poll::Ready(Err(lost())),
            };
        }
        let count = buffer.len().min(slot.received.len());
        slot.received.copy_to_slice(&mut buffer[..count]);
        if slot.received.is_empty() && slot.received.capacity() > MAX_DATA_BYTES {
            slot.received = BytesMut::new();
        }
        slot.credit = slot.credit.saturating_add(count as u32);
        self.eaten(count);
        self.grant(id);
        Poll::Ready(Ok(count))
    }

    /// Queues a part of `bytes`, which are not empty, as far as there is room and the peer lets us.
    pub fn poll_write(&mut self, id: u32, bytes: &[u8], cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        let full = self.output.len() >= self.limits.send_bytes;
        let Some(slot) = self.slots.get_mut(&id) else { return Poll::Ready(Err(lost())) };
        if slot.departure == Departure::Done {
            let reset = slot.arrival == Arrival::Reset;
            return Poll::Ready(Err(if reset {
                io::ErrorKind::ConnectionReset
            } else {
                io::ErrorKind::BrokenPipe
            }
            .into()));
        }
        let window = slot.window.map_or(usize::MAX, |window| usize::try_from(window).unwrap_or(0));
        if full || window == 0 || slot.departure == Departure::Waiting {
            slot.writer = Some(cx.waker().clone());
            return Poll::Pending;
        }
        let count = bytes.len().min(window).min(MAX_DATA_BYTES);
        slot.window = slot.window.map(|window| window - count as i64);
        self.wire.data(id, &bytes[..count], false, &mut self.output);
        wake(&mut self.driver);
        Poll::Ready(Ok(count))
    }

    /// Sends a message without data.
    pub fn write_empty(&mut self, id: u32) {
        if self.phase == Phase::Open {
            self.wire.data(id, &[], false, &mut self.output);
            wake(&mut self.driver);
        }
    }

    /// Says that nothing more comes from us.
    pub fn poll_finish(&mut self, id: u32, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let Some(slot) = self.slots.get_mut(&id) else { return Poll::Ready(Ok(())) };
        match slot.departure {
            Departure::Done => Poll::Ready(Ok(())),
            Departure::Waiting => {
                slot.writer = Some(cx.waker().clone());
                Poll::Pending
            }
            Departure::Open => {
                self.finish(id);
                Poll::Ready(Ok(()))
            }
        }
    }

    /// Says that nothing more comes from us, if something could.
    pub fn finish(&mut self, id: u32) {
        if let Some(slot) = self.slots.get_mut(&id).filter(|slot| slot.departure == Departure::Open) {
            slot.departure = Departure::Done;
            wake(&mut slot.writer);
            self.wire.data(id, &[], true, &mut self.output);
            wake(&mut self.driver);
        }
    }

    /// Nobody reads the stream: what comes is dropped, now and from now on.
    pub fn ignore(&mut self, id: u32) {
        if let Some(slot) = self.slots.get_mut(&id) {
            slot.discard = true;
            let count = std::mem::take(&mut slot.received).len();
            slot.credit = slot.credit.saturating_add(count as u32);
            self.eaten(count);
            self.grant(id);
        }
    }

    /// The reading half is dropped.
    pub fn drop_reader(&mut self, id: u32) {
        self.ignore(id);
        self.with(id, |slot| slot.dropped = true);
    }

    /// The writing half is dropped: nothing more comes from us.
    pub fn drop_writer(&mut self, id: u32) {
        self.ignore(id);
        self.finish(id);
        self.with(id, |slot| slot.dropped = true);
    }

    /// The whole stream is dropped: it is given up in both directions, unless both have finished.
    pub fn drop_stream(&mut self, id: u32) {
        let Some(slot) = self.slots.get(&id) else { return };
        if !slot.finished() && self.phase == Phase::Open {
            self.wire.reset(id, &mut self.output);
        }
        self.remove(id);
    }

    /// Forgets a stream; whether it was there.
    fn remove(&mut self, id: u32) -> bool {
        let Some(slot) = self.slots.remove(&id) else { return false };
        self.eaten(slot.received.len());
        wake(&mut self.driver);
        true
    }

    /// `count` bytes have been read; the peer may be read again if that was what it waited for.
    fn eaten(&mut self, count: usize) {
        let full = !self.hungry();
        self.buffered -= count;
        if full && self.hungry() {
            wake(&mut self.driver);
        }
    }
}

// === impl Slot ===

impl Slot {
    fn new(departure: Departure, window: Option<u32>) -> Slot {
        Slot {
            received: BytesMut::new(),
            arrival: Arrival::Open,
            departure,
            accepted: false,
            window: window.map(i64::from),
            credit: 0,
            discard: false,
            dropped: false,
            reader: None,
            writer: None,
        }
    }

    fn finished(&self) -> bool {
        self.departure == Departure::Done && self.arrival != Arrival::Open
    }

    fn finish_arrival(&mut self) {
        if self.arrival == Arrival::Open {
            self.arrival = Arrival::Finished;
        }
    }

    fn wake(&mut self) {
        wake(&mut self.reader);
        wake(&mut self.writer);
    }
}

fn wake(waker: &mut Option<Waker>) {
    if let Some(waker) = waker.take() {
        waker.wake();
    }
}

fn lost() -> io::Error {
    io::Error::new(io::ErrorKind::ConnectionAborted, "the connection ended before the stream did")
}

#[cfg(any(test, feature = "fuzz"))]
impl State {
    /// Panics when more is held than `limits` allow: what came last may be over by what was read at once.
    pub fn check(&self, limits: &Limits) {
        let received: usize = self.slots.values().map(|slot| slot.received.len()).sum();
        assert_eq!(received, self.buffered, "the count of unread bytes");
        assert!(received <= limits.receive_bytes + 1024, "unread: {received}");
        let most = limits.send_bytes + 2 * MAX_DATA_BYTES + MAX_ANSWER_BYTES;
        assert!(self.output.len() <= most, "unsent: {}", self.output.len());
        assert!(self.slots.len() <= limits.max_streams, "streams: {}", self.slots.len());
        assert!(self.incoming.len() <= limits.max_streams, "incoming: {}", self.incoming.len());
    }
}
