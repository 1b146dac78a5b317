//! What standards look at, one row a rule (k8s.io/pod-security-admission/policy).

mod baseline;
mod restricted;

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::ops::Range;

use decapod_api::Value;

use super::policy::{Level, Standard, Version};

/// A pod, or what a workload makes pods of.
#[derive(Clone, Copy)]
pub struct Pod<'a> {
    /// Its metadata.
    pub metadata: &'a Value,
    /// Its spec.
    pub spec: &'a Value,
}

/// A rule that a pod breaks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// In few words.
    pub reason: Cow<'static, str>,
    /// Where and how.
    pub detail: String,
}

/// A rule.
struct Check {
    /// The minor versions whose baseline has it.
    baseline: Range<u64>,
    /// Those whose restricted has it.
    restricted: Range<u64>,
    /// Whom it does not concern.
    spares: fn(&Pod) -> bool,
    /// Finds what breaks it.
    find: fn(&Pod) -> Option<Violation>,
}

/// The last minor version that changed anything; later ones are the same.
const NEWEST: u64 = 35;
const ALWAYS: Range<u64> = 0..u64::MAX;
const NEVER: Range<u64> = 0..0;

/// The rules, in the order in which upstream names them: those of the baseline by their ids, then the others.
const CHECKS: [Check; 30] = [
    both(ALWAYS, baseline::app_armor),
    check(ALWAYS, 0..22, nobody, baseline::capabilities),
    both(ALWAYS, baseline::host_namespaces),
    check(ALWAYS, NEVER, nobody, baseline::host_paths),
    both(ALWAYS, baseline::host_ports),
    both(34..u64::MAX, baseline::hosts_of_probes),
    both(ALWAYS, baseline::privileged),
    both(0..35, baseline::proc_mount),
    check(35..u64::MAX, NEVER, user_namespace, baseline::proc_mount),
    both(0..31, |pod| baseline::se_linux(pod, 4)),
    both(31..u64::MAX, |pod| baseline::se_linux(pod, 5)),
    both(0..19, baseline::seccomp_annotations),
    check(19..u64::MAX, NEVER, nobody, baseline::seccomp),
    both(0..27, |pod| baseline::sysctls(pod, 5)),
    both(27..29, |pod| baseline::sysctls(pod, 6)),
    both(29..32, |pod| baseline::sysctls(pod, 10)),
    both(32..u64::MAX, |pod| baseline::sysctls(pod, 12)),
    both(ALWAYS, baseline::windows_host_process),
    restricted(8..25, nobody, restricted::privilege_escalation),
    restricted(25..u64::MAX, windows, restricted::privilege_escalation),
    restricted(22..25, nobody, restricted::capabilities),
    restricted(25..u64::MAX, windows, restricted::capabilities),
    restricted(35..u64::MAX, nobody, baseline::proc_mount),
    restricted(ALWAYS, nobody, restricted::volumes),
    restricted(0..35, nobody, restricted::run_as_non_root),
    restricted(35..u64::MAX, user_namespace, restricted::run_as_non_root),
    restricted(23..35, nobody, restricted::run_as_user),
    restricted(35..u64::MAX, user_namespace, restricted::run_as_user),
    restricted(19..25, nobody, restricted::seccomp),
    restricted(25..u64::MAX, windows, restricted::seccomp),
];

const fn check(
    baseline: Range<u64>,
    restricted: Range<u64>,
    spares: fn(&Pod) -> bool,
    find: fn(&Pod) -> Option<Violation>,
) -> Check {
    Check { baseline, restricted, spares, find }
}

const fn both(versions: Range<u64>, find: fn(&Pod) -> Option<Violation>) -> Check {
    let Range { start, end } = versions;
    check(start..end, start..end, nobody, find)
}

const fn restricted(
    versions: Range<u64>,
    spares: fn(&Pod) -> bool,
    find: fn(&Pod) -> Option<Violation>,
) -> Check {
    check(NEVER, versions, spares, find)
}

/// The rules of `standard` that `pod` breaks, in upstream's order.
pub fn violations(standard: Standard, pod: &Pod) -> Vec<Violation> {
    let minor = match standard.version {
        Version::Minor(minor) => minor.min(NEWEST),
        Version::Latest => NEWEST,
    };
    let has = |check: &&Check| match standard.level {
        Level::Privileged => false,
        Level::Baseline => check.baseline.contains(&minor),
        Level::Restricted => check.restricted.contains(&minor),
    };
    let asked = CHECKS.iter().filter(has).filter(|check| !(check.spares)(pod));
    asked.filter_map(|check| (check.find)(pod)).collect()
}

