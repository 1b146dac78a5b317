//! PodSecurity: upstream's fixtures, which pods of each level and version pass or fail; and pods made of several of them, of
//! which both sides say which rules they break and how.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use decapod_api::codec::{FieldValidation, json, yaml};
use decapod_api::kinds::BUILT_IN;
use decapod_api::schema::Schema;
use decapod_api::{Value, value};
use decapod_apiserver::admission::pod_security::{Level, Pod, Standard, Version, violations};

use crate::change;
use crate::node::Node;
use crate::pipe::{Parts, question};
use crate::random::Random;
use crate::report::unequal_parts;
use crate::run::Subject;

/// The fixtures: `test/testdata` of the Go module `k8s.io/pod-security-admission`.
pub struct Fixtures {
    all: Vec<Fixture>,
    /// Each of their pods once.
    pods: Vec<Value>,
}

struct Fixture {
    /// Such as `restricted/v1.24/fail/hostports0.yaml`.
    path: String,
    standard: Standard,
    passes: bool,
    pod: Value,
}

/// What the fixtures show.
#[derive(Debug, Default)]
pub struct Report {
    /// How many there are.
    pub fixtures: usize,
    /// How many should fail.
    pub failing: usize,
    /// Which do not come out as they should.
    pub problems: Vec<String>,
}

/// A case.
pub struct Input {
    level: &'static str,
    version: String,
    pod: Value,
}

// === impl Fixtures ===

impl Fixtures {
    /// Reads `folder`.
    pub fn read(folder: &Path) -> Result<Fixtures, String> {
        let mut all = Vec::new();
        for level in list(folder)? {
            for version in list(&folder.join(&level)).unwrap_or_default() {
                for outcome in ["pass", "fail"] {
                    let place = format!("{level}/{version}/{outcome}");
                    for name in list(&folder.join(&place)).unwrap_or_default() {
                        all.push(fixture(folder, &place, &name)?);
                    }
                }
            }
        }
        let distinct: BTreeMap<String, Value> = all
            .iter()
            .map(|fixture| (serde_json::to_string(&fixture.pod).unwrap_or_default(), fixture.pod.clone()))
            .collect();
        let pods: Vec<Value> = distinct.into_values().collect();
        match pods.is_empty() {
            true => Err(format!("{} has no fixtures", folder.display())),
            false => Ok(Fixtures { all, pods }),
        }
    }

    /// Whether those pass that should.
    pub fn check(&self) -> Report {
        let mut report = Report { fixtures: self.all.len(), ..Report::default() };
        for fixture in &self.all {
            report.failing += usize::from(!fixture.passes);
            let mut pod = fixture.pod.clone();
            // Fixtures are what clients send: some have no volume source, which is an emptyDir then.
            fill_in(&mut pod);
            let broken = broken(fixture.standard, &pod);
            if broken.is_empty() != fixture.passes {
                report.problems.push(format!("{}: {broken:?}", fixture.path));
            }
        }
        report
    }
}

/// The names in a folder, in order.
fn list(folder: &Path) -> Result<Vec<String>, String> {
    let failed = |error: std::io::Error| format!("cannot read {}: {error}", folder.display());
    let entries: Result<Vec<_>, _> = fs::read_dir(folder).map_err(failed)?.collect();
    let mut names: Vec<String> = entries
        .map_err(failed)?
        .iter()
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .collect();
    names.sort();
    Ok(names)
}

fn fixture(folder: &Path, place: &str, name: &str) -> Result<Fixture, String> {
    let path = format!("{place}/{name}");
    let text = fs::read(folder.join(&path)).map_err(|error| format!("cannot read {path}: {error}"))?;
    let json = yaml::to_json(&text).map_err(|error| format!("{path}: {error}"))?;
    let pod = serde_json::from_slice(&json).map_err(|error| format!("{path}: {error}"))?;
    let mut parts = place.split('/');
    let mut part = || parts.next().unwrap_or_default();
    let (level, version) = (Level::parse(part()), Version::parse(part()));
    let standard = Standard {
        level: level.map_err(|why| format!("{path}: {why}"))?,
        version: version.map_err(|why| format!("{path}: {why}"))?,
    };
    Ok(Fixture { standard, passes: part() == "pass", pod, path })
}

