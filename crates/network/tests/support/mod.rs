//! A node, its pods and a machine outside, each a network namespace of its own, with real sockets between them.
//! All of it is gone when it is dropped: the namespaces have no names.
#![allow(dead_code, reason = "each test uses its part")]

use std::io::{Read, Write};
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::os::fd::AsFd;
use std::process::ExitCode;
use std::time::Duration;

use decapod_network::{Kernel, NetworkConfig, cni};
use decapod_sys::netlink::{LinkChange, Links, Mac, Route, RouteSocket, Veth};
use decapod_sys::netns::Namespace;
use serde_json::{Value, json};

/// How long a packet that should arrive may take.
pub const PATIENCE: Duration = Duration::from_millis(2000);
/// How long to wait for a packet that should not arrive.
pub const SILENCE: Duration = Duration::from_millis(300);

pub const NODE: &str = "192.0.2.1";
pub const OUTSIDE: &str = "192.0.2.2";
pub const NODE6: &str = "2001:db8::1";
pub const OUTSIDE6: &str = "2001:db8::2";

pub struct World {
    pub node: Namespace,
    pub outside: Namespace,
    pub config: NetworkConfig,
    dir: tempfile::TempDir,
}

pub struct Pod {
    pub name: String,
    pub namespace: Namespace,
    pub addresses: Vec<IpAddr>,
}

/// Whether this process may make namespaces. One that may not fails, for a test that does nothing would count as
/// passed, unless DECAPOD_TEST_NO_ROOT=1 says that this is known.
pub fn is_root() -> bool {
    let root = std::fs::metadata("/proc/self").is_ok_and(|of| std::os::unix::fs::MetadataExt::uid(&of) == 0);
    if !root {
        let known = std::env::var("DECAPOD_TEST_NO_ROOT").is_ok_and(|value| value == "1");
        assert!(known, "network namespaces need root: run as root, or skip this with DECAPOD_TEST_NO_ROOT=1");
        println!("skipped: network namespaces need root");
    }
    root
}

impl World {
    /// A node with both families, set up, and a machine outside that reaches it over a link.
    pub fn new() -> World {
        let dir = tempfile::tempdir().expect("directory");
        let (node, outside) = (Namespace::create().expect("node"), Namespace::create().expect("outside"));
        let net = |text: &str| text.parse().expect("network");
        let mut config =
            NetworkConfig::new("test", net("10.42.0.0/24"), net("10.42.0.0/16"), dir.path().join("leases"));
        config.pod_cidrs.push(net("fd42::/64"));
        config.cluster_cidrs.push(net("fd42::/48"));
        config.service_cidrs = vec![net("10.43.0.0/16"), net("fd43::/112")];
        let world = World { node, outside, config, dir };
        world.join();
        world
    }

    fn join(&self) {
        let up = |links: &RouteSocket, name: &str, addresses: &[&str]| {
            let link = links.get(name).expect("link").index;
            for address in addresses {
                links.add_address(link, address.parse().expect("address")).expect("address");
            }
            links.change(link, &LinkChange { up: Some(true), ..LinkChange::default() }).expect("up");
            link
        };
        let veth = Veth {
            name: "uplink",
            mac: Mac([2, 0, 0, 0, 0, 8]),
            peer: "eth0",
            peer_mac: Mac([2, 0, 0, 0, 0, 9]),
            peer_namespace: self.outside.as_fd(),
            mtu: 0,
        };
        self.node
            .run(|| {
                let links = RouteSocket::open().expect("socket");
                up(&links, "lo", &[]);
                links.add_veth(&veth).expect("pair of links");
                up(&links, "uplink", &[&format!("{NODE}/24"), &format!("{NODE6}/64")]);
            })
            .expect("node");
        self.outside
            .run(|| {
                let links = RouteSocket::open().expect("socket");
                up(&links, "lo", &[]);
                let link = up(&links, "eth0", &[&format!("{OUTSIDE}/24"), &format!("{OUTSIDE6}/64")]);
                // As a router of the cluster's would: service addresses by way of this node.
                for (to, gateway) in [("10.43.0.0/16", NODE), ("198.51.100.0/24", NODE)] {
                    let gateway = Some(gateway.parse().expect("address"));
                    links
                        .set_route(&Route { to: to.parse().expect("net"), gateway, link, source: None })
                        .expect("route");
                }
            })
            .expect("outside");
    }

    pub fn kernel(&self) -> Kernel {
        self.node.run(|| Kernel::system().expect("kernel")).expect("node")
    }

    /// Calls the plugin as a runtime does, within the node.
    pub fn cni(
        &self,
        command: &str,
        container: &str,
        namespace: Option<&Namespace>,
        more: &Value,
    ) -> (bool, Value) {
        let mut conf =
            json!({ "cniVersion": "1.1.0", "name": "test", "type": "decapod-cni", "network": self.config });
        for (key, value) in more.as_object().into_iter().flatten() {
            conf[key] = value.clone();
        }
        let variable = |name: &str| match name {
            "CNI_COMMAND" => Some(command.to_owned()),
            "CNI_CONTAINERID" => Some(container.to_owned()),
            "CNI_IFNAME" => Some(if more["type"] == "loopback" { "lo" } else { "eth0" }.to_owned()),
            "CNI_NETNS" => namespace.map(|namespace| namespace.path().display().to_string()),
            _ => None,
        };
        let mut answer = Vec::new();
        let code = self
            .node
            .run(|| cni::cni_main(&variable, &mut conf.to_string().as_bytes(), &mut answer))
            .expect("node");
        let answer =
            if answer.is_empty() { Value::Null } else { serde_json::from_slice(&answer).expect("json") };
        (code == ExitCode::SUCCESS, answer)
    }

