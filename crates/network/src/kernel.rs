//! The kernel as this crate sees it, each part of it replaceable by a fake.

use std::sync::Arc;

use decapod_sys::netlink::{Links, NetlinkError, RouteSocket};
use decapod_sys::nftables::{Nftables, NftablesSocket};
use decapod_sys::sysctl::{Sysctls, SystemSysctls};

/// Links, packet filter and settings of one network namespace. Cloning shares it.
#[derive(Clone)]
pub struct Kernel {
    /// Links, addresses and routes.
    pub links: Arc<dyn Links>,
    /// The packet filter.
    pub nftables: Arc<dyn Nftables>,
    /// Settings; of the calling thread's network namespace.
    pub sysctls: Arc<dyn Sysctls>,
}

// === impl Kernel ===

impl Kernel {
    /// The kernel as the calling thread sees it.
    pub fn system() -> Result<Kernel, NetlinkError> {
        Ok(Kernel {
            links: Arc::new(RouteSocket::open()?),
            nftables: Arc::new(NftablesSocket::open()?),
            sysctls: Arc::new(SystemSysctls),
        })
    }
}
