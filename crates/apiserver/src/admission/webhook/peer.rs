//! Where a webhook is, and the connections to it (k8s.io/apiserver/pkg/util/webhook, `ClientManager`).
//!
//! HTTP/1.1 over TLS, connections kept for the next call. No redirect is followed, and what a webhook answers besides a
//! review goes into no log (CVE-2020-8561).

use std::net::SocketAddr;
use std::path::Path;
use std::sync::{Mutex, OnceLock};
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use decapod_api::{Value, value};
use decapod_client::RemoteConfig;
use decapod_sys::Env;
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HOST, USER_AGENT};
use http::{Request, StatusCode};
use http_body_util::{BodyExt, Full, Limited};
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use rustls::pki_types::ServerName;
use tokio::time::Instant;
use tokio_rustls::TlsConnector;

use crate::connect::Dialer;
use crate::connect::service::{self, explain, undialed};
use crate::connect::trust::{self, Terms};
use crate::pki::Identity;
use crate::registry::Lookup;

/// Largest answer: a patch of the largest object, in base64.
const ANSWER_BYTES_MAX: usize = 6 * 1024 * 1024;
/// How many connections wait for the next call.
const IDLE_MAX: usize = 16;
/// How long they do.
const IDLE_TIME_MAX: Duration = Duration::from_secs(30);
const PORT: u16 = 443;

/// A webhook's place.
pub struct Peer {
    place: Place,
    /// Such as `https://name.namespace.svc:443/path`.
    url: String,
    path: String,
    /// Name and port, as in the header.
    host: String,
    /// The name that its certificate has to have.
    server_name: String,
    ca_bundle: Vec<u8>,
    /// As whom we come.
    own: Option<Identity>,
    /// What we say of ourselves besides: a bearer token, or nothing.
    token: String,
    tls: OnceLock<Result<TlsConnector, String>>,
    idle: Mutex<Vec<Idle>>,
}

enum Place {
    /// An endpoint of this service.
    Service { namespace: String, name: String, port: u16 },
    /// A host by name or address.
    Host { host: String, port: u16 },
    /// Neither is given, or what is given cannot be read.
    Nowhere(String),
}

struct Idle {
    sender: SendRequest<Full<Bytes>>,
    since: Instant,
}

// === impl Peer ===

impl Peer {
    /// From a `WebhookClientConfig`.
    pub fn new(client: &Value) -> Peer {
        let ca_bundle = client.str_at(&["caBundle"]).and_then(|text| STANDARD.decode(text).ok());
        let (place, host, server_name, path) = match (client.get("service"), client.str_at(&["url"])) {
            (Some(service), _) if !service.is_null() => of_service(service),
            (_, Some(url)) => of_url(url),
            _ => {
                let why = "webhook configuration must have either service or URL";
                (Place::Nowhere(why.to_owned()), String::new(), String::new(), String::new())
            }
        };
        let path = format!("/{}", path.trim_matches('/'));
        Peer {
            url: format!("https://{host}{path}"),
            place,
            path,
            host,
            server_name,
            ca_bundle: ca_bundle.unwrap_or_default(),
            own: None,
            token: String::new(),
            tls: OnceLock::new(),
            idle: Mutex::default(),
        }
    }

    /// From a kubeconfig, as which other hooks of the API server are set up.
    pub fn of_config(config: &RemoteConfig) -> Result<Peer, String> {
        let mut peer = Peer::new(&value!({"url": config.server.as_str()}));
        let read = |path: &Path| {
            std::fs::read_to_string(path).map_err(|error| format!("cannot read {}: {error}", path.display()))
        };
        let pems = match &config.client_files {
            Some((certificate, key)) => Some((read(certificate)?, read(key)?)),
            None if config.client_cert_pem.is_empty() => None,
            None => Some((config.client_cert_pem.clone(), config.client_key_pem.clone())),
        };
        peer.own = pems.map(|(cert_pem, key_pem)| Identity { cert_pem, key_pem });
        peer.token = match &config.token_file {
            Some(path) => read(path)?.trim().to_owned(),
            None => config.token.clone(),
        };
        if !config.tls_server_name.is_empty() {
            peer.server_name = config.tls_server_name.clone();
        }
        peer.ca_bundle = config.ca_pem.clone().into_bytes();
        Ok(peer)
    }

