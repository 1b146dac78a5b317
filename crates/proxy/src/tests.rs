//! Scenarios: services and endpoints in, the packet filter's text out.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use decapod_client::ObjectKey;
use decapod_sys::nftables::{Family, Nftables, NftablesRecorder};
use ipnet::IpNet;

use crate::config::{NodePortAddresses, ProxyConfig};
use crate::endpoints::{Condition, Slice, SliceEndpoint, SlicePort};
use crate::service::{Port, ServiceSpec};
use crate::state::State;
use crate::tracker::Tracker;

/// A proxy over a recording packet filter.
struct World {
    tracker: Tracker,
    state: State,
    kernel: NftablesRecorder,
}

fn config() -> ProxyConfig {
    let net = |text: &str| text.parse::<IpNet>().expect("network");
    let mut config = ProxyConfig::new("", "here", vec![net("10.42.0.0/16")], vec![net("10.43.0.0/16")]);
    config.node_port_addresses = NodePortAddresses::Fixed(vec!["192.0.2.1".parse().expect("address")]);
    config
}

impl World {
    fn new() -> World {
        let config = Arc::new(config());
        let state = State::new(Arc::clone(&config), Family::Ip);
        let kernel = NftablesRecorder::default();
        kernel.apply(&state.rebuild()).expect("table");
        kernel.take_log();
        World { tracker: Tracker::new(&config), state, kernel }
    }

    /// Runs lines such as `service web 10.43.0.1 tcp/80:30080 external-local` and
    /// `endpoints web 10.42.0.5:8080 10.42.1.5:8080@there,terminating`, then syncs; returns what the kernel was told.
    fn run(&mut self, lines: &str) -> String {
        for line in lines.lines().map(str::trim).filter(|line| !line.is_empty()) {
            let words: Vec<&str> = line.split(' ').collect();
            let key = ObjectKey::new("default", words[1]);
            match words[0] {
                "service" => self.tracker.set_service(&key, Some(service(&words[2..]))),
                "no-service" => self.tracker.set_service(&key, None),
                "endpoints" => self.tracker.set_slice(&key, Some(slice(words[1], &words[2..]))),
                "no-endpoints" => self.tracker.set_slice(&key, None),
                other => panic!("{other}?"),
            }
        }
        let touched = self.tracker.take();
        let compiled: Vec<_> =
            touched.into_iter().map(|key| (key.clone(), self.tracker.compile(&key, Family::Ip))).collect();
        let batch = self.state.update(compiled);
        self.kernel.apply(&batch).expect("batch");
        self.kernel.take_log()
    }

    /// The table as it is, and as it would be if made anew; they have to have the same effect.
    fn check(&mut self) -> String {
        let held = self.kernel.ruleset();
        let anew = NftablesRecorder::default();
        anew.apply(&self.state.rebuild()).expect("table");
        assert_eq!(unnumbered(&held), unnumbered(&anew.ruleset()));
        held
    }
}

/// Which endpoint has which number does not matter.
fn unnumbered(ruleset: &str) -> Vec<String> {
    let mut lines: Vec<String> = ruleset.lines().map(str::to_owned).collect();
    lines.sort();
    lines
}

/// The elements of one set, as text.
fn elements<'a>(ruleset: &'a str, set: &str) -> Vec<&'a str> {
    let head = format!("  set {set} {{");
    let after = ruleset.lines().skip_while(|line| !line.starts_with(&head)).skip(1);
    after.take_while(|line| line.starts_with("    ")).map(str::trim).collect()
}

fn service(words: &[&str]) -> ServiceSpec {
    let ip = |text: &str| text.parse::<IpAddr>().expect("address");
    let mut service = ServiceSpec { cluster_ips: vec![ip(words[0])], ..ServiceSpec::default() };
    for word in &words[1..] {
        let (name, value) = word.split_once('=').unwrap_or((word, ""));
        match name {
            "external-local" => service.external_local = true,
            "internal-local" => service.internal_local = true,
            "affinity" => service.affinity_seconds = Some(value.parse().expect("seconds")),
            "external" => service.external_ips.push(ip(value)),
            "balancer" => service.load_balancer_ips.push(ip(value)),
            "from" => service.source_ranges.push(value.parse().expect("network")),
            "created" => {
                service.created =
                    jiff::Timestamp::from_second(value.parse().expect("seconds")).expect("time");
            }
            port => service.ports.push(service_port(port)),
        }
    }
    service
}

