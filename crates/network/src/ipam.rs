//! Addresses for pods: a directory in which each file is a lease, named `addresses@container@interface`.
//!
//! The directory is the table, so a lease is taken and released by one step of the file system. All of it happens
//! under a lock on the directory's `lock` file. Addresses are handed out in turn, so that one that was just given
//! back rests as long as it can (as the `host-local` plugin does).

use std::collections::HashSet;
use std::fs::{self, File};
use std::io;
use std::net::IpAddr;
use std::path::PathBuf;

use ipnet::IpNet;

use crate::cni::conf::PortMapping;
use crate::config::{NetworkConfig, offset};

/// One interface of one container.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Attachment {
    /// The container's id, as the runtime names it.
    pub container: String,
    /// The interface within it.
    pub interface: String,
}

/// What an attachment has been given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lease {
    /// To whom.
    pub attachment: Attachment,
    /// One address of each of the node's networks, in their order.
    pub addresses: Vec<IpAddr>,
    /// Host ports that lead there.
    pub ports: Vec<PortMapping>,
}

/// The leases of a node, locked while this value lives.
pub struct Leases {
    dir: PathBuf,
    _lock: File,
}

/// Why address management failed.
#[derive(Debug, thiserror::Error)]
pub enum IpamError {
    /// The directory of leases could not be used.
    #[error("cannot use the leases in {dir}: {error}")]
    Directory {
        /// Which.
        dir: PathBuf,
        /// Why.
        error: io::Error,
    },
    /// All addresses are taken.
    #[error("no address is free in {0}")]
    Exhausted(IpNet),
}

/// The name of the file that is locked.
const LOCK: &str = "lock";
/// The name of the file that holds the addresses given last.
const LAST: &str = "last";

// === impl Leases ===

impl Leases {
    /// Opens the leases in `dir`, making it if need be, and waits for the lock.
    pub fn open(dir: &std::path::Path) -> Result<Leases, IpamError> {
        let open = || {
            fs::create_dir_all(dir)?;
            let lock = File::options().create(true).truncate(false).write(true).open(dir.join(LOCK))?;
            lock.lock()?;
            Ok(lock)
        };
        let dir = dir.to_owned();
        match open() {
            Ok(lock) => Ok(Leases { dir, _lock: lock }),
            Err(error) => Err(IpamError::Directory { dir, error }),
        }
    }

    /// All leases.
    pub fn list(&self) -> Result<Vec<Lease>, IpamError> {
        let read = || -> io::Result<Vec<Lease>> {
            let mut leases = Vec::new();
            for entry in fs::read_dir(&self.dir)? {
                leases.extend(entry?.file_name().to_str().and_then(parse_name));
            }
            Ok(leases)
        };
        read().map_err(|error| self.failed(error))
    }

    /// The lease of `attachment`, with its ports.
    pub fn find(&self, attachment: &Attachment) -> Result<Option<Lease>, IpamError> {
        let found = self.list()?.into_iter().find(|lease| lease.attachment == *attachment);
        found.map(|lease| self.with_ports(lease)).transpose()
    }

    /// A lease with its ports, which are the file's content.
    pub fn with_ports(&self, mut lease: Lease) -> Result<Lease, IpamError> {
        let content = fs::read(self.dir.join(name_of(&lease))).map_err(|error| self.failed(error))?;
        lease.ports = serde_json::from_slice(&content).unwrap_or_default();
        Ok(lease)
    }

    /// Gives `attachment` an address of each of `networks`; the same as before if it has a lease.
    pub fn take(
        &self,
        attachment: &Attachment,
        networks: &[IpNet],
        ports: &[PortMapping],
    ) -> Result<Lease, IpamError> {
        let leases = self.list()?;
        let held = leases.iter().find(|lease| lease.attachment == *attachment);
        let addresses = match held {
            Some(lease) => lease.addresses.clone(),
            None => {
                let used = leases.iter().flat_map(|lease| lease.addresses.iter().copied()).collect();
                let last = self.last();
                networks.iter().map(|network| next(network, &used, &last)).collect::<Result<_, _>>()?
            }
        };
        let lease = Lease { attachment: attachment.clone(), addresses, ports: ports.to_vec() };
        self.write(&lease).map_err(|error| self.failed(error))?;
        Ok(lease)
    }

    /// Ends a lease.
    pub fn release(&self, lease: &Lease) -> Result<(), IpamError> {
        match fs::remove_file(self.dir.join(name_of(lease))) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(self.failed(error)),
            _ => Ok(()),
        }
    }

    fn write(&self, lease: &Lease) -> io::Result<()> {
        // Renamed into place, so that a lease is never seen without its ports.
        let temporary = self.dir.join("new");
        fs::write(&temporary, serde_json::to_vec(&lease.ports).map_err(io::Error::other)?)?;
        fs::rename(&temporary, self.dir.join(name_of(lease)))?;
        fs::write(self.dir.join(LAST), join(&lease.addresses))
    }

    fn last(&self) -> Vec<IpAddr> {
        fs::read_to_string(self.dir.join(LAST)).map(|text| split(&text)).unwrap_or_default()
    }

    fn failed(&self, error: io::Error) -> IpamError {
        IpamError::Directory { dir: self.dir.clone(), error }
    }
}

