//! A netlink socket. It belongs to the network namespace in which it was opened, whichever thread uses it.

use std::os::fd::OwnedFd;
use std::sync::{Mutex, MutexGuard, PoisonError};

use rustix::io::Errno;
use rustix::net::{
    AddressFamily, Protocol, RecvFlags, SendFlags, SocketFlags, SocketType, recv, send, socket_with, sockopt,
};

use super::NetlinkError;
use super::message::{self, Message, Writer};

/// A socket of one netlink protocol.
pub struct Socket {
    fd: OwnedFd,
    state: Mutex<State>,
}

struct State {
    sequence: u32,
    buffer: Vec<u8>,
    send_bytes: usize,
}

/// Larger than any answer: dumps come in at most 32 KiB, refused requests are at most 64 KiB and their head.
const BUFFER_BYTES: usize = 128 << 10;
/// How much the kernel lets us send at once before we ask for more.
const SEND_BYTES_MIN: usize = 128 << 10;
/// Room for the refusals of one batch.
const RECEIVE_BYTES: usize = 4 << 20;

// === impl Socket ===

impl Socket {
    /// Opens a socket of `protocol` (`None` is rtnetlink, number 0) in the calling thread's network namespace.
    pub fn open(protocol: Option<Protocol>) -> Result<Socket, NetlinkError> {
        let fd = socket_with(AddressFamily::NETLINK, SocketType::RAW, SocketFlags::CLOEXEC, protocol)
            .map_err(NetlinkError::Open)?;
        sockopt::set_socket_recv_buffer_size_force(&fd, RECEIVE_BYTES)
            .or_else(|_| sockopt::set_socket_recv_buffer_size(&fd, RECEIVE_BYTES))
            .map_err(NetlinkError::Open)?;
        let state =
            State { sequence: 0, buffer: Vec::with_capacity(BUFFER_BYTES), send_bytes: SEND_BYTES_MIN };
        Ok(Socket { fd, state: Mutex::new(state) })
    }

    /// Sends a request and waits for word that it is done.
    pub fn request(
        &self,
        kind: u16,
        flags: u16,
        header: &[u8],
        body: impl FnOnce(&mut Writer),
    ) -> Result<(), NetlinkError> {
        let mut state = self.lock();
        let mut writer = Writer::default();
        let sequence = state.next_sequence();
        writer.message(kind, message::REQUEST | message::ACK | flags, sequence, header, body);
        self.send(&mut state, writer.bytes())?;
        self.receive(&mut state, |answer| (answer.sequence == sequence).then(|| outcome(answer)).flatten())
    }

    /// Asks for everything there is, and hands each message's type and payload to `each`.
    pub fn dump(
        &self,
        kind: u16,
        header: &[u8],
        mut each: impl FnMut(u16, &[u8]),
    ) -> Result<(), NetlinkError> {
        let mut state = self.lock();
        let mut writer = Writer::default();
        let sequence = state.next_sequence();
        writer.message(kind, message::REQUEST | message::DUMP, sequence, header, |_| {});
        self.send(&mut state, writer.bytes())?;
        self.receive(&mut state, |answer| {
            if answer.sequence != sequence {
                return None;
            }
            match answer.kind {
                message::DONE => Some(Ok(())),
                message::ERROR => outcome(answer),
                kind => {
                    each(kind, answer.payload);
                    None
                }
            }
        })
    }

    /// Sends messages that stand or fall together; `write` gets the first sequence number and returns the last. The
    /// last message but the batch's end has to ask for an acknowledgement. The first refusal is returned.
    pub fn batch(&self, write: impl FnOnce(&mut Writer, u32) -> u32) -> Result<(), NetlinkError> {
        let mut state = self.lock();
        let mut writer = Writer::default();
        let first = state.next_sequence();
        let last = write(&mut writer, first);
        state.sequence = last.wrapping_add(1);
        self.send(&mut state, writer.bytes())?;
        // All answers are there when the call that sent the batch returns: refusals first, in order.
        let mut refused = None;
        let result = self.receive(&mut state, |answer| {
            let mine = answer.sequence.wrapping_sub(first) <= last.wrapping_add(1).wrapping_sub(first);
            match outcome(answer).filter(|_| mine)? {
                Ok(()) => Some(Ok(())),
                Err(error) => {
                    refused.get_or_insert(error);
                    None
                }
            }
        });
        match (refused, result) {
            (Some(error), _) => Err(error),
            (None, result) => result,
        }
    }

    fn send(&self, state: &mut State, bytes: &[u8]) -> Result<(), NetlinkError> {
        let failed = |code| NetlinkError::Send { bytes: bytes.len(), code };
        // The kernel takes a message only as a whole, and counts its own book-keeping too.
        let needed = bytes.len() + (bytes.len() >> 2) + 4096;
        if needed > state.send_bytes {
            sockopt::set_socket_send_buffer_size_force(&self.fd, needed)
                .or_else(|_| sockopt::set_socket_send_buffer_size(&self.fd, needed))
                .map_err(failed)?;
            state.send_bytes = needed;
        }
        // Left over from a request that failed half-way.
        while recv(&self.fd, &mut [0u8; 64], RecvFlags::DONTWAIT).is_ok() {}
        send(&self.fd, bytes, SendFlags::empty()).map_err(failed).map(drop)
    }

    /// Reads messages until `each` has an answer. Reads only what the kernel has already said, except within a
    /// dump, which it continues whenever it is read.
    fn receive(
        &self,
        state: &mut State,
        mut each: impl FnMut(Message) -> Option<Result<(), NetlinkError>>,
    ) -> Result<(), NetlinkError> {
        loop {
            state.buffer.clear();
            let room = rustix::buffer::spare_capacity(&mut state.buffer);
            match recv(&self.fd, room, RecvFlags::DONTWAIT) {
                Ok(_) => {}
                Err(Errno::INTR) => continue,
                Err(Errno::AGAIN) => return Err(NetlinkError::Malformed),
                Err(code) => return Err(NetlinkError::Receive(code)),
            }
            for answer in message::messages(&state.buffer) {
                if let Some(result) = each(answer) {
                    return result;
                }
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

// === impl State ===

impl State {
    fn next_sequence(&mut self) -> u32 {
        self.sequence = self.sequence.wrapping_add(1);
        self.sequence
    }
}

/// What an error message says: it is how success is told too.
fn outcome(answer: Message) -> Option<Result<(), NetlinkError>> {
    if answer.kind != message::ERROR {
        return None;
    }
    let code = message::u32_of(answer.payload)? as i32;
    Some(match code {
        0 => Ok(()),
        code => {
            Err(NetlinkError::Refused { code: Errno::from_raw_os_error(-code), sequence: answer.sequence })
        }
    })
}
