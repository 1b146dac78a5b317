//! scale: the replicas of a workload, as an `autoscaling/v1` `Scale`.

use decapod_api::meta::GroupVersionKind;
use decapod_api::selector::LabelSelector;
use decapod_api::{Cause, Object, Status, Value, managed, patch};
use decapod_client::{PatchType, Reply, Request, Verb};

use super::answer;
use crate::registry::apply::Configuration;
use crate::registry::draft::{canonical, schema_of};
use crate::registry::update::Preconditions;
use crate::registry::{Body, Context, Edit, Registry, Target, meta};

pub(in crate::registry) const REPLICAS: [&str; 2] = ["spec", "replicas"];

/// Where an object keeps what a scale shows; a selector that is a text, of custom resources.
pub(in crate::registry) struct Paths<'t> {
    pub spec: Vec<&'t str>,
    status: Vec<&'t str>,
    selector: Option<Vec<&'t str>>,
    is_custom: bool,
}

// === impl Paths ===

impl Paths<'_> {
    pub fn of(target: &Target) -> Paths<'_> {
        match target.custom().and_then(|custom| custom.scale.as_ref()) {
            Some(scale) => Paths {
                spec: scale.spec.iter().map(String::as_str).collect(),
                status: scale.status.iter().map(String::as_str).collect(),
                selector: scale.selector.as_ref().map(|path| path.iter().map(String::as_str).collect()),
                is_custom: true,
            },
            None => Paths {
                spec: REPLICAS.to_vec(),
                status: vec!["status", "replicas"],
                selector: None,
                is_custom: false,
            },
        }
    }
}

/// What a client wants a scale to be.
enum Wanted {
    /// This.
    Scale(Value),
    /// What this makes of it, by apply.
    Configuration(Value),
    /// What this makes of it.
    Patch(Value),
}

impl Registry {
    /// Reads or sets the replicas of the object.
    pub(super) async fn scale(
        &self,
        context: &Context,
        target: &Target,
        request: &Request,
        body: Body,
    ) -> Result<Reply, Status> {
        let kind = GroupVersionKind::new("autoscaling", "v1", "Scale");
        let whole = Target { subresource: String::new(), ..target.clone() };
        if request.verb == Verb::Get {
            let object = self.get(&whole, &request.options).await?;
            return answer(&kind, &Self::scale_of(&whole, &object)?, object.revision());
        }
        let paths = Paths::of(&whole);
        let wanted = self.wanted(context, target, request, &body)?;
        let expect = match &wanted {
            Wanted::Scale(scale) => match scale.str_at(&["metadata", "resourceVersion"]) {
                Some(rv) if !rv.is_empty() => {
                    let revision = Some(crate::registry::list::parse_revision(rv)?);
                    Preconditions { revision, ..Preconditions::default() }
                }
                _ => Preconditions::default(),
            },
            _ => Preconditions::default(),
        };
        let version = target.kind().api_version();
        let fields = managed::Scale { api_version: &version, replicas: &paths.spec };
        let object = self
            .change(context, target, &request.options, &expect, |current| {
                let mut old = scale_from(current, &paths);
                fields.to_scale(current, &mut old);
                let scale = self.scaled(context, request, &kind, &old, &wanted)?;
                let replicas = scale.int_at(&REPLICAS).unwrap_or(0);
                if replicas < 0 {
                    let cause = Cause::invalid(
                        "spec.replicas",
                        &replicas.into(),
                        "must be greater than or equal to 0",
                    );
                    return Err(Status::invalid("autoscaling", "Scale", &target.name, vec![cause]));
                }
                let mut new = current.clone();
                new.set_at(&paths.spec, replicas);
                fields.to_parent(&scale, &mut new);
                Ok(Edit::Settled(new))
            })
            .await?;
        answer(&kind, &Self::scale_of(&whole, &object)?, object.revision())
    }

    fn wanted(
        &self,
        context: &Context,
        target: &Target,
        request: &Request,
        body: &Body,
    ) -> Result<Wanted, Status> {
        if request.verb == Verb::Update {
            return Ok(Wanted::Scale(self.payload(context, target, body)?));
        }
        if request.patch_type == PatchType::Apply {
            let configuration = Configuration::read(&request.options, body)?;
            return Ok(Wanted::Configuration(configuration.object(context)?.clone()));
        }
        let patch = serde_json::from_slice(&body.bytes);
        patch
            .map(Wanted::Patch)
            .map_err(|error| Status::bad_request(format!("error decoding patch: {error}")))
    }

    /// What becomes of the scale `old`, with its managed fields.
    fn scaled(
        &self,
        context: &Context,
        request: &Request,
        kind: &GroupVersionKind,
        old: &Value,
        wanted: &Wanted,
    ) -> Result<Value, Status> {
        let ty = schema_of(kind)?;
        let fields = managed::Fields {
            kind,
            ty,
            form: ty,
            subresource: "scale",
            filter: &managed::Filter::default(),
            versions: &managed::OneVersion,
            now: &meta::timestamp(self.env.now()),
        };
        let options = &request.options;
        let mut new = match wanted {
            Wanted::Configuration(config) => {
                return Ok(fields.apply(Some(old), config, &options.field_manager, options.force)?);
            }
            Wanted::Scale(scale) => scale.clone(),
            Wanted::Patch(patch) => patched(old, request.patch_type, patch, kind)?,
        };
        fields.update(Some(old), &mut new, context.field_manager(&options.field_manager));
        Ok(new)
    }

    fn scale_of(target: &Target, object: &Object) -> Result<Value, Status> {
        Ok(scale_from(&canonical(object, target.kind())?, &Paths::of(target)))
    }
}

/// The scale of a workload: some of its metadata, its replicas and its selector as a text.
pub(in crate::registry) fn scale_from(object: &Value, paths: &Paths) -> Value {
    let mut scale = Value::map();
    for field in ["name", "namespace", "uid", "resourceVersion", "creationTimestamp"] {
        if let Some(value) = object.at(&["metadata", field]) {
            scale.set_at(&["metadata", field], value.clone());
        }
    }
    scale.set_at(&REPLICAS, object.int_at(&paths.spec).unwrap_or(0));
    scale.set_at(&["status", "replicas"], object.int_at(&paths.status).unwrap_or(0));
    if paths.is_custom {
        let selector = paths.selector.as_ref().and_then(|path| object.str_at(path));
        scale.set_at(&["status", "selector"], selector.unwrap_or_default());
        return scale;
    }
    let selector = match object.at(&["spec", "selector"]) {
        // A ReplicationController's selector is a plain map of labels.
        Some(selector)
            if selector.get("matchLabels").is_none() && selector.get("matchExpressions").is_none() =>
        {
            let labels = selector.as_map().into_iter().flat_map(|map| map.iter());
            let pairs: Vec<(&str, &str)> =
                labels.map(|(k, v)| (k.as_str(), v.as_str().unwrap_or_default())).collect();
            LabelSelector::equal(pairs).to_string()
        }
        Some(selector) => LabelSelector::from_value(selector).map(|s| s.to_string()).unwrap_or_default(),
        None => String::new(),
    };
    scale.set_at(&["status", "selector"], selector);
    scale
}

fn patched(scale: &Value, form: PatchType, patch: &Value, kind: &GroupVersionKind) -> Result<Value, Status> {
    let mut new = scale.clone();
    match form {
        PatchType::Json => patch::json::apply(&mut new, patch)?,
        PatchType::Strategic => patch::strategic::apply(&mut new, patch, schema_of(kind)?)?,
        PatchType::Merge | PatchType::Apply => patch::merge::apply(&mut new, patch)?,
    }
    Ok(new)
}
