//! Definitions and what they define, on a server in memory under paused time.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use decapod_api::meta::GroupVersionResource;
use decapod_api::{Status, Value, value};
use decapod_client::{Reply, Request, Verb, WatchEvent};
use decapod_store::disk::FakeDisk;
use decapod_store::disk::fake::Loss;
use decapod_store::{Config as StoreConfig, Place, Store};
use decapod_sys::Env;
use futures::StreamExt;

use crate::identity::User;
use crate::pki::Pki;
use crate::registry::{Context, Media, Registry, Rows};
use crate::server::{Config, Server};

const NAME: &str = "ducks.pond.example.com";

struct Pond {
    env: Env,
    disk: Arc<FakeDisk>,
    registry: Arc<Registry>,
}

impl Pond {
    async fn over(env: Env, disk: Arc<FakeDisk>) -> Pond {
        let config = Config {
            data_dir: PathBuf::new(),
            listen: SocketAddr::from(([127, 0, 0, 1], 6443)),
            hosts: Vec::new(),
            service_cidr: (Ipv4Addr::new(10, 43, 0, 0), 16),
            node_ports: 30000..=32767,
            cluster_domain: "cluster.local".to_owned(),
            advertise: Ipv4Addr::LOCALHOST,
            admission: crate::admission::Settings::default(),
        };
        let store = Store::open(StoreConfig::new(Place::Disk(disk.clone())), &env).await.expect("store");
        let pki = Arc::new(Pki::simulated(&env).expect("keys"));
        let server = Server::over(&env, config, pki, store).await.expect("server");
        Pond { env, disk, registry: server.registry().clone() }
    }

    async fn new() -> Pond {
        Pond::over(Env::simulated(1), Arc::new(FakeDisk::new(1))).await
    }

    async fn ask(&self, verb: Verb, path: (&str, &str), name: &str, body: &Value) -> Result<Reply, Status> {
        let (api_version, plural) = path;
        let (group, version) = api_version.split_once('/').expect("a group");
        let resource = GroupVersionResource::new(group.to_owned(), version.to_owned(), plural.to_owned());
        let request = Request {
            namespace: if plural == "ducks" { "default".to_owned() } else { String::new() },
            name: name.to_owned(),
            body: if body.is_null() { vec![].into() } else { serde_json::to_vec(body).expect("JSON").into() },
            ..Request::new(verb, resource)
        };
        let context = Context::new(User::new("admin", &["system:masters"]), "test");
        self.registry.handle(&context, request, Media::Json).await
    }

    async fn object(
        &self,
        verb: Verb,
        path: (&str, &str),
        name: &str,
        body: &Value,
    ) -> Result<Value, Status> {
        match self.ask(verb, path, name, body).await? {
            Reply::Object(object) => Ok(serde_json::from_slice(object.body()).expect("JSON")),
            Reply::Status(_) => Ok(Value::Null),
            _ => panic!("neither an object nor a status"),
        }
    }

    async fn define(&self, definition: &Value) -> Value {
        let made = self.object(Verb::Create, DEFINITIONS, "", definition).await.expect("definition");
        self.served(|rows| rows.iter().any(|row| row.plural == "ducks")).await;
        made
    }

    async fn served(&self, check: impl FnMut(&Rows) -> bool) {
        let mut rows = self.registry.kinds().follow();
        assert!(rows.wait_for(check).await.is_ok());
    }

    async fn definition(&self) -> Value {
        self.object(Verb::Get, DEFINITIONS, NAME, &Value::Null).await.expect("definition")
    }
}

const DEFINITIONS: (&str, &str) = ("apiextensions.k8s.io/v1", "customresourcedefinitions");
const V1: (&str, &str) = ("pond.example.com/v1", "ducks");
const V2: (&str, &str) = ("pond.example.com/v2", "ducks");

fn ducks() -> Value {
    let schema = |fields: Value| {
        let mut schema =
            value!({"openAPIV3Schema": {"type": "object", "properties": {"spec": {"type": "object"}}}});
        schema.set_at(&["openAPIV3Schema", "properties", "spec", "properties"], fields);
        schema
    };
    let mut definition = value!({
        "metadata": {"name": NAME},
        "spec": {"group": "pond.example.com", "scope": "Namespaced", "names": {"plural": "ducks", "kind": "Duck"},
            "versions": [{"name": "v1", "served": true, "storage": true, "subresources": {"status": {}}},
                {"name": "v2", "served": true, "storage": false}]},
    });
    let versions = definition.entry_at(&["spec", "versions"]).ensure_list();
    versions[0].set_at(
        &["schema"],
        schema(value!({"age": {"type": "integer", "default": 1}, "name": {"type": "string"}})),
    );
    versions[1].set_at(&["schema"], schema(value!({"name": {"type": "string"}})));
    definition
}

