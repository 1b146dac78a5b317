//! Features of the kernel.

use std::net::Ipv4Addr;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};

use decapod_network::{Kernel, NetworkConfig};
use decapod_proxy::ProxyConfig;
use decapod_proxy::table::Sets;
use decapod_sys::netlink::{Mac, NetlinkError, Veth};
use decapod_sys::netns::{Namespace, NamespaceError};
use decapod_sys::nftables::Family;
use ipnet::{IpNet, Ipv4Net};

use super::Finding;

/// The controllers that pods' limits need, and those that only some need.
const CONTROLLERS: [&str; 3] = ["cpu", "memory", "pids"];
const MORE_CONTROLLERS: [&str; 2] = ["cpuset", "hugetlb"];
/// What is to be done about a feature that is not there.
const REMEDY: &str = "load it with modprobe, or boot a kernel that has it";

/// Overlayfs, which containers' root file systems are made of.
pub fn overlay() -> Finding {
    const SUBJECT: &str = "overlayfs";
    let known = std::fs::read_to_string("/proc/filesystems").unwrap_or_default();
    let release = rustix::system::uname().release().to_string_lossy().into_owned();
    let modules = Path::new("/lib/modules").join(release);
    let loadable = || {
        ["modules.dep", "modules.builtin"].iter().any(|file| {
            std::fs::read_to_string(modules.join(file)).is_ok_and(|text| text.contains("/overlay.ko"))
        })
    };
    if has_filesystem(&known, "overlay") {
        Finding::ok(SUBJECT, "the kernel has it")
    } else if loadable() {
        Finding::ok(SUBJECT, "a module that the kernel loads when it is needed")
    } else {
        Finding::fail(SUBJECT, format!("the kernel has none (module overlay): {REMEDY}"))
    }
}

/// Whether `/proc/filesystems` names `wanted`.
fn has_filesystem(known: &str, wanted: &str) -> bool {
    known.lines().filter_map(|line| line.split_whitespace().last()).any(|name| name == wanted)
}

/// Network namespaces, links, and the packet filter with all that our tables ask of it.
pub fn network() -> Vec<Finding> {
    if !rustix::process::geteuid().is_root() {
        return vec![Finding::warn("network", "not tried, which needs root: run it with sudo")];
    }
    let tried = Namespace::create().and_then(|scratch| try_network(&scratch));
    tried.unwrap_or_else(|error| {
        vec![Finding::fail("network", format!("no network namespaces (CONFIG_NET_NS): {error}: {REMEDY}"))]
    })
}

fn try_network(scratch: &Namespace) -> Result<Vec<Finding>, NamespaceError> {
    const MTU: u32 = 1500;
    let other = Namespace::create()?;
    let mac = |last| Mac([2, 0, 0, 0, 0, last]);
    scratch.run(|| {
        let kernel = match Kernel::system() {
            Ok(kernel) => kernel,
            // The packet filter's socket is the one that a kernel may lack.
            Err(error) => return vec![missing("nftables", "nf_tables", &error)],
        };
        let veth = Veth {
            name: "try0",
            mac: mac(2),
            peer: "try1",
            peer_mac: mac(3),
            peer_namespace: other.as_fd(),
            mtu: MTU,
        };
        let tried = |subject, module, result: Result<(), NetlinkError>| match result {
            Ok(()) => Finding::ok(subject, "works"),
            Err(error) => missing(subject, module, &error),
        };
        vec![
            tried("bridges", "bridge", kernel.links.add_bridge("try", mac(1), MTU)),
            tried("veth links", "veth", kernel.links.add_veth(&veth)),
            try_tables(&kernel),
        ]
    })
}

/// The tables of a node, as an empty cluster has them.
fn try_tables(kernel: &Kernel) -> Finding {
    let pods = IpNet::V4(Ipv4Net::new_assert(Ipv4Addr::new(10, 42, 0, 0), 24));
    let network = NetworkConfig::new("", pods, pods, PathBuf::new());
    let proxy = ProxyConfig::new("", "", vec![pods], vec![pods]);
    let tables = [
        decapod_network::table::compile(&network, Family::Ip),
        decapod_proxy::table::skeleton(&proxy, Family::Ip, &Sets::new(Family::Ip)),
    ];
    match tables.iter().try_for_each(|table| kernel.nftables.apply(table)) {
        Ok(()) => Finding::ok("nftables", "works with all that pods and services need"),
        Err(error) => missing("nftables", "nf_tables or one of nft_*", &error),
    }
}

fn missing(subject: &'static str, module: &str, error: &dyn std::fmt::Display) -> Finding {
    Finding::fail(subject, format!("the kernel has none (module {module}): {error}: {REMEDY}"))
}

/// Control groups of either version, and their controllers.
pub fn control_groups() -> Finding {
    let root = Path::new("/sys/fs/cgroup");
    match std::fs::read_to_string(root.join("cgroup.controllers")) {
        Ok(text) => of_controllers("v2", &|name| text.split_whitespace().any(|known| known == name)),
        Err(_) => of_controllers("v1", &|name| root.join(name).is_dir()),
    }
}

fn of_controllers(version: &str, has: &dyn Fn(&str) -> bool) -> Finding {
    const SUBJECT: &str = "cgroups";
    let lacks =
        |wanted: &[&str]| wanted.iter().filter(|name| !has(name)).copied().collect::<Vec<_>>().join(", ");
    let (needed, more) = (lacks(&CONTROLLERS), lacks(&MORE_CONTROLLERS));
    if !needed.is_empty() {
        Finding::fail(
            SUBJECT,
            format!(
                "{version} without {needed}: mount them below /sys/fs/cgroup, or boot with cgroup_enable={needed}"
            ),
        )
    } else if !more.is_empty() {
        Finding::ok(SUBJECT, format!("{version}, without {more}, which few pods ask for"))
    } else {
        Finding::ok(SUBJECT, format!("{version}, with all controllers"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::checks::Level;

    #[test]
    fn file_systems_and_controllers_are_read() {
        assert!(has_filesystem("nodev\toverlay\n\text4\n", "overlay"));
        assert!(!has_filesystem("nodev\toverlayx\n", "overlay"));
        let with = |names: &'static [&'static str]| of_controllers("v2", &move |name| names.contains(&name));
        assert_eq!(with(&["cpu", "memory", "pids", "cpuset", "hugetlb"]).level, Level::Ok);
        assert_eq!(with(&["cpu", "memory", "pids"]).level, Level::Ok);
        let finding = with(&["cpu", "pids"]);
        assert_eq!(finding.level, Level::Fail);
        assert!(finding.text.contains("without memory:"), "{finding}");
    }
}
