//! A packet in, a packet out: everything that needs nobody else.

use crate::lookup::Found;
use crate::name::Name;
use crate::wire::{Code, Over, Query, Reply, Unreadable, write_refusal};
use crate::zone::Zone;

/// What is to be done after [`answer`].
#[derive(Debug)]
pub enum Next {
    /// Send what has been written.
    Send,
    /// Ask others.
    Forward(Query),
    /// Ask others where this name leads, and go on with the reply.
    Follow(Query, Reply, Name),
    /// Nothing: it was no query.
    Silence,
}

/// The class of the Internet, and of any.
const INTERNET: u16 = 1;
const ANY_CLASS: u16 = 255;

/// Answers `packet` from `zone`, as far as that is enough, into `out`. Until the zone is `synced` its names fail, so that
/// nobody remembers that they are not there.
pub fn answer(zone: &Zone, synced: bool, packet: &[u8], over: Over, out: &mut Vec<u8>) -> Next {
    let query = match Query::read(packet) {
        Ok(query) => query,
        Err(Unreadable::Silence) => return Next::Silence,
        Err(Unreadable::Tell(code)) => {
            write_refusal(packet, code, out);
            return Next::Send;
        }
    };
    let reply = |reply: &Reply, out: &mut Vec<u8>| {
        reply.write(&query, packet, query.limit(over), out);
        Next::Send
    };
    if query.class != INTERNET && query.class != ANY_CLASS {
        return reply(&Reply::empty(Code::Refused), out);
    }
    match zone.look_up(&query) {
        Found::Reply(_) | Found::Alias(..) if !synced => reply(&Reply::empty(Code::ServFail), out),
        Found::Reply(found) => reply(&found, out),
        Found::Alias(found, target) if query.recursion_desired => Next::Follow(query, found, target),
        Found::Alias(found, _) => reply(&found, out),
        Found::Elsewhere if query.recursion_desired => Next::Forward(query),
        Found::Elsewhere => reply(&Reply::empty(Code::Refused), out),
    }
}
