//! Asks other servers: over UDP, and over TCP when the reply is cut.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError, RwLock};
use std::time::Duration;

use decapod_sys::Env;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UdpSocket};
use tokio::time::{Instant, timeout};

use crate::cache::{Cache, Question, Shape, shape};
use crate::name::Name;
use crate::resolv::name_servers;
use crate::wire::{Edns, HEAD, UDP_MAX, u16_at};

/// Knows whom to ask, and what they have said.
pub struct Forwarder {
    env: Env,
    began: Instant,
    /// Where the servers are read from; they may change while we run.
    path: Option<PathBuf>,
    of_ours: Vec<SocketAddr>,
    servers: RwLock<Vec<SocketAddr>>,
    cache: Mutex<Cache>,
}

/// Why a server did not answer.
#[derive(Debug, thiserror::Error)]
enum ExchangeError {
    #[error("connecting: {0}")]
    Connect(std::io::Error),
    #[error("sending: {0}")]
    Send(std::io::Error),
    #[error("receiving: {0}")]
    Receive(std::io::Error),
    #[error("no answer in time")]
    Late,
    #[error("a broken answer")]
    Broken,
}

/// How long one server may take over UDP, and over TCP.
const UDP_TIMEOUT: Duration = Duration::from_secs(2);
const TCP_TIMEOUT: Duration = Duration::from_secs(4);
/// How often all servers are asked in turn.
const ROUNDS: usize = 2;
/// What is remembered at most.
const CACHE_BYTES: usize = 8 << 20;
/// A server that fails, or refuses to ask others for us, is passed over while there are more.
const SERVFAIL: u8 = 2;
const REFUSED: u8 = 5;

// === impl Forwarder ===

impl Forwarder {
    /// Asks `servers`, or those that the file at `path` lists; never those `of_ours`.
    pub fn new(
        env: &Env,
        servers: Vec<SocketAddr>,
        path: Option<PathBuf>,
        of_ours: Vec<SocketAddr>,
    ) -> Forwarder {
        let forwarder = Forwarder {
            env: env.clone(),
            began: Instant::now(),
            path,
            of_ours,
            servers: RwLock::new(servers),
            cache: Mutex::new(Cache::new(CACHE_BYTES)),
        };
        forwarder.read_servers();
        forwarder
    }

    fn read_servers(&self) {
        let Some(path) = &self.path else { return };
        match std::fs::read_to_string(path) {
            Ok(text) => {
                let servers = name_servers(&text, &self.of_ours);
                *self.servers.write().unwrap_or_else(PoisonError::into_inner) = servers;
            }
            Err(error) => tracing::warn!(path = %path.display(), %error, "cannot read the host's resolvers"),
        }
    }

    /// The reply to a question, complete and well formed, with an arbitrary number; `None` if nobody answers.
    pub async fn ask(&self, name: &Name, kind: u16, class: u16, edns: Option<Edns>) -> Option<Vec<u8>> {
        let asking = question(name, kind, class, edns);
        let now = self.began.elapsed();
        let known = self.cache.lock().unwrap_or_else(PoisonError::into_inner).get(&asking, now);
        if known.is_some() {
            return known;
        }
        let (reply, shape) = match self.ask_servers(&asking).await {
            Some(found) => found,
            None => {
                // The host may have moved to another network.
                self.read_servers();
                return None;
            }
        };
        let now = self.began.elapsed();
        self.cache.lock().unwrap_or_else(PoisonError::into_inner).put(&asking, &reply, &shape, now);
        Some(reply)
    }

    async fn ask_servers(&self, asking: &Question) -> Option<(Vec<u8>, Shape)> {
        let servers = self.servers.read().unwrap_or_else(PoisonError::into_inner).clone();
        let mut last = None;
        for server in servers.iter().cycle().take(servers.len() * ROUNDS) {
            match self.exchange(*server, asking).await {
                Ok((reply, shape)) if !matches!(shape.code, SERVFAIL | REFUSED) => {
                    return Some((reply, shape));
                }
                Ok(failed) => last = Some(failed),
                Err(error) => tracing::debug!(%server, %error, "a resolver does not answer"),
            }
        }
        last
    }