    /// Posts `body` and returns what comes back, as it is. The text of an error is what upstream's client says.
    pub async fn send(
        &self,
        env: &Env,
        dialer: &Dialer,
        lookup: &dyn Lookup,
        timeout: Duration,
        body: Bytes,
    ) -> Result<(StatusCode, Bytes), String> {
        let failed = |why: &str| format!("Post \"{}\": {why}", self.url);
        match tokio::time::timeout(timeout, self.exchange(env, dialer, lookup, "", body)).await {
            Ok(answer) => answer.map_err(|why| failed(&why)),
            Err(_) => Err(failed("context deadline exceeded")),
        }
    }

    /// Posts `body` and returns what comes back with 200. The text of an error is what upstream's client says.
    pub async fn post(
        &self,
        env: &Env,
        dialer: &Dialer,
        lookup: &dyn Lookup,
        timeout: Duration,
        body: Bytes,
    ) -> Result<Bytes, String> {
        if let Place::Nowhere(why) = &self.place {
            return Err(why.clone());
        }
        let query = format!("?timeout={}s", timeout.as_secs());
        let failed = |why: &str| format!("Post \"{}{query}\": {why}", self.url);
        let exchange = async {
            let (status, body) =
                self.exchange(env, dialer, lookup, &query, body).await.map_err(|why| failed(&why))?;
            match status {
                StatusCode::OK | StatusCode::CREATED | StatusCode::ACCEPTED => Ok(body),
                status => Err(unexpected(status)),
            }
        };
        match tokio::time::timeout(timeout, exchange).await {
            Ok(answer) => answer,
            Err(_) => Err(failed("context deadline exceeded")),
        }
    }

    async fn exchange(
        &self,
        env: &Env,
        dialer: &Dialer,
        lookup: &dyn Lookup,
        query: &str,
        body: Bytes,
    ) -> Result<(StatusCode, Bytes), String> {
        // Whoever has closed an idle connection meanwhile has not read the question.
        while let Some(mut sender) = self.take_idle() {
            if sender.ready().await.is_err() {
                continue;
            }
            match sender.send_request(self.request(query, body.clone())?).await {
                Ok(answer) => return self.read(sender, answer).await,
                Err(_) => break,
            }
        }
        let mut sender = self.connect(env, dialer, lookup).await?;
        let answer = sender.send_request(self.request(query, body)?).await.map_err(|e| explain(&e))?;
        self.read(sender, answer).await
    }

    fn request(&self, query: &str, body: Bytes) -> Result<Request<Full<Bytes>>, String> {
        let mut request = Request::post(format!("{}{query}", self.path));
        if !self.token.is_empty() {
            request = request.header(AUTHORIZATION, format!("Bearer {}", self.token));
        }
        request
            .header(HOST, &self.host)
            .header(ACCEPT, "application/json, */*")
            .header(CONTENT_TYPE, "application/json")
            .header(USER_AGENT, "kube-apiserver-admission")
            .body(Full::new(body))
            .map_err(|error| error.to_string())
    }

    async fn read(
        &self,
        mut sender: SendRequest<Full<Bytes>>,
        answer: http::Response<hyper::body::Incoming>,
    ) -> Result<(StatusCode, Bytes), String> {
        let status = answer.status();
        let body = Limited::new(answer.into_body(), ANSWER_BYTES_MAX).collect().await;
        let body = body.map_err(|error| error.to_string())?.to_bytes();
        if sender.ready().await.is_ok() {
            let mut idle = self.idle.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
            if idle.len() < IDLE_MAX {
                idle.push(Idle { sender, since: Instant::now() });
            }
        }
        Ok((status, body))
    }

    fn take_idle(&self) -> Option<SendRequest<Full<Bytes>>> {
        let mut idle = self.idle.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        idle.retain(|idle| idle.since.elapsed() < IDLE_TIME_MAX && !idle.sender.is_closed());
        idle.pop().map(|idle| idle.sender)
    }

