//! Services against the machine's own kernel: real pods, a real API in miniature, real sockets.

#[path = "../../network/tests/support/mod.rs"]
mod support;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use decapod_api::{Object, Status};
use decapod_client::{Client, List, Reply, Request, Transport, Verb, WatchEvent};
use decapod_proxy::{Kernel, Proxy, ProxyConfig, uninstall};
use decapod_sys::Env;
use decapod_sys::conntrack::FakeConntrack;
use decapod_sys::nftables::NftablesRecorder;
use futures::StreamExt;
use futures::future::BoxFuture;
use serde_json::{Value, json};
use support::{NODE, OUTSIDE, OUTSIDE6, Pod, World, ask, ask_udp, is_root, serve, udp_socket};
use tokio::sync::broadcast;

/// An API server that knows three resources and what tests put there.
struct Api {
    objects: Mutex<BTreeMap<(String, String), Value>>,
    events: broadcast::Sender<(String, u64, WatchEvent)>,
    revision: std::sync::atomic::AtomicU64,
}

impl Api {
    fn new() -> Arc<Api> {
        let revision = std::sync::atomic::AtomicU64::new(1);
        Arc::new(Api { objects: Mutex::default(), events: broadcast::channel(1000).0, revision })
    }

    fn put(&self, resource: &str, name: &str, mut object: Value) {
        let revision = self.revision.fetch_add(1, Ordering::SeqCst) + 1;
        object["metadata"]["name"] = json!(name);
        object["metadata"]["resourceVersion"] = json!(revision.to_string());
        let key = (resource.to_owned(), name.to_owned());
        let old = self.objects.lock().expect("lock").insert(key, object.clone());
        let object = encode(&object);
        let event = if old.is_some() { WatchEvent::Modified(object) } else { WatchEvent::Added(object) };
        drop(self.events.send((resource.to_owned(), revision, event)));
    }

    fn delete(&self, resource: &str, name: &str) {
        let revision = self.revision.fetch_add(1, Ordering::SeqCst) + 1;
        let key = (resource.to_owned(), name.to_owned());
        let mut object = self.objects.lock().expect("lock").remove(&key).expect("object");
        object["metadata"]["resourceVersion"] = json!(revision.to_string());
        drop(self.events.send((resource.to_owned(), revision, WatchEvent::Deleted(encode(&object)))));
    }

    /// A service, as `kubectl` would write its `spec`.
    fn service(&self, name: &str, spec: Value) {
        self.put("services", name, json!({ "metadata": { "namespace": "default" }, "spec": spec }));
    }

    /// The service's endpoints: one slice, all ready unless they say otherwise.
    fn endpoints(&self, service: &str, protocol: &str, port: u16, pods: &[(&Pod, &str)]) {
        let endpoints: Vec<Value> = pods
            .iter()
            .map(|(pod, rest)| {
                let ready = !rest.contains("terminating");
                json!({
                    "addresses": [pod.ip()],
                    "conditions": { "ready": ready, "serving": true, "terminating": !ready },
                    "nodeName": if rest.contains("there") { "there" } else { "here" },
                })
            })
            .collect();
        let labels = json!({ "kubernetes.io/service-name": service });
        let slice = json!({
            "metadata": { "namespace": "default", "labels": labels },
            "addressType": "IPv4",
            "endpoints": endpoints,
            "ports": [{ "name": "", "protocol": protocol, "port": port }],
        });
        self.put("endpointslices", &format!("{service}-1"), slice);
    }
}

fn encode(object: &Value) -> Object {
    let revision = object["metadata"]["resourceVersion"].as_str().expect("revision").parse().expect("number");
    Object::new(object.to_string().into(), revision)
}

