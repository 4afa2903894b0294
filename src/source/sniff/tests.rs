use std::io::Write;

use super::*;

#[test]
fn files_are_told_by_content_then_name() {
    use FileIdentity as F;
    let cases: &[(&str, &str, F, &str)] = &[
        ("etcd.service", "[Unit]\nDescription=etcd\n", F::SystemdUnit, "/etc/systemd/system/etcd.service"),
        (
            "a/x.txt",
            "# c\n\n[Service]\nExecStart=-/usr/bin/etcd --name=a\n",
            F::SystemdUnit,
            "/etc/systemd/system/etcd.service",
        ),
        ("", "[Unit]\n[Service]\n", F::SystemdUnit, "/etc/systemd/system/unit.service"),
        (
            "kubelet.service.d/10-kubeadm.conf",
            "[Service]\nExecStart=\n",
            F::SystemdUnit,
            "/etc/systemd/system/kubelet.service",
        ),
        ("flanneld.service", "Unit]\nDescription=x\n", F::SystemdUnit, "/etc/systemd/system/flanneld.service"),
        (
            "etcd.env",
            "# etcd\nETCD_NAME=m1\nETCD_LISTEN_PEER_URLS=https://10.0.0.1:2380\n",
            F::EnvFile,
            "/etc/etcd.env",
        ),
        ("etcd.conf", "#[Member]\nETCD_NAME=\"m1\"\n", F::EnvFile, "/etc/etcd/etcd.conf"),
        ("x", "KUBELET_KUBEADM_ARGS=\"--network-plugin=cni\"\n", F::EnvFile, "/var/lib/kubelet/kubeadm-flags.env"),
        ("apiserver", "KUBE_API_ARGS=\"--v=2 \\\n  --x=1\"\n", F::EnvFile, "/etc/kubernetes/apiserver"),
        ("subnet.env", "FLANNEL_NETWORK=10.244.0.0/16\n", F::EnvFile, "/run/flannel/subnet.env"),
        ("start-etcd", "#!/bin/bash\nETCD_NAME=m1\n", F::StartScript, "/opt/start-etcd.sh"),
        ("etcd.yaml", "apiVersion: v1\nkind: Pod\nspec:\n", F::StaticPod, "/etc/kubernetes/manifests/etcd.yaml"),
        ("etcd.yaml", "apiVersion v1\n kind Pod\n", F::StaticPod, "/etc/kubernetes/manifests/etcd.yaml"),
        ("p", "{\"apiVersion\": \"v1\",\n \"kind\": \"Pod\"}", F::StaticPod, "/etc/kubernetes/manifests/p.yaml"),
        (
            "k.yml",
            "---\napiVersion: kubeadm.k8s.io/v1beta3\nkind: ClusterConfiguration\n---\nkind: KubeletConfiguration\n",
            F::KubeadmConfig,
            "/etc/kubernetes/kubeadm.yaml",
        ),
        (
            "c",
            "kind: KubeletConfiguration # x\napiVersion: kubelet.config.k8s.io/v1beta1\n",
            F::KubeletConfig,
            "/var/lib/kubelet/config.yaml",
        ),
        ("c", "kind: \"KubeProxyConfiguration\"\n", F::KubeProxyConfig, "/var/lib/kube-proxy/config.conf"),
        (
            "admin.conf",
            "apiVersion: v1\nclusters:\n- cluster:\nkind: Config\n",
            F::Kubeconfig,
            "/etc/kubernetes/admin.conf",
        ),
        ("", "clusters: []\ncontexts: []\nusers: []\n", F::Kubeconfig, "/etc/kubernetes/admin.conf"),
        ("e", "name: m1\nlisten-client-urls: https://10.0.0.1:2379\n", F::EtcdConfig, "/etc/etcd/etcd.conf"),
        ("ca.txt", "-----BEGIN CERTIFICATE-----\nMIIB\n", F::Pem, "/etc/kubernetes/pki/ca.txt"),
        ("ca", "Certificate:\n    Data:\n-----BEGIN CERTIFICATE-----\n", F::Pem, "/etc/kubernetes/pki/ca"),
        ("n", "upstream backend {\n  server 10.0.0.1:6443;\n}\nserver {\n", F::NginxConfig, "/etc/nginx/nginx.conf"),
        ("n", "user nginx;\nevents {}\nhttp\n{\n", F::NginxConfig, "/etc/nginx/nginx.conf"),
        ("n", "worker_processes 1;\nstream {\n", F::NginxConfig, "/etc/nginx/nginx.conf"),
        ("nginx.conf", "http }\n", F::NginxConfig, "/etc/nginx/nginx.conf"),
        (
            "h",
            "global\n    log /dev/log local0\nfrontend a\n  bind *:6443\n",
            F::HaproxyConfig,
            "/etc/haproxy/haproxy.cfg",
        ),
        (
            "k",
            "! Configuration File for keepalived\nglobal_defs {\n}\nvrrp_instance VI_1 {\n",
            F::KeepalivedConfig,
            "/etc/keepalived/keepalived.conf",
        ),
        ("k", "vrrp_instance VI_1\n{\n state MASTER\n", F::KeepalivedConfig, "/etc/keepalived/keepalived.conf"),
        (
            "c",
            "version = 2\n[plugins.\"io.containerd.grpc.v1.cri\"]\n",
            F::ContainerdConfig,
            "/etc/containerd/config.toml",
        ),
        ("c", "disabled_plugins = [\"cri\"]\n", F::ContainerdConfig, "/etc/containerd/config.toml"),
        ("c", "[crio.runtime]\ncgroup_manager = \"systemd\"\n", F::CrioConfig, "/etc/crio/crio.conf"),
        (
            "d",
            "{\n \"exec-opts\": [\"native.cgroupdriver=systemd\"],\n}",
            F::DockerDaemonJson,
            "/etc/docker/daemon.json",
        ),
        ("daemon.json", "{}\n", F::DockerDaemonJson, "/etc/docker/daemon.json"),
        ("10-x", "{\"cniVersion\": \"0.3.1\", \"name\": \"cbr0\"}", F::CniConfig, "/etc/cni/net.d/10-x.conflist"),
        ("hosts", "127.0.0.1 localhost\n10.0.0.1 m1\n", F::HostsFile, "/etc/hosts"),
        ("r", "search x\nnameserver 10.0.0.2\n", F::ResolvConf, "/etc/resolv.conf"),
        ("kubelet.log", "I0102 03:04:05.678901    1234 kubelet.go:1] starting\n", F::Log, "/var/log/kubelet.log"),
        ("x.log", "{\"level\":\"warn\",\"ts\":\"2024\",\"msg\":\"x \\\"log-driver\\\" \"}\n", F::Log, "/var/log/x.log"),
        ("x.log", "Jan  2 03:04:05 m1 etcd[1]: listen: server {\n", F::Log, "/var/log/x.log"),
        ("x.log", "10.0.0.9 - - [02/Jan/2024] \"GET /healthz\" 200\n", F::Log, "/var/log/x.log"),
        ("j", "__CURSOR=s=1\n__REALTIME_TIMESTAMP=1\nMESSAGE=x\n", F::Log, "/var/log/j"),
        ("-", "level=error msg=\"x\"\ntime=1 level=info\n", F::Log, "/var/log/stdin.log"),
        ("holes.log", "\0\0\0\0\0\0\0\0etcd: ready\n", F::Log, "/var/log/holes.log"),
    ];
    for (name, content, identity, place) in cases {
        assert_eq!(identify(name, content.as_bytes()), *identity, "{name}: {content}");
        assert_eq!(identity.place(name, content.as_bytes()).as_deref(), Some(*place), "{name}: {content}");
    }
}

