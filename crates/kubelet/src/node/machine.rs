//! What the machine is.

use std::fs;
use std::net::{IpAddr, Ipv4Addr, UdpSocket};
use std::path::Path;

/// What the machine is.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Machine {
    /// Cores that this process may use.
    pub cpus: i64,
    /// All memory.
    pub memory_bytes: i64,
    /// Swap, if there is any.
    pub swap_bytes: i64,
    /// Huge pages: name of the resource and bytes of all pages.
    pub huge_pages: Vec<(String, i64)>,
    /// Of the installation.
    pub machine_id: String,
    /// Of the board.
    pub system_uuid: String,
    /// Of this boot.
    pub boot_id: String,
    /// Such as `6.1.0`.
    pub kernel_version: String,
    /// Such as `Debian GNU/Linux 12 (bookworm)`.
    pub os_image: String,
    /// As Go names it.
    pub architecture: &'static str,
    /// How many processes the kernel runs at most.
    pub pids_max: i64,
}

// === impl Machine ===

impl Machine {
    /// This machine.
    pub fn read() -> Machine {
        let memory = read("/proc/meminfo");
        let kib = |key: &str| {
            let line = memory.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(':'));
            line.and_then(|rest| rest.split_whitespace().next()?.parse::<i64>().ok()).unwrap_or(0) << 10
        };
        Machine {
            cpus: std::thread::available_parallelism()
                .map_or(1, |cpus| i64::try_from(cpus.get()).unwrap_or(1)),
            memory_bytes: kib("MemTotal"),
            swap_bytes: kib("SwapTotal"),
            huge_pages: huge_pages(),
            machine_id: first_of(&["/etc/machine-id", "/var/lib/dbus/machine-id"]),
            system_uuid: first_of(&["/sys/class/dmi/id/product_uuid", "/etc/machine-id"]),
            boot_id: read("/proc/sys/kernel/random/boot_id"),
            kernel_version: read("/proc/sys/kernel/osrelease"),
            os_image: os_image(&read("/etc/os-release")),
            architecture: crate::pause::architecture(),
            pids_max: read("/proc/sys/kernel/pid_max").parse().unwrap_or(32_768),
        }
    }
}

fn read(path: impl AsRef<Path>) -> String {
    fs::read_to_string(path).unwrap_or_default().trim().to_owned()
}

fn first_of(paths: &[&str]) -> String {
    paths.iter().map(read).find(|text| !text.is_empty()).unwrap_or_default()
}

fn os_image(release: &str) -> String {
    let name = release.lines().find_map(|line| line.strip_prefix("PRETTY_NAME="));
    name.unwrap_or("Linux").trim_matches('"').to_owned()
}

fn huge_pages() -> Vec<(String, i64)> {
    let entries = fs::read_dir("/sys/kernel/mm/hugepages").into_iter().flatten().flatten();
    let mut pages: Vec<(String, i64)> = entries
        .filter_map(|entry| {
            let name = entry.file_name().into_string().ok()?;
            let kib: i64 = name.strip_prefix("hugepages-")?.strip_suffix("kB")?.parse().ok()?;
            let count: i64 = read(entry.path().join("nr_hugepages")).parse().ok()?;
            Some((format!("hugepages-{}", crate::quantity::bytes(kib << 10).0), count * (kib << 10)))
        })
        .collect();
    pages.sort();
    pages
}

/// The address by which others reach this machine: of the default route, else any that is not a loopback.
pub fn own_ip() -> IpAddr {
    // Nothing is sent: connecting a datagram socket only chooses a route.
    let routed = UdpSocket::bind("0.0.0.0:0").and_then(|socket| {
        socket.connect("192.0.2.1:9")?;
        socket.local_addr()
    });
    let routed =
        routed.ok().map(|address| address.ip()).filter(|ip| !ip.is_unspecified() && !ip.is_loopback());
    routed
        .or_else(|| local_addresses(&read("/proc/net/fib_trie")).next().map(IpAddr::V4))
        .unwrap_or(Ipv4Addr::LOCALHOST.into())
}

/// The machine's own addresses in `/proc/net/fib_trie`: a line with the address, then one that says `host LOCAL`.
fn local_addresses(trie: &str) -> impl Iterator<Item = Ipv4Addr> {
    let pairs = trie.lines().zip(trie.lines().skip(1)).filter(|(_, next)| next.contains("host LOCAL"));
    pairs
        .filter_map(|(line, _)| line.trim().trim_start_matches(['|', '-', ' ']).parse().ok())
        .filter(|ip: &Ipv4Addr| !ip.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_machine_has_something() {
        let machine = Machine::read();
        assert!(machine.cpus > 0 && machine.memory_bytes > 1 << 20 && !machine.kernel_version.is_empty());
    }

    #[test]
    fn addresses_are_found_in_the_trie() {
        let trie = "Main:\n  +-- 0.0.0.0/0 3 0 5\n     |-- 127.0.0.1\n        /32 host LOCAL\n     |-- 10.0.2.15\n        /32 host LOCAL\n";
        assert_eq!(local_addresses(trie).collect::<Vec<_>>(), [Ipv4Addr::new(10, 0, 2, 15)]);
    }
}
