//! A server of exec and port-forward on loopback, for trying clients on: prints its address, serves until killed.
//!
//! - `/exec?command=cat|stderr|exit|sizes|flood&stdin=1&stdout=1&stderr=1&tty=1`
//! - `/portforward`: every port echoes, but 1, which is refused
//! - `/proxy/…`: the same paths at the address that the first argument gives: WebSocket v5 is translated to SPDY and
//!   tunnels are taken off, as upstream's API server does; everything else is passed on as it is

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::time::Duration;

use decapod_streams::proxy::{Patience, copy_both};
use decapod_streams::remote_command::{self, Options, Outcome, RemoteCommand};
use decapod_streams::tunnel::Tunnel;
use decapod_streams::upgrade::{Refusal, is_upgrade, upgraded};
use decapod_streams::{Limits, port_forward, translate};
use decapod_sys::Env;
use http::{Request, Response, StatusCode, header};
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

type Failure = Box<dyn std::error::Error + Send + Sync>;
type Body = String;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Failure> {
    let (env, backend) = (Env::system(), std::env::args().nth(1).unwrap_or_default());
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    println!("{}", listener.local_addr()?);
    loop {
        let (tcp, _) = listener.accept().await?;
        let (env, backend) = (env.clone(), backend.clone());
        let serving = env.clone();
        env.spawn("connection", async move {
            let service =
                hyper::service::service_fn(|request| answer(serving.clone(), backend.clone(), request));
            let http = hyper::server::conn::http1::Builder::new();
            if let Err(error) = http.serve_connection(TokioIo::new(tcp), service).with_upgrades().await {
                eprintln!("connection: {error}");
            }
        });
    }
}

async fn answer(env: Env, backend: String, request: Request<Incoming>) -> Result<Response<Body>, Infallible> {
    let path = request.uri().path().to_owned();
    let result = match path.as_str() {
        _ if !is_upgrade(request.headers()) => {
            Err(Refusal::new(StatusCode::BAD_REQUEST, "Upgrade request required").into())
        }
        "/exec" => exec(env, request),
        "/portforward" => forward(env, request),
        _ => match path.strip_prefix("/proxy") {
            Some(_) => proxy(env, backend, request).await,
            None => Err(Refusal::new(StatusCode::NOT_FOUND, "404").into()),
        },
    };
    Ok(result.unwrap_or_else(|error| match error.downcast::<Refusal>() {
        Ok(refusal) => refusal.response(),
        Err(error) => Refusal::new(StatusCode::BAD_GATEWAY, error.to_string()).response(),
    }))
}

fn query(request: &Request<Incoming>) -> BTreeMap<String, String> {
    let pairs = request.uri().query().unwrap_or_default().split('&').filter_map(|pair| pair.split_once('='));
    pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
}

fn options(query: &BTreeMap<String, String>) -> Result<Options, Failure> {
    let set = |name: &str| query.get(name).is_some_and(|value| value == "1" || value == "true");
    Ok(Options::new(set("stdin"), set("stdout"), set("stderr"), set("tty"))?)
}

fn exec(env: Env, mut request: Request<Incoming>) -> Result<Response<Body>, Failure> {
    let negotiated = remote_command::negotiate(request.method(), request.headers())?;
    let query = query(&request);
    let (options, response, protocol) = (options(&query)?, negotiated.response(), negotiated.protocol);
    let on = hyper::upgrade::on(&mut request);
    env.clone().spawn("exec", async move {
        let serve = async {
            let command =
                remote_command::serve(&env, upgraded(on).await?, protocol, options, Limits::default())
                    .await?;
            run(query.get("command").map_or("", String::as_str), command).await
        };
        if let Err(error) = serve.await {
            eprintln!("exec: {error}");
        }
    });
    Ok(response)
}

async fn run(name: &str, mut command: RemoteCommand) -> Result<(), Failure> {
    let (stdin, stdout) = (command.stdin.take(), command.stdout.take());
    let outcome = match (name, stdin, stdout) {
        ("cat", Some(mut stdin), Some(mut stdout)) => {
            tokio::io::copy(&mut stdin, &mut stdout).await?;
            Outcome::Success
        }
        ("stderr", _, Some(mut stdout)) => {
            stdout.write_all(b"out").await?;
            if let Some(mut stderr) = command.stderr.take() {
                stderr.write_all(b"err").await?;
            }
            Outcome::Success
        }
        ("exit", ..) => Outcome::Exit(7),
        ("sizes", _, Some(mut stdout)) => {
            let mut resizes = command.resize.take().ok_or("no terminal")?;
            for _ in 0..2 {
                let size = resizes.next().await.ok_or("no size")?;
                stdout.write_all(format!("{}x{}\n", size.width, size.height).as_bytes()).await?;
            }
            Outcome::Success
        }
        ("flood", _, Some(mut stdout)) => {
            // What stdin brings is dropped.
            for _ in 0..320 {
                stdout.write_all(&[b'x'; 32 << 10]).await?;
            }
            Outcome::Success
        }
        (other, ..) => Outcome::internal(format!("error executing command in container: no {other:?}")),
    };
    Ok(command.finish(outcome).await?)
}

