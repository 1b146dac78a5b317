//! VolumeAttachment: a volume that is to be attached to a node.

use crate::Cause;
use crate::kinds::strategies::core::pod_spec::defaults::volume_source;
use crate::kinds::strategies::core::pod_spec::validate::driver_name;
use crate::kinds::strategies::fill::{part, restore_metadata, round, with};
use crate::kinds::strategies::rules::{Place, before};
use crate::kinds::strategy::{Strategy, Verb};
use crate::names;
use crate::value::Value;

/// VolumeAttachment: a volume that is to be attached to a node.
pub struct VolumeAttachment;

impl Strategy for VolumeAttachment {
    fn default(&self, draft: &mut Value) {
        with(part(part(draft, "spec"), "source"), "inlineVolumeSpec", |spec| {
            round(spec, "capacity");
            volume_source(spec);
        });
    }

    fn prepare(&self, new: &mut Value, old: Option<&Value>, verb: Verb) {
        if let (Verb::UpdateSubresource("status"), Some(old)) = (verb, old) {
            restore_metadata(new, old);
        }
    }

    fn allow_unconditional_update(&self) -> bool {
        false
    }

    fn returns_deleted(&self) -> bool {
        true
    }

    fn validate(&self, new: &Value, old: Option<&Value>, verb: Verb) -> Vec<Cause> {
        let (attachment, mut out) = (Place::root(new), Vec::new());
        if matches!(verb, Verb::UpdateSubresource(_)) {
            return out;
        }
        let spec = attachment.field("spec");
        driver_name(&spec.field("attacher"), &mut out);
        let source = spec.field("source");
        let (inline, volume) = (source.field("inlineVolumeSpec"), source.field("persistentVolumeName"));
        match (inline.is_set(), volume.is_set()) {
            (false, false) => {
                out.push(
                    source.required("must specify exactly one of inlineVolumeSpec and persistentVolumeName"),
                );
            }
            (true, true) => {
                out.push(
                    source.forbidden("must specify exactly one of inlineVolumeSpec and persistentVolumeName"),
                );
            }
            (false, true) if volume.text().is_empty() => {
                out.push(volume.required("must specify non empty persistentVolumeName"));
            }
            _ => {}
        }
        if volume.is_set() {
            volume.check(names::subdomain, &mut out);
        }
        spec.field("nodeName").check(names::subdomain, &mut out);
        if old.is_some() {
            spec.immutable(before(old, &["spec"]), &mut out);
        }
        out
    }
}
