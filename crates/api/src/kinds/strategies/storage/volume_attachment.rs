//! VolumeAttachment: a volume that is to be attached to a node.

use crate::kinds::strategies::core::pod_spec::defaults::volume_source;
use crate::kinds::strategies::fill::{part, restore_metadata, round, with};
use crate::kinds::strategy::{Strategy, Verb};
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
}