fn forward(env: Env, mut request: Request<Incoming>) -> Result<Response<Body>, Failure> {
    let negotiated = port_forward::negotiate(request.method(), request.headers())?;
    let ports = match negotiated.protocol {
        port_forward::Protocol::Channels { .. } => {
            port_forward::ports(query(&request).get("port").map(String::as_str))?
        }
        _ => Vec::new(),
    };
    let (response, protocol, on) =
        (negotiated.response(), negotiated.protocol, hyper::upgrade::on(&mut request));
    env.clone().spawn("port-forward", async move {
        let Ok(io) = upgraded(on).await else { return };
        let mut server = port_forward::serve(&env, io, protocol, &ports, Limits::default());
        while let Some(mut forward) = server.next().await {
            env.spawn("forward", async move {
                if forward.port == 1 {
                    return forward.fail("error forwarding port 1 to pod p, uid u: connection refused").await;
                }
                let mut buffer = vec![0; 32 << 10];
                while let Ok(count @ 1..) = forward.data.read(&mut buffer).await {
                    if forward.data.write_all(&buffer[..count]).await.is_err() {
                        return;
                    }
                }
                if let Err(error) = forward.finish().await {
                    eprintln!("forward: {error}");
                }
            });
        }
    });
    Ok(response)
}

/// Sends an upgrade request to the backend; its answer, whatever it is.
async fn ask(
    env: &Env,
    backend: &str,
    request: &Request<Incoming>,
    offer: Option<&decapod_streams::upgrade::Offer>,
) -> Result<Response<Incoming>, Failure> {
    let tcp = TcpStream::connect(backend).await?;
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(tcp)).await?;
    env.spawn("backend", async move {
        if let Err(error) = connection.with_upgrades().await {
            eprintln!("backend: {error}");
        }
    });
    let path = request.uri().path_and_query().map_or("/", |path| path.as_str()).replacen("/proxy", "", 1);
    let mut asked = Request::builder().method(request.method()).uri(path).body(String::new())?;
    *asked.headers_mut() = request.headers().clone();
    if let Some(offer) = offer {
        *asked.method_mut() = offer.method.clone();
        *asked.headers_mut() = offer.headers.clone();
    }
    asked.headers_mut().insert(header::HOST, backend.parse()?);
    Ok(sender.send_request(asked).await?)
}

async fn proxy(env: Env, backend: String, mut request: Request<Incoming>) -> Result<Response<Body>, Failure> {
    let patience = Patience { idle: None, half_open: Some(Duration::from_secs(5)) };
    let headers = request.headers();
    if decapod_streams::upgrade::offers_half_close(headers) {
        let negotiated = remote_command::negotiate(request.method(), headers)?;
        let (options, response) = (options(&query(&request))?, negotiated.response());
        let offer = remote_command::offer_spdy();
        let answer = ask(&env, &backend, &request, Some(&offer)).await?;
        let protocol = offer.remote_command(answer.status(), answer.headers())?;
        let (front, back) = (hyper::upgrade::on(&mut request), hyper::upgrade::on(answer));
        env.clone().spawn("translate", async move {
            let copy = async {
                let back = remote_command::connect(
                    &env,
                    upgraded(back).await?,
                    protocol,
                    options,
                    Limits::default(),
                );
                let front = upgraded(front).await?;
                let front =
                    remote_command::serve(&env, front, negotiated.protocol, options, Limits::default());
                translate::remote_command(front.await?, back.await?).await?;
                Ok::<(), Failure>(())
            };
            if let Err(error) = copy.await {
                eprintln!("translate: {error}");
            }
        });
        return Ok(response);
    }
    let tunnel = decapod_streams::upgrade::offers_tunnel(headers);
    let offer = tunnel.then(port_forward::offer_spdy);
    let answer = ask(&env, &backend, &request, offer.as_ref()).await?;
    let mut response = Response::new(String::new());
    *response.status_mut() = answer.status();
    *response.headers_mut() = answer.headers().clone();
    if tunnel {
        response = port_forward::negotiate(request.method(), headers)?.response();
    }
    let (front, back) = (hyper::upgrade::on(&mut request), hyper::upgrade::on(answer));
    env.spawn("proxy", async move {
        let copy = async {
            let (mut front, mut back) = (upgraded(front).await?, upgraded(back).await?);
            if tunnel {
                copy_both(&mut Tunnel::server(front, &Limits::default()), &mut back, patience).await?;
            } else {
                copy_both(&mut front, &mut back, patience).await?;
            }
            Ok::<(), Failure>(())
        };
        if let Err(error) = copy.await {
            eprintln!("proxy: {error}");
        }
    });
    Ok(response)
}
