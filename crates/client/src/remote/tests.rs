//! The remote transport against a plain HTTP server on a socket.

use std::sync::Arc;

use bytes::Bytes;
use decapod_api::meta::GroupVersionResource;
use decapod_sys::Env;
use futures::StreamExt;
use http_body_util::{BodyExt, Full, StreamBody, combinators::UnsyncBoxBody};
use hyper::body::Frame;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;

use super::*;
use crate::request::Options;

type Body = UnsyncBoxBody<Bytes, std::convert::Infallible>;

fn full(text: &'static str) -> Body {
    Full::new(Bytes::from_static(text.as_bytes())).boxed_unsync()
}

/// Answers a few paths; each connection is counted.
async fn serve(listener: TcpListener, connections: Arc<std::sync::atomic::AtomicU32>, env: Env) {
    while let Ok((tcp, _)) = listener.accept().await {
        connections.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
        let service = service_fn(|request: http::Request<Incoming>| async move {
            let line = format!("{} {}", request.method(), request.uri());
            let token = request.headers().get(AUTHORIZATION).is_some_and(|value| value == "Bearer t");
            match line.as_str() {
                _ if !token => http::Response::builder().status(401).body(full("who?")),
                "GET /api/v1/namespaces/a/pods/x" => http::Response::builder()
                    .body(full("{\"kind\":\"Pod\",\"apiVersion\":\"v1\",\"metadata\":{\"name\":\"x\",\"resourceVersion\":\"4\"}}\n")),
                "GET /api/v1/pods?watch=true&resourceVersion=4" => {
                    let chunks = ["{\"type\":\"ADDED\",\"object\":{\"metadata\":{\"name\":\"y\",", "\"resourceVersion\":\"5\"}}}\n\n{\"type\":",
                        "\"DELETED\",\"object\":{\"metadata\":{\"name\":\"y\",\"resourceVersion\":\"6\"}}}\n"];
                    let frames = chunks.map(|chunk| Ok(Frame::data(Bytes::from_static(chunk.as_bytes()))));
                    http::Response::builder().body(StreamBody::new(futures::stream::iter(frames)).boxed_unsync())
                }
                _ => http::Response::builder().status(404).body(full(
                    r#"{"kind":"Status","apiVersion":"v1","metadata":{},"status":"Failure","message":"gone","reason":"NotFound","code":404}"#,
                )),
            }
        });
        let connection =
            hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(tcp), service);
        env.spawn("server", async move { connection.await.unwrap_or_default() });
    }
}

#[tokio::test]
async fn requests_and_watches_travel_over_one_connection_each() {
    let env = Env::simulated(1);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let server = format!("http://{}", listener.local_addr().unwrap());
    let connections = Arc::default();
    env.spawn("listener", serve(listener, Arc::clone(&connections), env.clone()));
    let pods = || GroupVersionResource::new("", "v1", "pods");

    let remote =
        Remote::new(&env, RemoteConfig { server: server.clone(), token: "t".into(), ..Default::default() })
            .unwrap();
    for _ in 0..3 {
        let get = Request { namespace: "a".into(), name: "x".into(), ..Request::new(Verb::Get, pods()) };
        let Ok(Reply::Object(pod)) = remote.call(get).await else { panic!("no object") };
        assert_eq!((pod.name().as_ref(), pod.revision()), ("x", 4));
    }
    assert_eq!(connections.load(std::sync::atomic::Ordering::SeqCst), 1);

    let mut watch = Request::new(Verb::Watch, pods());
    watch.options = Options { resource_version: Some("4".into()), ..Options::default() };
    let Ok(Reply::Watch(events)) = remote.call(watch).await else { panic!("no watch") };
    let told: Vec<String> = events.map(|event| format!("{event:?}")).collect().await;
    assert_eq!(told, ["Added(Object(/y at 5))", "Deleted(Object(/y at 6))"]);

    let missing = remote.call(Request { name: "z".into(), ..Request::new(Verb::Delete, pods()) }).await;
    assert!(missing.is_err_and(|status| status.is_not_found() && status.message == "gone"));

    let stranger = Remote::new(&env, RemoteConfig { server, ..Default::default() }).unwrap();
    let refused = stranger.call(Request::new(Verb::List, pods())).await;
    assert!(refused.is_err_and(|status| status.code == 401 && status.message == "who?"));
    env.shutdown().await;
}

#[tokio::test]
async fn what_cannot_work_is_said_at_once() {
    let env = Env::simulated(1);
    let error = |server: &str| {
        let config = RemoteConfig { server: server.into(), ..RemoteConfig::default() };
        Remote::new(&env, config).err().unwrap().to_string()
    };
    assert!(error("https://a:6443").starts_with("certificate authority: none is given"));
    assert!(error("ftp://a").contains("neither https"));
    let closed = RemoteConfig { server: "http://127.0.0.1:1".into(), ..RemoteConfig::default() };
    let remote = Remote::new(&env, closed).unwrap();
    let refused = remote.call(Request::new(Verb::List, GroupVersionResource::new("", "v1", "pods"))).await;
    assert!(refused.is_err_and(|status| status.code == 503));
}
