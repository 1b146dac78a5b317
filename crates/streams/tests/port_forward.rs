//! Client and server of port-forward against each other, plain and through the tunnel.

#![allow(clippy::unwrap_used, reason = "a test that fails panics")]

use std::time::Duration;

use decapod_streams::Limits;
use decapod_streams::port_forward::{Client, Forward, PortForward, Protocol, connect, ports, serve};
use decapod_streams::proxy::{Patience, copy_both};
use decapod_streams::tunnel::Tunnel;
use decapod_sys::Env;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};

const WIRES: [Protocol; 2] = [Protocol::Spdy, Protocol::Tunnel];

fn pair(env: &Env, protocol: Protocol) -> (PortForward, Client) {
    let (a, b) = duplex(5000);
    (serve(env, a, protocol, &[], Limits::default()), connect(env, b, protocol, Limits::default()))
}

/// Port 7 echoes, port 1 is refused, port 2 never reads, others are closed at once.
async fn serve_ports(env: Env, mut server: PortForward) {
    while let Some(forward) = server.next().await {
        env.spawn("forward", handle(forward));
    }
}

async fn handle(mut forward: Forward) {
    match forward.port {
        1 => forward.fail("error forwarding port 1 to pod p, uid u: refused").await,
        2 => tokio::time::sleep(Duration::from_secs(3600)).await,
        7 => {
            let mut buffer = vec![0; 3000];
            loop {
                let count = match forward.data.read(&mut buffer).await {
                    Ok(0) => break,
                    Ok(count) => count,
                    Err(error) => return forward.fail(&error.to_string()).await,
                };
                forward.data.write_all(&buffer[..count]).await.unwrap();
            }
            forward.finish().await.unwrap();
        }
        _ => forward.finish().await.unwrap(),
    }
}

async fn echo(client: &Client, seed: u8) {
    let data: Vec<u8> = (0..2_000_000u32).map(|i| (i >> 3) as u8 ^ seed).collect();
    let mut forwarded = client.forward(7).await.unwrap();
    let (mut reader, mut writer) = tokio::io::split(&mut forwarded.data);
    let mut back = Vec::new();
    tokio::join!(
        async {
            writer.write_all(&data).await.unwrap();
            writer.shutdown().await.unwrap();
        },
        async { reader.read_to_end(&mut back).await.unwrap() }
    );
    assert!(back == data, "{} bytes", back.len());
    assert_eq!(forwarded.error().await.unwrap(), None);
}

#[tokio::test]
async fn connections_run_side_by_side() {
    for protocol in WIRES {
        let env = Env::simulated(1);
        let (server, client) = pair(&env, protocol);
        env.spawn("server", serve_ports(env.clone(), server));
        // Nobody reads this one, and our peers keep windows: it stops nobody else.
        let mut stuck = client.forward(2).await.unwrap();
        tokio::time::timeout(Duration::from_millis(300), stuck.data.write_all(&vec![0; 4 << 20]))
            .await
            .unwrap_err();
        tokio::join!(echo(&client, 1), echo(&client, 2));
        let refused = client.forward(1).await.unwrap();
        assert_eq!(
            refused.error().await.unwrap().unwrap(),
            "error forwarding port 1 to pod p, uid u: refused"
        );
        let mut closed = client.forward(9).await.unwrap();
        assert_eq!(closed.data.read(&mut [0; 9]).await.unwrap(), 0);
        drop(stuck);
        client.close().await;
        env.shutdown().await;
    }
}

#[tokio::test]
async fn many_connections_leave_nothing_behind() {
    let env = Env::simulated(2);
    let (server, client) = pair(&env, Protocol::Spdy);
    env.spawn("server", serve_ports(env.clone(), server));
    for _ in 0..3000 {
        let mut forwarded = client.forward(7).await.unwrap();
        forwarded.data.write_all(b"x").await.unwrap();
        assert_eq!(forwarded.data.read_u8().await.unwrap(), b'x');
    }
    client.close().await;
}

