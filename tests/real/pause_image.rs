//! dockerd and containerd with and without the image that every pod begins with.

use crate::harness::{Options, Process, Report, Sandbox, alone, eventually};

const RULE: &str = "pause-image-missing";
const KUBELET: &str = "/etc/systemd/system/kubelet.service";
const DOCKER: &str = "/etc/systemd/system/docker.service";
const CONTAINERD: &str = "/etc/containerd/config.toml";

const WITH_DOCKER: &str = "\
[Unit]
Description=kubelet

[Service]
ExecStart=/usr/bin/kubelet --kubeconfig=/etc/kubernetes/kubelet.conf \\
    --pod-infra-container-image=gcr.io/google_containers/pause-amd64:3.0

[Install]
WantedBy=multi-user.target
";

const DOCKERD: &str = "\
[Service]
ExecStart=/usr/sbin/dockerd --iptables=false --bridge=none --storage-driver=vfs

[Install]
WantedBy=multi-user.target
";

const WITH_CONTAINERD: &str = "\
[Service]
ExecStart=/usr/bin/kubelet --container-runtime-endpoint=unix:///run/containerd/containerd.sock

[Install]
WantedBy=multi-user.target
";

const CONFIGURATION: &str = "\
version = 2

[plugins.\"io.containerd.grpc.v1.cri\"]
  sandbox_image = \"registry.k8s.io/pause:3.6\"

  [plugins.\"io.containerd.grpc.v1.cri\".containerd]
    snapshotter = \"native\"
";

#[test]
fn docker_without_and_with_the_image() {
    let _machine = alone();
    let Some(host) = Sandbox::start(Options { needs: &["dockerd", "docker", "runc"], ..Options::default() }) else {
        return;
    };
    host.write(KUBELET, WITH_DOCKER);
    host.write(DOCKER, DOCKERD);
    host.enable(KUBELET);
    host.enable(DOCKER);
    let mut dockerd = host.start_unit(DOCKER, "/var/log/docker.log");
    eventually("dockerd", 60, || {
        assert!(dockerd.ended().is_none(), "dockerd ends:\n{}", host.read("/var/log/docker.log"));
        host.output("docker info").status.success().then_some(())
    });
    // What an old kubelet asks for before each pod: dockerd writes its own message.
    host.output("curl -s --unix-socket /run/docker.sock http://d/images/gcr.io/google_containers/pause-amd64:3.0/json");

    let report = host.check(&["--only", RULE]);
    let finding = report.only(RULE);
    finding.says(&["gcr.io/google_containers/pause-amd64:3.0"]);
    finding.points_at(KUBELET, WITH_DOCKER, "gcr.io/google_containers/pause-amd64:3.0");
    has_probe(&report, "docker");

    // The fix names a mirror that the reader has to fill in: here the image comes from an archive.
    let image = "gcr.io/google_containers/pause-amd64:3.0";
    assert!(finding.json["fix"]["commands"].to_string().contains(image), "{}", report.human());
    host.sh(&format!("tar cf /tmp/empty.tar -T /dev/null; docker import /tmp/empty.tar {image}"));
    host.check(&["--only", RULE]).silent(RULE);
}

fn start_containerd(host: &Sandbox) -> Process {
    let mut containerd = host.spawn("containerd", "/tmp/containerd.log");
    eventually("containerd", 60, || {
        assert!(containerd.ended().is_none(), "containerd ends:\n{}", host.read("/tmp/containerd.log"));
        host.output("ctr version").status.success().then_some(())
    });
    containerd
}

#[test]
fn containerd_without_and_with_the_image() {
    let _machine = alone();
    let Some(host) = Sandbox::start(Options { needs: &["containerd", "ctr", "runc"], ..Options::default() }) else {
        return;
    };
    host.write(KUBELET, WITH_CONTAINERD);
    host.enable(KUBELET);
    host.write(CONTAINERD, CONFIGURATION);
    let _containerd = start_containerd(&host);

    let report = host.check(&["--only", RULE]);
    let finding = report.only(RULE);
    finding.says(&["registry.k8s.io/pause:3.6"]);
    finding.points_at(CONTAINERD, CONFIGURATION, "registry.k8s.io/pause:3.6");
    has_probe(&report, "containerd.sock");

    // kubeadm pulled another version: the fix gives it the name that is asked for.
    import(&host, "registry.k8s.io/pause:3.9");
    let report = host.check(&["--only", RULE]);
    let finding = report.only(RULE);
    assert!(report.human().contains("registry.k8s.io/pause:3.9"), "what is there is not said\n{}", report.human());
    host.apply(&finding.fix());
    host.check(&["--only", RULE]).silent(RULE);
}

#[test]
fn containerd_with_another_release_than_the_kubelet() {
    const MISMATCH: &str = "pause-image-mismatch";
    let _machine = alone();
    let Some(host) = Sandbox::start(Options { needs: &["containerd", "ctr", "runc"], ..Options::default() }) else {
        return;
    };
    let kubelet = WITH_CONTAINERD.replace(".sock\n", ".sock --pod-infra-container-image=registry.k8s.io/pause:3.9\n");
    host.write(KUBELET, kubelet);
    host.enable(KUBELET);
    host.write(CONTAINERD, CONFIGURATION);
    let containerd = start_containerd(&host);
    // kubeadm has pulled the kubelet's.
    import(&host, "registry.k8s.io/pause:3.9");
    let report = host.check(&["--only", MISMATCH]);
    let finding = report.only(MISMATCH);
    finding.says(&["registry.k8s.io/pause:3.6", "registry.k8s.io/pause:3.9"]);
    host.apply(&finding.fix());
    assert!(host.systemctl_calls().contains("restart containerd"), "{}", host.systemctl_calls());
    drop(containerd);
    let _containerd = start_containerd(&host);
    host.check(&["--only", "pause-image-mismatch,pause-image-missing"]).silent(MISMATCH);
}

/// An image with one empty layer.
fn import(host: &Sandbox, name: &str) {
    host.sh(&format!(
        r#"set -e
        rm -rf /tmp/image; mkdir -p /tmp/image/layer; cd /tmp/image
        tar cf layer/layer.tar -T /dev/null
        layer=$(sha256sum layer/layer.tar | cut -d' ' -f1)
        printf '{{"architecture":"amd64","os":"linux","config":{{"Entrypoint":["/pause"]}},"rootfs":{{"type":"layers","diff_ids":["sha256:%s"]}}}}' "$layer" > config.json
        printf '[{{"Config":"config.json","RepoTags":["{name}"],"Layers":["layer/layer.tar"]}}]' > manifest.json
        tar cf /tmp/image.tar manifest.json config.json layer/layer.tar
        ctr -n k8s.io images import --all-platforms /tmp/image.tar"#
    ));
}

#[track_caller]
fn has_probe(report: &Report, asked: &str) {
    let finding = report.only(RULE);
    let probes = finding.evidence_of("probe");
    let named = probes.iter().any(|evidence| evidence["source"].as_str().is_some_and(|source| source.contains(asked)));
    assert!(named, "no answer of {asked}\n{}", report.human());
}
