//! [`Nftables`] by netlink.

use rustix::net::netlink;

use super::{Batch, Family, Nftables, NftablesError, encode};
use crate::netlink::NetlinkError;
use crate::netlink::message::{attribute, text_of};
use crate::netlink::socket::Socket;

/// The packet filter of the network namespace in which it was opened.
pub struct NftablesSocket(Socket);

const GET_TABLE: u16 = (10 << 8) | 1;

// === impl NftablesSocket ===

impl NftablesSocket {
    /// The packet filter of the calling thread's network namespace.
    pub fn open() -> Result<NftablesSocket, NetlinkError> {
        Socket::open(Some(netlink::NETFILTER)).map(NftablesSocket)
    }
}

impl Nftables for NftablesSocket {
    fn apply(&self, batch: &Batch) -> Result<(), NftablesError> {
        if batch.changes.is_empty() {
            return Ok(());
        }
        let mut origins = Vec::new();
        let result = self.0.batch(|writer, first| {
            origins = encode::batch(writer, batch, first);
            origins.last().map_or(first, |(sequence, _)| *sequence)
        });
        let table = batch.title();
        result.map_err(|error| {
            let NetlinkError::Refused { sequence, .. } = error else {
                return NftablesError::Batch { table, error };
            };
            match origins.iter().find(|(of, _)| *of == sequence) {
                Some((_, index)) => {
                    let mut change = batch.changes[*index].to_string();
                    let end = change.char_indices().nth(500).map_or(change.len(), |(end, _)| end);
                    change.truncate(end);
                    NftablesError::Change { table, change, error }
                }
                None => NftablesError::Batch { table, error },
            }
        })
    }

    fn tables(&self) -> Result<Vec<(Family, String)>, NftablesError> {
        let mut tables = Vec::new();
        let result = self.0.dump(GET_TABLE, &[0; 4], |_, payload| {
            let family = match payload.first() {
                Some(1) => Family::Inet,
                Some(2) => Family::Ip,
                Some(10) => Family::Ip6,
                _ => return,
            };
            let name = payload.get(4..).and_then(|attributes| attribute(attributes, 1)).and_then(text_of);
            tables.extend(name.map(|name| (family, name.to_owned())));
        });
        result
            .map(|()| tables)
            .map_err(|error| NftablesError::Batch { table: "all tables".to_owned(), error })
    }
}
