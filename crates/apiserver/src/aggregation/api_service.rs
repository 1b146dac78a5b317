//! What an APIService says, and which of them come first (k8s.io/kube-aggregator/pkg/apis/apiregistration/v1/helper).

use std::cmp::Ordering;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use decapod_api::Value;
use decapod_api::custom::by_priority;

/// Tells the APIServices that a server keeps itself from those that people make (upstream's `AutoRegisterManagedLabel`).
pub const MANAGED: &str = "kube-aggregator.kubernetes.io/automanaged";

/// What an APIService says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApiService {
    /// `<version>.<group>`.
    pub name: String,
    /// Tells it from another of the same name.
    pub uid: String,
    /// The group.
    pub group: String,
    /// The version.
    pub version: String,
    /// Where its group and its version stand among others.
    pub priority: Priority,
    /// Who serves it; this server, if nobody.
    pub reference: Option<Reference>,
    /// How the server keeps it, if it does.
    pub managed: String,
    /// Whether it is there, and why.
    pub condition: Option<Condition>,
}

/// Where a group and a version stand among others: the higher, the earlier.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Priority {
    /// The group's.
    pub group: i64,
    /// The version's within the group.
    pub version: i64,
}

/// The service that serves it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reference {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// Its port.
    pub port: u16,
    /// Who vouches for it, in PEM.
    pub ca_bundle: Vec<u8>,
    /// Whether nobody has to.
    pub is_insecure: bool,
}

/// The condition `Available`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Condition {
    /// `True`, `False` or `Unknown`.
    pub status: String,
    /// Such as `Passed`.
    pub reason: String,
    /// For people.
    pub message: String,
}

/// Orders versions of a group, those that are to be preferred first (upstream's `ByVersionPriority`).
pub fn by_version((a, a_priority): (&str, i64), (b, b_priority): (&str, i64)) -> Ordering {
    b_priority.cmp(&a_priority).then_with(|| by_priority(a, b))
}

// === impl ApiService ===

impl ApiService {
    /// From an object, which has been validated.
    pub fn read(object: &Value) -> ApiService {
        let text = |path: &[&str]| object.str_at(path).unwrap_or_default().to_owned();
        let number = |field: &str| object.int_at(&["spec", field]).unwrap_or_default();
        let service = object.at(&["spec", "service"]).filter(|service| !service.is_null());
        let reference = service.map(|service| Reference {
            namespace: service.str_at(&["namespace"]).unwrap_or_default().to_owned(),
            name: service.str_at(&["name"]).unwrap_or_default().to_owned(),
            port: service.int_at(&["port"]).and_then(|port| u16::try_from(port).ok()).unwrap_or(443),
            ca_bundle: STANDARD.decode(text(&["spec", "caBundle"])).unwrap_or_default(),
            is_insecure: object.at(&["spec", "insecureSkipTLSVerify"]) == Some(&Value::Bool(true)),
        });
        let conditions = object.list_at(&["status", "conditions"]);
        let available = conditions.iter().find(|condition| condition.str_at(&["type"]) == Some("Available"));
        ApiService {
            name: text(&["metadata", "name"]),
            uid: text(&["metadata", "uid"]),
            group: text(&["spec", "group"]),
            version: text(&["spec", "version"]),
            priority: Priority { group: number("groupPriorityMinimum"), version: number("versionPriority") },
            reference,
            managed: text(&["metadata", "labels", MANAGED]),
            condition: available.map(Condition::read),
        }
    }

    /// Whether it may be asked.
    pub fn is_available(&self) -> bool {
        self.condition.as_ref().is_some_and(|condition| condition.status == "True")
    }
}

// === impl Condition ===

impl Condition {
    /// A condition.
    pub fn new(status: &str, reason: &str, message: impl Into<String>) -> Condition {
        Condition { status: status.to_owned(), reason: reason.to_owned(), message: message.into() }
    }

    /// What is true of everything that this server serves itself.
    pub fn local() -> Condition {
        Condition::new("True", "Local", "Local APIServices are always available")
    }

    fn read(condition: &Value) -> Condition {
        let text = |field: &str| condition.str_at(&[field]).unwrap_or_default();
        Condition::new(text("status"), text("reason"), text("message"))
    }
}