    async fn connect(
        &self,
        env: &Env,
        dialer: &Dialer,
        lookup: &dyn Lookup,
    ) -> Result<SendRequest<Full<Bytes>>, String> {
        let mut tcp = Err("no addresses".to_owned());
        for address in self.addresses(env, lookup).await? {
            tcp = dialer.connect(address).await.map_err(|error| undialed(address, &error));
            if tcp.is_ok() {
                break;
            }
        }
        let tcp = tcp?;
        let connector = self.tls.get_or_init(|| trust::connector(&self.terms())).as_ref()?;
        let name = ServerName::try_from(self.server_name.clone()).map_err(|error| error.to_string())?;
        let stream = connector.connect(name, tcp).await.map_err(|error| trust::explain(&error))?;
        let (sender, connection) =
            http1::handshake(TokioIo::new(stream)).await.map_err(|error| explain(&error))?;
        env.spawn("webhook", async move {
            if let Err(error) = connection.await {
                tracing::debug!(%error, "a webhook's connection ended");
            }
        });
        Ok(sender)
    }

    fn terms(&self) -> Terms<'_> {
        Terms { bundle_pem: &self.ca_bundle, identity: self.own.as_ref(), ..Terms::default() }
    }

    async fn addresses(&self, env: &Env, lookup: &dyn Lookup) -> Result<Vec<SocketAddr>, String> {
        match &self.place {
            Place::Nowhere(why) => Err(why.clone()),
            Place::Host { host, port } => service::of_host(host, *port).await,
            Place::Service { namespace, name, port } => {
                service::addresses(env, lookup, namespace, name, *port).await
            }
        }
    }
}

fn of_service(service: &Value) -> (Place, String, String, String) {
    let text = |field: &str| service.str_at(&[field]).unwrap_or_default().to_owned();
    let port = service.int_at(&["port"]).and_then(|port| u16::try_from(port).ok()).unwrap_or(PORT);
    let (namespace, name) = (text("namespace"), text("name"));
    let server_name = format!("{name}.{namespace}.svc");
    let host = format!("{server_name}:{port}");
    (Place::Service { namespace, name, port }, host, server_name, text("path"))
}

fn of_url(url: &str) -> (Place, String, String, String) {
    let parsed = url.parse::<http::Uri>().map_err(|error| format!("Unparsable URL: {error}"));
    let parts = parsed.and_then(|uri| {
        let authority = uri.authority().cloned().ok_or_else(|| "Unparsable URL: no host".to_owned())?;
        Ok((authority, uri.path().to_owned()))
    });
    match parts {
        Ok((authority, path)) => {
            let bare = authority.host().trim_matches(['[', ']']).to_owned();
            let place = Place::Host { host: bare.clone(), port: authority.port_u16().unwrap_or(PORT) };
            (place, authority.to_string(), bare, path)
        }
        Err(why) => (Place::Nowhere(why), String::new(), String::new(), String::new()),
    }
}

/// An answer that is no review, in the words of client-go (k8s.io/apimachinery/pkg/api/errors,
/// `NewGenericServerResponse`), without the body.
pub fn unexpected(status: StatusCode) -> String {
    let text = match status.as_u16() {
        400 => "the server rejected our request for an unknown reason",
        401 => "the server has asked for the client to provide credentials",
        403 => "unknown",
        404 => "the server could not find the requested resource",
        405 => "the server does not allow this method on the requested resource",
        409 => "the server reported a conflict",
        422 => "the server rejected our request due to an error in our request",
        429 => "the server has received too many requests and has asked us to try again later",
        503 => "the server is currently unable to handle the request",
        504 => {
            "the server was unable to return a response in the time allotted, but may still be processing the request"
        }
        code if code >= 500 => {
            "an error on the server (\"unknown\") has prevented the request from succeeding"
        }
        code => {
            return format!(
                "the server responded with the status code {code} but did not return more information"
            );
        }
    };
    text.to_owned()
}
