//! binding: a pod gets its node (upstream's `BindingREST.assignPod`).

use decapod_api::meta::GroupResource;
use decapod_api::{Status, Value, value};
use decapod_client::{Options, Reply};

use super::created;
use crate::registry::update::{Outcome, Preconditions};
use crate::registry::{Body, Context, Registry, Target, meta};

impl Registry {
    /// Sets the node of a pod and says that it is scheduled.
    pub(super) async fn bind(
        &self,
        context: &Context,
        target: &Target,
        options: &Options,
        body: Body,
    ) -> Result<Reply, Status> {
        let binding = self.payload(context, target, &body)?;
        let binding = self.admit(context, target, options, binding).await?;
        let node = binding.str_at(&["target", "name"]).unwrap_or_default();
        let kind = binding.str_at(&["target", "kind"]).unwrap_or_default();
        // Upstream hands out the bare errors of the fields, without a reason.
        let refuse = |why: &str| Err(Status { reason: String::new(), ..Status::bad_request(why) });
        if !matches!(kind, "" | "Node") {
            return refuse(&format!(
                "target.kind: Unsupported value: {kind:?}: supported values: \"Node\", \"<empty>\""
            ));
        }
        if node.is_empty() {
            return refuse("target.name: Required value");
        }
        let name = match target.name.as_str() {
            "" => binding.str_at(&["metadata", "name"]).unwrap_or_default(),
            name => name,
        };
        let pods = self.kinds.find("", "pods").ok_or_else(Status::no_such_path)?;
        let pod = Target {
            resource: pods,
            version: 0,
            name: name.into(),
            subresource: String::new(),
            ..target.clone()
        };
        let uid = binding.str_at(&["metadata", "uid"]).filter(|uid| !uid.is_empty()).map(str::to_owned);
        let expect = Preconditions { uid, ..Preconditions::default() };
        let resource = GroupResource { resource: "pods/binding".into(), ..pod.resource.group_resource() };
        let conflict = |why: String| Status::conflict(&resource, name, &why);
        let now = meta::timestamp(self.env.now());
        self.guaranteed_update(&pod, &expect, options.dry_run, |current| {
            let mut draft = current.draft.clone();
            if meta::is_terminating(&draft) {
                return Err(conflict(format!("pod {name} is being deleted, cannot be assigned to a host")));
            }
            if let Some(bound) = draft.str_at(&["spec", "nodeName"]).filter(|bound| !bound.is_empty()) {
                return Err(conflict(format!("pod {name} is already assigned to node {bound:?}")));
            }
            if !draft.list_at(&["spec", "schedulingGates"]).is_empty() {
                return Err(conflict(format!("pod {name} has non-empty .spec.schedulingGates")));
            }
            draft.set_at(&["spec", "nodeName"], node);
            merge(&mut draft, &binding, "annotations");
            merge(&mut draft, &binding, "labels");
            let condition = value!({"type": "PodScheduled", "status": "True", "lastProbeTime": Value::Null});
            meta::set_condition(&mut draft, condition, &now);
            Ok(Outcome::Put(draft))
        })
        .await?;
        Ok(created())
    }
}

/// Gives the pod what the binding has of a map, over what it has of its own.
fn merge(draft: &mut Value, binding: &Value, map: &str) {
    for (key, value) in binding.at(&["metadata", map]).and_then(Value::as_map).iter().flat_map(|m| m.iter()) {
        draft.set_at(&["metadata", map, key], value.clone());
    }
}
