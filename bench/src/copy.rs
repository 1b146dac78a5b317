//! A TLS server that answers everything with the same bytes from memory: the most that any server could serve.

use std::convert::Infallible;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use bytes::Bytes;
use decapod_sys::Env;
use futures::stream;
use http::Response;
use http_body::Frame;
use http_body_util::StreamBody;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use rustls::crypto::ring;
use rustls::pki_types::PrivateKeyDer;
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

use crate::{Error, args};

/// How much goes out at once.
const CHUNK_BYTES: usize = 64 * 1024;

/// Serves until it is killed.
pub async fn run(env: &Env, args: &args::Copy) -> Result<(), Error> {
    let setup = |error: &dyn std::fmt::Display| Error::Setup(error.to_string());
    let file = std::fs::read(&args.file)
        .map_err(|source| Error::File { path: args.file.display().to_string(), source })?;
    let body = Bytes::from(file);
    let tls = acceptor()?;
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, args.port));
    let listener = TcpListener::bind(address).await.map_err(|error| setup(&error))?;
    loop {
        let (stream, _) = listener.accept().await.map_err(|error| setup(&error))?;
        let (tls, body) = (tls.clone(), body.clone());
        env.spawn("connection", async move {
            let Ok(stream) = tls.accept(stream).await else { return };
            let service = service_fn(move |_| {
                // Copied, as a server does that puts an answer together.
                let chunks: Vec<_> = body
                    .chunks(CHUNK_BYTES)
                    .map(|chunk| Ok::<_, Infallible>(Frame::data(Bytes::copy_from_slice(chunk))))
                    .collect();
                let response = Response::new(StreamBody::new(stream::iter(chunks)));
                async move { Ok::<_, Infallible>(response) }
            });
            let builder = auto::Builder::new(TokioExecutor::new());
            drop(builder.serve_connection(TokioIo::new(stream), service).await);
        });
    }
}

fn acceptor() -> Result<TlsAcceptor, Error> {
    let setup = |error: &dyn std::fmt::Display| Error::Setup(error.to_string());
    let own = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).map_err(|error| setup(&error))?;
    let key = PrivateKeyDer::try_from(own.signing_key.serialize_der()).map_err(|error| setup(&error))?;
    let mut config = rustls::ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|error| setup(&error))?
        .with_no_client_auth()
        .with_single_cert(vec![own.cert.der().clone()], key)
        .map_err(|error| setup(&error))?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(TlsAcceptor::from(Arc::new(config)))
}
