//! Bindings: who held an address when (DHCP and VPN leases).

use serde::{Deserialize, Serialize};

use crate::time::Timestamp;

/// One lease: `host` held `ip` from `from` until, but not at, `to`.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Binding {
    /// The tenant the lease belongs to; `default` where the record names none.
    #[serde(default = "default_tenant")]
    pub tenant: String,
    /// The address, canonical text.
    pub ip: String,
    /// The host's name in the tenant.
    pub host: String,
    /// First moment of the lease.
    pub from: Timestamp,
    /// First moment after the lease.
    pub to: Timestamp,
}

fn default_tenant() -> String {
    crate::tenant::DEFAULT_TENANT.to_owned()
}
