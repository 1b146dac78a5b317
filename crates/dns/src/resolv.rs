//! The host's resolvers, from its `resolv.conf`.

use std::net::{IpAddr, SocketAddr, SocketAddrV6};

/// The name servers that `text` lists, but for those `of_ours`: asking oneself goes in circles.
pub fn name_servers(text: &str, of_ours: &[SocketAddr]) -> Vec<SocketAddr> {
    let lines = text.lines().map(|line| line.split(['#', ';']).next().unwrap_or_default());
    let words = lines.map(|line| line.split_whitespace().collect::<Vec<_>>());
    let server = |words: Vec<&str>| match words.as_slice() {
        ["nameserver", address, ..] => parse(address),
        _ => None,
    };
    let mut servers: Vec<SocketAddr> = Vec::new();
    for server in words.filter_map(server) {
        if !of_ours.contains(&server) && !servers.contains(&server) {
            servers.push(server);
        }
    }
    servers
}

/// An address, with a numeric scope behind `%` where it needs one.
fn parse(text: &str) -> Option<SocketAddr> {
    let (address, scope) = text.split_once('%').unwrap_or((text, "0"));
    match address.parse().ok()? {
        IpAddr::V4(address) => Some((address, 53).into()),
        IpAddr::V6(address) => Some(SocketAddrV6::new(address, 53, 0, scope.parse().ok()?).into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file() {
        let text = "# made by hand\nsearch a b\nnameserver 192.0.2.1 # first\nnameserver 10.0.0.1\nnameserver\n\
            nameserver nonsense\nnameserver fe80::1%2\nnameserver 192.0.2.1\noptions ndots:5\n";
        let servers = name_servers(text, &[([10, 0, 0, 1], 53).into()]);
        let servers: Vec<String> = servers.iter().map(ToString::to_string).collect();
        assert_eq!(servers, ["192.0.2.1:53", "[fe80::1%2]:53"]);
    }
}
