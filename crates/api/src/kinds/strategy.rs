//! What a kind may do of its own: pure functions over drafts.

use crate::status::Cause;
use crate::value::{Str, Value};

/// A warning for the client, as the `Warning` header carries it.
pub type Warning = String;

/// How an object comes to be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verb {
    /// It is new.
    Create,
    /// It replaces another; patches too.
    Update,
    /// Only this subresource of it is replaced, such as `status`.
    UpdateSubresource(&'static str),
}

/// What the registry knows of a write besides its objects.
#[derive(Clone, Copy, Debug)]
pub struct Writer<'a> {
    /// Who writes, as a `UserInfo`: `username`, `uid`, `groups`, `extra`.
    pub user: &'a Value,
    /// When, as metadata writes times.
    pub now: &'a str,
}

/// The behaviour of a kind. Every hook has a default that does nothing; most kinds need few.
///
/// The declarative part (which fields there are, their defaults, list types) comes from the schema; the registry
/// keeps metadata, the split of spec and status, and generation.
pub trait Strategy: Send + Sync {
    /// Fills in what the schema's own defaults cannot: defaults that depend on other fields
    /// (upstream's `SetDefaults_*` of `pkg/apis/*/v1/defaults.go`).
    fn default(&self, _draft: &mut Value) {}

    /// Clears or sets what the client has no say in (upstream's `PrepareForCreate`, `PrepareForUpdate`), after the
    /// registry has reset status or spec.
    fn prepare(&self, _new: &mut Value, _old: Option<&Value>, _verb: Verb) {}

    /// Writes down who writes, or when, where the kind keeps that; right after [`prepare`](Strategy::prepare).
    fn stamp(&self, _new: &mut Value, _old: Option<&Value>, _verb: Verb, _by: Writer) {}

    /// Whether a new object may bring its status along: those that kubelets make of themselves.
    fn keeps_status_on_create(&self) -> bool {
        false
    }

    /// The fields at fault that have to be right before the object is given anything from a shared stock; it is
    /// refused for them alone (upstream's `BeginCreate`, `BeginUpdate`).
    fn validate_early(&self, _new: &Value, _old: Option<&Value>) -> Vec<Cause> {
        vec![]
    }

    /// The fields at fault (upstream's `Validate`, `ValidateUpdate`). `old` is there for updates.
    fn validate(&self, _new: &Value, _old: Option<&Value>, _verb: Verb) -> Vec<Cause> {
        vec![]
    }

    /// What the client should know (upstream's `WarningsOnCreate`, `WarningsOnUpdate`).
    fn warn(&self, _new: &Value) -> Vec<Warning> {
        vec![]
    }

    /// Whether PUT may create (upstream's `AllowCreateOnUpdate`).
    fn allow_create_on_update(&self) -> bool {
        false
    }

    /// Whether PUT without a resourceVersion overwrites (upstream's `AllowUnconditionalUpdate`).
    fn allow_unconditional_update(&self) -> bool {
        true
    }

    /// How long the object may take to go when the client names no time, in seconds; `None` for objects that go at
    /// once (upstream's `RESTGracefulDeleteStrategy`). Pods: their own `terminationGracePeriodSeconds`.
    fn grace_period_seconds(&self, _object: &Value) -> Option<i64> {
        None
    }

    /// What becomes of dependents when the client does not say (upstream's `DefaultGarbageCollectionPolicy`).
    fn default_orphan(&self) -> bool {
        false
    }

    /// Why the object may not be deleted (upstream's `CheckGracefulDelete` and the like).
    fn check_delete(&self, _object: &Value) -> Result<(), String> {
        Ok(())
    }

    /// What the beginning of the end changes in the object, besides its metadata.
    fn begin_delete(&self, _draft: &mut Value) {}

    /// Whether the object has to stay although metadata would let it go: namespaces have finalizers in their spec.
    fn is_held(&self, _object: &Value) -> bool {
        false
    }

    /// Whether delete answers with the object that is gone (upstream's `ReturnDeletedObject`).
    fn returns_deleted(&self) -> bool {
        false
    }

    /// Where the stored object has what field selectors call `label`: the first of these paths that is not empty
    /// (upstream's `ToSelectableFields`).
    fn selectable_paths(&self, label: &str) -> Vec<Str> {
        vec![label.into()]
    }

    /// Reasons why `name` is none for this kind (upstream's `ValidateObjectMeta` name functions).
    fn check_name(&self, name: &str) -> Vec<String> {
        crate::names::subdomain(name)
    }

    /// Turns a draft of this resource from one version into another; `true` when it knew how.
    fn convert(&self, _draft: &mut Value, _from: &str, _to: &str) -> bool {
        false
    }
}

/// The strategy of kinds without behaviour of their own.
pub struct Plain;

impl Strategy for Plain {}
