//! Server-side apply: a client says all it wants to be of an object, and no more (KEP-555;
//! k8s.io/apiserver/pkg/endpoints/handlers, patch.go).

use decapod_api::codec::{FieldValidation, yaml};
use decapod_api::{Object, Status, Value};
use decapod_client::Options;

use super::draft::Validation;
use super::update::{Edit, Preconditions};
use super::{Body, Context, RETRIES_MAX, Registry, Target, meta};
use crate::authz::{Question, What};

/// What a client applies.
pub(super) struct Configuration {
    object: Value,
    /// What strict decoding minds.
    problems: Vec<String>,
    validation: Validation,
}

// === impl Configuration ===

impl Configuration {
    /// From a body, which is YAML.
    pub(super) fn read(options: &Options, body: &Body) -> Result<Configuration, Status> {
        let validation = Validation::parse(&options.field_validation)?;
        let undecodable = |why: String| Status::bad_request(format!("error decoding YAML: {why}"));
        let decoded = yaml::decode_any(&body.bytes, FieldValidation::Warn)
            .map_err(|error| undecodable(error.to_string()))?;
        let wrong = match &decoded.draft {
            Value::Map(_) | Value::Null => None,
            Value::List(_) => Some("array"),
            Value::String(_) => Some("string"),
            Value::Bool(_) => Some("bool"),
            Value::Int(_) | Value::Float(_) => Some("number"),
        };
        if let Some(wrong) = wrong {
            let why = format!(
                "error unmarshaling JSON: while decoding JSON: json: cannot unmarshal {wrong} into Go value of type map[string]interface {{}}"
            );
            return Err(undecodable(why));
        }
        let problems = decoded.warnings.into_iter();
        let problems = problems.map(|why| format!("error converting YAML to JSON: {why}")).collect();
        Ok(Configuration { object: decoded.draft, problems, validation })
    }

    /// The object as it is applied; duplicate keys are settled as the client asked.
    pub(super) fn object(&self, context: &Context) -> Result<&Value, Status> {
        match self.validation {
            Validation::Strict if !self.problems.is_empty() => {
                let problems = self.problems.join(", ");
                Err(Status::bad_request(format!("error strict decoding YAML: {problems}")))
            }
            Validation::Warn => {
                self.problems.iter().for_each(|problem| context.warn(problem.clone()));
                Ok(&self.object)
            }
            _ => Ok(&self.object),
        }
    }
}

impl Registry {
    /// Makes of the object what the configuration in `body` says; makes the object if there is none.
    pub(super) async fn apply(
        &self,
        context: &Context,
        target: &Target,
        options: &Options,
        body: &Body,
    ) -> Result<Object, Status> {
        let configuration = Configuration::read(options, body)?;
        let config = configuration.object(context)?;
        let expect = Preconditions::default();
        for _ in 0..RETRIES_MAX {
            if target.subresource.is_empty() && self.store.get(&target.key()).is_none() {
                let draft = self.applied(context, target, options, None, config)?;
                match self.create_applied(context, target, options, draft).await {
                    Err(status) if status.is_already_exists() => continue,
                    result => return result,
                }
            }
            let changed = self.change(context, target, options, &expect, |current| {
                let draft = self.applied(context, target, options, Some(current), config)?;
                super::patch::pinned(target, current, &draft)?;
                Ok(Edit::Settled(draft))
            });
            match changed.await {
                // It has gone meanwhile.
                Err(status) if status.code == 404 && self.store.get(&target.key()).is_none() => {
                    if !target.subresource.is_empty() {
                        return Err(status);
                    }
                }
                result => return result,
            }
        }
        Err(Status::modified(&target.resource.group_resource(), &target.name))
    }

    /// What `live` becomes, with defaults, in the client's version.
    fn applied(
        &self,
        context: &Context,
        target: &Target,
        options: &Options,
        live: Option<&Value>,
        config: &Value,
    ) -> Result<Value, Status> {
        let manager = &options.field_manager;
        let applied =
            self.with_fields(context, target, |fields| fields.apply(live, config, manager, options.force))?;
        let mut draft = applied?;
        let map = draft.ensure_map();
        map.remove("apiVersion");
        map.remove("kind");
        self.default(target, &mut draft);
        meta::settle_namespace(&mut draft, target)?;
        Ok(draft)
    }

    async fn create_applied(
        &self,
        context: &Context,
        target: &Target,
        options: &Options,
        draft: Value,
    ) -> Result<Object, Status> {
        let text = |field: &str| draft.str_at(&["metadata", field]).unwrap_or_default();
        let (uid, name) = (text("uid"), text("name"));
        if !uid.is_empty() {
            let why = format!(
                "uid mismatch: the provided object specified uid {uid}, and no existing object was found"
            );
            return Err(Status::conflict(&target.resource.group_resource(), &target.name, &why));
        }
        super::patch::check_name(target, name)?;
        self.may_create(context, target)?;
        let object = self.create_draft(context, target, options, draft).await?;
        context.note_created();
        Ok(object)
    }

    /// Whoever creates by another verb may do so only if they may create.
    pub(super) fn may_create(&self, context: &Context, target: &Target) -> Result<(), Status> {
        let what = What::Resource {
            verb: "create",
            group: &target.resource.group,
            resource: &target.resource.plural,
            subresource: &target.subresource,
            namespace: &target.namespace,
            name: &target.name,
        };
        let question = Question { user: &context.user, what };
        crate::authz::check(&*self.special.authorizer, &question, self)
    }
}
