//! Carries plans out, and waits until the informers have seen what was written.

use std::path::PathBuf;
use std::time::Duration;

use decapod_api::{Object, Revision, Status};
use decapod_client::{Client, ObjectInformer, ObjectKey, Options, Recorder, Reply, Request, Verb};
use decapod_sys::Env;
use futures::future::join_all;

use super::plan::{Action, Live, LiveRead, Note};
use super::{Informers, Write};

/// How long a write may take to show up, before it is taken as never to be seen (as upstream's expectations).
const SEEN_TIMEOUT: Duration = Duration::from_secs(5 * 60);

/// Acts as one controller.
pub(super) struct Executor {
    env: Env,
    client: Client,
    recorder: Recorder,
    informers: Informers,
}

/// What an informer has to show before the key goes on.
enum Awaited {
    Revision(ObjectInformer, Revision),
    /// That this object is gone or going.
    Gone(ObjectInformer, ObjectKey, String),
}

// === impl Executor ===

impl Executor {
    pub(super) fn new(env: &Env, client: Client, recorder: Recorder, informers: Informers) -> Executor {
        Executor { env: env.clone(), client, recorder, informers }
    }

    /// Answers `reads` into `live`.
    pub(super) async fn read(&self, reads: Vec<LiveRead>, live: &mut Live) -> Result<(), Status> {
        for read in reads {
            match &read {
                LiveRead::Object { resource, namespace, name, subresource } => {
                    let mut request = Request::new(Verb::Get, resource.clone());
                    (request.namespace, request.name) = (namespace.clone(), name.clone());
                    request.subresource = (*subresource).to_owned();
                    let object = match self.client.call_object(request).await {
                        Ok(object) => Some(object),
                        Err(status) if status.is_not_found() => None,
                        Err(status) => return Err(status),
                    };
                    live.answer(read, object);
                }
                LiveRead::List { resource, namespace } => {
                    let list =
                        self.client.list_resource(resource.clone(), namespace, Options::default()).await;
                    let items = match list {
                        Ok(list) => list.items,
                        Err(status) if matches!(status.code, 404 | 405) => Vec::new(),
                        Err(status) => return Err(status),
                    };
                    live.answer_list(read, items);
                }
                LiveRead::Review { resource, question } => {
                    let mut request = Request::new(Verb::Create, resource.clone());
                    request.body = question.clone().into();
                    let answer = self.client.call_object(request).await?;
                    live.answer(read, Some(answer));
                }
            }
        }
        Ok(())
    }

    /// Does `actions` in order, to the first that fails.
    pub(super) async fn run(&self, actions: Vec<Action>) -> Result<(), Status> {
        let mut awaited = Vec::new();
        let mut result = Ok(());
        for action in actions {
            result = match action {
                Action::Write(write) => self.write(*write).await.map(|seen| awaited.extend(seen)),
                Action::Parallel(writes) => self.batch(writes, &mut awaited).await,
                Action::SlowStart(writes) => self.slow_start(writes, &mut awaited).await,
                Action::Event(note) => {
                    self.say(note, "", "");
                    Ok(())
                }
                Action::Remove(path) => self.remove(path).await,
            };
            if result.is_err() {
                break;
            }
        }
        let seen = join_all(awaited.iter().map(Awaited::wait));
        if tokio::time::timeout(SEEN_TIMEOUT, seen).await.is_err() {
            tracing::warn!("writes are not seen by the informers; going on without");
        }
        result
    }

    async fn remove(&self, path: PathBuf) -> Result<(), Status> {
        let removed = self.env.spawn_blocking(move || std::fs::remove_dir_all(path)).await;
        match removed {
            Some(Err(error)) if error.kind() != std::io::ErrorKind::NotFound => {
                let message = error.to_string();
                Err(Status { status: "Failure".into(), code: 500, message, ..Status::default() })
            }
            _ => Ok(()),
        }
    }

    /// All of `writes` at once; the first failure counts.
    async fn batch(&self, writes: Vec<Write>, awaited: &mut Vec<Awaited>) -> Result<(), Status> {
        let mut result = Ok(());
        for outcome in join_all(writes.into_iter().map(|write| self.write(write))).await {
            match outcome {
                Ok(seen) => awaited.extend(seen),
                Err(status) if result.is_ok() => result = Err(status),
                Err(_) => {}
            }
        }
        result
    }

    async fn slow_start(&self, mut writes: Vec<Write>, awaited: &mut Vec<Awaited>) -> Result<(), Status> {
        let mut size = 1;
        while !writes.is_empty() {
            let rest = writes.split_off(size.min(writes.len()));
            self.batch(writes, awaited).await?;
            writes = rest;
            size *= 2;
        }
        Ok(())
    }

    async fn write(&self, write: Write) -> Result<Option<Awaited>, Status> {
        let Write { request, tolerated, done, failed } = write;
        let informer = self.informers.started(&request.resource);
        let key = ObjectKey::new(request.namespace.as_str(), request.name.as_str());
        let gone = (request.verb == Verb::Delete)
            .then(|| informer.as_ref()?.object(&key.namespace, &key.name))
            .flatten()
            .map(|object| object.uid().into_owned());
        let name = request.name.clone();
        match self.client.call(request).await {
            Ok(reply) => {
                let name = if name.is_empty() { name_of(&reply) } else { name };
                if let Some(note) = done {
                    self.say(note, &name, "");
                }
                Ok(informer.and_then(|informer| awaited(informer, reply, key, gone)))
            }
            Err(status) if tolerated.contains(&status.reason.as_str()) || is_terminating(&status) => Ok(None),
            Err(status) => {
                // That somebody else was faster is no failure to tell people of.
                if let Some(note) = failed.filter(|_| !status.is_already_exists()) {
                    self.say(note, &name, &status.message);
                }
                Err(status)
            }
        }
    }

    fn say(&self, note: Note, name: &str, error: &str) {
        let message = note.message.replace("{name}", name).replace("{error}", error);
        self.recorder.event(&note.about, note.kind, note.reason, message);
    }
}

fn name_of(reply: &Reply) -> String {
    match reply {
        Reply::Object(object) => object.name().into_owned(),
        _ => String::new(),
    }
}

fn awaited(informer: ObjectInformer, reply: Reply, key: ObjectKey, gone: Option<String>) -> Option<Awaited> {
    match (reply, gone) {
        (_, Some(uid)) => Some(Awaited::Gone(informer, key, uid)),
        (Reply::Object(object), None) if object.revision() > 0 => {
            Some(Awaited::Revision(informer, object.revision()))
        }
        _ => None,
    }
}

/// Whether a create was refused because its namespace goes away, so that there is nothing left to do.
fn is_terminating(status: &Status) -> bool {
    let causes = status.details.iter().flat_map(|details| &details.causes);
    causes.into_iter().any(|cause| cause.reason == "NamespaceTerminating")
}

// === impl Awaited ===

impl Awaited {
    async fn wait(&self) {
        match self {
            Awaited::Revision(informer, revision) => {
                informer.until(|informer| informer.revision() >= *revision).await
            }
            Awaited::Gone(informer, key, uid) => {
                let going = |object: Object| {
                    object.uid() != uid.as_str() || object.raw(&["metadata", "deletionTimestamp"]).is_some()
                };
                informer.until(|informer| informer.object(&key.namespace, &key.name).is_none_or(going)).await;
            }
        }
    }
}