/// All of `violations` in one line, with their details.
pub fn detailed(violations: &[Violation]) -> String {
    let one = |violation: &Violation| match violation.detail.as_str() {
        "" => violation.reason.to_string(),
        detail => format!("{} ({detail})", violation.reason),
    };
    violations.iter().map(one).collect::<Vec<_>>().join(", ")
}

/// All of `violations` in one line, without their details.
pub fn reasons(violations: &[Violation]) -> String {
    violations.iter().map(|violation| &*violation.reason).collect::<Vec<_>>().join(", ")
}

// === whom a rule does not concern ===

fn nobody(_: &Pod) -> bool {
    false
}

/// Windows knows no such fields, and validation refuses them there.
fn windows(pod: &Pod) -> bool {
    pod.spec.str_at(&["os", "name"]) == Some("windows")
}

/// Root in a user namespace is nobody outside of it (KEP-127).
fn user_namespace(pod: &Pod) -> bool {
    pod.spec.get("hostUsers").and_then(Value::as_bool) == Some(false)
}

// === impl Pod ===

impl<'a> Pod<'a> {
    /// All containers, in the order in which they are named.
    fn containers(self) -> impl Iterator<Item = &'a Value> {
        let lists = ["initContainers", "containers", "ephemeralContainers"];
        lists.into_iter().flat_map(move |list| self.spec.list_at(&[list]))
    }

    /// The names of the containers that are `bad`.
    fn containers_that(self, bad: impl FnMut(&&'a Value) -> bool) -> Vec<&'a str> {
        self.containers().filter(bad).map(name).collect()
    }

    /// Who has a security context that is `bad`, as in `pod and container "a"`; `None` if nobody.
    fn setters(self, mut bad: impl FnMut(&'a Value) -> bool) -> Vec<String> {
        let mut setters = Vec::new();
        if given(self.spec, &["securityContext"]).is_some_and(&mut bad) {
            setters.push("pod".to_owned());
        }
        let containers =
            self.containers_that(|container| given(container, &["securityContext"]).is_some_and(&mut bad));
        setters.extend(named("container", &containers));
        setters
    }

    fn annotations(self) -> impl Iterator<Item = (&'a str, &'a str)> {
        let annotations = self.metadata.get("annotations").and_then(Value::as_map);
        let entries = annotations.into_iter().flat_map(|map| map.iter());
        entries.map(|(key, value)| (key.as_str(), value.as_str().unwrap_or_default()))
    }
}

// === impl Violation ===

impl Violation {
    fn new(reason: impl Into<Cow<'static, str>>, detail: String) -> Option<Violation> {
        Some(Violation { reason: reason.into(), detail })
    }
}

// === what details are made of ===

fn name(value: &Value) -> &str {
    value.str_at(&["name"]).unwrap_or_default()
}

/// What is at `path`, unless it is null.
fn given<'a>(value: &'a Value, path: &[&str]) -> Option<&'a Value> {
    value.at(path).filter(|value| !value.is_null())
}

fn text<'a>(value: &'a Value, field: &str) -> &'a str {
    value.str_at(&[field]).unwrap_or_default()
}

fn is(value: &Value, path: &[&str], wanted: bool) -> bool {
    value.at(path).and_then(Value::as_bool) == Some(wanted)
}

/// `"a", "b"`, with nothing escaped.
fn quoted<T: AsRef<str>>(items: impl IntoIterator<Item = T>) -> String {
    let items: Vec<String> = items.into_iter().map(|item| format!("\"{}\"", item.as_ref())).collect();
    items.join(", ")
}

/// `container "a"`, `containers "a", "b"`; nothing of no names.
fn named(what: &str, names: &[&str]) -> Option<String> {
    let plural = if names.len() == 1 { "" } else { "s" };
    (!names.is_empty()).then(|| format!("{what}{plural} {}", quoted(names)))
}

/// The one of two words that suits a count.
fn counted<'a>(count: usize, one: &'a str, many: &'a str) -> &'a str {
    if count == 1 { one } else { many }
}

/// A set whose items are named in order.
type Set<'a> = BTreeSet<&'a str>;
