//! The server on the loopback interface, with a server in memory behind its informers and another resolver behind it.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use decapod_api::{Object, Status};
use decapod_client::{Client, List, Reply, Request, Transport, Verb};
use decapod_sys::Env;
use futures::future::BoxFuture;
use futures::{FutureExt, StreamExt};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio::time::timeout;

use super::{query, reply_text};
use crate::wire::{HEAD, kind};
use crate::{Config, Dns};

/// One namespace, one service and an alias, and never a change.
struct Still;

impl Transport for Still {
    fn call(&self, request: Request) -> BoxFuture<'_, Result<Reply, Status>> {
        let items: &[&'static [u8]] = match &*request.resource.resource {
            "namespaces" => &[br#"{"metadata":{"name":"default"}}"#],
            "services" => &[
                br#"{"metadata":{"name":"web","namespace":"default"},"spec":{"clusterIP":"10.43.0.7"}}"#,
                br#"{"metadata":{"name":"out","namespace":"default"},"spec":{"type":"ExternalName","externalName":"example.com"}}"#,
            ],
            _ => &[],
        };
        let items = items.iter().map(|body| Object::new((*body).into(), 1)).collect();
        let reply = match request.verb {
            Verb::List => Reply::List(List { items, revision: 1, ..List::default() }),
            _ => Reply::Watch(futures::stream::pending().boxed()),
        };
        async { Ok(reply) }.boxed()
    }
}

/// What the resolver says: the question again and one address for it.
fn resolve(asked: &[u8]) -> Vec<u8> {
    let end = crate::name::Name::read(asked, HEAD).unwrap().1 + 4;
    let mut reply = asked[..end].to_vec();
    reply[2] = 0x81;
    reply[3] = 0x80;
    reply[6..HEAD].copy_from_slice(&[0, 1, 0, 0, 0, 0]);
    reply.extend([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 9, 0, 4, 192, 0, 2, 1]);
    reply
}

/// A resolver that cuts its replies to names that begin with `big` over UDP, and counts the queries.
async fn resolver() -> (SocketAddr, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let socket = UdpSocket::bind(address).await.unwrap();
    let asked = Arc::new(AtomicUsize::new(0));
    let counter = asked.clone();
    let env = Env::system();
    env.spawn("resolver-udp", async move {
        let mut packet = [0; 600];
        loop {
            let (length, from) = socket.recv_from(&mut packet).await.unwrap();
            counter.fetch_add(1, Ordering::Relaxed);
            let mut reply = resolve(&packet[..length]);
            if &packet[13..16] == b"big" {
                reply[2] |= 0x02;
            }
            // Somebody else's guess first: it must not be taken.
            let mut forged = reply.clone();
            forged[0] ^= 0xff;
            socket.send_to(&forged, from).await.unwrap();
            socket.send_to(&reply, from).await.unwrap();
        }
    });
    env.spawn("resolver-tcp", async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            let length = stream.read_u16().await.unwrap();
            let mut packet = vec![0; length.into()];
            stream.read_exact(&mut packet).await.unwrap();
            let reply = resolve(&packet);
            stream.write_u16(reply.len() as u16).await.unwrap();
            stream.write_all(&reply).await.unwrap();
        }
    });
    (address, asked)
}

async fn over_udp(server: SocketAddr, packet: &[u8]) -> String {
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    socket.send_to(packet, server).await.unwrap();
    let mut reply = [0; 2000];
    let received = timeout(Duration::from_secs(10), socket.recv(&mut reply)).await;
    let length = received.expect("in time").unwrap();
    assert_eq!(reply[..2], packet[..2]);
    reply_text(&reply[..length])
}

#[tokio::test]
async fn the_cluster_and_the_world() {
    let (upstream, asked) = resolver().await;
    let env = Env::system().scope();
    let config =
        Config { listen: vec![([127, 0, 0, 1], 0).into()], upstreams: vec![upstream], ..Config::default() };
    let dns = Dns::start(&env, Client::new(Arc::new(Still)), config).await.unwrap();
    timeout(Duration::from_secs(10), dns.ready()).await.expect("ready");
    let server = dns.addresses()[0];

    let ours = query(5, "web.default.svc.cluster.local", kind::A, None);
    let text = "NOERROR aa\nweb.default.svc.cluster.local. 30 A 10.43.0.7\n";
    assert_eq!(over_udp(server, &ours).await, text);

    // Both queries of one connection.
    let mut stream = TcpStream::connect(server).await.unwrap();
    for _ in 0..2 {
        stream.write_u16(ours.len() as u16).await.unwrap();
        stream.write_all(&ours).await.unwrap();
        let mut reply = vec![0; stream.read_u16().await.unwrap().into()];
        stream.read_exact(&mut reply).await.unwrap();
        assert_eq!(reply_text(&reply), text);
    }

    // The world is asked once and remembered.
    for id in 0..3 {
        let theirs = query(id, "Example.org", kind::A, None);
        assert_eq!(over_udp(server, &theirs).await, "NOERROR\nexample.org. 9 A 192.0.2.1\n");
    }
    assert_eq!(asked.load(Ordering::Relaxed), 1);
    let big = query(1, "big.example.org", kind::A, Some(1232));
    assert_eq!(over_udp(server, &big).await, "NOERROR\nbig.example.org. 9 A 192.0.2.1\n");

    let alias = query(2, "out.default.svc.cluster.local", kind::A, None);
    let text =
        "NOERROR aa\nout.default.svc.cluster.local. 30 CNAME example.com.\nexample.com. 9 A 192.0.2.1\n";
    assert_eq!(over_udp(server, &alias).await, text);
    env.shutdown().await;
}

#[tokio::test]
async fn an_address_that_is_taken_is_said_so() {
    let taken = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let env = Env::system().scope();
    let address = taken.local_addr().unwrap();
    let config = Config { listen: vec![address], ..Config::default() };
    let Err(error) = Dns::start(&env, Client::new(Arc::new(Still)), config).await else {
        panic!("it is taken")
    };
    assert!(error.to_string().starts_with(&format!("cannot listen for DNS on {address}: ")), "{error}");
}