/// `tcp/80`, `udp/53:30053`, `tcp/80#name`.
fn service_port(text: &str) -> Port {
    let (text, name) = text.split_once('#').unwrap_or((text, ""));
    let (protocol, ports) = text.split_once('/').expect("protocol/port");
    let (port, node_port) = ports.split_once(':').unwrap_or((ports, "0"));
    Port {
        name: name.into(),
        protocol: if protocol == "udp" { 17 } else { 6 },
        port: port.parse().expect("port"),
        node_port: node_port.parse().expect("port"),
    }
}

fn slice(service: &str, words: &[&str]) -> Slice {
    let mut slice = Slice { service: service.into(), ..Slice::default() };
    for word in words {
        if let Some(("udp" | "tcp", _)) = word.split_once('/') {
            let Port { name, protocol, port, .. } = service_port(word);
            slice.ports.push(SlicePort { name, protocol, port });
            continue;
        }
        let (address, rest) = word.split_once('@').unwrap_or((word, "here"));
        let mut endpoint = SliceEndpoint {
            address: address.parse().expect("address"),
            local: rest.split(',').any(|word| word == "here"),
            condition: Condition::Ready,
            zones: Vec::new(),
            nodes: Vec::new(),
        };
        for word in rest.split(',') {
            match word.split_once('=').unwrap_or((word, "")) {
                ("terminating", _) => endpoint.condition = Condition::Terminating,
                ("down", _) => endpoint.condition = Condition::Down,
                ("for-node", node) => endpoint.nodes.push(node.into()),
                ("for-zone", zone) => endpoint.zones.push(zone.into()),
                _ => {}
            }
        }
        slice.endpoints.push(endpoint);
    }
    slice
}

/// Compares texts without regard to indentation.
#[track_caller]
fn same(left: &str, right: &str) {
    let lines = |text: &str| -> Vec<String> {
        text.lines().map(|line| line.trim().to_owned()).filter(|line| !line.is_empty()).collect()
    };
    assert_eq!(lines(left).join("\n"), lines(right).join("\n"));
}

#[test]
fn the_empty_table() {
    let mut world = World::new();
    same(
        &world.check(),
        "table ip decapod-proxy
         chain check
           ip daddr . meta l4proto . th dport @dropped drop
           ip daddr . meta l4proto . th dport @rejected reject
           ip daddr @cluster-ips reject
           ip daddr 10.43.0.0/16 drop
         chain check-firewall
           ip daddr . meta l4proto . th dport vmap @firewall
         chain check-output type filter hook output priority -90
           ct state new jump check
         chain check-prerouting type filter hook prerouting priority -90
           ct state new jump check
         chain dispatch
           ip daddr . meta l4proto . th dport vmap @affinity
         chain dispatch-from-outside
           ip daddr . meta l4proto . th dport @dropped-from-outside drop
           ip daddr . meta l4proto . th dport vmap @affinity-from-outside
         chain firewall-output type filter hook output priority -110
           ct state new jump check-firewall
         chain firewall-prerouting type filter hook prerouting priority -110
           ct state new jump check-firewall
         chain nat-output type nat hook output priority -100
           jump dispatch
         chain nat-postrouting type nat hook postrouting priority 100
           ct status dnat ip saddr . ip daddr @hairpin masquerade fully-random
           ct status dnat ct original ip daddr . meta l4proto . ct original proto-dst @external masquerade fully-random
           ct status dnat fib saddr type local ct original ip daddr . meta l4proto . ct original proto-dst @external-local masquerade fully-random
           ct status dnat ip saddr != 10.42.0.0/16 ct original ip daddr @cluster-ips masquerade fully-random
         chain nat-prerouting type nat hook prerouting priority -100
           ip saddr != 10.42.0.0/16 fib saddr type != local jump dispatch-from-outside
           jump dispatch",
    );
}