impl Transport for Api {
    fn call(&self, request: Request) -> BoxFuture<'_, Result<Reply, Status>> {
        let resource = request.resource.resource.to_string();
        let answer = match request.verb {
            Verb::List => {
                let objects = self.objects.lock().expect("lock");
                let items =
                    objects.iter().filter(|((of, _), _)| *of == resource).map(|(_, object)| encode(object));
                let revision = self.revision.load(Ordering::SeqCst);
                Reply::List(List { items: items.collect(), revision, ..List::default() })
            }
            _ => {
                let after: u64 = request.options.resource_version.expect("revision").parse().expect("number");
                let missed = self.revision.load(Ordering::SeqCst) != after;
                assert!(!missed, "tests change nothing before the proxy is synced");
                let stream = tokio_stream(self.events.subscribe());
                Reply::Watch(
                    stream
                        .filter_map(move |(of, _, event)| {
                            let event = (of == resource).then_some(event);
                            async move { event }
                        })
                        .boxed(),
                )
            }
        };
        Box::pin(async move { Ok(answer) })
    }
}

fn tokio_stream<T: Clone + Send + 'static>(
    receiver: broadcast::Receiver<T>,
) -> impl futures::Stream<Item = T> {
    futures::stream::unfold(
        receiver,
        |mut receiver| async move { Some((receiver.recv().await.ok()?, receiver)) },
    )
}

struct Cluster {
    world: World,
    api: Arc<Api>,
    proxy: Proxy,
    kernel: Kernel,
    config: ProxyConfig,
    env: Env,
    runtime: tokio::runtime::Runtime,
}

impl Cluster {
    fn new() -> Cluster {
        let world = World::new();
        let network = world.kernel();
        world
            .node
            .run(|| {
                let ledger = decapod_network::plan(&network, &world.config);
                decapod_network::ensure(&network, &world.config, &ledger).expect("network");
            })
            .expect("node");
        let kernel = world.node.run(|| Kernel::system().expect("kernel")).expect("node");
        let config = ProxyConfig::new(
            "test",
            "here",
            world.config.cluster_cidrs.clone(),
            world.config.service_cidrs.clone(),
        );
        let api = Api::new();
        let addresses = json!([{ "type": "InternalIP", "address": NODE }, { "type": "InternalIP", "address": "2001:db8::1" }]);
        api.put("nodes", "here", json!({ "metadata": {}, "status": { "addresses": addresses } }));
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .expect("runtime");
        let (env, client) = (Env::system(), Client::new(api.clone()));
        let proxy = runtime.block_on(async { Proxy::start(&env, &client, config.clone(), kernel.clone()) });
        runtime.block_on(async {
            tokio::time::timeout(Duration::from_secs(10), proxy.synced()).await.expect("synced");
        });
        Cluster { world, api, proxy, kernel, config, env, runtime }
    }

    fn pause(&self, ms: u64) {
        self.runtime.block_on(async { tokio::time::sleep(Duration::from_millis(ms)).await });
    }

    /// Waits until `check` holds.
    fn until(&self, what: &str, check: impl Fn() -> bool) {
        for _ in 0..200 {
            if check() {
                return;
            }
            self.pause(10);
        }
        panic!("{what} did not come about");
    }

    /// Makes changes and waits until the kernel knows them.
    fn change(&self, change: impl FnOnce(&Api)) {
        let before = self.proxy.metrics().syncs.load(Ordering::SeqCst);
        change(&self.api);
        self.until("a sync", || self.proxy.metrics().syncs.load(Ordering::SeqCst) > before);
        // Several changes may take several syncs.
        self.pause(50);
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        self.runtime.block_on(self.env.shutdown());
    }
}

/// Who answers, without whom they saw.
fn who(answer: &str) -> String {
    answer.split(' ').next().unwrap_or_default().to_owned()
}

fn answers(ask: impl Fn() -> String) -> BTreeSet<String> {
    (0..24).map(|_| who(&ask())).collect()
}

fn set(names: &[&str]) -> BTreeSet<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

fn port(protocol: &str, node_port: u16) -> Value {
    json!([{ "name": "", "protocol": protocol, "port": 80, "targetPort": 80, "nodePort": node_port }])
}

