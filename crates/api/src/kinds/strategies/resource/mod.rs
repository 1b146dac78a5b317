//! The group `resource.k8s.io`.

mod claim;
mod device_class;
mod devices;
mod slice;

pub use claim::{ResourceClaim, ResourceClaimTemplate};
pub use device_class::DeviceClass;
pub use slice::ResourceSlice;