#[test]
fn a_service_comes_changes_and_goes() {
    let mut world = World::new();
    same(
        &world.run("service web 10.43.0.1 tcp/80"),
        "add element cluster-ips { 10.43.0.1 }
         add element rejected { 10.43.0.1 . tcp . 80 }",
    );
    same(
        &world.run("endpoints web tcp/8080 10.42.0.5 10.42.1.5@there 10.42.1.6@there"),
        "add set services-3 { type ipv4_addr . inet_proto . inet_service }
         delete element rejected { 10.43.0.1 . tcp . 80 }
         add element endpoints { 10.43.0.1 . tcp . 80 . 0 : 10.42.0.5 . 8080, 10.43.0.1 . tcp . 80 . 1 : 10.42.1.5 . 8080, 10.43.0.1 . tcp . 80 . 2 : 10.42.1.6 . 8080 }
         add element hairpin { 10.42.0.5 . 10.42.0.5 }
         add element services-3 { 10.43.0.1 . tcp . 80 }
         flush chain dispatch-from-outside
         add rule dispatch-from-outside ip daddr . meta l4proto . th dport @dropped-from-outside drop
         add rule dispatch-from-outside ip daddr . meta l4proto . th dport vmap @affinity-from-outside
         flush chain dispatch
         add rule dispatch ip daddr . meta l4proto . th dport vmap @affinity
         add rule dispatch ip daddr . meta l4proto . th dport @services-3 dnat to ip daddr . meta l4proto . th dport . numgen random mod 3 map @endpoints",
    );
    // One of many: what changes is its place, and how many there are.
    same(
        &world.run("endpoints web tcp/8080 10.42.1.5@there 10.42.1.6@there"),
        "add set services-2 { type ipv4_addr . inet_proto . inet_service }
         delete element endpoints { 10.43.0.1 . tcp . 80 . 0 : 10.42.0.5 . 8080, 10.43.0.1 . tcp . 80 . 2 : 10.42.1.6 . 8080 }
         delete element hairpin { 10.42.0.5 . 10.42.0.5 }
         delete element services-3 { 10.43.0.1 . tcp . 80 }
         add element endpoints { 10.43.0.1 . tcp . 80 . 0 : 10.42.1.6 . 8080 }
         add element services-2 { 10.43.0.1 . tcp . 80 }
         flush chain dispatch-from-outside
         add rule dispatch-from-outside ip daddr . meta l4proto . th dport @dropped-from-outside drop
         add rule dispatch-from-outside ip daddr . meta l4proto . th dport vmap @affinity-from-outside
         flush chain dispatch
         add rule dispatch ip daddr . meta l4proto . th dport vmap @affinity
         add rule dispatch ip daddr . meta l4proto . th dport @services-2 dnat to ip daddr . meta l4proto . th dport . numgen random mod 2 map @endpoints
         delete set services-3",
    );
    // Another of a kind that is known: nothing but elements.
    same(
        &world.run("service more 10.43.0.2 tcp/80\nendpoints more tcp/8080 10.42.1.7@there 10.42.1.8@there"),
        "add element cluster-ips { 10.43.0.2 }
         add element endpoints { 10.43.0.2 . tcp . 80 . 0 : 10.42.1.7 . 8080, 10.43.0.2 . tcp . 80 . 1 : 10.42.1.8 . 8080 }
         add element services-2 { 10.43.0.2 . tcp . 80 }",
    );
    world.check();
    same(&world.run("endpoints web tcp/8080 10.42.1.6@there 10.42.1.5@there"), "");
    world.run("no-service web");
    let left = world.check();
    assert!(!left.contains("10.43.0.1"), "{left}");
}

#[test]
fn all_kinds_of_addresses() {
    let mut world = World::new();
    world.run(
        "service web 10.43.0.1 tcp/80:30080 external=198.51.100.1 balancer=198.51.100.2 from=203.0.113.0/24
         endpoints web tcp/8080 10.42.0.5",
    );
    let table = world.check();
    for line in ["192.0.2.1 . tcp . 30080 . 0 : 10.42.0.5 . 8080", "ip saddr 203.0.113.0/24 return"] {
        assert!(table.contains(line), "{line} is not in\n{table}");
    }
    let all = [
        "10.43.0.1 . tcp . 80",
        "192.0.2.1 . tcp . 30080",
        "198.51.100.1 . tcp . 80",
        "198.51.100.2 . tcp . 80",
    ];
    assert_eq!(elements(&table, "services-1"), all);
    let masqueraded = ["192.0.2.1 . tcp . 30080", "198.51.100.1 . tcp . 80", "198.51.100.2 . tcp . 80"];
    assert_eq!(elements(&table, "external"), masqueraded);
    let walls: Vec<&str> = table.lines().filter(|line| line.contains(": jump firewall-")).collect();
    assert_eq!(walls.len(), 1, "only the load balancer's address is walled: {walls:?}");
}

