//! AlwaysPullImages: who may run a pod may pull its images (k8s.io/kubernetes/plugin/pkg/admission/alwayspullimages).

use decapod_api::{Cause, Status, Value};

use super::{Attributes, Operation, Plugin, bare};
use crate::registry::Lookup;

/// The plugin.
pub struct AlwaysPullImages;

const ALWAYS: &str = "Always";
/// In the order in which upstream visits them.
const LISTS: [&str; 3] = ["initContainers", "containers", "ephemeralContainers"];

impl Plugin for AlwaysPullImages {
    fn name(&self) -> &'static str {
        "AlwaysPullImages"
    }

    fn handles(&self, attributes: &Attributes) -> bool {
        let written = matches!(attributes.operation, Operation::Create | Operation::Update);
        let pod = attributes.is("", "pods") && attributes.subresource.is_empty();
        let images = |pod: &Value| -> Vec<String> {
            let containers = LISTS.iter().flat_map(|list| pod.list_at(&["spec", list]));
            containers.map(|container| container.str_at(&["image"]).unwrap_or_default().to_owned()).collect()
        };
        let brings_images = || match attributes.old {
            None => true,
            Some(old) => {
                let old = images(old);
                images(&attributes.object).iter().any(|image| !old.contains(image))
            }
        };
        written && pod && brings_images()
    }

    fn mutate(&self, attributes: &mut Attributes, _: &dyn Lookup) -> Result<(), Status> {
        for list in LISTS {
            let containers = attributes.object.at_mut(&["spec", list]).and_then(Value::as_list_mut);
            for container in containers.into_iter().flatten() {
                container.set_at(&["imagePullPolicy"], ALWAYS);
            }
        }
        let volumes = attributes.object.at_mut(&["spec", "volumes"]).and_then(Value::as_list_mut);
        for volume in volumes.into_iter().flatten() {
            if volume.get("image").is_some_and(|image| !image.is_null()) {
                volume.set_at(&["image", "pullPolicy"], ALWAYS);
            }
        }
        Ok(())
    }

    fn validate(&self, attributes: &Attributes, _: &dyn Lookup) -> Result<(), Status> {
        let pod = &attributes.object;
        let mut wrong = Vec::new();
        let mut look = |field: String, policy: Option<&str>| {
            let policy = policy.unwrap_or_default();
            if policy != ALWAYS {
                let cause = Cause::not_supported(field, policy, &[ALWAYS]);
                wrong.push(attributes.forbid(&format!("{}: {}", cause.field, cause.message)));
            }
        };
        for list in LISTS {
            for (at, container) in pod.list_at(&["spec", list]).iter().enumerate() {
                look(format!("spec.{list}[{at}].imagePullPolicy"), container.str_at(&["imagePullPolicy"]));
            }
        }
        for (at, volume) in pod.list_at(&["spec", "volumes"]).iter().enumerate() {
            if let Some(image) = volume.get("image").filter(|image| !image.is_null()) {
                look(format!("spec.volumes[{at}].image.pullPolicy"), image.str_at(&["pullPolicy"]));
            }
        }
        let texts: Vec<&str> = wrong.iter().map(|status| status.message.as_str()).collect();
        // Upstream hands out several errors as one without a reason.
        match texts.as_slice() {
            [] => Ok(()),
            [one] => Err(bare(*one)),
            many => Err(bare(format!("[{}]", many.join(", ")))),
        }
    }
}

#[cfg(test)]
mod tests {
    use decapod_api::value;

    use super::*;
    use crate::admission::testing::{Request, World};

    #[test]
    fn what_brings_images_pulls_them() {
        let pod = value!({"spec": {"initContainers": [{"image": "a", "imagePullPolicy": "Never"}],
            "containers": [{"image": "b"}], "volumes": [{"name": "v", "image": {"reference": "c"}}]}});
        let world = World::default();
        let create = Request::create("", "pods", pod.clone());
        let pulled = create.mutate(&AlwaysPullImages, &world).expect("admitted");
        let expected = value!({"spec": {"initContainers": [{"image": "a", "imagePullPolicy": "Always"}],
            "containers": [{"image": "b", "imagePullPolicy": "Always"}],
            "volumes": [{"name": "v", "image": {"reference": "c", "pullPolicy": "Always"}}]}});
        assert_eq!(pulled, expected);
        let refused = create.validate(&AlwaysPullImages, &world).expect_err("policies of others");
        let field =
            "pods \"x\" is forbidden: spec.initContainers[0].imagePullPolicy: Unsupported value: \"Never\"";
        assert!(refused.starts_with(&format!("[{field}: supported values: \"Always\", pods ")), "{refused}");
        // Images that were there stay as they are.
        let update = Request::create("", "pods", pod.clone()).over(pod.clone());
        assert_eq!(update.mutate(&AlwaysPullImages, &world).as_ref(), Ok(&pod));
        assert_eq!(update.validate(&AlwaysPullImages, &world), Ok(vec![]));
    }
}
