//! Client and server of exec against each other, on every wire, over a small pipe.

#![allow(clippy::unwrap_used, reason = "a test that fails panics")]

use decapod_streams::Limits;
use decapod_streams::remote_command::{
    self, Options, Outcome, Protocol, RemoteCommand, ServeError, Session, TerminalSize, Version, connect,
    serve,
};
use decapod_sys::Env;
use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};

const WIRES: [Protocol; 6] = [
    Protocol::Spdy(Version::V4),
    Protocol::Spdy(Version::V2),
    Protocol::WebSocket { version: Version::V5, base64: false },
    Protocol::WebSocket { version: Version::V4, base64: false },
    Protocol::WebSocket { version: Version::V4, base64: true },
    Protocol::WebSocket { version: Version::V1, base64: false },
];

const ALL: Options = Options { stdin: true, stdout: true, stderr: true, tty: false };
const TTY: Options = Options { stdin: true, stdout: true, stderr: false, tty: true };

async fn pair(env: &Env, protocol: Protocol, options: Options) -> (RemoteCommand, Session) {
    let (a, b) = duplex(1000);
    let server = serve(env, a, protocol, options, Limits::default());
    let client = connect(env, b, protocol, options, Limits::default());
    let (server, client) = tokio::join!(server, client);
    (server.unwrap(), client.unwrap())
}

fn half_closes(protocol: Protocol) -> bool {
    !matches!(protocol, Protocol::WebSocket { version: Version::V1 | Version::V4, .. })
}

/// `cat`, which also says on stderr how much it has seen, and then exits with 3.
async fn cat(mut command: RemoteCommand, expected: usize) {
    let (mut stdin, mut stdout) = (command.stdin.take().unwrap(), command.stdout.take().unwrap());
    let (mut seen, mut buffer) = (0, vec![0; 7000]);
    while seen < expected {
        let count = stdin.read(&mut buffer).await.unwrap();
        assert!(count > 0, "stdin ended after {seen}");
        stdout.write_all(&buffer[..count]).await.unwrap();
        seen += count;
    }
    command.stderr.take().unwrap().write_all(format!("{seen} bytes").as_bytes()).await.unwrap();
    command.finish(Outcome::Exit(3)).await.unwrap();
}

#[tokio::test]
async fn what_goes_in_comes_out() {
    let env = Env::simulated(1);
    let data: Vec<u8> = (0..3_000_000u32).map(|i| ((i * 31) >> 5) as u8).collect();
    for protocol in WIRES {
        let (server, mut client) = pair(&env, protocol, ALL).await;
        let task = env.spawn("cat", cat(server, data.len()));
        let (mut stdin, mut stdout) = (client.stdin.take().unwrap(), client.stdout.take().unwrap());
        let mut stderr = client.stderr.take().unwrap();
        let (mut out, mut err) = (Vec::new(), String::new());
        let send = async { stdin.write_all(&data).await.unwrap() };
        let (_, _, _, outcome) = tokio::join!(
            send,
            async { stdout.read_to_end(&mut out).await.unwrap() },
            async { stderr.read_to_string(&mut err).await.unwrap() },
            client.outcome(),
        );
        assert!(out == data, "{protocol:?}: {} bytes", out.len());
        assert_eq!(err, "3000000 bytes", "{protocol:?}");
        match (protocol.version() >= Version::V4, outcome.unwrap()) {
            (true, outcome) => assert_eq!(outcome, Outcome::Exit(3), "{protocol:?}"),
            (false, Outcome::Failed(status)) => {
                assert!(status.message.ends_with("exit status 3"), "{status}")
            }
            (false, other) => panic!("{protocol:?}: {other:?}"),
        }
        drop((stdin, client));
        task.await.unwrap();
    }
}

