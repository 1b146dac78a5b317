//! IPAddress: an address that is taken.

use crate::kinds::strategy::Strategy;

/// IPAddress: an address that is taken.
pub struct IpAddress;

impl Strategy for IpAddress {
    /// Its name is the address, as it is written canonically.
    fn check_name(&self, name: &str) -> Vec<String> {
        match name.parse::<std::net::IpAddr>() {
            Ok(address) if address.to_string() == name => vec![],
            Ok(address) => vec![format!("must be a canonical format IP address, e.g. {address}")],
            Err(_) => vec!["must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)".to_owned()],
        }
    }
}
