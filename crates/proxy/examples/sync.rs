//! How long the service dataplane takes: 10,000 services at once, and one change among them.
//!
//! Runs in a network namespace of its own, as root: `cargo run --release -p decapod-proxy --example sync`.

use std::net::{IpAddr, Ipv4Addr};
use std::process::ExitCode;
use std::sync::Arc;

use decapod_client::ObjectKey;
use decapod_proxy::endpoints::{Condition, Slice, SliceEndpoint, SlicePort};
use decapod_proxy::service::{Port, ServiceSpec};
use decapod_proxy::state::State;
use decapod_proxy::tracker::Tracker;
use decapod_proxy::{Kernel, ProxyConfig};
use decapod_sys::netns::Namespace;
use decapod_sys::nftables::{Batch, Family};
use tokio::time::Instant;

const SERVICES: u32 = 10_000;
const ENDPOINTS: u32 = 10;

fn main() -> ExitCode {
    let namespace = match Namespace::create() {
        Ok(namespace) => namespace,
        Err(error) => {
            eprintln!("{error}; this needs root");
            return ExitCode::FAILURE;
        }
    };
    match namespace.run(measure) {
        Ok(Ok(())) => ExitCode::SUCCESS,
        other => {
            eprintln!("{other:?}");
            ExitCode::FAILURE
        }
    }
}

fn measure() -> Result<(), String> {
    let kernel = Kernel::system().map_err(|error| error.to_string())?;
    let cidrs = |text: &str| text.parse().map(|cidr| vec![cidr]).map_err(|_| text.to_owned());
    let config = Arc::new(ProxyConfig::new("bench", "here", cidrs("10.0.0.0/9")?, cidrs("10.128.0.0/12")?));
    let (mut tracker, mut state) = (Tracker::new(&config), State::new(Arc::clone(&config), Family::Ip));
    for n in 0..SERVICES {
        tracker.set_service(&key(n), Some(service(n)));
        tracker.set_slice(&key(n), Some(slice(n, ENDPOINTS)));
    }
    let apply = |what: &str, began: Instant, batch: &Batch| {
        let compiled = began.elapsed();
        kernel.nftables.apply(batch).map_err(|error| error.to_string())?;
        let (all, changes) = (began.elapsed(), batch.changes.len());
        println!("{what}: compiled in {compiled:?}, with the kernel {all:?} ({changes} changes)");
        Ok::<_, String>(all)
    };
    let began = Instant::now();
    update(&mut tracker, &mut state);
    apply(
        &format!("{SERVICES} services with {ENDPOINTS} endpoints each, from nothing"),
        began,
        &state.rebuild(),
    )?;
    let mut all = Vec::new();
    for n in 0..100 {
        tracker.set_slice(&key(n), Some(slice(n, ENDPOINTS - 1)));
        let began = Instant::now();
        let batch = update(&mut tracker, &mut state);
        kernel.nftables.apply(&batch).map_err(|error| error.to_string())?;
        all.push(began.elapsed());
    }
    all.sort();
    println!(
        "one endpoint less: median {:?}, slowest of {} {:?}",
        all[all.len() / 2],
        all.len(),
        all[all.len() - 1]
    );
    tracker.set_service(&key(SERVICES), Some(service(SERVICES)));
    tracker.set_slice(&key(SERVICES), Some(slice(SERVICES, ENDPOINTS)));
    let began = Instant::now();
    let batch = update(&mut tracker, &mut state);
    apply("one service more", began, &batch).map(drop)
}

fn update(tracker: &mut Tracker, state: &mut State) -> Batch {
    let touched = tracker.take();
    let compiled: Vec<_> =
        touched.into_iter().map(|key| (key.clone(), tracker.compile(&key, Family::Ip))).collect();
    state.update(compiled)
}

fn key(n: u32) -> ObjectKey {
    ObjectKey::new("default", format!("s{n}"))
}

fn address(base: [u8; 4], n: u32) -> IpAddr {
    IpAddr::V4(Ipv4Addr::from(u32::from(Ipv4Addr::from(base)) + n))
}

fn service(n: u32) -> ServiceSpec {
    let port = Port { protocol: 6, port: 80, ..Port::default() };
    ServiceSpec {
        cluster_ips: vec![address([10, 128, 0, 1], n)],
        ports: vec![port],
        ..ServiceSpec::default()
    }
}

fn slice(n: u32, endpoints: u32) -> Slice {
    let endpoint = |e: u32| SliceEndpoint {
        address: address([10, 0, 0, 1], n * ENDPOINTS + e),
        local: e == 0,
        condition: Condition::Ready,
        zones: Vec::new(),
        nodes: Vec::new(),
    };
    Slice {
        service: format!("s{n}"),
        ports: vec![SlicePort { protocol: 6, port: 8080, ..SlicePort::default() }],
        endpoints: (0..endpoints).map(endpoint).collect(),
    }
}
