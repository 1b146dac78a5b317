//! The sockets: thin around [`answer`].

use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use decapod_sys::Env;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio::sync::Semaphore;
use tokio::time::timeout;

use crate::answer::{Next, answer};
use crate::forward::Forwarder;
use crate::name::Name;
use crate::wire::{Code, HEAD, Over, Query, RawRecord, Record, Reply, u16_at, write_cut};
use crate::zone::Zone;

/// What all sockets share.
pub struct Shared {
    /// The cluster's names.
    pub zone: RwLock<Zone>,
    /// Whether the zone has been seen.
    pub synced: tokio::sync::watch::Sender<bool>,
    /// Whoever knows the rest.
    pub forwarder: Forwarder,
    /// How many queries others may be asked at a time.
    pub asking: Arc<Semaphore>,
    /// How many connections there may be.
    pub connections: Arc<Semaphore>,
}

/// How many queries others may be asked at a time; more are dropped, and asked again by their askers.
pub const ASKING_MAX: usize = 1000;
/// How many connections there may be.
pub const CONNECTIONS_MAX: usize = 256;
/// How long a connection may be idle, and a reply be on its way.
const TCP_IDLE: Duration = Duration::from_secs(10);
/// How long a socket rests that fails without reason.
const REST: Duration = Duration::from_millis(100);

// === impl Shared ===

impl Shared {
    /// Changes the zone; queries wait meanwhile.
    pub fn change(&self, change: impl FnOnce(&mut Zone)) {
        change(&mut self.zone.write().unwrap_or_else(PoisonError::into_inner));
    }

    /// Answers as far as the zone is enough.
    fn answer(&self, packet: &[u8], over: Over, out: &mut Vec<u8>) -> Next {
        let zone = self.zone.read().unwrap_or_else(PoisonError::into_inner);
        answer(&zone, *self.synced.borrow(), packet, over, out)
    }

    /// Answers with the help of others.
    async fn finish(&self, next: Next, packet: &[u8], over: Over, out: &mut Vec<u8>) -> bool {
        match next {
            Next::Send => {}
            Next::Silence => return false,
            Next::Forward(query) => self.forward(&query, packet, over, out).await,
            Next::Follow(query, mut reply, target) => {
                let found = self.forwarder.ask(&target, query.kind, query.class, None).await;
                match found {
                    Some(found) => reply.answers.extend(addresses(&found)),
                    None => reply.code = Code::ServFail,
                }
                reply.write(&query, packet, query.limit(over), out);
            }
        }
        true
    }

    async fn forward(&self, query: &Query, packet: &[u8], over: Over, out: &mut Vec<u8>) {
        let Some(reply) = self.forwarder.ask(&query.name, query.kind, query.class, query.edns).await else {
            return Reply::empty(Code::ServFail).write(query, packet, query.limit(over), out);
        };
        if reply.len() > query.limit(over) {
            return write_cut(&reply, query, packet, out);
        }
        out.clear();
        out.extend_from_slice(&reply);
        // With the asker's own number and spelling.
        out[..2].copy_from_slice(&query.id.to_be_bytes());
        out[HEAD..query.question_end].copy_from_slice(&packet[HEAD..query.question_end]);
    }
}

/// The answers of somebody else's reply that can be handed on.
fn addresses(reply: &[u8]) -> Vec<Record> {
    let Some(mut at) = Name::read(reply, HEAD).map(|(_, at)| at + 4) else { return Vec::new() };
    let mut records = Vec::new();
    for _ in 0..u16_at(reply, 6).unwrap_or(0) {
        let Some(record) = RawRecord::read(reply, at) else { break };
        at = record.end;
        records.extend(record.data(reply).map(|data| Record { owner: record.owner, ttl: record.ttl, data }));
    }
    records
}

/// Serves queries over UDP.
pub async fn serve_udp(env: Env, socket: Arc<UdpSocket>, shared: Arc<Shared>) {
    let (mut packet, mut out) = (vec![0; 4096], Vec::new());
    loop {
        let (length, from) = match socket.recv_from(&mut packet).await {
            Ok(received) => received,
            Err(error) => {
                tracing::debug!(%error, "cannot receive a query");
                tokio::time::sleep(REST).await;
                continue;
            }
        };
        match shared.answer(&packet[..length], Over::Udp, &mut out) {
            Next::Silence => {}
            Next::Send => {
                if let Err(error) = socket.send_to(&out, from).await {
                    tracing::debug!(%from, %error, "cannot send a reply");
                }
            }
            next => {
                let Ok(permit) = shared.asking.clone().try_acquire_owned() else { continue };
                let (packet, socket, shared) = (packet[..length].to_vec(), socket.clone(), shared.clone());
                env.spawn("dns-forward", async move {
                    let mut out = Vec::new();
                    if shared.finish(next, &packet, Over::Udp, &mut out).await
                        && let Err(error) = socket.send_to(&out, from).await
                    {
                        tracing::debug!(%from, %error, "cannot send a reply");
                    }
                    drop(permit);
                });
            }
        }
    }
}

/// Serves queries over TCP.
pub async fn serve_tcp(env: Env, listener: Arc<TcpListener>, shared: Arc<Shared>) {
    loop {
        let Ok(permit) = shared.connections.clone().acquire_owned().await else { return };
        match listener.accept().await {
            Ok((stream, _)) => {
                let shared = shared.clone();
                env.spawn("dns-connection", async move {
                    if let Err(error) = serve_connection(stream, &shared).await {
                        tracing::debug!(%error, "a connection ended");
                    }
                    drop(permit);
                });
            }
            Err(error) => {
                tracing::debug!(%error, "cannot accept a connection");
                tokio::time::sleep(REST).await;
            }
        }
    }
}

/// Answers one query after the other, until there are no more.
async fn serve_connection(mut stream: TcpStream, shared: &Shared) -> std::io::Result<()> {
    let (mut packet, mut out) = (Vec::new(), Vec::new());
    let late = |_| std::io::Error::from(std::io::ErrorKind::TimedOut);
    loop {
        let length = match timeout(TCP_IDLE, stream.read_u16()).await.map_err(late)? {
            Ok(length) => length,
            Err(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => return Ok(()),
            Err(error) => return Err(error),
        };
        packet.resize(length.into(), 0);
        timeout(TCP_IDLE, stream.read_exact(&mut packet)).await.map_err(late)??;
        let next = shared.answer(&packet, Over::Tcp, &mut out);
        if !shared.finish(next, &packet, Over::Tcp, &mut out).await {
            return Ok(());
        }
        let mut framed = (out.len() as u16).to_be_bytes().to_vec();
        framed.extend_from_slice(&out);
        timeout(TCP_IDLE, stream.write_all(&framed)).await.map_err(late)??;
    }
}
