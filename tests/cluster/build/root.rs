//! The root file system that the hosts share: Debian's packages, a unit for the static address, containerd's configuration.

use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail};

use crate::command::{output, said, say, which};

pub const SUITE: &str = "bookworm";

/// A change of the packages needs a new number in [`NAME`].
const PACKAGES: &str = "systemd,systemd-sysv,dbus,iproute2,iptables,procps,kmod,ethtool,conntrack,socat,ebtables,ipset,\
containerd,runc,docker.io,haproxy,keepalived,nginx-light,libnginx-mod-stream,containernetworking-plugins,curl,ca-certificates,openssl,\
rsyslog,chrony,netbase,hostname,iputils-ping,util-linux,less";

/// The folder's name in the cache.
pub const NAME: &str = "root-bookworm-2";

/// A change of what [`configure`] writes needs a new number.
const CONFIGURED: &str = "root-bookworm-2.configured-1";

/// What starts by itself once it is installed, and shall not.
const DISABLED: [&str; 9] = [
    "systemd-networkd",
    "docker",
    "docker.socket",
    "nginx",
    "haproxy",
    "keepalived",
    "apt-daily.timer",
    "apt-daily-upgrade.timer",
    "e2scrub_reap",
];

/// networkd waits for udev, which a container lacks; the address is given by hand.
pub const NETWORK_UNIT: &str = "\
[Unit]
Description=Static address of host0
DefaultDependencies=no
After=local-fs.target
Before=network.target network-online.target
Wants=network.target

[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=/bin/sh /etc/network/static.sh

[Install]
WantedBy=multi-user.target network-online.target
";

const KUBELET_UNIT: &str = "\
[Unit]
Description=kubelet: The Kubernetes Node Agent
Documentation=https://kubernetes.io/docs/
Wants=network-online.target
After=network-online.target

[Service]
ExecStart=/usr/bin/kubelet
Restart=always
StartLimitInterval=0
RestartSec=10

[Install]
WantedBy=multi-user.target
";

/// As kubeadm's package has it.
const KUBELET_DROP_IN: &str = r#"[Service]
Environment="KUBELET_KUBECONFIG_ARGS=--bootstrap-kubeconfig=/etc/kubernetes/bootstrap-kubelet.conf --kubeconfig=/etc/kubernetes/kubelet.conf"
Environment="KUBELET_CONFIG_ARGS=--config=/var/lib/kubelet/config.yaml"
EnvironmentFile=-/var/lib/kubelet/kubeadm-flags.env
EnvironmentFile=-/etc/default/kubelet
ExecStart=
ExecStart=/usr/bin/kubelet $KUBELET_KUBECONFIG_ARGS $KUBELET_CONFIG_ARGS $KUBELET_KUBEADM_ARGS $KUBELET_EXTRA_ARGS
"#;

const SYSCTLS: &str =
    "net.bridge.bridge-nf-call-iptables = 1\nnet.bridge.bridge-nf-call-ip6tables = 1\nnet.ipv4.ip_forward = 1\n";

/// Makes the root, when it is not there: one or two minutes.
pub fn make(cache: &Path) -> Result<()> {
    let root = cache.join(NAME);
    if !root.is_dir() {
        say("making a root of Debian's packages, once");
        let making = cache.join("making-root");
        let _ = std::fs::remove_dir_all(&making);
        let program = which("debootstrap").context("debootstrap is not installed")?;
        let mut debootstrap = Command::new(program);
        debootstrap.args(["--variant=minbase", &format!("--include={PACKAGES}"), SUITE]).arg(&making);
        let done = said(&mut debootstrap, Duration::from_secs(1800))?;
        if !done.success {
            bail!("debootstrap: {}", done.tail());
        }
        std::fs::rename(&making, &root).with_context(|| root.display().to_string())?;
    }
    let configured = cache.join(CONFIGURED);
    if !configured.exists() {
        configure(&root)?;
        std::fs::write(configured, "")?;
    }
    Ok(())
}

fn configure(root: &Path) -> Result<()> {
    for folder in ["systemd/system/kubelet.service.d", "systemd/system"] {
        std::fs::create_dir_all(root.join("usr/lib").join(folder))?;
    }
    for folder in ["network", "kubernetes/manifests", "modules-load.d", "containerd", "cni/net.d"] {
        std::fs::create_dir_all(root.join("etc").join(folder))?;
    }
    for (path, text) in [
        ("etc/systemd/system/network-static.service", NETWORK_UNIT),
        ("usr/lib/systemd/system/kubelet.service", KUBELET_UNIT),
        ("usr/lib/systemd/system/kubelet.service.d/10-kubeadm.conf", KUBELET_DROP_IN),
        ("etc/modules-load.d/k8s.conf", "overlay\nbr_netfilter\n"),
        ("etc/sysctl.d/k8s.conf", SYSCTLS),
        ("etc/fstab", "# <file system> <mount point> <type> <options> <dump> <pass>\n"),
    ] {
        std::fs::write(root.join(path), text).with_context(|| path.to_owned())?;
    }
    for unit in DISABLED {
        let _ = said(&mut chroot(root, &["systemctl", "disable", unit]), Duration::from_secs(60));
    }
    for unit in ["console-getty", "systemd-networkd-wait-online", "docker.socket"] {
        let _ = said(&mut chroot(root, &["systemctl", "mask", unit]), Duration::from_secs(60));
    }
    output(&mut chroot(root, &["systemctl", "enable", "network-static"]), Duration::from_secs(60))?;
    let tools = root.join("usr/local/bin/k8sdoctor");
    let _ = std::fs::remove_file(&tools);
    symlink("/opt/k8sdoctor/k8sdoctor", tools)?;
    Ok(())
}

pub fn chroot(root: &Path, words: &[&str]) -> Command {
    let mut command = Command::new("chroot");
    command
        .arg(root)
        .args(words)
        .env_clear()
        .env("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin");
    command
}
