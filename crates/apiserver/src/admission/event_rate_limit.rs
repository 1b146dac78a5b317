//! EventRateLimit: no flood of events (k8s.io/kubernetes/plugin/pkg/admission/eventratelimit).

use std::sync::{Mutex, PoisonError};

use decapod_api::value::from_json;
use decapod_api::{Cause, Status, Value};
use serde::Deserialize;
use tokio::time::Instant;

use super::lru::Lru;
use super::{Attributes, Operation, Plugin};
use crate::registry::Lookup;

/// The plugin.
pub struct EventRateLimit {
    limits: Vec<Limit>,
}

/// Its file.
#[derive(Default, Deserialize)]
#[serde(default)]
pub struct File {
    limits: Vec<LimitFile>,
}

#[derive(Clone, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct LimitFile {
    #[serde(rename = "type")]
    kind: String,
    qps: i32,
    burst: i32,
    cache_size: i32,
}

/// How many events of one kind of origin may come.
struct Limit {
    /// What origins are told apart by: one of [`KINDS`].
    kind: &'static str,
    per_second: f64,
    burst: f64,
    buckets: Mutex<Lru<Bucket>>,
}

/// What an origin has left.
struct Bucket {
    tokens: f64,
    at: Instant,
}

const KINDS: [&str; 4] = ["Server", "Namespace", "User", "SourceAndObject"];
const ORIGINS: i32 = 4096;

// === impl EventRateLimit ===

impl TryFrom<File> for EventRateLimit {
    type Error = Vec<Cause>;

    fn try_from(file: File) -> Result<EventRateLimit, Vec<Cause>> {
        let (mut limits, mut causes) = (Vec::new(), Vec::new());
        if file.limits.is_empty() {
            causes.push(Cause::invalid("limits", &Value::Null, "must not be empty"));
        }
        for (at, limit) in file.limits.iter().enumerate() {
            let field = |name: &str| format!("limits[{at}].{name}");
            let kind = KINDS.into_iter().find(|kind| *kind == limit.kind);
            if kind.is_none() {
                causes.push(Cause::not_supported(field("type"), &limit.kind, &KINDS));
            }
            for (name, value) in [("burst", limit.burst), ("qps", limit.qps)] {
                if value <= 0 {
                    let value = from_json(value.into());
                    causes.push(Cause::invalid(field(name), &value, "must be positive"));
                }
            }
            if limit.kind != "Server" && limit.cache_size < 0 {
                let value = from_json(limit.cache_size.into());
                causes.push(Cause::invalid(field("cacheSize"), &value, "must not be negative"));
            }
            limits.extend(kind.map(|kind| Limit::new(kind, limit)));
        }
        if causes.is_empty() { Ok(EventRateLimit { limits }) } else { Err(causes) }
    }
}

impl Plugin for EventRateLimit {
    fn name(&self) -> &'static str {
        "EventRateLimit"
    }

    /// Only events of the core group: upstream's looks at the kind.
    fn handles(&self, attributes: &Attributes) -> bool {
        matches!(attributes.operation, Operation::Create | Operation::Update)
            && attributes.is("", "events")
            && !attributes.dry_run
    }

    fn validate(&self, attributes: &Attributes, _: &dyn Lookup) -> Result<(), Status> {
        let now = Instant::now();
        let mut reached: Vec<String> =
            self.limits.iter().filter_map(|limit| limit.accept(attributes, now).err()).collect();
        reached.dedup();
        let why = match reached.as_slice() {
            [] => return Ok(()),
            [one] => one.clone(),
            many => format!("[{}]", many.join(", ")),
        };
        let why = format!("Too many requests: {why}");
        Err(Status { details: None, ..Status::too_many_requests(why, 0) })
    }
}

// === impl Limit ===

impl Limit {
    fn new(kind: &'static str, file: &LimitFile) -> Limit {
        let origins = match (kind, file.cache_size) {
            ("Server", _) => 1,
            (_, 0) => ORIGINS,
            (_, size) => size,
        };
        let buckets = Mutex::new(Lru::new(usize::try_from(origins).unwrap_or_default()));
        Limit { kind, per_second: file.qps.into(), burst: file.burst.into(), buckets }
    }

    /// Takes one from the bucket of the event's origin. The error says that it is empty.
    fn accept(&self, attributes: &Attributes, now: Instant) -> Result<(), String> {
        let key = self.key(attributes);
        let mut buckets = self.buckets.lock().unwrap_or_else(PoisonError::into_inner);
        let bucket = buckets.entry(&key, || Bucket { tokens: self.burst, at: now });
        let refilled = now.saturating_duration_since(bucket.at).as_secs_f64() * self.per_second;
        bucket.tokens = (bucket.tokens + refilled).min(self.burst);
        bucket.at = now;
        if bucket.tokens < 1.0 {
            return Err(format!("limit reached on type {} for key {key}", self.kind));
        }
        bucket.tokens -= 1.0;
        Ok(())
    }

    fn key(&self, attributes: &Attributes) -> String {
        match self.kind {
            "Namespace" => attributes.namespace.to_owned(),
            "User" => attributes.user.name.clone(),
            "SourceAndObject" => {
                let involved = ["kind", "namespace", "name", "uid", "apiVersion"];
                let paths = [["source", "component"], ["source", "host"]].into_iter();
                let paths = paths.chain(involved.map(|field| ["involvedObject", field]));
                paths.map(|path| attributes.object.str_at(&path).unwrap_or_default()).collect()
            }
            _ => String::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use decapod_api::value;

    use super::*;
    use crate::admission::testing::{Request, World};
    use crate::identity::User;

    #[tokio::test(start_paused = true)]
    async fn buckets_empty_and_fill_by_origin() {
        let file = r#"{"limits": [{"type": "User", "qps": 2, "burst": 3}, {"type": "SourceAndObject", "qps": 100, "burst": 100}]}"#;
        let file: File = serde_json::from_str(file).unwrap();
        let plugin = EventRateLimit::try_from(file).ok().unwrap();
        let event = value!({"source": {"component": "c"}, "involvedObject": {"name": "n"}});
        let send = |user: &str| {
            let request = Request::create("", "events", event.clone()).by(User::new(user, &[]));
            request.validate(&plugin, &World::default())
        };
        let reached = Err("Too many requests: limit reached on type User for key a".to_owned());
        (0..3).for_each(|_| assert!(send("a").is_ok()));
        assert_eq!(send("a"), reached);
        assert!(send("b").is_ok());
        tokio::time::advance(Duration::from_millis(1100)).await;
        (0..2).for_each(|_| assert!(send("a").is_ok()));
        assert_eq!(send("a"), reached);
    }

    #[test]
    fn files_are_checked() {
        let file: File =
            serde_json::from_str(r#"{"limits": [{"type": "X", "qps": 0, "burst": 1, "cacheSize": -1}]}"#)
                .unwrap();
        let causes = EventRateLimit::try_from(file).err().unwrap();
        let fields: Vec<&str> = causes.iter().map(|cause| cause.field.as_str()).collect();
        assert_eq!(fields.join(" "), "limits[0].type limits[0].qps limits[0].cacheSize");
        let causes = EventRateLimit::try_from(File::default()).err().unwrap();
        assert_eq!(causes[0].message, "Invalid value: null: must not be empty");
    }
}