/// Whoever looks with the distribution's `nft` has to be able to read what is there.
fn nft_reads(world: &World) {
    let listed = world.node.run(|| std::process::Command::new("nft").args(["list", "ruleset"]).output());
    match listed.expect("node") {
        Err(error) => println!("not looked at with nft: {error}"),
        Ok(listed) => {
            let (text, errors) =
                (String::from_utf8_lossy(&listed.stdout), String::from_utf8_lossy(&listed.stderr));
            assert!(listed.status.success(), "{errors}");
            assert!(text.contains("chain dispatch"), "{text}");
        }
    }
}

#[test]
fn services_are_reached_every_way() {
    if !is_root() {
        return;
    }
    let cluster = Cluster::new();
    let world = &cluster.world;
    let (a, b, client) =
        (world.pod("a", &json!([])), world.pod("b", &json!([])), world.pod("client", &json!([])));
    a.serve(80);
    b.serve(80);
    cluster.change(|api| {
        api.service("web", json!({ "type": "NodePort", "clusterIP": "10.43.0.1", "ports": port("TCP", 30080), "externalIPs": ["198.51.100.1"] }));
        api.endpoints("web", "TCP", 80, &[(&a, ""), (&b, "")]);
    });
    let both = set(&["a", "b"]);
    // A pod and the node itself, by cluster address; the pod's source is kept.
    assert_eq!(answers(|| ask(&client.namespace, "10.43.0.1:80")), both);
    assert!(ask(&client.namespace, "10.43.0.1:80").ends_with(&client.ip().to_string()));
    assert_eq!(answers(|| ask(&world.node, "10.43.0.1:80")), both);
    // A pod that reaches itself.
    assert_eq!(answers(|| ask(&a.namespace, "10.43.0.1:80")), both);
    // From outside and from the node by node port; not at loopback addresses.
    assert_eq!(answers(|| ask(&world.outside, &format!("{NODE}:30080"))), both);
    assert!(ask(&world.outside, &format!("{NODE}:30080")).ends_with("10.42.0.1"));
    assert_eq!(answers(|| ask(&world.node, &format!("{NODE}:30080"))), both);
    assert_eq!(answers(|| ask(&client.namespace, &format!("{NODE}:30080"))), both);
    assert_eq!(ask(&world.node, "127.0.0.1:30080"), "refused");
    // From outside by cluster address (a router that knows us) and by external address.
    assert_eq!(answers(|| ask(&world.outside, "10.43.0.1:80")), both);
    assert!(ask(&world.outside, "10.43.0.1:80").ends_with("10.42.0.1"));
    assert_eq!(answers(|| ask(&world.outside, "198.51.100.1:80")), both);
    // A port that the service does not have; an address that no service has.
    assert_eq!(ask(&client.namespace, "10.43.0.1:81"), "refused");
    assert_eq!(ask(&world.node, "10.43.0.1:81"), "refused");
    assert_eq!(ask(&client.namespace, "10.43.9.9:9"), "silent");
    nft_reads(world);
    // One endpoint less, then none, then none of the service.
    cluster.change(|api| api.endpoints("web", "TCP", 80, &[(&b, "")]));
    assert_eq!(answers(|| ask(&client.namespace, "10.43.0.1:80")), set(&["b"]));
    cluster.change(|api| api.endpoints("web", "TCP", 80, &[]));
    for from in [&client.namespace, &world.node] {
        assert_eq!(ask(from, "10.43.0.1:80"), "refused");
        assert_eq!(ask(from, &format!("{NODE}:30080")), "refused");
    }
    assert_eq!(ask(&world.outside, &format!("{NODE}:30080")), "refused");
    cluster.change(|api| api.endpoints("web", "TCP", 80, &[(&a, "terminating")]));
    assert_eq!(
        answers(|| ask(&client.namespace, "10.43.0.1:80")),
        set(&["a"]),
        "an ending one when there is no other"
    );
    cluster.change(|api| api.delete("services", "web"));
    assert_eq!(ask(&client.namespace, "10.43.0.1:9"), "silent");
}

