//! What the node's set-up asks of a kernel that only writes it down.

use std::path::PathBuf;
use std::sync::Arc;

use decapod_sys::netlink::LinkRecorder;
use decapod_sys::nftables::{Family, NftablesRecorder};
use decapod_sys::sysctl::{FakeSysctls, Sysctls};

use crate::cni::conf::PortMapping;
use crate::{Kernel, Ledger, NetworkConfig, ensure, plan, remove, table};

fn config() -> NetworkConfig {
    let net = |text: &str| text.parse().expect("network");
    let mut config =
        NetworkConfig::new("", net("10.42.0.0/24"), net("10.42.0.0/16"), PathBuf::from("/nowhere"));
    config.service_cidrs = vec![net("10.43.0.0/16")];
    config
}

#[track_caller]
fn same(left: &str, right: &str) {
    let lines = |text: &str| {
        text.lines().map(str::trim).filter(|line| !line.is_empty()).collect::<Vec<_>>().join("\n")
    };
    assert_eq!(lines(left), lines(right));
}

#[test]
fn a_node_is_set_up_once_and_put_back() {
    let (links, nftables) = (Arc::new(LinkRecorder::default()), Arc::new(NftablesRecorder::default()));
    let sysctls = Arc::new(FakeSysctls::new(&[
        ("net/ipv4/ip_forward", "0"),
        ("net/ipv4/conf/all/accept_redirects", "1"),
        ("net/ipv4/conf/all/forwarding", "0"),
        ("net/ipv4/conf/virbr0/forwarding", "1"),
    ]));
    let kernel = Kernel { links: links.clone(), nftables: nftables.clone(), sysctls: sysctls.clone() };
    let ledger = plan(&kernel, &config());
    let noted: Vec<String> = ledger
        .sysctls
        .iter()
        .map(|change| format!("{} {} {}", change.name, change.before, change.after))
        .collect();
    same(
        &noted.join("\n"),
        "net/ipv4/ip_forward 0 1
         net/ipv4/conf/all/accept_redirects 1 1
         net/ipv4/conf/virbr0/forwarding 1 1",
    );
    ensure(&kernel, &config(), &ledger).expect("network");
    same(
        &links.take_log(),
        "add bridge decapod0 ee:ee:ee:ee:ee:ee mtu 0
         set decapod0 up
         add address 10.42.0.1/32 to decapod0
         set route 10.43.0.0/16 dev decapod0 src 10.42.0.1",
    );
    assert_eq!(sysctls.read("net/ipv4/ip_forward").expect("setting"), "1");
    // Once more, as at every start: nothing is left to do.
    let mut kept = ledger.clone();
    let again = plan(&kernel, &config());
    assert_eq!(again, Ledger::default());
    kept.merge(again);
    assert_eq!(kept, ledger);
    ensure(&kernel, &config(), &kept).expect("network");
    assert_eq!(links.take_log(), "");
    // What the kernel does by itself when forwarding goes off, is put back too.
    sysctls.write("net/ipv4/conf/virbr0/forwarding", "0").expect("setting");
    assert_eq!(remove(&kernel, &config(), &kept), Vec::<String>::new());
    assert_eq!(links.take_log(), "delete decapod0");
    assert_eq!(nftables.ruleset(), "");
    assert_eq!(sysctls.read("net/ipv4/ip_forward").expect("setting"), "0");
    assert_eq!(sysctls.read("net/ipv4/conf/virbr0/forwarding").expect("setting"), "1");
}

#[test]
fn what_another_has_changed_since_is_left_alone() {
    let sysctls = FakeSysctls::new(&[("a", "3"), ("b", "1")]);
    let change =
        |name: &str| crate::ledger::SysctlChange { name: name.into(), before: "0".into(), after: "1".into() };
    let failed = Ledger { sysctls: vec![change("a"), change("b"), change("gone")], ..Ledger::default() }
        .restore(&sysctls);
    assert!(failed.is_empty(), "{failed:?}");
    assert_eq!(sysctls.read("a").expect("setting"), "3");
    assert_eq!(sysctls.read("b").expect("setting"), "0");
}

#[test]
fn the_table() {
    same(
        &table::compile(&config(), Family::Ip).to_string(),
        r#"add table
         add map host-ports { type inet_proto . inet_service : ipv4_addr . inet_service }
         add map host-address-ports { type ipv4_addr . inet_proto . inet_service : ipv4_addr . inet_service }
         add set hairpin { type ipv4_addr . ipv4_addr }
         add chain guard { type filter hook prerouting priority -300 }
         flush chain guard
         add rule guard iifname "pcbf-*" ip daddr 127.0.0.0/8 drop
         add rule guard iifname "pcbf-*" ip saddr 127.0.0.0/8 drop
         add chain to-host-ports
         flush chain to-host-ports
         add rule to-host-ports dnat to ip daddr . meta l4proto . th dport map @host-address-ports
         add rule to-host-ports dnat to meta l4proto . th dport map @host-ports
         add chain prerouting { type nat hook prerouting priority -100 }
         flush chain prerouting
         add rule prerouting fib daddr type local jump to-host-ports
         add chain output { type nat hook output priority -100 }
         flush chain output
         add rule output fib daddr type local jump to-host-ports
         add chain postrouting { type nat hook postrouting priority 100 }
         flush chain postrouting
         add rule postrouting ct status dnat ip saddr . ip daddr @hairpin masquerade fully-random
         add rule postrouting oifname "pcbf-*" ip saddr 127.0.0.0/8 masquerade fully-random
         add rule postrouting ip saddr 10.42.0.0/16 ip daddr != 10.42.0.0/16 ip daddr != 224.0.0.0/4 masquerade fully-random"#,
    );
}

#[test]
fn reads_port_mappings_as_plugins_and_as_containerd_write_them() {
    let plugins = r#"{"hostPort":80,"containerPort":8080,"protocol":"tcp","hostIP":"127.0.0.1"}"#;
    let containerd = r#"{"HostPort":80,"ContainerPort":8080,"Protocol":"tcp","HostIP":"127.0.0.1"}"#;
    let read = |text| serde_json::from_str::<PortMapping>(text).expect("a port mapping");
    assert_eq!(read(plugins), read(containerd));
    assert_eq!(read(containerd).host_ip, "127.0.0.1");
}

#[test]
fn host_ports_become_elements() {
    let port = |host_ip: &str, protocol: &str| PortMapping {
        host_port: 80,
        container_port: 8080,
        protocol: protocol.into(),
        host_ip: host_ip.into(),
    };
    let ports = [
        port("", ""),
        port("0.0.0.0", "UDP"),
        port("192.0.2.1", "tcp"),
        port("::1", "tcp"),
        port("", "icmp"),
    ];
    let elements = table::host_ports("10.42.0.5".parse().expect("address"), &ports);
    let sets: Vec<&str> = elements.iter().map(|(set, _)| set.name.as_str()).collect();
    assert_eq!(sets, ["host-ports", "host-ports", "host-address-ports", "hairpin"]);
    assert!(table::host_ports("fd42::5".parse().expect("address"), &ports[2..3]).is_empty());
}
