//! Ports that have to be free before anything is started.

use std::net::{Ipv4Addr, TcpListener};

/// A port that somebody has.
#[derive(Debug, thiserror::Error)]
#[error("port {port} cannot be had: {source}: stop what uses it, or choose another with {flag}")]
pub struct Busy {
    port: u16,
    flag: &'static str,
    source: std::io::Error,
}

/// Whether `port`, which `flag` sets, can be listened on.
pub fn check(port: u16, flag: &'static str) -> Result<(), Busy> {
    TcpListener::bind((Ipv4Addr::UNSPECIFIED, port)).map(drop).map_err(|source| Busy { port, flag, source })
}
