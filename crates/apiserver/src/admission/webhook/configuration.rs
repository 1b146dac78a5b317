//! The webhooks of all configurations, compiled, and compiled again when a configuration changes
//! (k8s.io/apiserver/pkg/admission/configuration).

use std::collections::BTreeMap;
use std::sync::{Arc, RwLock};
use std::time::Duration;

use decapod_api::selector::LabelSelector;
use decapod_api::{Object, Revision, Value};

use super::Phase;
use super::conditions::Conditions;
use super::peer::Peer;
use super::rules::Rule;
use crate::registry::Lookup;

const GROUP: &str = "admissionregistration.k8s.io";
/// Upstream's default of `timeoutSeconds`, in seconds.
const TIMEOUT_SECONDS: u64 = 10;

/// The webhooks of a phase.
pub struct Source {
    plural: &'static str,
    compiled: RwLock<Arc<Compiled>>,
}

/// All webhooks as they were at some time.
#[derive(Default)]
struct Compiled {
    /// The revisions of the configurations, in the order of their names, and what became of each.
    configurations: Vec<(Revision, Vec<Arc<Hook>>)>,
    hooks: Arc<[Arc<Hook>]>,
}

/// A webhook.
pub struct Hook {
    /// Its name.
    pub name: String,
    /// What tells it from all others: configuration, name, and which of that name it is.
    pub uid: String,
    /// What it is asked about.
    pub rules: Vec<Rule>,
    /// Whether its rules also mean other versions of the same objects.
    pub equivalent: bool,
    /// In which namespaces; the text is why nobody can say.
    pub namespaces: Result<LabelSelector, String>,
    /// Objects with which labels.
    pub objects: Result<LabelSelector, String>,
    /// What else has to be true of the request.
    pub conditions: Conditions,
    /// Whether requests go on when it cannot be asked.
    pub fails_open: bool,
    /// How long it may take.
    pub timeout: Duration,
    /// What it does besides answering; `None` if it does not say.
    pub side_effects: Option<String>,
    /// Whether it wants to look again at objects that others changed after it.
    pub looks_again: bool,
    /// The version of reviews that it reads, if we write one.
    pub review: Option<&'static str>,
    /// Where it is.
    pub peer: Peer,
}

// === impl Source ===

impl Source {
    /// The webhooks of `phase`.
    pub fn new(phase: Phase) -> Source {
        let plural = match phase {
            Phase::Mutating => "mutatingwebhookconfigurations",
            Phase::Validating => "validatingwebhookconfigurations",
        };
        Source { plural, compiled: RwLock::default() }
    }

    /// All webhooks, by the names of their configurations; `None` if there are none.
    pub fn hooks(&self, lookup: &dyn Lookup) -> Option<Arc<[Arc<Hook>]>> {
        let objects = lookup.objects(GROUP, self.plural, "");
        if objects.is_empty() {
            return None;
        }
        let mut compiled = self.compiled.read().unwrap_or_else(|poisoned| poisoned.into_inner()).clone();
        if !compiled.is_of(&objects) {
            compiled = Arc::new(Compiled::new(&objects, &compiled));
            *self.compiled.write().unwrap_or_else(|poisoned| poisoned.into_inner()) = compiled.clone();
        }
        Some(compiled.hooks.clone())
    }
}

// === impl Compiled ===

impl Compiled {
    /// What is unchanged since `before` stays as it is, with its connections.
    fn new(objects: &[Object], before: &Compiled) -> Compiled {
        let compile = |object: &Object| {
            let known = before.configurations.iter().find(|(revision, _)| *revision == object.revision());
            match known {
                Some(known) => known.clone(),
                None => (object.revision(), compile(object)),
            }
        };
        let configurations: Vec<_> = objects.iter().map(compile).collect();
        let hooks = configurations.iter().flat_map(|(_, hooks)| hooks.iter().cloned()).collect();
        Compiled { configurations, hooks }
    }

    fn is_of(&self, objects: &[Object]) -> bool {
        let revisions = self.configurations.iter().map(|(revision, _)| *revision);
        revisions.eq(objects.iter().map(Object::revision))
    }
}

/// The webhooks of a configuration.
fn compile(configuration: &Object) -> Vec<Arc<Hook>> {
    let (draft, name): (Value, _) = match serde_json::from_slice(configuration.body()) {
        Ok(draft) => (draft, configuration.name()),
        Err(error) => {
            tracing::error!(configuration = %configuration.name(), %error, "webhooks cannot be read");
            return vec![];
        }
    };
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    let webhooks = draft.list_at(&["webhooks"]).iter();
    webhooks
        .map(|webhook| {
            let count = counts.entry(webhook.str_at(&["name"]).unwrap_or_default()).or_default();
            let hook = Hook::new(&name, *count, webhook);
            *count += 1;
            Arc::new(hook)
        })
        .collect()
}

// === impl Hook ===

impl Hook {
    /// The `count`th webhook of its name in a configuration.
    pub fn new(configuration: &str, count: usize, webhook: &Value) -> Hook {
        let name = webhook.str_at(&["name"]).unwrap_or_default().to_owned();
        let selector = |field: &str| match webhook.get(field) {
            Some(selector) => LabelSelector::from_value(selector).map_err(|error| error.to_string()),
            None => Ok(LabelSelector::everything()),
        };
        let is = |field: &str, value: &str| webhook.str_at(&[field]) == Some(value);
        let seconds = webhook.int_at(&["timeoutSeconds"]).and_then(|seconds| u64::try_from(seconds).ok());
        let versions = webhook.list_at(&["admissionReviewVersions"]).iter();
        let review = |version: &Value| match version.as_str() {
            Some("v1") => Some("v1"),
            Some("v1beta1") => Some("v1beta1"),
            _ => None,
        };
        Hook {
            uid: format!("{configuration}/{name}/{count}"),
            rules: webhook.list_at(&["rules"]).iter().map(Rule::new).collect(),
            equivalent: !is("matchPolicy", "Exact"),
            namespaces: selector("namespaceSelector"),
            objects: selector("objectSelector"),
            conditions: Conditions::new(webhook),
            fails_open: is("failurePolicy", "Ignore"),
            timeout: Duration::from_secs(seconds.unwrap_or(TIMEOUT_SECONDS)),
            side_effects: webhook.str_at(&["sideEffects"]).map(str::to_owned),
            looks_again: is("reinvocationPolicy", "IfNeeded"),
            review: versions.filter_map(review).next(),
            peer: Peer::new(webhook.get("clientConfig").unwrap_or(&Value::Null)),
            name,
        }
    }
}