#[tokio::test(start_paused = true)]
async fn limits_hold() {
    let env = Env::simulated(3);
    let (a, b) = duplex(5000);
    let limits = Limits { max_streams: 4, ..Limits::default() };
    let server = serve(&env, a, Protocol::Spdy, &[], limits);
    env.spawn("server", serve_ports(env.clone(), server));
    let client = connect(&env, b, Protocol::Spdy, Limits::default());
    let (first, mut second) = (client.forward(2).await.unwrap(), client.forward(7).await.unwrap());
    let error = client.forward(7).await.err().unwrap();
    assert_eq!(error.kind(), std::io::ErrorKind::ConnectionRefused);
    second.data.shutdown().await.unwrap();
    assert_eq!(second.error().await.unwrap(), None);
    client.forward(7).await.unwrap();
    drop(first);
}

#[tokio::test(start_paused = true)]
async fn half_a_pair_waits_for_30_seconds() {
    let env = Env::simulated(6);
    let (a, mut b) = duplex(5000);
    let server = serve(&env, a, Protocol::Spdy, &[], Limits::default());
    env.spawn("server", serve_ports(env.clone(), server));
    let began = tokio::time::Instant::now();
    // SYN_STREAM 1: streamtype error, port 80, requestid 0; its headers in a stored block.
    let headers: Vec<u8> = [&b"\0\0\0\x03"[..]]
        .into_iter()
        .chain([
            &b"\0\0\0\x0astreamtype\0\0\0\x05error"[..],
            b"\0\0\0\x04port\0\0\0\x0280",
            b"\0\0\0\x09requestid\0\0\0\x010",
        ])
        .flatten()
        .copied()
        .collect();
    let length = headers.len() as u8;
    let block = [&[0x78, 1, 0, length, 0, !length, 0xff][..], &headers, &[0, 0, 0, 0xff, 0xff]].concat();
    let frame =
        [&b"\x80\x03\0\x01\0\0\0"[..], &[10 + block.len() as u8, 0, 0, 0, 1], &[0; 6], &block].concat();
    b.write_all(&frame).await.unwrap();
    let mut heard = Vec::new();
    while !heard.ends_with(b"timed out waiting for streams") {
        heard.push(b.read_u8().await.unwrap());
    }
    assert_eq!(began.elapsed().as_secs(), 30);
}

/// What upstream's API server does for kubectl: it takes the messages off, and passes the bytes on.
#[tokio::test]
async fn a_tunnel_is_taken_off_in_the_middle() {
    let env = Env::simulated(4);
    let ((a, b), (c, d)) = (duplex(3000), duplex(2000));
    let client = connect(&env, a, Protocol::Tunnel, Limits::default());
    let server = serve(&env, d, Protocol::Spdy, &[], Limits::default());
    env.spawn("server", serve_ports(env.clone(), server));
    let middle = env.spawn("middle", async move {
        let mut tunnel = Tunnel::server(b, &Limits::default());
        let (mut c, patience) = (c, Patience { idle: None, half_open: Some(Duration::from_secs(5)) });
        copy_both(&mut tunnel, &mut c, patience).await.unwrap();
    });
    tokio::join!(echo(&client, 1), echo(&client, 2));
    client.close().await;
    middle.await.unwrap();
}

async fn expect(io: &mut DuplexStream, bytes: &[u8]) {
    let mut got = vec![0; bytes.len()];
    io.read_exact(&mut got).await.unwrap();
    assert_eq!(got, bytes);
}

/// What a browser does, and upstream's e2e test: one connection for each port that the request names.
#[tokio::test]
async fn channels_of_a_request() {
    let env = Env::simulated(5);
    let (a, mut b) = duplex(5000);
    let wanted = ports(["7", "1"]).unwrap();
    let server = serve(&env, a, Protocol::Channels { base64: false }, &wanted, Limits::default());
    let task = env.spawn("server", serve_ports(env.clone(), server));
    expect(&mut b, b"\x82\x03\x00\x07\x00\x82\x03\x01\x07\x00").await;
    expect(&mut b, b"\x82\x03\x02\x01\x00\x82\x03\x03\x01\x00").await;
    expect(&mut b, b"\x82\x31\x03error forwarding port 1 to pod p, uid u: refused").await;
    b.write_all(b"\x82\x84\0\0\0\0\x00abc").await.unwrap();
    expect(&mut b, b"\x82\x04\x00abc").await;
    b.write_all(b"\x88\x82\0\0\0\0\x03\xe8").await.unwrap();
    expect(&mut b, b"\x88\x02\x03\xe8").await;
    drop(b);
    task.await.unwrap();
}
