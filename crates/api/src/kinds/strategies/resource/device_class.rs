//! DeviceClass: kinds of devices.

use crate::kinds::strategy::Strategy;

/// DeviceClass: kinds of devices.
pub struct DeviceClass;

impl Strategy for DeviceClass {
    fn returns_deleted(&self) -> bool {
        true
    }
}
