//! ResourceQuota: what an object counts for is taken from its namespace's quotas, or there is not enough left
//! (k8s.io/apiserver/pkg/admission/plugin/resourcequota).

use decapod_api::quota::{self, Amounts, Evaluator};
use decapod_api::{Object, Status, Value};
use jiff::Timestamp;

use super::{Attributes, Operation, Plugin};
use crate::registry::Lookup;

/// The plugin.
pub struct ResourceQuota;

/// What a write takes of one quota; committed with it.
#[derive(Clone, Debug)]
pub struct Charge {
    /// The quota that it was reckoned from.
    pub quota: Object,
    /// The quota with this taken from it.
    pub draft: Value,
    /// What is taken.
    pub taken: Amounts,
}

impl Plugin for ResourceQuota {
    fn name(&self) -> &'static str {
        "ResourceQuota"
    }

    fn handles(&self, attributes: &Attributes) -> bool {
        let subresource = attributes.subresource;
        let (create, update) =
            (attributes.operation == Operation::Create, attributes.operation == Operation::Update);
        if attributes.namespace.is_empty() || attributes.resource.plural == "events" {
            return false;
        }
        match Evaluator::of(&attributes.resource.group, &attributes.resource.plural) {
            Evaluator::Pods => match subresource {
                // An update moves a pod from one scope to the other only by giving it a deadline.
                "" => {
                    create
                        || update
                            && has_deadline(&attributes.object) != attributes.old.is_some_and(has_deadline)
                }
                "resize" => update,
                _ => false,
            },
            Evaluator::Services => subresource.is_empty() && (create || update),
            Evaluator::Claims => match subresource {
                "" => create || update,
                "status" => update,
                _ => false,
            },
            Evaluator::Count(..) => subresource.is_empty() && create,
        }
    }

    fn charge(
        &self,
        attributes: &Attributes,
        lookup: &dyn Lookup,
        now: Timestamp,
    ) -> Result<Vec<Charge>, Status> {
        let quotas = lookup.objects("", "resourcequotas", attributes.namespace).into_iter();
        let quotas = quotas.filter_map(|quota| Some((serde_json::from_slice(quota.body()).ok()?, quota)));
        let quotas: Vec<(Value, Object)> = quotas.collect();
        if quotas.is_empty() {
            return Ok(Vec::new());
        }
        let evaluator = Evaluator::of(&attributes.resource.group, &attributes.resource.plural);
        let request = Request { usage: evaluator.usage(&attributes.object, now), attributes, evaluator, now };
        // All are asked before any is charged: a refusal for what is not said comes before one for what is too much.
        let matching: Vec<(Value, Object)> = quotas
            .into_iter()
            .filter(|(draft, _)| request.evaluator.matches(draft, &attributes.object))
            .collect();
        matching.iter().try_for_each(|(draft, _)| request.check(draft))?;
        let charges = matching.into_iter().map(|(draft, quota)| request.charge(draft, quota));
        charges.filter_map(Result::transpose).collect()
    }
}

fn has_deadline(pod: &Value) -> bool {
    pod.int_at(&["spec", "activeDeadlineSeconds"]).is_some_and(|seconds| seconds >= 0)
}

fn name(quota: &Value) -> &str {
    quota.str_at(&["metadata", "name"]).unwrap_or_default()
}

struct Request<'a> {
    attributes: &'a Attributes<'a>,
    evaluator: Evaluator,
    usage: Amounts,
    now: Timestamp,
}

impl Request<'_> {
    /// Whether the object says what `quota` wants to know, and the quota is kept up to date.
    fn check(&self, quota: &Value) -> Result<(), Status> {
        let limited = self.evaluator.limited(quota, &["status", "hard"]);
        if let Err(why) = self.evaluator.check(&limited, &self.attributes.object) {
            return Err(self.attributes.forbid(&format!("failed quota: {}: {why}", name(quota))));
        }
        let used = quota::names(quota, &["status", "used"]);
        if limited.iter().any(|resource| !used.contains(resource)) {
            let why = format!("status unknown for quota: {}, resources: {}", name(quota), limited.join(","));
            return Err(self.attributes.forbid(&why));
        }
        Ok(())
    }

    /// What is taken from `quota`; nothing if it is none the less for it.
    fn charge(&self, mut draft: Value, quota: Object) -> Result<Option<Charge>, Status> {
        let mut delta = match self.attributes.old.filter(|old| self.evaluator.matches(&draft, old)) {
            Some(old) => quota::subtract(&self.usage, &self.evaluator.usage(old, self.now)),
            None => self.usage.clone(),
        };
        delta.retain(|_, amount| !amount.is_zero());
        let hard = quota::read(draft.at(&["status", "hard"]));
        let taken = quota::masked(&delta, &hard.keys().collect::<Vec<_>>());
        if taken.is_empty() {
            return Ok(None);
        }
        let before = quota::read(draft.at(&["status", "used"]));
        let mut used = before.clone();
        quota::add(&mut used, &taken);
        let exceeded = quota::exceeding(&quota::masked(&used, &taken.keys().collect::<Vec<_>>()), &hard);
        if !exceeded.is_empty() && self.attributes.subresource != "status" {
            let of = |amounts: &Amounts| quota::print(&quota::masked(amounts, &exceeded));
            let why = format!(
                "exceeded quota: {}, requested: {}, used: {}, limited: {}",
                name(&draft),
                of(&taken),
                of(&before),
                of(&hard)
            );
            return Err(self.attributes.forbid(&why));
        }
        draft.set_at(&["status", "used"], quota::write(&used));
        Ok(Some(Charge { quota, draft, taken }))
    }
}

