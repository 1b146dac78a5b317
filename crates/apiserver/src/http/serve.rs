//! Connections: TCP, TLS with an optional client certificate, HTTP/1.1 and HTTP/2.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

use super::chain;
use crate::authn::certificate;
use crate::connect::Peer;
use crate::server::Server;

/// How long a client may take to shake hands.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);
/// Requests at once on one HTTP/2 connection (upstream's default).
const STREAMS_MAX: u32 = 100;

/// Accepts connections until the server's scope ends.
pub async fn accept(server: Arc<Server>, listener: TcpListener, tls: TlsAcceptor) {
    loop {
        match listener.accept().await {
            Ok((stream, from)) => {
                let (server, tls) = (server.clone(), tls.clone());
                let env = server.env().clone();
                env.spawn("connection", connection(server, tls, stream, Peer(from.ip())));
            }
            Err(error) => {
                // Out of file descriptors, most likely: others may end meanwhile.
                tracing::warn!(%error, "accepting a connection");
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
    }
}

async fn connection(server: Arc<Server>, tls: TlsAcceptor, stream: TcpStream, from: Peer) {
    if let Err(error) = decapod_sys::tcp::set_up(&stream) {
        tracing::debug!(%error, "socket options");
    }
    let stream = match tokio::time::timeout(HANDSHAKE_TIMEOUT, tls.accept(stream)).await {
        Ok(Ok(stream)) => stream,
        Ok(Err(error)) => return tracing::debug!(%error, "TLS handshake"),
        Err(_) => return tracing::debug!("TLS handshake took too long"),
    };
    let peer = stream.get_ref().1.peer_certificates().and_then(|chain| chain.first());
    let user = peer.and_then(|der| certificate::user(der)).map(Arc::new);
    let service = service_fn(move |mut request: http::Request<Incoming>| {
        request.extensions_mut().insert(from);
        let (server, user) = (server.clone(), user.clone());
        async move { Ok::<_, Infallible>(chain::serve(server, user, request).await) }
    });
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder.http1().timer(TokioTimer::new()).header_read_timeout(Duration::from_secs(32));
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(STREAMS_MAX)
        .initial_stream_window_size(1 << 20)
        .initial_connection_window_size(4 << 20)
        .keep_alive_interval(Duration::from_secs(30));
    if let Err(error) = builder.serve_connection_with_upgrades(TokioIo::new(stream), service).await {
        tracing::debug!(%error, "connection");
    }
}