#[test]
fn traffic_policies_hold() {
    if !is_root() {
        return;
    }
    let cluster = Cluster::new();
    let world = &cluster.world;
    let (a, b, client) =
        (world.pod("a", &json!([])), world.pod("b", &json!([])), world.pod("client", &json!([])));
    a.serve(80);
    b.serve(80);
    let spec = json!({ "type": "NodePort", "clusterIP": "10.43.0.1", "ports": port("TCP", 30080), "externalTrafficPolicy": "Local" });
    cluster.change(|api| {
        api.service("web", spec);
        api.endpoints("web", "TCP", 80, &[(&a, ""), (&b, "there")]);
    });
    let node_port = format!("{NODE}:30080");
    assert_eq!(answers(|| ask(&world.outside, &node_port)), set(&["a"]));
    assert_eq!(ask(&world.outside, &node_port), format!("a {OUTSIDE}"), "the source is kept");
    assert_eq!(answers(|| ask(&client.namespace, &node_port)), set(&["a", "b"]), "inside goes anywhere");
    assert_eq!(answers(|| ask(&world.node, &node_port)), set(&["a", "b"]));
    cluster.change(|api| api.endpoints("web", "TCP", 80, &[(&b, "there")]));
    assert_eq!(ask(&world.outside, &node_port), "silent");
    assert_eq!(answers(|| ask(&client.namespace, &node_port)), set(&["b"]));
    // The inside's policy.
    cluster.change(|api| {
        api.service(
            "web",
            json!({ "clusterIP": "10.43.0.1", "ports": port("TCP", 0), "internalTrafficPolicy": "Local" }),
        );
    });
    assert_eq!(ask(&client.namespace, "10.43.0.1:80"), "silent");
    cluster.change(|api| api.endpoints("web", "TCP", 80, &[(&a, ""), (&b, "there")]));
    assert_eq!(answers(|| ask(&client.namespace, "10.43.0.1:80")), set(&["a"]));
    // A load balancer that is not for everybody.
    let ranges = |range: &str| {
        json!({
            "metadata": { "namespace": "default" },
            "spec": { "type": "LoadBalancer", "clusterIP": "10.43.0.1", "ports": port("TCP", 0), "loadBalancerSourceRanges": [range] },
            "status": { "loadBalancer": { "ingress": [{ "ip": "198.51.100.2" }] } },
        })
    };
    cluster.change(|api| api.put("services", "web", ranges("203.0.113.0/24")));
    assert_eq!(ask(&world.outside, "198.51.100.2:80"), "silent");
    cluster.change(|api| api.put("services", "web", ranges("192.0.2.0/24")));
    assert_eq!(answers(|| ask(&world.outside, "198.51.100.2:80")), set(&["a", "b"]));
}

