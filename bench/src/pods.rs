//! The pods that are created, read and changed, and the requests that do it.
//!
//! Like a Deployment's pods: under 1 KB as sent; about 3 KB as stored, with defaults, the service account's volume
//! and managed fields.

use bytes::Bytes;
use http::header::{ACCEPT, ACCEPT_ENCODING, CONTENT_TYPE, HeaderValue, USER_AGENT};
use http::{HeaderMap, Method, Request, Uri};
use http_body_util::Full;

use crate::Error;
use crate::connection::Connection;

/// What is asked for most: the namespace of these pods.
pub const NAMESPACE: &str = "bench";
/// The annotation that a watched change carries: when it was sent, in nanoseconds, in [`SENT_DIGITS`] digits.
pub const SENT: &str = "bench/sent";
/// How long that is.
pub const SENT_DIGITS: usize = 20;

/// How an answer is encoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Encoding {
    /// JSON.
    Json,
    /// JSON, compressed.
    JsonGzip,
    /// Protobuf.
    Protobuf,
    /// Protobuf, compressed.
    ProtobufGzip,
}

/// A request to send.
pub type Ask = Request<Full<Bytes>>;

// === impl Encoding ===

impl Encoding {
    /// What it is called in a row.
    pub fn name(self) -> &'static str {
        match self {
            Encoding::Json => "JSON",
            Encoding::JsonGzip => "JSON gzip",
            Encoding::Protobuf => "protobuf",
            Encoding::ProtobufGzip => "protobuf gzip",
        }
    }

    /// The same without compression.
    pub fn plain(self) -> Encoding {
        match self {
            Encoding::Json | Encoding::JsonGzip => Encoding::Json,
            Encoding::Protobuf | Encoding::ProtobufGzip => Encoding::Protobuf,
        }
    }

    fn media_type(self) -> HeaderValue {
        HeaderValue::from_static(match self.plain() {
            Encoding::Protobuf => "application/vnd.kubernetes.protobuf",
            _ => "application/json",
        })
    }

    fn headers(self) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert(USER_AGENT, HeaderValue::from_static("decapod-bench"));
        headers.insert(ACCEPT, self.media_type());
        if self != self.plain() {
            headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("gzip"));
        }
        headers
    }
}

/// Where pod `n` of [`NAMESPACE`] is.
pub fn path(n: u64) -> String {
    format!("/api/v1/namespaces/{NAMESPACE}/pods/{}", name(n))
}

fn name(n: u64) -> String {
    format!("frontend-7d4b9c6f58-{n:06}")
}

/// A request without a body.
pub fn get(path: &str, encoding: Encoding) -> Ask {
    request(Method::GET, path, encoding, None, Bytes::new())
}

/// Makes pod `n`.
pub fn create(n: u64, namespace: &str) -> Ask {
    post(&format!("/api/v1/namespaces/{namespace}/pods"), pod(n, namespace))
}

/// Makes what `body` says.
pub fn post(path: &str, body: String) -> Ask {
    request(Method::POST, path, Encoding::Json, Some("application/json"), body.into())
}

/// Removes an object.
pub fn delete(path: &str) -> Ask {
    request(Method::DELETE, path, Encoding::Json, None, Bytes::new())
}

/// The revision of the list at `path`.
pub async fn revision(connection: &mut Connection, path: &str) -> Result<String, Error> {
    let (_, body) = connection.whole(get(path, Encoding::Json)).await?;
    let text = String::from_utf8_lossy(&body);
    let found = text.split("\"resourceVersion\":\"").nth(1).and_then(|rest| rest.split('"').next());
    found.map(str::to_owned).ok_or_else(|| Error::Server("a list has no resourceVersion".into()))
}

/// Changes pod `n` by a patch of the strategic kind.
pub fn patch(path: &str, body: String) -> Ask {
    let kind = "application/strategic-merge-patch+json";
    request(Method::PATCH, path, Encoding::Json, Some(kind), body.into())
}

/// The body of a change that watchers recognize.
pub fn sent_patch(nanoseconds: u128) -> String {
    format!(
        "{{\"metadata\":{{\"annotations\":{{\"{SENT}\":\"{nanoseconds:0width$}\"}}}}}}",
        width = SENT_DIGITS
    )
}

/// The body of what a kubelet writes all day: a condition of a pod.
pub fn status_patch(n: u64) -> String {
    let ready = if n.is_multiple_of(2) { "True" } else { "False" };
    format!(
        "{{\"status\":{{\"phase\":\"Running\",\"conditions\":[{{\"type\":\"Ready\",\"status\":\"{ready}\",\
         \"lastProbeTime\":null,\"lastTransitionTime\":\"2026-01-01T00:00:00Z\",\"reason\":\"r{n}\"}}]}}}}"
    )
}

fn request(
    method: Method,
    path: &str,
    encoding: Encoding,
    content: Option<&'static str>,
    body: Bytes,
) -> Ask {
    let mut request = Request::new(Full::new(body));
    *request.method_mut() = method;
    // HTTP/2 wants the authority.
    *request.uri_mut() = format!("https://127.0.0.1{path}").parse().unwrap_or_else(|_| Uri::from_static("/"));
    *request.headers_mut() = encoding.headers();
    if let Some(content) = content {
        request.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(content));
    }
    request
}

fn pod(n: u64, namespace: &str) -> String {
    POD.replace("$NAMESPACE", namespace).replace("$NAME", &name(n)).replace("$N", &n.to_string())
}

const POD: &str = r#"{"apiVersion":"v1","kind":"Pod","metadata":{"name":"$NAME","namespace":"$NAMESPACE",
"labels":{"app":"frontend","pod-template-hash":"7d4b9c6f58","shard":"s-$N"},
"ownerReferences":[{"apiVersion":"apps/v1","kind":"ReplicaSet","name":"frontend-7d4b9c6f58",
"uid":"5f3a9c52-7f43-4f7a-9d3e-0a4f5b1c2d3e","controller":true,"blockOwnerDeletion":true}]},
"spec":{"containers":[{"name":"server","image":"registry.example.com/frontend:v1.24.3","args":["--port=8080"],
"ports":[{"containerPort":8080}],"env":[{"name":"LOG_LEVEL","value":"info"}],
"resources":{"requests":{"cpu":"100m","memory":"128Mi"}},
"readinessProbe":{"httpGet":{"path":"/ready","port":8080}}}]}}"#;
