//! The plugin against the machine's own kernel, in network namespaces of the test's own.

mod support;

use std::collections::BTreeMap;

use decapod_network::{ensure, plan, remove};
use decapod_sys::netns::Namespace;
use serde_json::{Value, json};
use support::{NODE, NODE6, OUTSIDE, OUTSIDE6, World, ask, ask_udp, is_root, serve, udp_socket};

fn set_up(world: &World) -> decapod_network::Ledger {
    let kernel = world.kernel();
    let set_up = || {
        let ledger = plan(&kernel, &world.config);
        ensure(&kernel, &world.config, &ledger).expect("network");
        ledger
    };
    world.node.run(set_up).expect("node")
}

#[test]
fn pods_talk_to_each_other_and_the_world() {
    if !is_root() {
        return;
    }
    let world = World::new();
    set_up(&world);
    let (a, b) = (world.pod("a", &json!([])), world.pod("b", &json!([])));
    a.serve(80);
    b.serve(80);
    serve(&world.outside, "outside", "::", 80);
    serve(&world.node, "node", "::", 81);

    // Sources are kept within the cluster, and become the node's outside of it.
    assert_eq!(ask(&a.namespace, &b.at(80)), format!("b {}", a.ip()));
    assert_eq!(ask(&b.namespace, &a.at(80)), format!("a {}", b.ip()));
    assert_eq!(ask(&a.namespace, &format!("[{}]:80", b.addresses[1])), format!("b {}", a.addresses[1]));
    assert_eq!(ask(&world.node, &a.at(80)), "a 10.42.0.1");
    assert_eq!(ask(&a.namespace, "10.42.0.1:81"), format!("node {}", a.ip()));
    assert_eq!(ask(&a.namespace, &format!("{NODE}:81")), format!("node {}", a.ip()));
    assert_eq!(ask(&a.namespace, &format!("{OUTSIDE}:80")), format!("outside {NODE}"));
    assert_eq!(ask(&a.namespace, &format!("[{OUTSIDE6}]:80")), format!("outside {NODE6}"));
    assert_eq!(ask_udp(&udp_socket(&a.namespace), &b.at(80)), format!("b {}", a.ip()));
    assert_eq!(ask(&a.namespace, "127.0.0.1:80"), "a 127.0.0.1");

    let (ok, answer) = world.cni("CHECK", "a", Some(&a.namespace), &Value::Null);
    assert!(ok, "{answer}");
    let (ok, _) = world.cni("CHECK", "nobody", Some(&a.namespace), &Value::Null);
    assert!(!ok);
    let (ok, answer) = world.cni("STATUS", "", None, &Value::Null);
    assert!(ok, "{answer}");

    for _ in 0..2 {
        let (ok, answer) = world.cni("DEL", "a", Some(&a.namespace), &Value::Null);
        assert!(ok, "{answer}");
    }
    assert_eq!(pod_links(&world), 1);
    let (ok, answer) = world.cni("GC", "", None, &json!({ "cni.dev/valid-attachments": [] }));
    assert!(ok, "{answer}");
    assert_eq!(pod_links(&world), 0);
}

#[test]
fn host_ports_lead_to_pods() {
    if !is_root() {
        return;
    }
    let world = World::new();
    set_up(&world);
    let any = world.pod("any", &json!([{ "hostPort": 8080, "containerPort": 80, "protocol": "tcp" }]));
    // As the conformance test does: one port, three pods, apart by address or protocol.
    let port = |ip: &str, protocol: &str| json!([{ "hostPort": 5000, "containerPort": 80, "protocol": protocol, "hostIP": ip }]);
    let local = world.pod("local", &port("127.0.0.1", "TCP"));
    let one = world.pod("one", &port(NODE, "TCP"));
    let udp = world.pod("udp", &port(NODE, "UDP"));
    for pod in [&any, &local, &one, &udp] {
        pod.serve(80);
    }
    let port = |ip: &str, port: u16| {
        if ip.contains(':') { format!("[{ip}]:{port}") } else { format!("{ip}:{port}") }
    };
    assert_eq!(ask(&world.outside, &port(NODE, 8080)), format!("any {OUTSIDE}"));
    assert_eq!(ask(&world.outside, &port(NODE6, 8080)), format!("any {OUTSIDE6}"));
    assert_eq!(ask(&world.node, &port(NODE, 8080)), format!("any {NODE}"));
    assert_eq!(ask(&world.node, &port("127.0.0.1", 8080)), "any 10.42.0.1");
    assert_eq!(ask(&local.namespace, &port(NODE, 8080)), format!("any {}", local.ip()));
    assert_eq!(ask(&any.namespace, &port(NODE, 8080)), "any 10.42.0.1", "a pod that reaches itself");
    assert_eq!(ask(&world.node, &port("127.0.0.1", 5000)), "local 10.42.0.1");
    assert_eq!(ask(&world.node, &port(NODE, 5000)), format!("one {NODE}"));
    assert_eq!(ask_udp(&udp_socket(&world.node), &port(NODE, 5000)), format!("udp {NODE}"));

    let (ok, answer) = world.cni("DEL", "any", None, &Value::Null);
    assert!(ok, "{answer}");
    assert_eq!(ask(&world.outside, &port(NODE, 8080)), "refused");
    assert_eq!(ask(&world.node, &port(NODE, 5000)), format!("one {NODE}"));
}

