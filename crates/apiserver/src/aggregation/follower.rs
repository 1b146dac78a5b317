//! Follows the APIServices: those of this server are made and kept, and each of another gets a worker
//! (k8s.io/kube-aggregator/pkg/apiserver, `APIServiceRegistrationController`).

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use decapod_api::{Object, Revision, Status, Value};
use decapod_client::{Request, Verb};
use decapod_store::At;
use decapod_sys::watch;
use futures::future;

use super::api_service::{ApiService, Condition};
use super::registered::Registered;
use super::registration::{self, Step, Wanted};
use super::remote::Remote;
use super::{GROUP, PLURAL, availability, worker};
use crate::registry::{Media, Rows};
use crate::server::Server;

/// What is followed.
struct Follower {
    server: Arc<Server>,
    rows: watch::Receiver<Rows>,
    wanted: BTreeMap<String, Wanted>,
    /// Those that this server has decided about.
    settled: BTreeSet<String>,
    /// Those that there were at its start.
    at_start: BTreeSet<String>,
    /// What the workers of those that others serve are told.
    workers: BTreeMap<String, watch::Sender<Arc<ApiService>>>,
}

/// Registers what is served now, and follows changes for as long as the server's surroundings last.
pub async fn start(server: &Arc<Server>) -> Result<(), Status> {
    let mut first = Some(Follower::load(server).await?);
    let server = server.clone();
    server.env().clone().supervise("apiservices", move || {
        let (loaded, server) = (first.take(), server.clone());
        async move {
            let loaded = match loaded {
                Some(loaded) => Ok(loaded),
                None => Follower::load(&server).await,
            };
            let ended = match loaded {
                Ok((mut follower, after)) => follower.run(after).await,
                Err(status) => Err(status),
            };
            if let Err(status) = ended {
                tracing::warn!(%status, "following APIServices; beginning anew");
            }
        }
    });
    Ok(())
}

// === impl Follower ===

impl Follower {
    /// Everything that is registered, and the revision up to which that is so.
    async fn load(server: &Arc<Server>) -> Result<(Follower, Revision), Status> {
        let registry = &server.registry;
        let prefix = prefix(server)?;
        let snapshot = registry.store().snapshot(&prefix, At::Latest).await.map_err(Status::internal)?;
        let mut rows = registry.kinds().follow();
        let wanted = registration::wanted(&rows.borrow_and_update());
        let mut follower = Follower {
            server: server.clone(),
            rows,
            wanted,
            settled: BTreeSet::new(),
            at_start: snapshot.iter().map(|(_, object)| object.name().into_owned()).collect(),
            workers: BTreeMap::new(),
        };
        server.aggregator.change(|known| *known = Default::default());
        for (_, object) in snapshot.iter() {
            follower.see(object).await?;
        }
        let names: BTreeSet<String> = follower.wanted.keys().chain(&follower.at_start).cloned().collect();
        // At once, so that they are made durable together.
        let settled = future::try_join_all(names.iter().map(|name| follower.act(name))).await?;
        follower.settled = settled.into_iter().flatten().collect();
        Ok((follower, snapshot.revision()))
    }

    async fn run(&mut self, after: Revision) -> Result<(), Status> {
        let prefix = prefix(&self.server)?;
        let expired = |_| Status::expired("the history of APIServices is gone");
        let mut cursor = self.server.registry.store().watch(&prefix, after).map_err(expired)?;
        loop {
            let names: Vec<String> = tokio::select! {
                biased;
                events = cursor.next() => {
                    let names: BTreeSet<String> =
                        events.map_err(expired)?.iter().map(|event| event.object.name().into_owned()).collect();
                    for name in &names {
                        // What counts is what is there now.
                        match self.server.registry.store().get(&format!("{prefix}{name}")) {
                            Some(object) => self.see(&object).await?,
                            None => self.forget(name),
                        }
                    }
                    names.into_iter().collect()
                }
                changed = self.rows.changed() => {
                    if changed.is_err() {
                        return Ok(());
                    }
                    let wanted = registration::wanted(&self.rows.borrow_and_update());
                    let before = std::mem::replace(&mut self.wanted, wanted);
                    let differs = |name: &&String| before.get(*name) != self.wanted.get(*name);
                    let names: BTreeSet<&String> = before.keys().chain(self.wanted.keys()).collect();
                    names.into_iter().filter(differs).cloned().collect()
                }
            };
            for name in names {
                let settled = self.act(&name).await?;
                self.settled.extend(settled);
            }
        }
    }

