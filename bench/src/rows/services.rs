//! How long a service proxy takes: until services that were there before it are reached, and until a new one is.
//!
//! Runs in a network namespace with an address of its own, to which some of the services lead.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use decapod_sys::Env;
use tokio::net::{TcpListener, TcpStream};
use tokio::time::Instant;

use crate::Error;
use crate::args;
use crate::connection::{Connection, Http, Target};
use crate::load::{Load, Place, Until, drive, percentile};
use crate::pods;
use crate::results::Results;
use crate::server::Server;

/// Where the addresses of the services begin.
const FIRST: u32 = u32::from_be_bytes([10, 96, 16, 0]);
/// Where those begin that lead nowhere.
const NOWHERE: u32 = u32::from_be_bytes([10, 129, 0, 0]);
const PORT: u16 = 8080;
/// How long a connection may take that succeeds: it stays on the machine.
const CONNECT_TIMEOUT: Duration = Duration::from_millis(5);
const SYNC_TIMEOUT: Duration = Duration::from_secs(900);
/// Upstream's proxy waits as long between syncs; changes come further apart.
const BETWEEN: Duration = Duration::from_millis(1500);

/// Makes the services and their endpoints, and the node that a proxy wants to be on.
pub async fn make(env: &Env, args: &args::MakeServices) -> Result<(), Error> {
    let place = Place {
        env: env.clone(),
        target: Target::new(args.port, Some((&args.cert, &args.key)))?,
        server: Server::read(&args.place.pids)?,
    };
    let mut connection = place.target.connect(env, Http::Two).await?;
    connection.whole(pods::post("/api/v1/nodes", node(args.address))).await?;
    let load = Load { clients: 32, http: Http::Two, until: Until::Count(args.count) };
    drive(&place, load, |n| pods::post(SERVICES, service(n))).await?;
    let (count, each, address) = (args.count, args.endpoints, args.address);
    drive(&place, load, move |n| {
        let real = PROBES.iter().any(|part| probe(count, *part) == n);
        pods::post(SLICES, slice(n, each, real.then_some(address)))
    })
    .await
    .map(drop)
}

/// Waits until the services are reached, and then changes single ones.
pub async fn sync(env: &Env, args: &args::SyncServices) -> Result<(), Error> {
    let server = Server::read(&args.place.pids)?;
    let results = Results::new(&args.place);
    let listener = TcpListener::bind((args.address, PORT))
        .await
        .map_err(|error| Error::Setup(format!("{}: {error}", args.address)))?;
    env.spawn("listener", async move { while listener.accept().await.is_ok() {} });
    for part in PROBES {
        reached(probe(args.count, part)).await?;
    }
    let row = format!("{} services", args.count);
    results.add(&row, "cold sync", "ms", server.age()?.as_secs_f64() * 1e3)?;
    results.add(&row, "CPU of it", "ms", server.cpu()?.as_secs_f64() * 1e3)?;
    let target = Target::new(args.port, Some((&args.cert, &args.key)))?;
    let mut connection = target.connect(env, Http::Two).await?;
    let mut times_us = Vec::new();
    let cpu = server.cpu()?;
    for n in (args.count..).take(args.changes) {
        times_us.push(change(&mut connection, n, args).await?);
    }
    let used = server.cpu()?.saturating_sub(cpu);
    times_us.sort_unstable();
    results.add(&row, "one change p50", "ms", percentile(&times_us, 0.5) / 1e3)?;
    results.add(&row, "CPU of a change", "ms", used.as_secs_f64() * 1e3 / args.changes.max(1) as f64)?;
    results.add(&row, "RSS", "MB", server.memory()?.rss as f64 / 1e6)
}

/// Gives a new service an endpoint; returns how many microseconds it took to be reached.
async fn change(connection: &mut Connection, n: u64, args: &args::SyncServices) -> Result<u32, Error> {
    connection.whole(pods::post(SERVICES, service(n))).await?;
    tokio::time::sleep(BETWEEN).await;
    let begin = Instant::now();
    connection.whole(pods::post(SLICES, slice(n, 1, Some(args.address)))).await?;
    reached(n).await?;
    let took = u32::try_from(begin.elapsed().as_micros()).unwrap_or(u32::MAX);
    tokio::time::sleep(BETWEEN).await;
    Ok(took)
}

/// Waits until service `n` answers.
async fn reached(n: u64) -> Result<(), Error> {
    let (address, end) = (SocketAddr::from((address(FIRST, n), 80)), Instant::now() + SYNC_TIMEOUT);
    loop {
        match tokio::time::timeout(CONNECT_TIMEOUT, TcpStream::connect(address)).await {
            Ok(Ok(_)) => return Ok(()),
            _ if Instant::now() > end => return Err(Error::Server(format!("{address} does not answer"))),
            Ok(Err(_)) => tokio::time::sleep(Duration::from_millis(1)).await,
            Err(_) => {}
        }
    }
}

const SERVICES: &str = "/api/v1/namespaces/bench/services";
const SLICES: &str = "/apis/discovery.k8s.io/v1/namespaces/bench/endpointslices";
/// Which services are looked at: where they are among all.
const PROBES: [f64; 3] = [0.0, 0.5, 1.0];

fn probe(count: u64, part: f64) -> u64 {
    (count.saturating_sub(1) as f64 * part) as u64
}

fn address(first: u32, n: u64) -> Ipv4Addr {
    Ipv4Addr::from(first + n as u32)
}

fn node(address: Ipv4Addr) -> String {
    format!(
        "{{\"apiVersion\":\"v1\",\"kind\":\"Node\",\"metadata\":{{\"name\":\"bench\"}},\"status\":{{\"addresses\":[\
         {{\"type\":\"InternalIP\",\"address\":\"{address}\"}},{{\"type\":\"Hostname\",\"address\":\"bench\"}}]}}}}"
    )
}

fn service(n: u64) -> String {
    format!(
        "{{\"apiVersion\":\"v1\",\"kind\":\"Service\",\"metadata\":{{\"name\":\"service-{n}\"}},\"spec\":{{\
         \"clusterIP\":\"{}\",\"ports\":[{{\"name\":\"http\",\"port\":80,\"targetPort\":{PORT},\"protocol\":\"TCP\"}}]}}}}",
        address(FIRST, n)
    )
}

fn slice(n: u64, endpoints: u64, real: Option<Ipv4Addr>) -> String {
    let nowhere = (0..endpoints).map(|at| address(NOWHERE, n * endpoints + at));
    let addresses: Vec<Ipv4Addr> = real.map_or_else(|| nowhere.collect(), |real| vec![real]);
    let endpoints: Vec<String> = addresses
        .iter()
        .map(|address| format!("{{\"addresses\":[\"{address}\"],\"conditions\":{{\"ready\":true}}}}"))
        .collect();
    format!(
        "{{\"apiVersion\":\"discovery.k8s.io/v1\",\"kind\":\"EndpointSlice\",\"addressType\":\"IPv4\",\"metadata\":{{\
         \"name\":\"service-{n}-a\",\"labels\":{{\"kubernetes.io/service-name\":\"service-{n}\"}}}},\
         \"ports\":[{{\"name\":\"http\",\"port\":{PORT},\"protocol\":\"TCP\"}}],\"endpoints\":[{}]}}",
        endpoints.join(",")
    )
}