    /// A pod, attached.
    pub fn pod(&self, name: &str, ports: &Value) -> Pod {
        let namespace = Namespace::create().expect("pod");
        let (ok, answer) = self.cni("ADD", name, Some(&namespace), &json!({ "type": "loopback" }));
        assert!(ok, "{answer}");
        let runtime = json!({ "runtimeConfig": { "portMappings": ports } });
        let (ok, answer) = self.cni("ADD", name, Some(&namespace), &runtime);
        assert!(ok, "{answer}");
        let ips = answer["ips"].as_array().expect("ips");
        let address = |ip: &Value| {
            let text = ip["address"].as_str().expect("address");
            text.split('/').next().expect("address").parse().expect("address")
        };
        Pod { name: name.to_owned(), namespace, addresses: ips.iter().map(address).collect() }
    }
}

impl Pod {
    pub fn ip(&self) -> IpAddr {
        self.addresses[0]
    }

    pub fn at(&self, port: u16) -> String {
        SocketAddr::new(self.ip(), port).to_string()
    }

    /// Answers every TCP connection and UDP packet to `port` with its name and who asked.
    pub fn serve(&self, port: u16) {
        serve(&self.namespace, &self.name, "::", port);
    }
}

/// Answers in `namespace` with `name` and who asked, on TCP and UDP. Threads end with the process.
pub fn serve(namespace: &Namespace, name: &str, address: &str, port: u16) {
    let at = SocketAddr::new(address.parse().expect("address"), port);
    let (tcp, udp) = namespace
        .run(|| (TcpListener::bind(at).expect("listen"), UdpSocket::bind(at).expect("listen")))
        .expect("namespace");
    let answer = |name: &str, from: SocketAddr| format!("{name} {}", from.ip().to_canonical());
    let spawn =
        |work: Box<dyn FnOnce() + Send>| drop(std::thread::Builder::new().spawn(work).expect("thread"));
    let of_tcp = name.to_owned();
    spawn(Box::new(move || {
        for stream in tcp.incoming() {
            let mut stream = stream.expect("stream");
            let from = stream.peer_addr().expect("peer");
            drop(stream.write_all(answer(&of_tcp, from).as_bytes()));
        }
    }));
    let of_udp = name.to_owned();
    spawn(Box::new(move || {
        let mut buffer = [0; 64];
        while let Ok((_, from)) = udp.recv_from(&mut buffer) {
            drop(udp.send_to(answer(&of_udp, from).as_bytes(), from));
        }
    }));
}

/// What `to` answers over TCP when asked from `namespace`; `refused`, `silent` or the error.
pub fn ask(namespace: &Namespace, to: &str) -> String {
    let to: SocketAddr = to.parse().expect("address");
    let asked = namespace.run(|| -> std::io::Result<String> {
        let mut stream = TcpStream::connect_timeout(&to, if to.port() == 9 { SILENCE } else { PATIENCE })?;
        stream.set_read_timeout(Some(PATIENCE))?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        Ok(answer)
    });
    outcome(asked.expect("namespace"))
}

/// A UDP socket in `namespace` that is kept for several questions.
pub fn udp_socket(namespace: &Namespace) -> UdpSocket {
    let socket = namespace.run(|| UdpSocket::bind("0.0.0.0:0").expect("socket")).expect("namespace");
    socket.set_read_timeout(Some(SILENCE)).expect("time-out");
    socket
}

/// What `to` answers over UDP. It is asked a few times: a datagram may be lost, and a busy machine slow.
pub fn ask_udp(socket: &UdpSocket, to: &str) -> String {
    let receive = || -> std::io::Result<String> {
        let mut buffer = [0; 64];
        let (length, _) = socket.recv_from(&mut buffer)?;
        Ok(String::from_utf8_lossy(&buffer[..length]).into_owned())
    };
    // Late answers to what was asked before are none to this.
    socket.set_nonblocking(true).expect("socket");
    while receive().is_ok() {}
    socket.set_nonblocking(false).expect("socket");
    let asked = || -> std::io::Result<String> {
        socket.send_to(b"?", to)?;
        receive()
    };
    let mut answer = outcome(asked());
    for _ in 0..4 {
        if answer != "silent" {
            break;
        }
        answer = outcome(asked());
    }
    answer
}

fn outcome(asked: std::io::Result<String>) -> String {
    match asked {
        Ok(answer) => answer,
        Err(error) => match error.kind() {
            std::io::ErrorKind::ConnectionRefused => "refused".to_owned(),
            std::io::ErrorKind::TimedOut | std::io::ErrorKind::WouldBlock => "silent".to_owned(),
            _ => error.to_string(),
        },
    }
}