#[tokio::test]
async fn stdin_ends_and_stdout_goes_on() {
    let env = Env::simulated(2);
    for protocol in WIRES.into_iter().filter(|protocol| half_closes(*protocol)) {
        let (mut server, mut client) = pair(&env, protocol, ALL).await;
        let task = env.spawn("wc", async move {
            let mut text = String::new();
            server.stdin.take().unwrap().read_to_string(&mut text).await.unwrap();
            server.stdout.take().unwrap().write_all(text.to_uppercase().as_bytes()).await.unwrap();
            server.finish(Outcome::Success).await.unwrap();
        });
        let mut stdin = client.stdin.take().unwrap();
        stdin.write_all(b"hello").await.unwrap();
        stdin.shutdown().await.unwrap();
        let mut text = String::new();
        client.stdout.take().unwrap().read_to_string(&mut text).await.unwrap();
        assert_eq!(text, "HELLO", "{protocol:?}");
        assert_eq!(client.outcome().await.unwrap(), Outcome::Success);
        drop(client);
        task.await.unwrap();
    }
}

#[tokio::test]
async fn a_terminal_is_resized() {
    let env = Env::simulated(3);
    for protocol in WIRES.into_iter().filter(|protocol| protocol.version() >= Version::V3) {
        let (mut server, mut client) = pair(&env, protocol, TTY).await;
        assert!(server.tty && server.stderr.is_none() && client.stderr.is_none());
        let (mut resizes, mut resizer) = (server.resize.take().unwrap(), client.resize.take().unwrap());
        for width in [80, 132] {
            let size = TerminalSize { width, height: 24 };
            resizer.send(size).await.unwrap();
            assert_eq!(resizes.next().await, Some(size), "{protocol:?}");
        }
        drop(client);
        server.gone().cancelled().await;
        assert_eq!(resizes.next().await, None);
    }
}

