//! The chain on a connection in memory, under paused time.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use decapod_store::disk::FakeDisk;
use decapod_store::{Config as StoreConfig, Place, Store};
use decapod_sys::Env;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};
use tokio::time::Instant;

use super::chain;
use crate::identity::User;
use crate::pki::Pki;
use crate::server::{Config, Server};

async fn server(env: &Env) -> Arc<Server> {
    let config = Config {
        data_dir: PathBuf::new(),
        listen: SocketAddr::from(([127, 0, 0, 1], 6443)),
        hosts: Vec::new(),
        service_cidr: (Ipv4Addr::new(10, 43, 0, 0), 16),
        node_ports: 30000..=32767,
        cluster_domain: "cluster.local".to_owned(),
        advertise: Ipv4Addr::LOCALHOST,
        admission: crate::admission::Settings::default(),
    };
    let store = StoreConfig::new(Place::Disk(Arc::new(FakeDisk::new(1))));
    let store = Store::open(store, env).await.expect("store");
    let pki = Arc::new(Pki::simulated(env).expect("keys"));
    Server::over(env, config, pki, store).await.expect("server")
}

/// A connection to `server`, as an administrator's.
fn connect(env: &Env, server: &Arc<Server>) -> DuplexStream {
    let (ours, theirs) = tokio::io::duplex(1 << 20);
    let (server, user) = (server.clone(), Arc::new(User::new("admin", &["system:masters"])));
    env.spawn("connection", async move {
        let service = service_fn(move |request| {
            let (server, user) = (server.clone(), user.clone());
            async move { Ok::<_, std::convert::Infallible>(chain::serve(server, Some(user), request).await) }
        });
        let served =
            hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(theirs), service).await;
        // A connection whose request is not read to the end is closed.
        drop(served);
    });
    ours
}

/// Sends `request` and reads until the server closes, or `patience` is over.
async fn exchange(connection: &mut DuplexStream, request: &str, patience: Duration) -> String {
    connection.write_all(request.as_bytes()).await.expect("sent");
    let mut answer = Vec::new();
    let read = tokio::time::timeout(patience, connection.read_to_end(&mut answer)).await;
    drop(read);
    String::from_utf8_lossy(&answer).into_owned()
}

#[tokio::test(start_paused = true)]
async fn a_body_that_does_not_come_ends_with_the_request() {
    let env = Env::simulated(1);
    let server = server(&env).await;
    let began = Instant::now();
    let request = "POST /api/v1/namespaces/default/configmaps HTTP/1.1\r\nHost: x\r\n\
                   Content-Type: application/json\r\nContent-Length: 1000\r\n\r\n{";
    let answer = exchange(&mut connect(&env, &server), request, Duration::from_secs(600)).await;
    assert!(answer.starts_with("HTTP/1.1 504 "), "{answer}");
    assert!(answer.contains("\"reason\":\"Timeout\""), "{answer}");
    assert_eq!(began.elapsed().as_secs(), 60);
    env.shutdown().await;
}

#[tokio::test(start_paused = true)]
async fn a_watch_is_no_yaml() {
    let env = Env::simulated(1);
    let server = server(&env).await;
    let watch = |accept: &str| {
        format!(
            "GET /api/v1/namespaces?watch=1&timeoutSeconds=1 HTTP/1.1\r\nHost: x\r\nAccept: {accept}\r\n\
             Connection: close\r\n\r\n"
        )
    };
    let patience = Duration::from_secs(10);
    let answer = exchange(&mut connect(&env, &server), &watch("application/yaml"), patience).await;
    assert!(answer.starts_with("HTTP/1.1 406 "), "{answer}");
    assert!(
        answer.contains("application/json;stream=watch, application/vnd.kubernetes.protobuf;stream=watch")
    );
    let answer = exchange(&mut connect(&env, &server), &watch("application/json"), patience).await;
    assert!(answer.starts_with("HTTP/1.1 200 ") && answer.contains("\"ADDED\""), "{answer}");
    env.shutdown().await;
}