#[test]
fn clients_stay_with_their_endpoint() {
    if !is_root() {
        return;
    }
    let cluster = Cluster::new();
    let world = &cluster.world;
    let pods: Vec<Pod> = (0..4).map(|n| world.pod(&format!("p{n}"), &json!([]))).collect();
    pods.iter().for_each(|pod| pod.serve(80));
    let clients: Vec<Pod> = (0..6).map(|n| world.pod(&format!("c{n}"), &json!([]))).collect();
    let spec = |seconds: u32| {
        json!({
            "type": "NodePort", "clusterIP": "10.43.0.1", "ports": port("TCP", 30080), "sessionAffinity": "ClientIP",
            "sessionAffinityConfig": { "clientIP": { "timeoutSeconds": seconds } },
        })
    };
    let all: Vec<(&Pod, &str)> = pods.iter().map(|pod| (pod, "")).collect();
    cluster.change(|api| {
        api.service("web", spec(60));
        api.endpoints("web", "TCP", 80, &all);
    });
    let mut chosen = BTreeSet::new();
    for client in &clients {
        let one = answers(|| ask(&client.namespace, "10.43.0.1:80"));
        assert_eq!(one.len(), 1, "{one:?}");
        chosen.extend(one);
    }
    assert!(chosen.len() > 1, "six clients chose one of four endpoints");
    assert_eq!(answers(|| ask(&world.outside, &format!("{NODE}:30080"))).len(), 1);

    nft_reads(world);
    // The endpoint goes: the client goes elsewhere and stays there, also when the first comes back.
    let first = who(&ask(&clients[0].namespace, "10.43.0.1:80"));
    let others: Vec<(&Pod, &str)> = all.iter().filter(|(pod, _)| pod.name != first).copied().collect();
    cluster.change(|api| api.endpoints("web", "TCP", 80, &others));
    let second = answers(|| ask(&clients[0].namespace, "10.43.0.1:80"));
    assert!(second.len() == 1 && !second.contains(&first), "{first} then {second:?}");
    cluster.change(|api| api.endpoints("web", "TCP", 80, &all));
    assert_eq!(answers(|| ask(&clients[0].namespace, "10.43.0.1:80")), second);
    // Without affinity, and with one that soon ends.
    cluster.change(|api| api.service("web", json!({ "clusterIP": "10.43.0.1", "ports": port("TCP", 0) })));
    assert!(answers(|| ask(&clients[0].namespace, "10.43.0.1:80")).len() > 1);
    cluster.change(|api| api.service("web", spec(1)));
    assert_eq!(answers(|| ask(&clients[1].namespace, "10.43.0.1:80")).len(), 1);
    let later = || {
        cluster.pause(1500);
        who(&ask(&clients[1].namespace, "10.43.0.1:80"))
    };
    assert!((0..8).map(|_| later()).collect::<BTreeSet<String>>().len() > 1, "the choice never ended");
}

#[test]
fn udp_follows_its_endpoints() {
    if !is_root() {
        return;
    }
    let cluster = Cluster::new();
    let world = &cluster.world;
    let (a, b, client) =
        (world.pod("a", &json!([])), world.pod("b", &json!([])), world.pod("client", &json!([])));
    a.serve(80);
    b.serve(80);
    cluster.change(|api| {
        api.service(
            "dns",
            json!({ "type": "NodePort", "clusterIP": "10.43.0.10", "ports": port("UDP", 30053) }),
        );
    });
    let (inside, outside) = (udp_socket(&client.namespace), udp_socket(&world.outside));
    let (address, node_port) = ("10.43.0.10:80", format!("{NODE}:30053"));
    assert_eq!(ask_udp(&inside, address), "silent");
    // The same sockets go on: their flows have to move with the endpoints.
    for (pod, name) in [(&a, "a"), (&b, "b"), (&a, "a")] {
        cluster.change(|api| api.endpoints("dns", "UDP", 80, &[(pod, "")]));
        cluster.until("an answer", || who(&ask_udp(&inside, address)) == name);
        assert_eq!(who(&ask_udp(&outside, &node_port)), name);
    }
    assert!(cluster.proxy.metrics().flows_forgotten.load(Ordering::SeqCst) >= 4);
    // A flow stays where it is while its endpoint serves.
    cluster.change(|api| api.endpoints("dns", "UDP", 80, &[(&a, ""), (&b, "")]));
    assert_eq!(answers(|| ask_udp(&inside, address)), set(&["a"]));
}

