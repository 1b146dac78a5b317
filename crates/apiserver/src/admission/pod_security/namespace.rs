//! Namespaces: their labels can be read, and whoever makes them stricter is told of the pods that are there.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use decapod_api::{Object, Status, Value};
use tokio::time::Instant;

use super::{Level, Pod, PodSecurity, Policy, Standard, checks};
use crate::admission::Attributes;
use crate::registry::Lookup;

/// How many pods are looked at,
const PODS_MAX: usize = 3000;
/// and for how long.
const LOOK_MAX: Duration = Duration::from_secs(1);

/// Pods that break the same rules.
struct Broken {
    /// The first of them by name.
    first: String,
    count: usize,
}

// === impl PodSecurity ===

impl PodSecurity {
    /// A namespace that is made or changed (upstream's `ValidateNamespace`).
    pub(super) fn namespace(&self, attributes: &Attributes, lookup: &dyn Lookup) -> Result<(), Status> {
        let defaults = &self.configuration.defaults;
        let new = label_of(&attributes.object);
        let (policy, causes) = Policy::of(new, defaults);
        let invalid = |causes| Status::invalid("", "Namespace", attributes.name, causes);
        let is_exempt = self.configuration.namespaces.contains(attributes.name);
        let Some(old) = attributes.old else {
            if !causes.is_empty() {
                return Err(invalid(causes));
            }
            if is_exempt {
                self.say_ignored(attributes, &policy);
            }
            return Ok(());
        };
        let (before, causes_before) = Policy::of(label_of(old), defaults);
        if !causes.is_empty() && causes != causes_before {
            return Err(invalid(causes));
        }
        let (enforce, before) = (policy.enforce, before.enforce);
        let relaxed = enforce.version == before.version && enforce.level <= before.level;
        if relaxed || enforce.level == Level::Privileged {
            return Ok(());
        }
        match is_exempt {
            true => self.say_ignored(attributes, &policy),
            false => self.look_at_pods(attributes, lookup, enforce),
        }
        Ok(())
    }

    /// That labels are for nothing where everything is allowed.
    fn say_ignored(&self, attributes: &Attributes, policy: &Policy) {
        if policy.is_privileged() || policy.is_equivalent(&self.configuration.defaults) {
            return;
        }
        let set = policy.set_by(label_of(&attributes.object));
        let why = "is exempt from Pod Security, and the policy";
        attributes.warnings.add(format!("namespace {:?} {why} ({set}) will be ignored", attributes.name));
    }

    /// Tells which pods do not meet the new standard (upstream's `EvaluatePodsInNamespace`).
    fn look_at_pods(&self, attributes: &Attributes, lookup: &dyn Lookup, enforce: Standard) {
        let mut pods = lookup.objects("", "pods", attributes.name);
        let classes = &self.configuration.runtime_classes;
        if !classes.is_empty() {
            pods.retain(|pod| {
                pod.text(&["spec", "runtimeClassName"]).is_none_or(|class| !classes.contains(&*class))
            });
        }
        let (broken, looked) = look(&pods, enforce);
        let warnings = attributes.warnings;
        if looked < pods.len() {
            let what = "new PodSecurity enforce level only checked against the first";
            warnings.add(format!("{what} {looked} of {} existing pods", pods.len()));
        }
        if !broken.is_empty() {
            let what = "violate the new PodSecurity enforce level";
            warnings.add(format!("existing pods in namespace {:?} {what} \"{enforce}\"", attributes.name));
        }
        let mut lines: Vec<String> = broken.iter().map(|(reasons, broken)| broken.line(reasons)).collect();
        lines.sort();
        lines.into_iter().for_each(|line| warnings.add(line));
    }
}

/// The pods that break rules, by the reasons, and how many were looked at. Those that the same controller made come last
/// but for one of them: they are alike.
fn look(pods: &[Object], enforce: Standard) -> (BTreeMap<String, Broken>, usize) {
    let deadline = Instant::now() + LOOK_MAX;
    let (mut broken, mut looked) = (BTreeMap::<String, Broken>::new(), 0);
    let (mut controllers, mut alike) = (BTreeSet::new(), Vec::new());
    let mut evaluate = |pod: &Value| {
        let part = |field| pod.get(field).unwrap_or(&Value::Null);
        let found = checks::violations(enforce, &Pod { metadata: part("metadata"), spec: part("spec") });
        if !found.is_empty() {
            let name = pod.str_at(&["metadata", "name"]).unwrap_or_default();
            let pods = broken.entry(checks::reasons(&found));
            let pods = pods.or_insert_with(|| Broken { first: name.to_owned(), count: 0 });
            pods.count += 1;
            if *name < *pods.first {
                pods.first = name.to_owned();
            }
        }
        looked += 1;
        looked < PODS_MAX && Instant::now() < deadline
    };
    let draft = |pod: &Object| serde_json::from_slice::<Value>(pod.body()).unwrap_or_default();
    for pod in pods {
        let owners = pod.raw(&["metadata", "ownerReferences"]).unwrap_or(b"[]");
        let owners: Value = serde_json::from_slice(owners).unwrap_or_default();
        let mut owners = owners.as_list().unwrap_or_default().iter();
        let controller = owners.find(|owner| owner.get("controller").and_then(Value::as_bool) == Some(true));
        let uid = controller.map(|owner| owner.str_at(&["uid"]).unwrap_or_default().to_owned());
        if uid.is_some_and(|uid| !controllers.insert(uid)) {
            alike.push(pod);
        } else if !evaluate(&draft(pod)) {
            alike.clear();
            break;
        }
    }
    for pod in alike {
        if !evaluate(&draft(pod)) {
            break;
        }
    }
    (broken, looked)
}

fn label_of<'a>(namespace: &'a Value) -> impl Fn(&str) -> Option<Cow<'a, str>> {
    let labels = namespace.at(&["metadata", "labels"]);
    move |key| labels?.str_at(&[key]).map(Cow::Borrowed)
}

// === impl Broken ===

impl Broken {
    fn line(&self, reasons: &str) -> String {
        let others = match self.count {
            0 | 1 => String::new(),
            2 => " (and 1 other pod)".to_owned(),
            count => format!(" (and {} other pods)", count - 1),
        };
        format!("{}{others}: {reasons}", self.first)
    }
}