#[test]
fn nothing_is_left_behind() {
    if !is_root() {
        return;
    }
    let world = World::new();
    let settings = || world.node.run(read_settings).expect("node");
    let before = settings();
    let ledger = set_up(&world);
    assert!(!ledger.sysctls.is_empty());
    let again = set_up(&world);
    assert_eq!(again.sysctls, [], "a second start changes nothing");
    let pods: Vec<_> = (0..5)
        .map(|n| world.pod(&format!("p{n}"), &json!([{ "hostPort": 80 + n, "containerPort": 80 }])))
        .collect();
    assert_eq!(pod_links(&world), pods.len());
    let kernel = world.kernel();
    let failed = world.node.run(|| remove(&kernel, &world.config, &ledger)).expect("node");
    assert_eq!(failed, Vec::<String>::new());
    assert_eq!(kernel.links.find(&world.config.link).expect("links"), None);
    assert_eq!(kernel.nftables.tables().expect("tables"), []);
    let links: Vec<String> = kernel.links.links().expect("links").into_iter().map(|link| link.name).collect();
    assert_eq!(links, ["lo", "uplink"]);
    assert_eq!(settings(), before);
    let failed = world.node.run(|| remove(&kernel, &world.config, &ledger)).expect("node");
    assert_eq!(failed, Vec::<String>::new(), "removing twice is fine");
}

#[test]
fn bad_requests_are_refused_in_one_line() {
    if !is_root() {
        return;
    }
    let world = World::new();
    let namespace = Namespace::create().expect("namespace");
    let code = |command: &str, container: &str, more: Value| {
        let (ok, answer) = world.cni(command, container, Some(&namespace), &more);
        assert!(!ok);
        answer["code"].as_u64().expect("code")
    };
    assert_eq!(code("ADD", "../x", Value::Null), 4);
    assert_eq!(code("ADD", "x", json!({ "cniVersion": "0.1.0" })), 1);
    assert_eq!(code("ADD", "x", json!({ "network": null })), 7);
    assert_eq!(code("DANCE", "x", Value::Null), 4);
    let (ok, answer) = world.cni("ADD", "x", None, &Value::Null);
    assert!(!ok && answer["msg"] == "CNI_NETNS is missing", "{answer}");
    let (ok, answer) = world.cni("VERSION", "", None, &Value::Null);
    assert!(ok && answer["supportedVersions"] == json!(["1.1.0", "1.0.0"]), "{answer}");
    // A network that is full: the refusal undoes what was begun.
    let mut small = World::new();
    small.config.pod_cidrs = vec!["10.42.0.0/30".parse().expect("network")];
    let (ok, answer) = small.cni("ADD", "first", Some(&namespace), &Value::Null);
    assert!(ok, "{answer}");
    let (ok, answer) = small.cni("ADD", "second", Some(&namespace), &Value::Null);
    assert!(!ok && answer["msg"] == "no address is free in 10.42.0.0/30", "{answer}");
}

fn pod_links(world: &World) -> usize {
    let links = world.kernel().links.links().expect("links");
    links.iter().filter(|link| link.name.starts_with(&world.config.pod_links)).count()
}

/// All settings of forwarding and redirects, of links that are not the test's.
fn read_settings() -> BTreeMap<String, String> {
    let mut settings = BTreeMap::new();
    for family in ["ipv4", "ipv6"] {
        let conf = format!("/proc/sys/net/{family}/conf");
        for link in std::fs::read_dir(conf).expect("settings") {
            let link = link.expect("entry").path();
            for name in ["forwarding", "accept_redirects", "accept_ra", "route_localnet"] {
                let path = link.join(name);
                if let Ok(value) = std::fs::read_to_string(&path) {
                    settings.insert(path.display().to_string(), value);
                }
            }
        }
    }
    settings
}