/// Gives a pod what the server gives it.
fn fill_in(pod: &mut Value) {
    if let Some(row) = BUILT_IN.iter().find(|row| row.plural == "pods" && row.group.is_empty()) {
        row.strategy.default(pod);
    }
}

/// The reason and the detail of each rule that `pod` breaks, once it is read as the server reads it.
fn broken(standard: Standard, pod: &Value) -> Vec<String> {
    let schema = Schema::builtin();
    let kind = schema.kinds().iter().find(|kind| kind.gvk.kind == "Pod" && kind.gvk.group.is_empty());
    let text = serde_json::to_vec(pod).unwrap_or_default();
    let decoded =
        kind.and_then(|kind| json::decode(&text, schema.resolve(kind.ty), FieldValidation::Ignore).ok());
    let Some(pod) = decoded.map(|decoded| decoded.draft) else {
        return vec!["error".to_owned(), "no pod".to_owned()];
    };
    let part = |field| pod.get(field).unwrap_or(&Value::Null);
    let found = violations(standard, &Pod { metadata: part("metadata"), spec: part("spec") });
    found.into_iter().flat_map(|violation| [violation.reason.into_owned(), violation.detail]).collect()
}

impl Subject for Fixtures {
    type Input = Input;

    fn name(&self) -> &'static str {
        "pod-security"
    }

    fn generate(&self, _: u64, random: &mut Random) -> Input {
        let level = random.choose(&["baseline", "restricted", "restricted", "privileged"]);
        let version = match random.below(8) {
            0 => "latest".to_owned(),
            // Now and then none that is known.
            1 => random.choose(&["v1.01", "v2.1", "", "v1.999", "1.3"]).to_owned(),
            _ => format!("v1.{}", random.below(40)),
        };
        let mut pod = random.choose(&self.pods);
        for _ in 0..random.below(4) {
            change::overlay(&mut pod, random.choose(&self.pods), random);
        }
        if random.once_in(3) {
            pod = change::value(&pod, random);
        }
        if random.once_in(4) {
            let others = pod.list_at(&["spec", "containers"]).to_vec();
            pod.set_at(&["spec", "ephemeralContainers"], others);
        }
        if random.once_in(6) {
            pod.set_at(&["spec", "os"], value!({"name": "windows"}));
        }
        if random.once_in(6) {
            pod.set_at(&["spec", "hostUsers"], random.once_in(2));
        }
        Input { level, version, pod }
    }

    fn questions(&self, input: &Input) -> Vec<Parts> {
        let pod = serde_json::to_vec(&input.pod).unwrap_or_default();
        vec![question("pod-security", &[input.level.as_bytes(), input.version.as_bytes(), &pod])]
    }

    fn difference(&self, input: &Input, answers: &[Parts]) -> Option<String> {
        let standard = Level::parse(input.level)
            .and_then(|level| Ok(Standard { level, version: Version::parse(&input.version)? }));
        let ours = match standard {
            Ok(standard) => broken(standard, &input.pod),
            Err(why) => vec!["error".to_owned(), why.to_owned()],
        };
        unequal_parts(&ours, &answers[0])
    }

    fn smaller(&self, input: &Input) -> Vec<Input> {
        let text = serde_json::to_string(&input.pod).unwrap_or_default();
        let nodes = Node::parse(&text).map(|node| node.smaller()).unwrap_or_default();
        let pods = nodes.iter().filter_map(|node| serde_json::from_str(&node.text()).ok());
        pods.map(|pod| Input { level: input.level, version: input.version.clone(), pod }).collect()
    }

    fn show(&self, input: &Input) -> String {
        let pod = serde_json::to_string(&input.pod).unwrap_or_default();
        format!("{}:{} of {pod}", input.level, input.version)
    }
}
