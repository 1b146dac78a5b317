//! exec, attach and port-forward for clients that speak WebSocket, to kubelets that speak SPDY: the one place where
//! one is made of the other (k8s.io/apiserver/pkg/util/proxy's StreamTranslatorHandler and TunnelingHandler, KEP-4006).
//! Kubelets that could do it themselves are asked in SPDY, too; what is neither is passed on as it is.

use std::sync::Arc;
use std::time::Duration;

use decapod_api::Status;
use decapod_streams::remote_command::{self, Options, Outcome, RemoteCommand, Session};
use decapod_streams::tunnel::Tunnel;
use decapod_streams::upgrade::{OfferError, Refusal, upgraded};
use decapod_streams::{Limits, onward, port_forward, translate};
use http::HeaderMap;
use http_body_util::{BodyExt, Empty, Limited};
use hyper::body::Incoming;
use hyper::upgrade::OnUpgrade;

use super::forward::{failed, handed_on};
use super::kubelet::Kubelet;
use crate::http::{Response, respond};
use crate::server::Server;

/// How often a kubelet's side of a quiet command is shown that its client lives.
const KEEP_ALIVE: Duration = Duration::from_secs(30);

/// How much is read of what a kubelet says instead of upgrading.
const REFUSAL_BYTES_MAX: usize = 50_000;

/// Serves a command's streams over WebSocket v5, and takes them from the kubelet over SPDY. The client is connected
/// before the kubelet is asked, as upstream does it: whatever fails then it hears on the error channel.
pub fn remote_command(
    server: &Arc<Server>,
    kubelet: Kubelet,
    options: Options,
    mut request: http::Request<Incoming>,
) -> Response {
    let negotiated = match remote_command::negotiate(request.method(), request.headers()) {
        Ok(negotiated) => negotiated,
        Err(refusal) => return refused(refusal),
    };
    let (response, protocol) = (negotiated.response(), negotiated.protocol);
    let headers = onward::passed_on(request.headers());
    let client = hyper::upgrade::on(&mut request);
    let server = Arc::clone(server);
    server.env().clone().spawn("remote-command", async move {
        let env = server.env();
        let serve = async {
            let client = upgraded(client).await.map_err(std::io::Error::other)?;
            let command = remote_command::serve(env, client, protocol, options, Limits::default());
            let command = command.await.map_err(std::io::Error::other)?;
            run(&server, command, kubelet, headers, options).await
        };
        if let Err(error) = serve.await {
            tracing::debug!(%error, "remote command");
        }
    });
    response
}

async fn run(
    server: &Server,
    command: RemoteCommand,
    kubelet: Kubelet,
    headers: HeaderMap,
    options: Options,
) -> std::io::Result<()> {
    let gone = command.gone();
    let session = tokio::select! {
        biased;
        () = gone.cancelled() => return Ok(()),
        session = connect(server, kubelet, headers, options) => session,
    };
    match session {
        Ok(session) => translate::remote_command(command, session).await,
        Err(outcome) => command.finish(outcome).await,
    }
}

/// Opens the command's streams at the kubelet; else what the client is told.
async fn connect(
    server: &Server,
    kubelet: Kubelet,
    mut headers: HeaderMap,
    options: Options,
) -> Result<Session, Outcome> {
    let offer = remote_command::offer_spdy();
    headers.extend(offer.headers.clone());
    let host = kubelet.host();
    let onward = kubelet.dial(server).await?;
    let answer = onward.ask(server.env(), offer.method.clone(), headers, Empty::<bytes::Bytes>::new()).await;
    let answer = answer.map_err(|error| failed(&host, &error))?;
    match offer.remote_command(answer.status(), answer.headers()) {
        Ok(protocol) => {
            let io = upgraded(hyper::upgrade::on(answer)).await.map_err(Outcome::internal)?;
            let limits = Limits { keep_alive: Some(KEEP_ALIVE), ..Limits::default() };
            let session = remote_command::connect(server.env(), io, protocol, options, limits).await;
            session.map_err(Outcome::internal)
        }
        Err(OfferError::Refused(_)) => {
            let why =
                text(answer).await.unwrap_or_else(|| "unable to read error from server response".into());
            Err(Outcome::internal(format!("unable to upgrade connection: {why}")))
        }
        Err(error) => Err(Outcome::internal(error)),
    }
}

/// Port-forward over SPDY within WebSocket: asks the kubelet for SPDY and takes the WebSocket off the client's.
pub async fn tunnel(
    server: &Server,
    kubelet: Kubelet,
    mut request: http::Request<Incoming>,
) -> Result<Response, Status> {
    let negotiated = match port_forward::negotiate(request.method(), request.headers()) {
        Ok(negotiated) => negotiated,
        Err(refusal) => return Ok(refused(refusal)),
    };
    let offer = port_forward::offer_spdy();
    let mut headers = onward::passed_on(request.headers());
    headers.extend(offer.headers.clone());
    let host = kubelet.host();
    let onward = kubelet.dial(server).await?;
    let answer = onward.ask(server.env(), offer.method.clone(), headers, Empty::<bytes::Bytes>::new()).await;
    let mut answer = answer.map_err(|error| failed(&host, &error))?;
    match offer.port_forward(answer.status(), answer.headers()) {
        Ok(_) => {}
        Err(OfferError::Refused(_)) => return Ok(handed_on(answer)),
        Err(error) => return Err(Status::internal(error)),
    }
    let (client, backend) = (hyper::upgrade::on(&mut request), hyper::upgrade::on(&mut answer));
    server.env().spawn("tunnel", joined(client, backend));
    Ok(negotiated.response())
}

async fn joined(client: OnUpgrade, backend: OnUpgrade) {
    onward::join(client, backend, |io| Tunnel::server(io, &Limits::default())).await;
}

/// A refusal as an answer.
pub fn refused(refusal: Refusal) -> Response {
    refusal.response::<String>().map(respond::whole)
}

/// What a kubelet says in plain text, or in a status; `None` if it cannot be read.
pub async fn text(answer: http::Response<Incoming>) -> Option<String> {
    let body = Limited::new(answer.into_body(), REFUSAL_BYTES_MAX).collect().await.ok()?.to_bytes();
    let status = serde_json::from_slice::<Status>(&body).ok().filter(|status| !status.message.is_empty());
    Some(status.map_or_else(|| String::from_utf8_lossy(&body).trim().to_owned(), |status| status.message))
}