/// The next free address of `network` after the one given last.
fn next(network: &IpNet, used: &HashSet<IpAddr>, last: &[IpAddr]) -> Result<IpAddr, IpamError> {
    let bits = u32::from(network.max_prefix_len() - network.prefix_len());
    let size = 1u128.checked_shl(bits).unwrap_or(u128::MAX);
    let start =
        last.iter().find(|address| network.contains(*address)).map_or(1, |last| distance(network, *last));
    let reserved = |address: &IpAddr| {
        *address == network.network()
            || *address == NetworkConfig::gateway(network)
            || *address == network.broadcast()
    };
    // Each try is another address, so that more than are taken or reserved need not be tried.
    let tries = size.min(used.len() as u128 + 4);
    let found = (1..=tries).map(|step| offset(network, (start + step) % size));
    let mut free = found.filter(|address| !reserved(address) && !used.contains(address));
    free.next().ok_or(IpamError::Exhausted(*network))
}

/// How far `address` is past the first of `network`.
fn distance(network: &IpNet, address: IpAddr) -> u128 {
    let number = |address| match address {
        IpAddr::V4(address) => u128::from(u32::from(address)),
        IpAddr::V6(address) => u128::from(address),
    };
    number(address).saturating_sub(number(network.network()))
}

fn join(addresses: &[IpAddr]) -> String {
    addresses.iter().map(IpAddr::to_string).collect::<Vec<_>>().join(",")
}

fn split(text: &str) -> Vec<IpAddr> {
    text.trim().split(',').filter_map(|address| address.parse().ok()).collect()
}

fn name_of(lease: &Lease) -> String {
    format!("{}@{}@{}", join(&lease.addresses), lease.attachment.container, lease.attachment.interface)
}

fn parse_name(name: &str) -> Option<Lease> {
    let mut parts = name.splitn(3, '@');
    let (addresses, container, interface) = (parts.next()?, parts.next()?, parts.next()?);
    let attachment = Attachment { container: container.to_owned(), interface: interface.to_owned() };
    Some(Lease { attachment, addresses: split(addresses), ports: Vec::new() })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn attachment(n: usize) -> Attachment {
        Attachment { container: format!("c.{n}"), interface: "eth0".into() }
    }

    #[test]
    fn addresses_go_round_and_run_out() {
        let dir = tempfile::tempdir().expect("directory");
        let networks = ["10.42.0.0/29".parse().expect("network")];
        let leases = Leases::open(dir.path()).expect("leases");
        let take =
            |n| leases.take(&attachment(n), &networks, &[]).map(|lease| lease.addresses[0].to_string());
        let taken: Vec<String> = (0..5).map(|n| take(n).expect("lease")).collect();
        assert_eq!(taken, ["10.42.0.2", "10.42.0.3", "10.42.0.4", "10.42.0.5", "10.42.0.6"]);
        assert!(matches!(take(5), Err(IpamError::Exhausted(_))));
        assert_eq!(take(3).expect("the same again"), "10.42.0.5");
        for n in [1, 4] {
            let lease = leases.find(&attachment(n)).expect("read").expect("lease");
            leases.release(&lease).expect("release");
        }
        assert_eq!(take(7).expect("past the last given"), "10.42.0.6");
        assert_eq!(take(8).expect("around"), "10.42.0.3");
    }

    #[test]
    fn both_families_and_ports_are_kept() {
        let dir = tempfile::tempdir().expect("directory");
        let networks = ["10.42.0.0/24".parse().expect("network"), "fd00::/64".parse().expect("network")];
        let port = PortMapping { host_port: 80, container_port: 8080, ..PortMapping::default() };
        {
            let leases = Leases::open(dir.path()).expect("leases");
            leases.take(&attachment(1), &networks, std::slice::from_ref(&port)).expect("lease");
        }
        let leases = Leases::open(dir.path()).expect("leases");
        let lease = leases.find(&attachment(1)).expect("read").expect("lease");
        assert_eq!(join(&lease.addresses), "10.42.0.2,fd00::2");
        assert_eq!(lease.ports, [port]);
    }

    #[test]
    fn processes_take_turns() {
        let dir = tempfile::tempdir().expect("directory");
        let networks = ["10.42.0.0/24".parse().expect("network")];
        std::thread::scope(|scope| {
            for n in 0..20 {
                let (dir, networks) = (dir.path(), &networks);
                scope.spawn(move || {
                    let leases = Leases::open(dir).expect("leases");
                    leases.take(&attachment(n), networks, &[]).expect("lease");
                });
            }
        });
        let leases = Leases::open(dir.path()).expect("leases").list().expect("list");
        let addresses: HashSet<IpAddr> = leases.iter().flat_map(|lease| lease.addresses.clone()).collect();
        assert_eq!(addresses.len(), 20);
    }
}
