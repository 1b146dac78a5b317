//! Our clients of exec and port-forward against the server at the given address, which has `echo_server`'s paths
//! (upstream's own in Go, mostly): SPDY, WebSocket where it is served, and port-forward over SPDY.

use decapod_streams::remote_command::{self, Options, Outcome, Session, TerminalSize};
use decapod_streams::upgrade::{Offer, upgraded};
use decapod_streams::{Limits, port_forward};
use decapod_sys::Env;
use http::{Request, Response, header};
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

type Failure = Box<dyn std::error::Error + Send + Sync>;

const MEGABYTES: usize = 10;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Failure> {
    let (env, address) = (Env::system(), std::env::args().nth(1).ok_or("usage: client ADDRESS")?);
    for (name, offer) in
        [("SPDY", remote_command::offer_spdy()), ("WebSocket", remote_command::offer_web_socket(&env))]
    {
        exec(&env, &address, &offer).await.map_err(|error| format!("{name}: {error}"))?;
        println!("ok: our client over {name}");
    }
    forward(&env, &address).await?;
    println!("ok: our port-forward");
    env.shutdown().await;
    Ok(())
}

async fn ask(env: &Env, address: &str, path: &str, offer: &Offer) -> Result<Response<Incoming>, Failure> {
    let tcp = TcpStream::connect(address).await?;
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(tcp)).await?;
    env.spawn("http", async move {
        if let Err(error) = connection.with_upgrades().await {
            eprintln!("http: {error}");
        }
    });
    let mut request = Request::builder().method(&offer.method).uri(path).body(String::new())?;
    request.headers_mut().extend(offer.headers.clone());
    request.headers_mut().insert(header::HOST, address.parse()?);
    Ok(sender.send_request(request).await?)
}

async fn command(
    env: &Env,
    address: &str,
    offer: &Offer,
    name: &str,
    options: Options,
) -> Result<Session, Failure> {
    let flag = |name: &str, set: bool| format!("&{name}={}", u8::from(set));
    let Options { stdin, stdout, stderr, tty } = options;
    let flags = flag("stdin", stdin) + &flag("stdout", stdout) + &flag("stderr", stderr) + &flag("tty", tty);
    let answer = ask(env, address, &format!("/exec?command={name}{flags}"), offer).await?;
    let protocol = offer.remote_command(answer.status(), answer.headers())?;
    let io = upgraded(hyper::upgrade::on(answer)).await?;
    Ok(remote_command::connect(env, io, protocol, options, Limits::default()).await?)
}

async fn exec(env: &Env, address: &str, offer: &Offer) -> Result<(), Failure> {
    let options = Options { stdin: true, stdout: true, stderr: true, tty: false };
    if !offer.is_web_socket() {
        // Upstream's server has WebSocket v4 at most, where stdin does not end.
        let mut session = command(env, address, offer, "cat", options).await?;
        let (mut stdin, mut stdout) =
            (session.stdin.take().ok_or("stdin")?, session.stdout.take().ok_or("stdout")?);
        let data: Vec<u8> = (0..MEGABYTES << 20).map(|i| (i * 31) as u8).collect();
        let mut back = Vec::new();
        let send = async {
            stdin.write_all(&data).await?;
            stdin.shutdown().await
        };
        tokio::try_join!(send, async { stdout.read_to_end(&mut back).await })?;
        assert!(back == data, "{} bytes came back", back.len());
        assert_eq!(session.outcome().await?, Outcome::Success);
    }
    let mut session = command(env, address, offer, "stderr", options).await?;
    let (mut out, mut err) = (String::new(), String::new());
    session.stdout.take().ok_or("stdout")?.read_to_string(&mut out).await?;
    session.stderr.take().ok_or("stderr")?.read_to_string(&mut err).await?;
    assert_eq!((out.as_str(), err.as_str(), session.outcome().await?), ("out", "err", Outcome::Success));
    let mut session = command(env, address, offer, "exit", options).await?;
    assert_eq!(session.outcome().await?, Outcome::Exit(7));
    let terminal = Options { stdin: true, stdout: true, stderr: false, tty: true };
    let mut session = command(env, address, offer, "sizes", terminal).await?;
    let mut resizer = session.resize.take().ok_or("resize")?;
    for width in [80, 132] {
        resizer.send(TerminalSize { width, height: 24 }).await?;
    }
    let mut out = String::new();
    session.stdout.take().ok_or("stdout")?.read_to_string(&mut out).await?;
    assert_eq!(out, "80x24\n132x24\n");
    Ok(())
}

async fn forward(env: &Env, address: &str) -> Result<(), Failure> {
    let offer = port_forward::offer_spdy();
    let answer = ask(env, address, "/portforward", &offer).await?;
    let protocol = offer.port_forward(answer.status(), answer.headers())?;
    let io = upgraded(hyper::upgrade::on(answer)).await?;
    let client = port_forward::connect(env, io, protocol, Limits::default());
    tokio::try_join!(echo(&client), echo(&client))?;
    let refused = client.forward(1).await?.error().await?.ok_or("no error from port 1")?;
    assert!(refused.ends_with("connection refused"), "{refused}");
    client.close().await;
    Ok(())
}

async fn echo(client: &port_forward::Client) -> Result<(), Failure> {
    let mut forwarded = client.forward(7).await?;
    let (mut reader, mut writer) = tokio::io::split(&mut forwarded.data);
    let data: Vec<u8> = (0..MEGABYTES << 20).map(|i| (i * 7) as u8).collect();
    let mut back = Vec::new();
    let send = async {
        writer.write_all(&data).await?;
        writer.shutdown().await
    };
    tokio::try_join!(send, async { reader.read_to_end(&mut back).await })?;
    assert!(back == data, "{} bytes came back", back.len());
    assert_eq!(forwarded.error().await?, None);
    Ok(())
}
