//! What the operator says of the hosts, as opposed to what is found there: their roles, the address that clients are to use,
//! and from where on something is too little. Rules compare what they find with it.

use std::net::IpAddr;

use serde::Serialize;

/// What is expected of a host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Expected {
    /// The roles that the host is to have (`control-plane`, `etcd`, `worker`, `load-balancer`); empty when nobody says.
    pub roles: Vec<String>,
    /// The virtual address that is to be before the apiservers.
    pub virtual_ip: Option<IpAddr>,
    /// How many days before its end a certificate is reported; none for the rule's own measure.
    pub certificate_expiry_days: Option<u32>,
    /// The least limit of open files of a component's unit.
    pub open_files: u64,
    /// The fewest CPUs of a control-plane host.
    pub control_plane_cpus: u32,
    /// The least memory of a control-plane host, in MiB.
    pub control_plane_memory_mib: u64,
}

impl Default for Expected {
    /// kubeadm's own minima for a control plane.
    fn default() -> Expected {
        Expected {
            roles: Vec::new(),
            virtual_ip: None,
            certificate_expiry_days: None,
            open_files: 8_192,
            control_plane_cpus: 2,
            control_plane_memory_mib: 1_700,
        }
    }
}
