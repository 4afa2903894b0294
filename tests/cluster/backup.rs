//! What a fault may change, kept before it and put back when its fix did not mend it.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::Result;

use crate::command::sh;
use crate::host::Host;
use crate::shape::Cluster;

const KEPT: [&str; 20] = [
    "etc/kubernetes",
    "etc/cni",
    "etc/containerd",
    "etc/docker",
    "etc/etcd",
    "etc/haproxy",
    "etc/keepalived",
    "etc/nginx",
    "etc/systemd/system",
    "etc/default",
    "etc/network",
    "etc/sysconfig",
    "etc/sysctl.d",
    "etc/hosts",
    "etc/hostname",
    "etc/resolv.conf",
    "etc/nsswitch.conf",
    "etc/fstab",
    "var/lib/kubelet/config.yaml",
    "var/lib/kubelet/kubeadm-flags.env",
];

/// The files of all hosts, outside the hosts.
pub struct Backup {
    folder: PathBuf,
}

impl Backup {
    pub fn take(cluster: &Cluster) -> Result<Backup> {
        let folder = cluster.place.run().join("backup");
        let _ = std::fs::remove_dir_all(&folder);
        for host in &cluster.hosts {
            let to = folder.join(&host.name);
            std::fs::create_dir_all(&to)?;
            let kept = present(host)?;
            sh(
                &format!("cd '{}'; cp -a --parents {} '{}'", host.path("/")?.display(), kept.join(" "), to.display()),
                Duration::from_secs(60),
            )?;
        }
        Ok(Backup { folder })
    }

    /// Puts a host's files back where they differ, and starts again what reads them; that alone when `forced`.
    pub fn restore(&self, host: &Host, forced: bool) -> Result<()> {
        let from = self.folder.join(&host.name);
        // Files are written anew where they differ, so that nothing is restarted for a file that was not touched.
        let script = format!(
            "cd '{root}'
             for path in {kept}; do
               [ -e \"{from}/$path\" ] || {{ [ ! -e \"$path\" ] || echo \"$path\"; rm -rf \"$path\"; continue; }}
               diff -rq --no-dereference \"{from}/$path\" \"$path\" >/dev/null 2>&1 && continue
               echo \"$path\"; rm -rf \"$path\"; mkdir -p \"$(dirname \"$path\")\"; cp -a \"{from}/$path\" \"$path\"
             done",
            root = host.path("/")?.display(),
            kept = KEPT.join(" "),
            from = from.display(),
        );
        let changed = sh(&script, Duration::from_secs(60))?;
        if changed.trim().is_empty() && !forced {
            return Ok(());
        }
        let restart = "systemctl daemon-reload
            hostname \"$(cat /etc/hostname)\"
            for unit in containerd haproxy keepalived nginx etcd flanneld docker cri-docker kube-apiserver \
                kube-controller-manager kube-scheduler kubelet kube-proxy; do
              systemctl is-enabled -q $unit 2>/dev/null && systemctl restart --no-block $unit
            done
            sleep 3
            # Static pods keep certificates that they have read.
            if [ -e /etc/kubernetes/manifests ]; then
              crictl ps -q --name 'kube-|etcd' 2>/dev/null | xargs -r crictl stop -t 5 >/dev/null 2>&1
            fi
            true";
        host.script(restart, Duration::from_secs(120)).map(|_| ())
    }
}

fn present(host: &Host) -> Result<Vec<&'static str>> {
    let root = host.path("/")?;
    Ok(KEPT.into_iter().filter(|path| root.join(path).exists()).collect())
}
