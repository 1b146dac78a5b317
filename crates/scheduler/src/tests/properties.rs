//! What has to hold of any history.

use std::collections::BTreeMap;
use std::time::Duration;

use proptest::prelude::*;

use super::scenario::{node, pod};
use crate::core::{Action, Core};
use crate::pod::{DEFAULT_SCHEDULER, PodInfo};
use crate::snapshot::Snapshot;

#[derive(Clone, Debug)]
enum Step {
    Node { name: u8, cpu: u8, pods: u8, tainted: bool },
    RemoveNode(u8),
    Pod { name: u8, cpu: u8, priority: i8, port: bool, apart: bool },
    Delete(u8),
    Bound { name: u8, well: bool },
    Tick(u8),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        2 => (0..4u8, 0..8u8, 0..6u8, any::<bool>())
            .prop_map(|(name, cpu, pods, tainted)| Step::Node { name, cpu, pods, tainted }),
        1 => (0..4u8).prop_map(Step::RemoveNode),
        6 => (0..24u8, 0..4u8, -1..2i8, any::<bool>(), any::<bool>())
            .prop_map(|(name, cpu, priority, port, apart)| Step::Pod { name, cpu, priority, port, apart }),
        2 => (0..24u8).prop_map(Step::Delete),
        3 => (0..24u8, any::<bool>()).prop_map(|(name, well)| Step::Bound { name, well }),
        1 => (0..20u8).prop_map(Step::Tick),
    ]
}

/// What pods take of each node, added up anew, is what the columns say.
fn check_columns(snapshot: &Snapshot) {
    for slot in snapshot.live() {
        let (i, columns) = (*slot as usize, snapshot.columns());
        let pods = snapshot.residents(*slot);
        assert_eq!(columns.pods[i], pods.len() as i64);
        let cpu: i64 = pods.iter().map(|pod| pod.shape.requests.resources.cpu_milli).sum();
        assert_eq!(columns.requested.cpu_milli[i], cpu);
        assert_eq!(columns.ports[i].len(), pods.iter().map(|pod| pod.shape.ports.len()).sum::<usize>());
        assert!(pods.iter().all(|pod| pod.node == snapshot.node(*slot).name));
    }
}

/// A pod may only have been put where there was room for it when it was put there.
fn check_fits(snapshot: &Snapshot, uid: &str) {
    let pod = snapshot.pod(uid).expect("placed");
    let i = snapshot.slot(&pod.node).expect("a known node") as usize;
    let columns = snapshot.columns();
    assert!(columns.pods[i] <= columns.allocatable_pods[i], "too many pods");
    if pod.shape.requests.resources.cpu_milli > 0 {
        assert!(columns.requested.cpu_milli[i] <= columns.allocatable.cpu_milli[i], "too much CPU");
    }
    let ports = &columns.ports[i];
    let clash = |a: usize| (0..a).any(|b| ports[a].conflicts(&ports[b]));
    assert!(!(0..ports.len()).any(clash), "a port given twice");
    let node = snapshot.node(i as u32);
    assert!(pod.shape.tolerates_all(&node.taints) && !node.unschedulable);
    let apart = snapshot.residents(i as u32).iter().filter(|pod| !pod.shape.anti_affinity.is_empty()).count();
    assert!(apart <= 1, "two that want to be apart");
}

fn words_of(cpu: u8, priority: i8, port: bool, apart: bool) -> Vec<String> {
    let mut words = vec![format!("cpu={cpu}"), format!("priority={priority}")];
    words.extend(port.then(|| "port=80".to_owned()));
    if apart {
        words.push("label:kind=apart".to_owned());
        words.push("away=kubernetes.io/hostname:kind=apart".to_owned());
    }
    words
}

fn described(name: &str, words: &[String]) -> PodInfo {
    pod(name, &words.iter().map(String::as_str).collect::<Vec<_>>())
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(300) })]

    #[test]
    fn nothing_is_ever_given_twice(steps in prop::collection::vec(step(), 1..80), seed in any::<u64>()) {
        let mut core = Core::new(DEFAULT_SCHEDULER);
        let (mut now, mut random) = (Duration::ZERO, seed);
        let mut alive: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for step in steps {
            match step {
                Step::Node { name, cpu, pods, tainted } => {
                    let mut words = vec![format!("cpu={cpu}"), format!("pods={pods}")];
                    words.extend(tainted.then(|| "taint=a:b:NoSchedule".to_owned()));
                    let words: Vec<&str> = words.iter().map(String::as_str).collect();
                    let name = format!("n{name}");
                    core.set_node(&name, Some(node(&name, &words)), now);
                }
                Step::RemoveNode(name) => core.set_node(&format!("n{name}"), None, now),
                Step::Pod { name, cpu, priority, port, apart } => {
                    let name = format!("p{name}");
                    let words = alive.entry(name.clone()).or_insert_with(|| words_of(cpu, priority, port, apart));
                    if core.snapshot().pod(&name).is_none() {
                        core.set_pod(described(&name, words), now);
                    }
                }
                Step::Delete(name) => {
                    alive.remove(&format!("p{name}"));
                    core.remove_pod(&format!("p{name}"), now);
                }
                Step::Bound { name, well } => {
                    let name = format!("p{name}");
                    if core.is_assumed(&name) {
                        let node = core.snapshot().pod(&name).expect("assumed").node.to_string();
                        core.bound(&name, well, now);
                        if well {
                            let mut words = alive[&name].clone();
                            words.push(format!("on={node}"));
                            core.set_pod(described(&name, &words), now);
                        }
                    }
                }
                Step::Tick(seconds) => now += Duration::from_secs(seconds.into()),
            }
            let mut chance = |below: u64| {
                random = random.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
                (random >> 33) % below.max(1)
            };
            // Bounded: a pod that is refused waits, and one that is placed is gone from the queue.
            for _ in 0..100 {
                let Some(action) = core.next(now, &mut chance) else { break };
                match action {
                    Action::Bind(pod) => check_fits(core.snapshot(), &pod.uid),
                    Action::Preempt { pod, victims, .. } => {
                        assert!(victims.iter().all(|victim| victim.priority < pod.priority));
                        for victim in victims {
                            alive.remove(victim.uid.as_str());
                            core.remove_pod(&victim.uid, now);
                        }
                    }
                    Action::Prepare(..) | Action::Fail { .. } | Action::Refuse { .. } | Action::Skip(_) => {}
                }
                check_columns(core.snapshot());
            }
            assert!(core.next(now, &mut |_| 0).is_none(), "it ends");
            check_columns(core.snapshot());
        }
    }
}