    async fn exchange(
        &self,
        server: SocketAddr,
        asking: &Question,
    ) -> Result<(Vec<u8>, Shape), ExchangeError> {
        let mut query = asking.clone();
        let mut id = [0; 2];
        self.env.fill(&mut id);
        query[..2].copy_from_slice(&id);
        let over_udp =
            timeout(UDP_TIMEOUT, over_udp(server, &query)).await.map_err(|_| ExchangeError::Late)??;
        if !over_udp.1.is_cut {
            return Ok(over_udp);
        }
        timeout(TCP_TIMEOUT, over_tcp(server, &query)).await.map_err(|_| ExchangeError::Late)?
    }
}

/// A query with number 0: also what the cache goes by.
fn question(name: &Name, kind: u16, class: u16, edns: Option<Edns>) -> Question {
    let mut packet = vec![0, 0, 0x01, 0, 0, 1, 0, 0, 0, 0, 0, u8::from(edns.is_some())];
    packet.extend_from_slice(name.wire());
    packet.extend_from_slice(&kind.to_be_bytes());
    packet.extend_from_slice(&class.to_be_bytes());
    if let Some(edns) = edns {
        let [high, low] = (UDP_MAX as u16).to_be_bytes();
        let dnssec_ok = if edns.dnssec_ok { 0x80 } else { 0 };
        packet.extend_from_slice(&[0, 0, 41, high, low, 0, 0, dnssec_ok, 0, 0, 0]);
    }
    packet
}

/// The shape of `reply`, if it is one to `query`.
pub fn check(reply: &[u8], query: &[u8]) -> Option<Shape> {
    let (name, at) = Name::read(query, HEAD)?;
    let (answered, reply_at) = Name::read(reply, HEAD)?;
    let matches = reply.get(..2)? == query.get(..2)?
        && reply.get(2)? & 0x80 != 0
        && u16_at(reply, 4)? == 1
        && (answered, reply_at) == (name, at)
        && reply.get(at..at + 4)? == query.get(at..at + 4)?;
    matches.then(|| shape(reply, at + 4))?
}

async fn over_udp(server: SocketAddr, query: &[u8]) -> Result<(Vec<u8>, Shape), ExchangeError> {
    let any: IpAddr =
        if server.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
    // A socket of its own for each query: its port is half of what a forger has to guess.
    let socket = UdpSocket::bind((any, 0)).await.map_err(ExchangeError::Connect)?;
    socket.connect(server).await.map_err(ExchangeError::Connect)?;
    socket.send(query).await.map_err(ExchangeError::Send)?;
    let mut reply = vec![0; 4096];
    loop {
        let length = socket.recv(&mut reply).await.map_err(ExchangeError::Receive)?;
        // What does not answer this query is somebody's guess: wait on.
        if let Some(shape) = check(&reply[..length], query) {
            reply.truncate(length);
            return Ok((reply, shape));
        }
    }
}

async fn over_tcp(server: SocketAddr, query: &[u8]) -> Result<(Vec<u8>, Shape), ExchangeError> {
    let mut stream = TcpStream::connect(server).await.map_err(ExchangeError::Connect)?;
    let mut framed = (query.len() as u16).to_be_bytes().to_vec();
    framed.extend_from_slice(query);
    stream.write_all(&framed).await.map_err(ExchangeError::Send)?;
    let length = stream.read_u16().await.map_err(ExchangeError::Receive)?;
    let mut reply = vec![0; length.into()];
    stream.read_exact(&mut reply).await.map_err(ExchangeError::Receive)?;
    let shape = check(&reply, query).ok_or(ExchangeError::Broken)?;
    Ok((reply, shape))
}