#[test]
fn binary_content_is_told_by_magic() {
    let gzip = |content: &[u8]| {
        let mut writer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
        writer.write_all(content).unwrap();
        writer.finish().unwrap()
    };
    let mut tar = vec![b'a'; 512];
    tar[257..262].copy_from_slice(b"ustar");
    let log = b"etcd: ready\n".repeat(20_000);
    let zstd = zstd::stream::encode_all(&log[..], 1).unwrap();
    let mut xz = liblzma::write::XzEncoder::new(Vec::new(), 1);
    xz.write_all(&log).unwrap();
    let xz = xz.finish().unwrap();
    let cut = |bytes: &[u8]| bytes[..bytes.len().min(HEAD) * 2 / 3].to_vec();
    for (content, expected) in [
        (gzip(&log), FileIdentity::Log),
        (cut(&gzip(&log)), FileIdentity::Log),
        (gzip(&tar), FileIdentity::Archive),
        (gzip(b"\x7fELF\0\0\0"), FileIdentity::Unknown),
        (zstd, FileIdentity::Log),
        (xz, FileIdentity::Log),
        (tar, FileIdentity::Archive),
        (b"LPKSHHRH\0".to_vec(), FileIdentity::Journal),
        (vec![0; 100], FileIdentity::Unknown),
        (b"\x7fELF\x02\x01\x01\0".to_vec(), FileIdentity::Unknown),
        (b"\x1f\x8b".to_vec(), FileIdentity::Unknown),
        (b"caf\xe9 au lait\n".to_vec(), FileIdentity::Log),
    ] {
        assert_eq!(identify("x", &content), expected, "{:?}", &content[..content.len().min(16)]);
    }
}