#[tokio::test]
async fn a_command_that_reads_nothing_stops_nobody() {
    let env = Env::simulated(4);
    for protocol in WIRES {
        let (mut server, mut client) = pair(&env, protocol, ALL).await;
        drop(server.stdin.take());
        let mut stdin = client.stdin.take().unwrap();
        stdin.write_all(&vec![0; 4 << 20]).await.unwrap();
        let task = env.spawn("server", async move {
            server.stdout.take().unwrap().write_all(b"done").await.unwrap();
            server.finish(Outcome::Success).await.unwrap();
        });
        let mut out = String::new();
        client.stdout.take().unwrap().read_to_string(&mut out).await.unwrap();
        assert_eq!((out.as_str(), client.outcome().await.unwrap()), ("done", Outcome::Success));
        drop((stdin, client));
        task.await.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn a_client_that_goes_is_noticed() {
    let env = Env::simulated(5);
    for protocol in WIRES {
        let scope = env.scope();
        let (a, b) = duplex(1000);
        let (server, client) = tokio::join!(
            serve(&env, a, protocol, ALL, Limits::default()),
            connect(&scope, b, protocol, ALL, Limits::default())
        );
        let (mut server, mut client) = (server.unwrap(), client.unwrap());
        // The scope ends: the connection breaks, nothing is said.
        scope.shutdown().await;
        server.gone().cancelled().await;
        let error = server.stdin.take().unwrap().read(&mut [0; 10]).await.unwrap_err();
        assert_eq!(error.kind(), std::io::ErrorKind::ConnectionAborted);
        assert!(server.stdout.take().unwrap().write(b"x").await.is_err());
        assert!(server.finish(Outcome::Success).await.is_err() || protocol.version() < Version::V4);
        assert!(client.outcome().await.is_err());
    }
}

#[tokio::test(start_paused = true)]
async fn deadlines() {
    let env = Env::simulated(6);
    let began = tokio::time::Instant::now();
    let (a, _b) = duplex(1000);
    let spdy = Protocol::Spdy(Version::V4);
    let timeout = serve(&env, a, spdy, ALL, Limits::default()).await.err().unwrap();
    assert!(matches!(timeout, ServeError::Timeout));
    assert_eq!(began.elapsed().as_secs(), 30);
    let (server, _client) = pair(&env, WIRES[2], ALL).await;
    server.gone().cancelled().await;
    assert_eq!(began.elapsed().as_secs(), 30 + 4 * 3600, "idle");
}

/// A quiet command whose client lives is not idle, on whatever wire.
#[tokio::test(start_paused = true)]
async fn a_quiet_peer_is_kept_alive() {
    let env = Env::simulated(9);
    for protocol in WIRES {
        let (a, b) = duplex(1000);
        let lively = Limits { keep_alive: Some(std::time::Duration::from_secs(30)), ..Limits::default() };
        let (server, client) = tokio::join!(
            serve(&env, a, protocol, ALL, Limits::default()),
            connect(&env, b, protocol, ALL, lively)
        );
        let (server, mut client) = (server.unwrap(), client.unwrap());
        tokio::time::sleep(std::time::Duration::from_secs(10 * 3600)).await;
        assert!(!server.gone().is_cancelled(), "{protocol:?}");
        env.spawn("finish", async move { server.finish(Outcome::Success).await.unwrap() });
        assert_eq!(client.outcome().await.unwrap(), Outcome::Success, "{protocol:?}");
    }
}

/// One that neither reads nor is read is given up, and holds no memory till then.
#[tokio::test(start_paused = true)]
async fn a_peer_that_takes_nothing_is_idle() {
    let env = Env::simulated(10);
    let began = tokio::time::Instant::now();
    let (a, mut b) = duplex(64);
    let limits = Limits { receive_bytes: 100, ..Limits::default() };
    let protocol = Protocol::WebSocket { version: Version::V5, base64: false };
    let server = serve(&env, a, protocol, ALL, limits).await.unwrap();
    // Stdin that nobody reads; then nothing, not even answers, is read.
    let message = [&[0x82, 0xfe][..], &2000u16.to_be_bytes(), &[0; 4], &[0; 2000]].concat();
    let full = tokio::time::timeout(std::time::Duration::from_secs(5), b.write_all(&message));
    assert!(full.await.is_err());
    server.gone().cancelled().await;
    let hours = began.elapsed().as_secs_f64() / 3600.0;
    assert!((4.0..4.5).contains(&hours), "{hours} h");
}

/// A reader that is slow for longer than kubectl waits for a pong: it hears pongs that it has not asked for.
#[tokio::test(start_paused = true)]
async fn an_unread_client_hears_that_we_live() {
    let env = Env::simulated(7);
    let (a, mut b) = duplex(1 << 16);
    let protocol = Protocol::WebSocket { version: Version::V5, base64: false };
    let server = serve(&env, a, protocol, ALL, Limits::default()).await.unwrap();
    // The empty message that says that we are connected.
    let mut hello = [0; 3];
    b.read_exact(&mut hello).await.unwrap();
    assert_eq!(hello, [0x82, 1, 1]);
    let message = [&[0x82, 0xff][..], &(20_000_000u64).to_be_bytes(), &[0; 4]].concat();
    b.write_all(&message).await.unwrap();
    let full = tokio::time::timeout(std::time::Duration::from_secs(5), async {
        loop {
            b.write_all(&[0; 1000]).await.unwrap();
        }
    });
    assert!(full.await.is_err());
    for _ in 0..3 {
        let mut pong = [0; 2];
        b.read_exact(&mut pong).await.unwrap();
        assert_eq!(pong, [0x8a, 0]);
    }
    drop(server);
}

#[tokio::test]
async fn web_socket_is_translated_to_spdy() {
    let env = Env::simulated(8);
    let data = vec![9; 1_000_000];
    let (front, mut client) = pair(&env, WIRES[2], ALL).await;
    let (server, back) = pair(&env, WIRES[0], ALL).await;
    let command = env.spawn("cat", cat(server, data.len()));
    let middle = env.spawn("translate", async {
        decapod_streams::translate::remote_command(front, back).await.unwrap();
    });
    let (mut stdin, mut stdout) = (client.stdin.take().unwrap(), client.stdout.take().unwrap());
    let mut out = Vec::new();
    tokio::join!(
        async {
            stdin.write_all(&data).await.unwrap();
            stdin.shutdown().await.unwrap();
        },
        async { stdout.read_to_end(&mut out).await.unwrap() }
    );
    assert_eq!(out.len(), data.len());
    assert_eq!(client.outcome().await.unwrap(), Outcome::Exit(3));
    drop(client);
    middle.await.unwrap();
    command.await.unwrap();
}

#[test]
fn options() {
    let wanted = remote_command::Options::new(true, true, true, true).unwrap();
    assert!(!wanted.stderr, "a terminal has no stderr");
    let none = Options::new(false, false, false, true).unwrap_err();
    assert_eq!(none.to_string(), "you must specify at least 1 of stdin, stdout, stderr");
}
