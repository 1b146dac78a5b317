//! What connections of ours have in common, as Go's have it by default (net.KeepAliveConfig, TCP_NODELAY).

use std::io;
use std::os::fd::AsFd;
use std::time::Duration;

use rustix::net::sockopt;

/// After so long without a byte the kernel asks the peer whether it lives, and then as often.
const PROBE_EVERY: Duration = Duration::from_secs(15);
/// After so many questions without an answer the connection fails.
const PROBES_MAX: u32 = 9;

/// Sends small parts at once, and has the kernel find out when the peer's machine is gone.
pub fn set_up(socket: impl AsFd) -> io::Result<()> {
    let socket = socket.as_fd();
    sockopt::set_tcp_nodelay(socket, true)?;
    sockopt::set_socket_keepalive(socket, true)?;
    sockopt::set_tcp_keepidle(socket, PROBE_EVERY)?;
    sockopt::set_tcp_keepintvl(socket, PROBE_EVERY)?;
    Ok(sockopt::set_tcp_keepcnt(socket, PROBES_MAX)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernel_takes_it() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let socket = std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        set_up(&socket).unwrap();
        assert_eq!(sockopt::tcp_keepidle(&socket).unwrap(), PROBE_EVERY);
        assert!(socket.nodelay().unwrap());
    }
}
