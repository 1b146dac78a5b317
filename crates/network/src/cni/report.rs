//! What the plugin answers (CNI specification 1.1, section 5).

use serde_json::{Value, json};

/// The versions of the specification that are spoken. The first is answered where none was asked for.
pub const VERSIONS: [&str; 2] = ["1.1.0", "1.0.0"];

/// A refusal. Codes below 100 are the specification's.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub struct Failure {
    /// What kind.
    pub code: u32,
    /// What happened, in one line.
    pub message: String,
}

/// The caller speaks another version.
pub const INCOMPATIBLE_VERSION: u32 = 1;
/// The variables of the environment are wrong.
pub const INVALID_ENVIRONMENT: u32 = 4;
/// Something could not be read or written.
pub const IO_FAILURE: u32 = 5;
/// The configuration is no JSON.
pub const DECODING_FAILURE: u32 = 6;
/// The configuration is wrong.
pub const INVALID_CONFIGURATION: u32 = 7;
/// The plugin cannot take containers now.
pub const NOT_AVAILABLE: u32 = 50;
/// The kernel did not do what it was asked.
pub const FAILED: u32 = 100;

// === impl Failure ===

impl Failure {
    /// A refusal.
    pub fn new(code: u32, message: impl Into<String>) -> Failure {
        Failure { code, message: message.into() }
    }

    /// As it is answered.
    pub fn to_json(&self, version: &str) -> Value {
        json!({ "cniVersion": version, "code": self.code, "msg": self.message })
    }
}

impl From<crate::NetworkError> for Failure {
    fn from(error: crate::NetworkError) -> Failure {
        Failure::new(FAILED, error.to_string())
    }
}

impl From<crate::ipam::IpamError> for Failure {
    fn from(error: crate::ipam::IpamError) -> Failure {
        Failure::new(FAILED, error.to_string())
    }
}

impl From<decapod_sys::netns::NamespaceError> for Failure {
    fn from(error: decapod_sys::netns::NamespaceError) -> Failure {
        Failure::new(FAILED, error.to_string())
    }
}

impl From<decapod_sys::netlink::NetlinkError> for Failure {
    fn from(error: decapod_sys::netlink::NetlinkError) -> Failure {
        Failure::new(FAILED, error.to_string())
    }
}