#[test]
fn six_works_as_four() {
    if !is_root() {
        return;
    }
    let cluster = Cluster::new();
    let world = &cluster.world;
    let (a, client) = (world.pod("a", &json!([])), world.pod("client", &json!([])));
    a.serve(80);
    serve(&world.outside, "outside", "::", 80);
    let spec = json!({
        "type": "NodePort", "clusterIP": "fd43::1", "clusterIPs": ["fd43::1", "10.43.0.1"], "ports": port("TCP", 30080),
        "sessionAffinity": "ClientIP", "ipFamilies": ["IPv6", "IPv4"],
    });
    let slice = json!({
        "metadata": { "namespace": "default", "labels": { "kubernetes.io/service-name": "web" } },
        "addressType": "IPv6",
        "endpoints": [{ "addresses": [a.addresses[1]], "nodeName": "here" }],
        "ports": [{ "name": "", "protocol": "TCP", "port": 80 }],
    });
    cluster.change(|api| {
        api.service("web", spec);
        api.put("endpointslices", "web-6", slice);
    });
    assert_eq!(answers(|| ask(&client.namespace, "[fd43::1]:80")), set(&["a"]));
    assert_eq!(answers(|| ask(&a.namespace, "[fd43::1]:80")), set(&["a"]), "a pod that reaches itself");
    assert_eq!(answers(|| ask(&world.node, "[fd43::1]:80")), set(&["a"]));
    assert_eq!(answers(|| ask(&world.outside, "[2001:db8::1]:30080")), set(&["a"]));
    assert_eq!(ask(&client.namespace, "10.43.0.1:80"), "refused", "no endpoints of that family");
    assert_eq!(ask(&client.namespace, "[fd43::1]:81"), "refused");
    assert_eq!(who(&ask(&a.namespace, &format!("[{OUTSIDE6}]:80"))), "outside");
}

#[test]
fn a_refused_sync_is_tried_again() {
    let (nftables, conntrack) = (Arc::new(NftablesRecorder::default()), Arc::new(FakeConntrack::default()));
    let kernel = Kernel { nftables: nftables.clone(), conntrack };
    let api = Api::new();
    api.put("nodes", "here", json!({ "metadata": {} }));
    api.service("web", json!({ "clusterIP": "10.43.0.1", "ports": port("TCP", 0) }));
    let cidr = |text: &str| vec![text.parse().expect("network")];
    let config = ProxyConfig::new("", "here", cidr("10.42.0.0/16"), cidr("10.43.0.0/16"));
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
    runtime.expect("runtime").block_on(async {
        let env = Env::system();
        nftables.refuse(2);
        let proxy = Proxy::start(&env, &Client::new(api.clone()), config, kernel);
        proxy.synced().await;
        assert_eq!(proxy.metrics().failures.load(Ordering::SeqCst), 2);
        // A change that is refused ends in the whole table anew.
        nftables.refuse(1);
        api.service("more", json!({ "clusterIP": "10.43.0.2", "ports": port("TCP", 0) }));
        while proxy.metrics().full_syncs.load(Ordering::SeqCst) < 2 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        assert!(nftables.ruleset().contains("10.43.0.2 . tcp . 80"), "{}", nftables.ruleset());
        env.shutdown().await;
    });
}

#[test]
fn a_restart_and_the_end_leave_order() {
    if !is_root() {
        return;
    }
    let cluster = Cluster::new();
    let world = &cluster.world;
    let (a, client) = (world.pod("a", &json!([])), world.pod("client", &json!([])));
    a.serve(80);
    cluster.change(|api| {
        api.service("web", json!({ "clusterIP": "10.43.0.1", "ports": port("TCP", 0) }));
        api.endpoints("web", "TCP", 80, &[(&a, "")]);
    });
    assert_eq!(who(&ask(&client.namespace, "10.43.0.1:80")), "a");
    // Another proxy of the same node takes the table over.
    let client_of_api = Client::new(cluster.api.clone());
    let again = cluster.runtime.block_on(async {
        let proxy =
            Proxy::start(&cluster.env, &client_of_api, cluster.config.clone(), cluster.kernel.clone());
        proxy.synced().await;
        proxy
    });
    assert_eq!(again.metrics().full_syncs.load(Ordering::SeqCst), 2, "one for each family");
    assert_eq!(who(&ask(&client.namespace, "10.43.0.1:80")), "a");
    uninstall(&*cluster.kernel.nftables, &cluster.config).expect("uninstall");
    uninstall(&*cluster.kernel.nftables, &cluster.config).expect("twice is fine");
    let left = cluster.kernel.nftables.tables().expect("tables");
    assert!(left.iter().all(|(_, name)| *name == world.config.table), "{left:?}");
}
