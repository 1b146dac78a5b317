//! IngressClass: which controller serves an Ingress.

use super::ingress::reference;
use crate::Cause;
use crate::kinds::strategies::checks;
use crate::kinds::strategies::fill::{fill, with};
use crate::kinds::strategies::rules::{Place, before};
use crate::kinds::strategy::{Strategy, Verb};
use crate::names;
use crate::value::Value;

/// IngressClass: which controller serves an Ingress.
pub struct IngressClass;

impl Strategy for IngressClass {
    fn default(&self, draft: &mut Value) {
        with(draft, "spec", |spec| {
            with(spec, "parameters", |parameters| fill(parameters, "scope", "Cluster"))
        });
    }

    fn validate(&self, new: &Value, old: Option<&Value>, _verb: Verb) -> Vec<Cause> {
        let (class, mut out) = (Place::root(new), Vec::new());
        let spec = class.field("spec");
        let controller = spec.field("controller");
        if controller.text().len() > 250 {
            out.push(Cause::too_long(controller.path(), 250));
        }
        controller.need_checked(checks::domain_path, &mut out);
        if old.is_some() {
            controller.immutable(before(old, &["spec", "controller"]), &mut out);
        }
        let parameters = spec.field("parameters");
        if parameters.is_set() {
            reference(&parameters, &mut out);
            let (scope, namespace) = (parameters.field("scope"), parameters.field("namespace"));
            scope.need_one_of(&["Cluster", "Namespace"], &mut out);
            match scope.text() {
                "Namespace" => {
                    if namespace.text().is_empty() {
                        out.push(namespace.required("`parameters.scope` is set to 'Namespace'"));
                    }
                    namespace.check_if_set(names::label, &mut out);
                }
                "Cluster" if namespace.is_set() => {
                    out.push(namespace.forbidden("`parameters.scope` is set to 'Cluster'"));
                }
                _ => {}
            }
        }
        out
    }
}
