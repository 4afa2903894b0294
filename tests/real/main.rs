//! The program against the real things: etcd, dockerd, containerd, OpenSSL, cfssl, the kernel's own namespaces, systemd.
//!
//! Each test has a sandbox: namespaces of its own over the machine's files, in which it may write to /etc and use the usual
//! ports, and in which the fixes are run exactly as they are printed. What a test needs and the machine does not have makes
//! it say `skipped: TEST: WHY` on stderr, also without --nocapture; with K8SDOCTOR_NO_SKIP=1 that is a failure, and a file
//! named by K8SDOCTOR_SKIPS gets a line for each.
#![allow(clippy::disallowed_methods, reason = "tests make the hosts that the program looks at")]

mod harness;

mod apiserver;
mod balancers;
mod certificate_files;
mod certificates;
mod cgroups;
mod control_plane;
mod default_route;
mod docker;
mod endpoints;
mod etcd_address;
mod etcd_answers;
mod etcd_clients;
mod etcd_quorum;
mod etcd_setup;
mod interfaces;
mod journal;
mod links;
mod packet_filter;
mod pause_image;
mod proxies;
mod served_stale;
mod together;
mod units;
mod whole_host;
