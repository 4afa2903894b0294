//! What a host is, and what a cluster of hosts is: typed, with origins, and no way to reach the outside.

pub mod address;
pub mod certificates;
pub mod component;
pub mod expected;
pub mod filesystem;
pub mod firewall;
pub mod host;
pub mod kubeadm;
pub mod kubernetes;
pub mod load_balancer;
pub mod log;
pub mod network;
pub mod path;
pub mod probe;
pub mod runtime;
pub mod system;
pub mod topology;
pub mod unit;
pub mod versions;

pub use host::{Cluster, Host};
