//! VolumeAttributesClass: what of a volume may be changed.

use crate::kinds::strategy::Strategy;

/// VolumeAttributesClass: what of a volume may be changed.
pub struct VolumeAttributesClass;

impl Strategy for VolumeAttributesClass {
    fn returns_deleted(&self) -> bool {
        true
    }
}
