//! `/containerLogs`: which log, and its transfer (pkg/kubelet kubelet_pods.go GetKubeletContainerLogs).

use std::path::PathBuf;

use bytes::Bytes;
use futures::future::BoxFuture;
use http::{Response, StatusCode, header};
use http_body_util::{BodyExt, StreamBody};
use hyper::body::Frame;
use jiff::SignedDuration;
use k8s_openapi::api::core::v1::ContainerStatus;
use tokio::sync::mpsc;

use super::{Body, Server, first, flag, query, text};
use crate::cri::types::ContainerState;
use crate::logs::{LogOptions, Running, Stream, send};

/// How many pieces may wait for the reader.
const WAITING_MAX: usize = 64;

impl Server {
    /// The log of a container.
    pub(super) async fn container_logs(
        &self,
        namespace: &str,
        pod: &str,
        container: &str,
        raw_query: &str,
    ) -> Response<Body> {
        let query = query(raw_query);
        let options = match self.log_options(&query) {
            Ok(options) => options,
            Err(message) => return text(StatusCode::UNPROCESSABLE_ENTITY, &message),
        };
        let Some(found) = self.workers.find(namespace, pod) else {
            return text(StatusCode::NOT_FOUND, &format!("pod {pod:?} does not exist\n"));
        };
        if found.find(container).is_none() {
            return text(
                StatusCode::NOT_FOUND,
                &format!("container {container:?} not found in pod {pod:?}\n"),
            );
        }
        let status = self.statuses.get(found.uid()).unwrap_or_else(|| found.status().into_owned());
        let lists = [
            &status.container_statuses,
            &status.init_container_statuses,
            &status.ephemeral_container_statuses,
        ];
        let status =
            lists.into_iter().flat_map(|list| list.iter().flatten()).find(|status| status.name == container);
        let id = match container_id(status, container, pod, flag(&query, "previous")) {
            Ok(id) => id,
            Err(message) => return text(StatusCode::BAD_REQUEST, &message),
        };
        let path = match self.cri.container_status(&id).await {
            Ok(Some(status)) => PathBuf::from(status.log_path),
            Ok(None) => return text(StatusCode::BAD_REQUEST, &format!("container {id:?} is gone")),
            Err(error) => {
                return text(
                    StatusCode::INTERNAL_SERVER_ERROR,
                    &format!("failed to try resolving symlinks in path: {error}"),
                );
            }
        };
        self.transfer(path, options, id)
    }

    fn transfer(&self, path: PathBuf, options: LogOptions, id: String) -> Response<Body> {
        let (to, from) = mpsc::channel::<Bytes>(WAITING_MAX);
        let cri = self.cri.clone();
        let ask = Box::new(move || -> BoxFuture<'static, bool> {
            let (cri, id) = (cri.clone(), id.clone());
            Box::pin(async move {
                let status = cri.container_status(&id).await.ok().flatten();
                status.is_some_and(|status| {
                    matches!(
                        ContainerState::try_from(status.state),
                        Ok(ContainerState::Running | ContainerState::Created)
                    )
                })
            })
        });
        let running = Running { events: self.events.clone(), ask };
        self.env.spawn("log-transfer", async move {
            if let Err(error) = send(&path, &options, Some(running), &to).await {
                tracing::debug!(path = %path.display(), %error, "cannot read a log");
                let message = format!("failed to open log file {:?}: {error}", path.display().to_string());
                // Whoever reads may have left.
                drop(to.send(Bytes::from(message)).await);
            }
        });
        let stream = futures::stream::unfold(from, |mut from| async move {
            let bytes = from.recv().await?;
            Some((Ok(Frame::data(bytes)), from))
        });
        let mut response = Response::new(BodyExt::boxed(StreamBody::new(stream)));
        let plain = header::HeaderValue::from_static("text/plain");
        response.headers_mut().insert(header::CONTENT_TYPE, plain);
        response
    }

    fn log_options(&self, query: &[(String, String)]) -> Result<LogOptions, String> {
        let number = |key: &str| match first(query, key).filter(|value| !value.is_empty()) {
            None => Ok(None),
            Some(value) => {
                value.parse::<u64>().map(Some).map_err(|_| format!("{key}: {value:?} is not a count"))
            }
        };
        let since = match (number("sinceSeconds")?, first(query, "sinceTime").filter(|time| !time.is_empty()))
        {
            (Some(seconds), _) => Some(self.env.now() - SignedDuration::from_secs(seconds.cast_signed())),
            (None, Some(time)) => {
                Some(time.parse().map_err(|_| format!("sinceTime: {time:?} is not a time"))?)
            }
            (None, None) => None,
        };
        let stream = match first(query, "stream") {
            Some("Stdout") => Some(Stream::Stdout),
            Some("Stderr") => Some(Stream::Stderr),
            None | Some("" | "All") => None,
            Some(other) => return Err(format!("stream: {other:?} is not known")),
        };
        Ok(LogOptions {
            follow: flag(query, "follow"),
            tail_lines: number("tailLines")?,
            since,
            timestamps: flag(query, "timestamps"),
            limit_bytes: number("limitBytes")?,
            stream,
        })
    }
}

/// The id of the instance whose log is meant; else what is told instead, in upstream's words.
fn container_id(
    status: Option<&ContainerStatus>,
    container: &str,
    pod: &str,
    previous: bool,
) -> Result<String, String> {
    let status = status.ok_or_else(|| format!("container {container:?} in pod {pod:?} is not available"))?;
    let plain = |id: &str| id.split_once("://").map_or(id, |(_, id)| id).to_owned();
    let before = status.last_state.as_ref().and_then(|state| state.terminated.as_ref());
    let before = before.and_then(|ended| ended.container_id.as_deref()).filter(|id| !id.is_empty());
    if previous {
        return before
            .map(plain)
            .ok_or_else(|| format!("previous terminated container {container:?} in pod {pod:?} not found"));
    }
    let state = status.state.clone().unwrap_or_default();
    let own = status.container_id.as_deref().filter(|id| !id.is_empty());
    if state.running.is_some() || state.terminated.is_some() {
        return own.map(plain).ok_or_else(|| format!("container {container:?} in pod {pod:?} is terminated"));
    }
    if let Some(id) = before {
        return Ok(plain(id));
    }
    let reason = state.waiting.and_then(|waiting| waiting.reason).unwrap_or_default();
    let why = match reason.as_str() {
        "ErrImagePull" => "image can't be pulled".to_owned(),
        "ImagePullBackOff" => "trying and failing to pull image".to_owned(),
        _ => reason,
    };
    Err(format!("container {container:?} in pod {pod:?} is waiting to start: {why}"))
}