#[cfg(test)]
mod tests {
    use decapod_api::kinds::BUILT_IN;
    use decapod_api::value;

    use super::*;
    use crate::admission::Rounds;
    use crate::identity::User;
    use crate::registry::Warnings;

    struct Quotas(Vec<Value>);

    impl Lookup for Quotas {
        fn object(&self, _: &str, _: &str, _: &str, _: &str) -> Option<Object> {
            None
        }

        fn objects(&self, _: &str, plural: &str, _: &str) -> Vec<Object> {
            assert_eq!(plural, "resourcequotas");
            self.0.iter().map(|quota| Object::new(serde_json::to_vec(quota).unwrap().into(), 7)).collect()
        }
    }

    /// What is taken of the quota, or the refusal.
    fn charge(plural: &str, object: Value, old: Option<&Value>, quota: Value) -> String {
        let resource = BUILT_IN.iter().find(|row| row.plural == plural && row.group.is_empty()).unwrap();
        let attributes = Attributes {
            operation: if old.is_some() { Operation::Update } else { Operation::Create },
            resource,
            version: &resource.versions[0],
            subresource: "",
            namespace: "a",
            name: "x",
            object,
            old,
            user: &User::default(),
            dry_run: false,
            kind: &resource.versions[0].kind,
            options: &|| Value::Null,
            warnings: &Warnings::default(),
            rounds: Rounds::default(),
        };
        if !ResourceQuota.handles(&attributes) {
            return "not handled".into();
        }
        match ResourceQuota.charge(&attributes, &Quotas(vec![quota]), Timestamp::UNIX_EPOCH) {
            Ok(charges) => charges
                .iter()
                .map(|charge| {
                    let used = quota::print(&quota::read(charge.draft.at(&["status", "used"])));
                    format!("{} -> {used}", quota::print(&charge.taken))
                })
                .collect(),
            Err(status) => status.message,
        }
    }

    fn quota(hard: Value, used: Value) -> Value {
        value!({"metadata": {"name": "q"}, "spec": {"hard": hard}, "status": {"hard": hard, "used": used}})
    }

    #[test]
    fn objects_are_charged_or_refused() {
        let pod = |cpu: &str| value!({"spec": {"containers": [{"name": "c", "resources": {"requests": {"cpu": cpu}}}]}});
        let bare = value!({"spec": {"containers": [{"name": "c"}]}});
        let limits = value!({"pods": "2", "requests.cpu": "1"});
        let table = [
            (
                pod("300m"),
                limits.clone(),
                value!({"pods": "1", "requests.cpu": "500m"}),
                "pods=1,requests.cpu=300m -> pods=2,requests.cpu=800m",
            ),
            (
                pod("600m"),
                limits.clone(),
                value!({"pods": "2", "requests.cpu": "500m"}),
                "pods \"x\" is forbidden: exceeded quota: q, requested: pods=1,requests.cpu=600m, used: pods=2,requests.cpu=500m, limited: pods=2,requests.cpu=1",
            ),
            (
                bare.clone(),
                limits.clone(),
                value!({"pods": "0", "requests.cpu": "0"}),
                "pods \"x\" is forbidden: failed quota: q: must specify requests.cpu for: c",
            ),
            (
                pod("1m"),
                limits.clone(),
                value!({"pods": "0"}),
                "pods \"x\" is forbidden: status unknown for quota: q, resources: pods,requests.cpu",
            ),
            (bare, value!({"services": "0"}), value!({"services": "0"}), ""),
        ];
        for (object, hard, used, expected) in table {
            assert_eq!(charge("pods", object.clone(), None, quota(hard, used)), expected, "{object:?}");
        }
    }

    #[test]
    fn updates_are_charged_for_what_is_more() {
        let service =
            |ports: usize| value!({"spec": {"type": "NodePort", "ports": vec![value_json(); ports]}});
        let limits = || {
            quota(
                value!({"services.nodeports": "3", "services": "1"}),
                value!({"services.nodeports": "2", "services": "1"}),
            )
        };
        assert_eq!(
            charge("services", service(3), Some(&service(2)), limits()),
            "services.nodeports=1 -> services=1,services.nodeports=3"
        );
        assert_eq!(charge("services", service(1), Some(&service(2)), limits()), "");
        assert!(charge("services", service(4), Some(&service(2)), limits()).contains(
            "requested: services.nodeports=2, used: services.nodeports=2, limited: services.nodeports=3"
        ));
        assert_eq!(charge("secrets", value!({}), Some(&value!({})), limits()), "not handled");
    }

    fn value_json() -> serde_json::Value {
        serde_json::json!({})
    }
}
