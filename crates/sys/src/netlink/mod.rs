//! Netlink: how the kernel is asked about links, addresses and routes, and told about packet filters.
//!
//! A small synchronous layer of our own: [`message`] writes and reads the bytes, [`socket`] carries them, [`route`]
//! says what of rtnetlink a node needs. The kernel handles such a request within the system call that sends it, so
//! there is nothing to wait for.

pub mod links;
pub mod message;
pub mod record;
pub mod route;
pub mod socket;

use rustix::io::Errno;

pub use links::{Link, LinkChange, Links, Mac, Neighbour, Route, Veth};
pub use record::LinkRecorder;
pub use route::RouteSocket;

/// Why a netlink request failed.
#[derive(Debug, thiserror::Error)]
pub enum NetlinkError {
    /// The socket could not be opened.
    #[error("cannot open a netlink socket: {0}")]
    Open(Errno),
    /// The request could not be handed to the kernel.
    #[error("cannot send a netlink request of {bytes} bytes: {code}")]
    Send {
        /// Its size.
        bytes: usize,
        /// Why.
        code: Errno,
    },
    /// The answer could not be read.
    #[error("cannot read a netlink answer: {0}")]
    Receive(Errno),
    /// The kernel refused a request.
    #[error("the kernel refused: {code}")]
    Refused {
        /// Why.
        code: Errno,
        /// Which of the requests sent together, by sequence number.
        sequence: u32,
    },
    /// The answer did not read as one.
    #[error("a malformed netlink answer")]
    Malformed,
    /// The link that was asked for is not there.
    #[error("no link named {0}")]
    NoLink(String),
}

// === impl NetlinkError ===

impl NetlinkError {
    /// The kernel's code for it, if it gave one.
    pub fn code(&self) -> Option<Errno> {
        match self {
            NetlinkError::Open(code) | NetlinkError::Send { code, .. } | NetlinkError::Receive(code) => {
                Some(*code)
            }
            NetlinkError::Refused { code, .. } => Some(*code),
            NetlinkError::Malformed | NetlinkError::NoLink(_) => None,
        }
    }

    /// Whether what was to be made is there already.
    pub fn is_exists(&self) -> bool {
        self.code() == Some(Errno::EXIST)
    }

    /// Whether what was named is not there.
    pub fn is_absent(&self) -> bool {
        matches!(self, NetlinkError::NoLink(_))
            || matches!(self.code(), Some(Errno::NOENT | Errno::NODEV | Errno::SRCH | Errno::ADDRNOTAVAIL))
    }
}