#[test]
fn traffic_that_stays_on_its_node() {
    let mut world = World::new();
    // From outside to this node's; from inside to all.
    world.run(
        "service web 10.43.0.1 tcp/80:30080 external-local
         endpoints web tcp/8080 10.42.0.5 10.42.1.5@there",
    );
    let table = world.check();
    assert!(table.contains("192.0.2.1 . tcp . 30080 . 65536 : 10.42.0.5 . 8080"), "{table}");
    assert_eq!(elements(&table, "services-2"), ["10.43.0.1 . tcp . 80", "192.0.2.1 . tcp . 30080"]);
    assert_eq!(elements(&table, "services-from-outside-1"), ["192.0.2.1 . tcp . 30080"]);
    assert_eq!(elements(&table, "external-local"), ["192.0.2.1 . tcp . 30080"]);
    // None here: dropped from outside, still fine from inside.
    world.run("endpoints web tcp/8080 10.42.1.5@there");
    let table = world.check();
    assert_eq!(elements(&table, "dropped-from-outside"), ["192.0.2.1 . tcp . 30080"]);
    assert_eq!(elements(&table, "services-1"), ["10.43.0.1 . tcp . 80", "192.0.2.1 . tcp . 30080"]);
    // Ending ones are used when there are no others, for each policy by itself.
    world.run("endpoints web tcp/8080 10.42.0.5@here,terminating 10.42.1.5@there");
    let table = world.check();
    assert!(table.contains("192.0.2.1 . tcp . 30080 . 65536 : 10.42.0.5 . 8080"), "{table}");
    assert!(table.contains("192.0.2.1 . tcp . 30080 . 0 : 10.42.1.5 . 8080"), "{table}");
    // None anywhere: refused.
    world.run("endpoints web tcp/8080 10.42.0.5@here,down");
    let table = world.check();
    assert_eq!(elements(&table, "rejected"), ["10.43.0.1 . tcp . 80", "192.0.2.1 . tcp . 30080"]);
    // The inside's own policy.
    world.run(
        "service web 10.43.0.1 tcp/80 internal-local
         endpoints web tcp/8080 10.42.1.5@there",
    );
    let table = world.check();
    assert_eq!(elements(&table, "dropped"), ["10.43.0.1 . tcp . 80"]);
}

#[test]
fn clients_that_stay() {
    let mut world = World::new();
    world.run(
        "service web 10.43.0.1 tcp/80 affinity=60
         endpoints web tcp/8080 10.42.0.5 10.42.0.6",
    );
    let table = world.check();
    same(
        &affinity_rules(&table),
        "ip saddr @0 update @0 { ip saddr timeout 60s } dnat to 10.42.0.5 . 8080
         ip saddr @1 update @1 { ip saddr timeout 60s } dnat to 10.42.0.6 . 8080
         numgen random mod 2 0 update @0 { ip saddr timeout 60s } dnat to 10.42.0.5 . 8080
         numgen random mod 1 0 update @1 { ip saddr timeout 60s } dnat to 10.42.0.6 . 8080",
    );
    assert!(elements(&table, "affinity")[0].starts_with("10.43.0.1 . tcp . 80 : goto affinity-"), "{table}");
    // What is still an endpoint keeps its clients.
    let told = world.run("endpoints web tcp/8080 10.42.0.6 10.42.0.7");
    assert_eq!(told.matches("add set clients-").count(), 1, "{told}");
    assert_eq!(told.matches("delete set clients-").count(), 1, "{told}");
    world.check();
    // Both ways of one frontend.
    world.run(
        "service web 10.43.0.1 tcp/80:30080 affinity=60 external-local
         endpoints web tcp/8080 10.42.0.6 10.42.0.7@there",
    );
    let table = world.check();
    assert!(elements(&table, "affinity-from-outside")[0].ends_with("-local"), "{table}");
    world.run("service web 10.43.0.1 tcp/80");
    let table = world.check();
    assert_eq!(elements(&table, "services-2"), ["10.43.0.1 . tcp . 80"]);
    assert_eq!(elements(&table, "affinity"), Vec::<&str>::new());
    assert!(!table.contains("clients-"), "{table}");
}

/// The rules of the first affinity, the hashes in sets' names as numbers.
fn affinity_rules(ruleset: &str) -> String {
    let of_chain = ruleset.lines().skip_while(|line| !line.contains("chain affinity-")).skip(1);
    let lines: Vec<&str> = of_chain.take_while(|line| line.starts_with("    ")).collect();
    let words = lines.iter().flat_map(|line| line.split(' '));
    let mut names: Vec<&str> = words.filter(|word| word.starts_with("@clients-")).collect();
    names.dedup();
    names.truncate(2);
    let numbered = |text: String, (number, name): (usize, &str)| text.replace(name, &format!("@{number}"));
    names.into_iter().enumerate().fold(lines.join("\n"), numbered)
}

#[test]
fn ports_have_names_and_protocols() {
    let mut world = World::new();
    world.run(
        "service dns 10.43.0.10 udp/53#dns tcp/53#dns-tcp tcp/9153#metrics
         endpoints dns udp/5353#dns tcp/5354#dns-tcp 10.42.0.5",
    );
    let table = world.check();
    assert!(table.contains("10.43.0.10 . udp . 53 . 0 : 10.42.0.5 . 5353"), "{table}");
    assert!(table.contains("10.43.0.10 . tcp . 53 . 0 : 10.42.0.5 . 5354"), "{table}");
    assert_eq!(elements(&table, "rejected"), ["10.43.0.10 . tcp . 9153"]);
}

