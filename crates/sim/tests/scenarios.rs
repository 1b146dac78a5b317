//! The scenarios from a few seeds, each twice. `DECAPOD_SIM_SEED=7` runs that seed alone, `DECAPOD_SIM_REWRITE=1` writes
//! what is shown into the files, `DECAPOD_SIM_TRACE=FILE` writes every request of one run down. Many seeds:
//! `cargo run --profile seeds -p decapod-sim --example sim_seeds`.

use std::path::PathBuf;

use decapod_sim::scenario::Scenario;
use decapod_sim::seeds;
use decapod_sys::planted::{Bug, plant};

fn path(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(format!("scenarios/{name}.txt"))
}

fn read(name: &str) -> Scenario {
    Scenario::parse(&std::fs::read_to_string(path(name)).expect("the scenario is there"))
}

fn check(name: &str, count: u64) {
    let scenario = read(name);
    let seed: Option<u64> =
        std::env::var("DECAPOD_SIM_SEED").ok().map(|seed| seed.parse().expect("a seed is a number"));
    if std::env::var_os("DECAPOD_SIM_REWRITE").is_some() {
        let (outcome, _) = scenario.run(0, false);
        println!("{:?}", outcome.failure);
        std::fs::write(path(name), outcome.text).expect("the scenario can be written");
        return;
    }
    if let Some(file) = std::env::var_os("DECAPOD_SIM_TRACE") {
        let (outcome, lines) = scenario.run(seed.unwrap_or(0), true);
        println!("{:?}", outcome.failure);
        std::fs::write(file, lines.join("\n")).expect("the trace can be written");
        return;
    }
    for seed in seed.map_or(0..count, |seed| seed..seed + 1) {
        match seeds::check(&scenario, seed) {
            Ok(outcome) => println!(
                "{name} from seed {seed}: {} events, {} writes, {} lives of the server, trace {:x}",
                outcome.events, outcome.writes, outcome.lives, outcome.trace
            ),
            Err(found) => panic!("{name}: {found}"),
        }
    }
}

#[test]
fn a_deployment_rolls_out_and_back_on_50_nodes() {
    check("rollout", 1);
}

#[test]
fn a_node_dies_and_its_pods_move_after_upstreams_delays() {
    check("node-dies", 2);
}

#[test]
fn the_server_is_killed_after_each_write() {
    check("server-killed", 1);
}

#[test]
fn the_end_is_the_same_without_the_kills() {
    let (outcome, _) = read("server-killed").without("kill server").run(0, false);
    assert_eq!((outcome.failure, outcome.lives), (None, 1));
}

/// What planted bugs are looked for with; short, for it is run often.
const SHORT: &str = r#"
nodes 1
wait 30s 1 nodes ready
kill server after each write
apply
  apiVersion: apps/v1
  kind: Deployment
  metadata: {name: web}
  spec:
    replicas: 1
    selector: {matchLabels: {app: web}}
    template: {metadata: {labels: {app: web}}, spec: {containers: [{name: web, image: "web:1"}]}}
wait 1200s 1 deployments complete
let server live
tick 30s
expect 1 replicasets
expect 1 replicasets name=web-76f464fd7c
expect 1 pods ready
"#;

/// A planted bug is found by the first of `seeds` that meets it, which replays it, and does not meet it without the bug.
fn finds(bug: Bug, seeds: std::ops::Range<u64>) {
    let scenario = Scenario::parse(SHORT);
    let planted = plant(bug);
    let found = seeds.clone().find_map(|seed| seeds::check(&scenario, seed).err());
    let found = found.unwrap_or_else(|| panic!("{bug:?} is not found from the seeds {seeds:?}"));
    println!("{bug:?}: {found}");
    assert_eq!(seeds::check(&scenario, found.seed), Err(found.clone()), "the seed replays it");
    drop(planted);
    assert_eq!(scenario.run(found.seed, false).0.failure, None);
}

#[test]
fn a_bug_planted_in_the_deployment_controller_is_found() {
    finds(Bug::LostAnswer, 0..5);
}

#[test]
fn a_bug_planted_in_the_store_is_found() {
    finds(Bug::ForgottenSync, 0..5);
}
