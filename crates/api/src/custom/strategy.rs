//! What all custom resources do, and what a version of one holds its objects against
//! (k8s.io/apiextensions-apiserver/pkg/registry/customresource).

use super::{Custom, Structural, check, embedded, lists, prune};
use crate::kinds::{Strategy, Verb};
use crate::patch;
use crate::status::Cause;
use crate::value::Value;

/// What all custom resources do. Their defaults and checks are of a version: [`Custom`].
pub struct CustomResource;

impl Strategy for CustomResource {
    fn allow_unconditional_update(&self) -> bool {
        false
    }

    /// Versions differ in their names alone (conversion strategy `None`).
    fn convert(&self, _draft: &mut Value, _from: &str, _to: &str) -> bool {
        true
    }
}

// === impl Custom ===

impl Custom {
    /// The fields at fault, besides those of metadata.
    pub fn validate(&self, new: &Value, old: Option<&Value>, verb: Verb) -> Vec<Cause> {
        let mut causes = Vec::new();
        match verb {
            Verb::UpdateSubresource("status") => {
                if let (Some(schema), Some(status)) = (self.schema.property("status"), new.get("status")) {
                    let before = old.and_then(|old| old.get("status"));
                    causes.extend(check::part(schema, status, before, "status"));
                }
                causes.extend(self.scale_status(new));
                return causes;
            }
            _ => causes.extend(check::object(&self.schema, new, old)),
        }
        causes.extend(self.scale_spec(new));
        causes.extend(self.scale_status(new));
        causes.extend(embedded::check(&self.schema, new));
        // What came twice before may stay.
        if old.is_none_or(|old| lists::duplicates(&self.schema, old).is_empty()) {
            causes.extend(lists::duplicates(&self.schema, new));
        }
        causes
    }

    fn scale_spec(&self, new: &Value) -> Option<Cause> {
        replicas(new, &self.scale.as_ref()?.spec)
    }

    fn scale_status(&self, new: &Value) -> Vec<Cause> {
        let Some(scale) = &self.scale else { return vec![] };
        let selector = scale.selector.as_ref().and_then(|path| {
            let found = at(new, path)?;
            let why = mistyped(path, found, "string");
            found.as_str().is_none().then(|| Cause::invalid(format!(".{}", path.join(".")), &"".into(), &why))
        });
        replicas(new, &scale.status).into_iter().chain(selector).collect()
    }
}

/// What is wrong with the default of a schema, at this path.
pub fn default_faults(schema: &Structural, default: &Value, path: &str) -> Vec<Cause> {
    let mut pruned = default.clone();
    let mut causes = Vec::new();
    if !prune::prune_part(&mut pruned, schema).is_empty() {
        causes.push(Cause::invalid(path, default, "must not have unknown fields"));
    }
    causes.extend(check::part(schema, default, None, path));
    causes
}

fn at<'v>(value: &'v Value, path: &[String]) -> Option<&'v Value> {
    path.iter().try_fold(value, |value, name| value.get(name))
}

/// Upstream's word for a value of another type (k8s.io/apimachinery/pkg/apis/meta/v1/unstructured).
fn mistyped(path: &[String], found: &Value, wanted: &str) -> String {
    let (path, shown, kind) = (path.join("."), patch::go_value(found), patch::go_type(found));
    format!(".{path} accessor error: {shown} is of the type {kind}, expected {wanted}")
}

fn replicas(new: &Value, path: &[String]) -> Option<Cause> {
    let found = at(new, path)?;
    let field = format!(".{}", path.join("."));
    let why = match found {
        Value::Int(number) if *number < 0 => "should be a non-negative integer".to_owned(),
        Value::Int(number) if *number > i64::from(i32::MAX) => {
            format!("should be less than or equal to {}", i32::MAX)
        }
        Value::Int(_) => return None,
        _ => mistyped(path, found, "int64"),
    };
    Some(Cause::invalid(field, &Value::Int(found.as_int().unwrap_or(0)), &why))
}