    /// Takes notice of an APIService.
    async fn see(&mut self, object: &Object) -> Result<(), Status> {
        let object: Value = serde_json::from_slice(object.body()).map_err(Status::internal)?;
        let service = Arc::new(ApiService::read(&object));
        let name = service.name.clone();
        let before = self.server.aggregator.known().named(&name).cloned();
        let Some(reference) = &service.reference else {
            self.workers.remove(&name);
            self.server.aggregator.change(|known| {
                known.put(Arc::new(Registered { service: (*service).clone(), remote: None }));
            });
            if service.condition != Some(Condition::local()) {
                availability::write(&self.server, &service, &Condition::local()).await?;
            }
            return Ok(());
        };
        let same = before.as_ref().filter(|before| before.service.uid == service.uid);
        let same = same.and_then(|before| before.remote.clone());
        let same = same.filter(|remote| remote.reference == *reference);
        let is_new = same.is_none();
        let remote = same
            .unwrap_or_else(|| Arc::new(Remote::new(reference.clone(), self.server.aggregator.identity())));
        self.server.aggregator.change(|known| {
            let service = (*service).clone();
            known.put(Arc::new(Registered { service, remote: Some(remote.clone()) }));
        });
        match self.workers.get(&name).filter(|_| !is_new) {
            Some(worker) => drop(worker.send_replace(service)),
            None => {
                let sender = watch::Sender::new(service);
                let task = worker::run(self.server.clone(), remote, sender.subscribe());
                self.server.env().spawn("apiservice", task);
                self.workers.insert(name, sender);
            }
        }
        Ok(())
    }

    fn forget(&mut self, name: &str) {
        self.workers.remove(name);
        self.server.aggregator.change(|known| known.remove(name));
    }

    /// Does what is to be done about an APIService; its name, once that is decided.
    async fn act(&self, name: &str) -> Result<Option<String>, Status> {
        let known = self.server.aggregator.known();
        let (current, wanted) =
            (known.named(name).map(|registered| &registered.service), self.wanted.get(name));
        let (was_settled, at_start) = (self.settled.contains(name), self.at_start.contains(name));
        let step = registration::decide(current, wanted, was_settled, at_start);
        let done = match (step, current, wanted) {
            (Step::Create, _, Some(wanted)) => self.ask(Verb::Create, "", &wanted.object(name)).await,
            (Step::Update, _, Some(wanted)) => {
                let spec = wanted.spec();
                availability::change(&self.server, name, None, "", |object| {
                    object.set_at(&["spec"], spec.clone());
                })
                .await
            }
            (Step::Delete, Some(current), _) => {
                let mut options = Value::map();
                options.set_at(&["preconditions", "uid"], current.uid.as_str());
                self.ask(Verb::Delete, name, &options).await
            }
            _ => Ok(()),
        };
        match done {
            // Somebody was there before; their event brings us back.
            Err(status) if status.is_not_found() || status.code == 409 => Ok(None),
            done => done.map(|()| Some(name.to_owned())),
        }
    }

    async fn ask(&self, verb: Verb, name: &str, body: &Value) -> Result<(), Status> {
        let registry = &self.server.registry;
        let row = registry.kinds().find(GROUP, PLURAL).ok_or_else(Status::no_such_path)?;
        let request = Request {
            name: name.to_owned(),
            body: serde_json::to_vec(body).map_err(Status::internal)?.into(),
            ..Request::new(verb, row.preferred())
        };
        registry.handle(&super::context(), request, Media::Json).await.map(drop)
    }
}

/// Under which APIServices are kept.
fn prefix(server: &Server) -> Result<String, Status> {
    let row = server.registry.kinds().find(GROUP, PLURAL).ok_or_else(Status::no_such_path)?;
    Ok(row.prefix_in(""))
}
