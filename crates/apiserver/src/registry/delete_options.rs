//! The options of delete, from the body.

use decapod_api::value::from_json;
use decapod_api::{Status, Value};

use super::Body;
use super::update::Preconditions;

/// `DeleteOptions`, as far as the server reads them.
#[derive(Clone, Debug, Default, serde::Deserialize, serde::Serialize)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct DeleteOptions {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub grace_period_seconds: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub preconditions: Option<RawPreconditions>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub propagation_policy: Option<Propagation>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub orphan_dependents: Option<bool>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub dry_run: Vec<String>,
}

/// Conditions that the object has to meet.
#[derive(Clone, Debug, Default, serde::Deserialize, serde::Serialize)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct RawPreconditions {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub uid: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub resource_version: Option<String>,
}

/// What becomes of dependents.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Deserialize, serde::Serialize)]
pub(crate) enum Propagation {
    /// They stay, without this owner.
    Orphan,
    /// They go after their owner.
    Background,
    /// They go before their owner.
    Foreground,
}

impl DeleteOptions {
    /// From a body, which may be empty.
    pub(super) fn parse(body: &Body) -> Result<DeleteOptions, Status> {
        let options: DeleteOptions = match &body.bytes {
            bytes if bytes.is_empty() => DeleteOptions::default(),
            _ => {
                let json = super::draft::to_json(body, "", "v1", "DeleteOptions")?;
                serde_json::from_slice(&json).map_err(|error| {
                    Status::bad_request(format!("unable to decode DeleteOptions: {error}"))
                })?
            }
        };
        if options.orphan_dependents.is_some() && options.propagation_policy.is_some() {
            return Err(Status::bad_request("orphanDependents and deletionPropagation cannot be both set"));
        }
        if options.dry_run.iter().any(|stage| stage != "All") {
            return Err(Status::bad_request("dryRun: supported values: \"All\""));
        }
        Ok(options)
    }

    /// As webhooks see them.
    pub(super) fn to_value(&self) -> Value {
        let mut options = serde_json::to_value(self).map(from_json).unwrap_or_default();
        super::options::name(&mut options, "DeleteOptions");
        options
    }

    /// The same, if the object is still at `revision`.
    pub(super) fn pinned(&self, revision: Option<String>) -> DeleteOptions {
        let uid = self.preconditions.as_ref().and_then(|pins| pins.uid.clone());
        DeleteOptions {
            preconditions: Some(RawPreconditions { uid, resource_version: revision }),
            ..self.clone()
        }
    }

    /// What becomes of dependents, when the client says so.
    pub(super) fn propagation(&self) -> Option<Propagation> {
        self.propagation_policy.or(match self.orphan_dependents {
            Some(true) => Some(Propagation::Orphan),
            Some(false) => Some(Propagation::Background),
            None => None,
        })
    }

    /// What the object has to be.
    pub(super) fn expect(&self) -> Result<Preconditions, Status> {
        let Some(raw) = &self.preconditions else { return Ok(Preconditions::default()) };
        let revision = raw.resource_version.as_deref().map(super::list::parse_revision).transpose()?;
        Ok(Preconditions { uid: raw.uid.clone(), revision, ends: true })
    }
}