#[test]
fn hints_narrow_the_choice() {
    let mut world = World::new();
    let count = |world: &mut World| world.check().matches(". 8080").count();
    world.run(
        "service web 10.43.0.1 tcp/80
         endpoints web tcp/8080 10.42.0.5@here,for-node=here 10.42.1.5@there,for-node=there",
    );
    assert_eq!(count(&mut world), 1);
    // Not all have hints: they are not to be trusted.
    world.run("endpoints web tcp/8080 10.42.0.5@here,for-node=here 10.42.1.5@there");
    assert_eq!(count(&mut world), 2);
    // None is for us.
    world.run("endpoints web tcp/8080 10.42.0.5@there,for-node=there 10.42.1.5@there,for-node=there");
    assert_eq!(count(&mut world), 2);
}

#[test]
fn the_elder_of_two_claims_wins() {
    let mut world = World::new();
    world.run(
        "service thief 10.43.0.2 tcp/80 external=198.51.100.1 created=20
         endpoints thief tcp/8080 10.42.0.6
         service owner 10.43.0.1 tcp/80 external=198.51.100.1 created=10
         endpoints owner tcp/8080 10.42.0.5",
    );
    assert!(world.check().contains("198.51.100.1 . tcp . 80 . 0 : 10.42.0.5 . 8080"));
    world.run("no-service owner");
    assert!(world.check().contains("198.51.100.1 . tcp . 80 . 0 : 10.42.0.6 . 8080"));
}

#[test]
fn any_way_to_a_state_has_the_same_effect() {
    let mut world = World::new();
    let mut seed = 1u64;
    let mut random = move |below: u64| {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (seed >> 33) % below
    };
    for _ in 0..600 {
        let name = format!("s{}", random(6));
        let line = match random(5) {
            0 => format!("no-service {name}"),
            1 | 2 => {
                let mut words =
                    format!("service {name} 10.43.0.{} tcp/80:{}", random(8) + 1, 30000 + random(4));
                for (word, odds) in [
                    (" udp/53", 2),
                    (" affinity=60", 3),
                    (" external-local", 3),
                    (" internal-local", 4),
                    (" external=198.51.100.1", 3),
                    (" balancer=198.51.100.2 from=203.0.113.0/24", 4),
                ] {
                    words += if random(odds) == 0 { word } else { "" };
                }
                words
            }
            3 => format!("no-endpoints {name}"),
            _ => {
                let mut words = format!("endpoints {name} tcp/8080 udp/53");
                for n in 0..random(6) {
                    let rest = ["here", "there", "here,terminating", "there,down"][random(4) as usize];
                    words += &format!(" 10.42.0.{}@{rest}", 10 + n * 3 + random(3));
                }
                words
            }
        };
        world.run(&line);
        world.check();
    }
}

#[test]
fn stale_flows_are_told_from_others() {
    use decapod_sys::conntrack::{Conntrack, FakeConntrack, Flow};
    let mut world = World::new();
    world.run("service dns 10.43.0.10 udp/53:30053\nendpoints dns udp/53 10.42.0.5 10.42.0.6");
    let key = ObjectKey::new("default", "dns");
    let before = world.state.compiled(&key).cloned();
    world.run("endpoints dns udp/53 10.42.0.6 10.42.0.7@here,terminating");
    let mut stale = crate::conntrack::Stale::default();
    stale.note(before.as_ref(), world.state.compiled(&key));
    let at = |text: &str| text.parse::<SocketAddr>().expect("address");
    let flow =
        |protocol, to: &str, answers: &str| Flow::new(protocol, at("10.42.0.9:999"), at(to), at(answers));
    let flows = FakeConntrack::default();
    for (protocol, to, answers) in [
        (17, "10.43.0.10:53", "10.42.0.5:53"),
        (17, "192.0.2.1:30053", "10.42.0.5:53"),
        (17, "10.43.0.10:53", "10.42.0.6:53"),
        (17, "10.43.0.10:53", "10.42.0.7:53"),
        (6, "10.43.0.10:53", "10.42.0.5:53"),
        (17, "10.42.0.5:53", "10.42.0.5:53"),
    ] {
        flows.add(flow(protocol, to, answers));
    }
    assert_eq!(flows.forget(false, &|flow| stale.is(flow)).expect("fake"), 2);
    assert_eq!(flows.flows().len(), 4);
}