fn duck(name: &str) -> Value {
    value!({"metadata": {"name": name}, "spec": {"name": "Donald", "feathers": 3}})
}

#[tokio::test(start_paused = true)]
async fn a_definition_is_served_and_its_objects_have_its_form() {
    let pond = Pond::new().await;
    pond.define(&ducks()).await;
    let made = pond.object(Verb::Create, V1, "", &duck("a")).await.expect("duck");
    assert_eq!(made.get("spec"), Some(&value!({"name": "Donald", "age": 1})));
    let shown = pond.object(Verb::Get, V2, "a", &Value::Null).await.expect("duck");
    assert_eq!(shown.get("spec"), Some(&value!({"name": "Donald"})));
    let wrong = value!({"metadata": {"name": "b"}, "spec": {"age": "old"}});
    let refused = pond.object(Verb::Create, V1, "", &wrong).await.expect_err("refused");
    assert_eq!((refused.code, refused.reason.as_str()), (422, "Invalid"));
    // The other version knows of no age, so none is held against it.
    assert!(pond.object(Verb::Create, V2, "", &wrong).await.is_ok());
    pond.env.shutdown().await;
}

#[tokio::test(start_paused = true)]
async fn a_changed_schema_counts_for_what_was_written_before_and_ends_watches() {
    let pond = Pond::new().await;
    pond.define(&ducks()).await;
    pond.object(Verb::Create, V1, "", &duck("a")).await.expect("duck");
    let Reply::Watch(mut events) = pond.ask(Verb::Watch, V1, "", &Value::Null).await.expect("watch") else {
        panic!("no watch");
    };
    assert!(matches!(events.next().await, Some(WatchEvent::Added(_))));
    let mut definition = pond.definition().await;
    let versions = definition.entry_at(&["spec", "versions"]).ensure_list();
    let fields = value!({"color": {"type": "string", "default": "white"}, "name": {"type": "string"}});
    versions[0].set_at(&["schema", "openAPIV3Schema", "properties", "spec", "properties"], fields);
    pond.object(Verb::Update, DEFINITIONS, NAME, &definition).await.expect("changed");
    assert!(events.next().await.is_none(), "the watch ends with the row that it was of");
    let shown = pond.object(Verb::Get, V1, "a", &Value::Null).await.expect("duck");
    assert_eq!(shown.get("spec"), Some(&value!({"name": "Donald", "color": "white"})));
    pond.env.shutdown().await;
}

#[tokio::test(start_paused = true)]
async fn a_definition_goes_after_its_last_instance() {
    let pond = Pond::new().await;
    pond.define(&ducks()).await;
    let mut held = duck("held");
    held.set_at(&["metadata", "finalizers"], vec![Value::from("example.com/held")]);
    pond.object(Verb::Create, V1, "", &held).await.expect("duck");
    pond.object(Verb::Create, V1, "", &duck("free")).await.expect("duck");
    pond.object(Verb::Delete, DEFINITIONS, NAME, &Value::Null).await.expect("deleted");
    while pond.object(Verb::Get, V1, "free", &Value::Null).await.is_ok() {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let refused = pond.object(Verb::Create, V1, "", &duck("late")).await.expect_err("refused");
    assert_eq!(refused.code, 403, "{refused}");
    let mut held = pond.object(Verb::Get, V1, "held", &Value::Null).await.expect("held");
    held.remove_at(&["metadata", "finalizers"]);
    pond.object(Verb::Update, V1, "held", &held).await.expect("let go");
    pond.served(|rows| !rows.iter().any(|row| row.plural == "ducks")).await;
    let gone = pond.object(Verb::Get, DEFINITIONS, NAME, &Value::Null).await.expect_err("gone");
    assert!(gone.is_not_found());
    // A namesake begins anew.
    pond.define(&ducks()).await;
    assert!(pond.object(Verb::Create, V1, "", &duck("a")).await.is_ok());
    pond.env.shutdown().await;
}

#[tokio::test(start_paused = true)]
async fn a_restart_serves_what_was_defined() {
    let pond = Pond::new().await;
    pond.define(&ducks()).await;
    pond.object(Verb::Create, V1, "", &duck("a")).await.expect("duck");
    let disk = pond.disk.clone();
    pond.env.shutdown().await;
    drop(pond);
    disk.reboot(Loss::Everything);
    let pond = Pond::over(Env::simulated(2), disk).await;
    assert!(pond.object(Verb::Get, V1, "a", &Value::Null).await.is_ok());
    pond.env.shutdown().await;
}
