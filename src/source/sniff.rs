//! What a file is that was given alone: by its content first, since people rename what they attach, then by its name.
//! Only the beginning is looked at.

mod content;
#[cfg(test)]
mod tests;

use std::io::Read;

use content::{by_content, env_key, significant};

/// How much of a file is enough to know it.
pub const HEAD: usize = 64 << 10;

/// What a file is. Where it stands on a host is [`FileIdentity::place`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum FileIdentity {
    SystemdUnit,
    EnvFile,
    StartScript,
    StaticPod,
    KubeadmConfig,
    KubeletConfig,
    KubeProxyConfig,
    Kubeconfig,
    /// etcd's own YAML configuration.
    EtcdConfig,
    Pem,
    NginxConfig,
    HaproxyConfig,
    KeepalivedConfig,
    ContainerdConfig,
    CrioConfig,
    DockerDaemonJson,
    CniConfig,
    HostsFile,
    ResolvConf,
    /// Any other text, also compressed with gzip, zstd or xz.
    Log,
    /// A tar or zip archive.
    Archive,
    /// systemd's binary journal.
    Journal,
    /// Not text, or nothing at all.
    Unknown,
}

impl FileIdentity {
    /// In words, with an article.
    pub fn name(self) -> &'static str {
        match self {
            FileIdentity::SystemdUnit => "a systemd unit",
            FileIdentity::EnvFile => "an environment file",
            FileIdentity::StartScript => "a start script",
            FileIdentity::StaticPod => "a static pod manifest",
            FileIdentity::KubeadmConfig => "a kubeadm configuration",
            FileIdentity::KubeletConfig => "a kubelet configuration",
            FileIdentity::KubeProxyConfig => "a kube-proxy configuration",
            FileIdentity::Kubeconfig => "a kubeconfig",
            FileIdentity::EtcdConfig => "an etcd configuration",
            FileIdentity::Pem => "a PEM file",
            FileIdentity::NginxConfig => "an nginx configuration",
            FileIdentity::HaproxyConfig => "a haproxy configuration",
            FileIdentity::KeepalivedConfig => "a keepalived configuration",
            FileIdentity::ContainerdConfig => "a containerd configuration",
            FileIdentity::CrioConfig => "a CRI-O configuration",
            FileIdentity::DockerDaemonJson => "docker's daemon.json",
            FileIdentity::CniConfig => "a CNI network configuration",
            FileIdentity::HostsFile => "a hosts file",
            FileIdentity::ResolvConf => "a resolv.conf",
            FileIdentity::Log => "a log",
            FileIdentity::Archive => "an archive",
            FileIdentity::Journal => "a binary journal",
            FileIdentity::Unknown => "unknown",
        }
    }

    /// Where such a file stands on a host, given the path that the user has it at (empty or `-` for standard input) and
    /// its beginning. None for what no host has as one readable file.
    pub fn place(self, name: &str, head: &[u8]) -> Option<String> {
        let base = base_name(name);
        let or = |fallback: &str| if base.is_empty() { fallback.to_owned() } else { base.to_owned() };
        let with = |endings: &[&str], ending: &str, fallback: &str| {
            let name = or(fallback);
            if endings.iter().any(|known| name.ends_with(known)) { name } else { format!("{name}{ending}") }
        };
        Some(match self {
            FileIdentity::SystemdUnit => format!("/etc/systemd/system/{}", unit_name(name, &text_of(head))),
            FileIdentity::EnvFile => env_file_place(&or("environment.env"), &text_of(head)),
            FileIdentity::StartScript => format!("/opt/{}", with(&[".sh"], ".sh", "start")),
            FileIdentity::StaticPod => {
                format!("/etc/kubernetes/manifests/{}", with(&[".yaml", ".yml", ".json", ".manifest"], ".yaml", "pod"))
            }
            FileIdentity::KubeadmConfig => "/etc/kubernetes/kubeadm.yaml".to_owned(),
            FileIdentity::KubeletConfig => "/var/lib/kubelet/config.yaml".to_owned(),
            FileIdentity::KubeProxyConfig => "/var/lib/kube-proxy/config.conf".to_owned(),
            FileIdentity::Kubeconfig => format!("/etc/kubernetes/{}", or("admin.conf")),
            FileIdentity::EtcdConfig => "/etc/etcd/etcd.conf".to_owned(),
            FileIdentity::Pem => format!("/etc/kubernetes/pki/{}", or("certificate.pem")),
            FileIdentity::NginxConfig => "/etc/nginx/nginx.conf".to_owned(),
            FileIdentity::HaproxyConfig => "/etc/haproxy/haproxy.cfg".to_owned(),
            FileIdentity::KeepalivedConfig => "/etc/keepalived/keepalived.conf".to_owned(),
            FileIdentity::ContainerdConfig => "/etc/containerd/config.toml".to_owned(),
            FileIdentity::CrioConfig => "/etc/crio/crio.conf".to_owned(),
            FileIdentity::DockerDaemonJson => "/etc/docker/daemon.json".to_owned(),
            FileIdentity::CniConfig => {
                format!("/etc/cni/net.d/{}", with(&[".conf", ".conflist", ".json"], ".conflist", "network"))
            }
            FileIdentity::HostsFile => "/etc/hosts".to_owned(),
            FileIdentity::ResolvConf => "/etc/resolv.conf".to_owned(),
            FileIdentity::Log => format!("/var/log/{}", or("stdin.log")),
            FileIdentity::Journal => {
                format!("/var/log/journal/0/{}", with(&[".journal", ".journal~"], ".journal", "system.journal"))
            }
            FileIdentity::Archive | FileIdentity::Unknown => return None,
        })
    }
}

/// Says what a file is from its name (a path as the user wrote it, empty for standard input) and its first bytes.
pub fn identify(name: &str, head: &[u8]) -> FileIdentity {
    match by_magic(head) {
        // Too little of it to be unpacked: its name has to tell.
        Some(FileIdentity::Unknown) if is_archive_name(name) => return FileIdentity::Archive,
        Some(identity) => return identity,
        None => {}
    }
    let head = head.get(..HEAD).unwrap_or(head);
    if !is_text(head) {
        return FileIdentity::Unknown;
    }
    let text = text_of(head);
    let name = base_name(name);
    // A line of a log may look like an assignment (`err="..."`) or like resolv.conf's; a name decides that.
    if is_log_name(name) {
        return FileIdentity::Log;
    }
    match by_content(name, &text) {
        Some(FileIdentity::EnvFile | FileIdentity::HostsFile | FileIdentity::ResolvConf) if name.is_empty() => {
            FileIdentity::Log
        }
        Some(identity) => identity,
        None => by_name(name).unwrap_or(FileIdentity::Log),
    }
}

/// `etcd.log`, `kube-apiserver.log.1`, `etcd.log-20260101`.
fn is_log_name(name: &str) -> bool {
    name.rsplit_once(".log").is_some_and(|(_, rest)| {
        rest.is_empty() || rest.starts_with(['.', '-']) && rest.bytes().skip(1).any(|byte| byte.is_ascii_digit())
    })
}

/// The last component of the path; none of standard input.
fn base_name(name: &str) -> &str {
    match name.trim_end_matches('/').rsplit('/').next().unwrap_or("") {
        "-" | "." | ".." => "",
        base => base,
    }
}

fn text_of(head: &[u8]) -> String {
    let text = String::from_utf8_lossy(head.get(..HEAD).unwrap_or(head));
    text.trim_start_matches(['\u{feff}', '\0']).to_owned()
}

fn by_magic(head: &[u8]) -> Option<FileIdentity> {
    let mut peek = Vec::new();
    // Only the first bytes are unpacked; a broken stream is told from what came out before.
    let unpacked = |reader: &mut dyn Read, peek: &mut Vec<u8>| {
        let _ = reader.take(HEAD as u64).read_to_end(peek);
    };
    if head.starts_with(&[0x1f, 0x8b]) {
        unpacked(&mut flate2::read::MultiGzDecoder::new(head), &mut peek);
    } else if head.starts_with(&[0x28, 0xb5, 0x2f, 0xfd]) {
        if let Ok(mut reader) = zstd::stream::read::Decoder::new(head) {
            // 128 MiB of window, what zstd itself allows without being asked.
            let _ = reader.window_log_max(27);
            unpacked(&mut reader, &mut peek);
        }
    } else if head.starts_with(b"\xfd7zXZ\0") {
        let stream = liblzma::stream::Stream::new_stream_decoder(128 << 20, 0).ok()?;
        unpacked(&mut liblzma::read::XzDecoder::new_stream(head, stream), &mut peek);
    } else if head.starts_with(b"BZh") {
        unpacked(&mut bzip2::read::MultiBzDecoder::new(head), &mut peek);
        // Its blocks are larger than what is looked at. A log that bzip2 packed is not read.
        return Some(if is_tar(&peek) { FileIdentity::Archive } else { FileIdentity::Unknown });
    } else if is_tar(head) || head.starts_with(b"PK\x03\x04") {
        return Some(FileIdentity::Archive);
    } else if head.starts_with(b"LPKSHHRH") {
        return Some(FileIdentity::Journal);
    } else {
        return None;
    }
    Some(match () {
        () if is_tar(&peek) => FileIdentity::Archive,
        () if is_text(&peek) => FileIdentity::Log,
        () => FileIdentity::Unknown,
    })
}

fn is_archive_name(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    let packed = [".gz", ".xz", ".zst", ".bz2"]
        .iter()
        .any(|ending| name.strip_suffix(ending).is_some_and(|stem| stem.ends_with(".tar")));
    packed || [".tgz", ".txz", ".tzst", ".tbz", ".tbz2"].iter().any(|ending| name.ends_with(ending))
}

fn is_tar(head: &[u8]) -> bool {
    head.get(257..262) == Some(b"ustar")
}

/// Whether the bytes are text in any encoding that keeps ASCII. A log that was truncated under its writer begins with
/// zeros, so a leading run of them says nothing.
fn is_text(head: &[u8]) -> bool {
    let zeros = head.iter().take_while(|byte| **byte == 0).count();
    let Some(rest) = head.get(zeros..).filter(|rest| !rest.is_empty()) else { return false };
    let strange = rest.iter().filter(|byte| matches!(byte, 0..=6 | 14..=26 | 28..=31 | 127)).count();
    !rest.contains(&0) && strange * 50 <= rest.len()
}

fn env_file_place(name: &str, text: &str) -> String {
    let has = |start: &str| significant(text).filter_map(env_key).any(|key| key.starts_with(start));
    if has("KUBELET_KUBEADM_ARGS") {
        "/var/lib/kubelet/kubeadm-flags.env".to_owned()
    } else if has("FLANNEL_SUBNET") || has("FLANNEL_NETWORK") {
        "/run/flannel/subnet.env".to_owned()
    } else if has("KUBELET_EXTRA_ARGS") {
        "/etc/default/kubelet".to_owned()
    } else if has("ETCD_") && name == "etcd.conf" {
        "/etc/etcd/etcd.conf".to_owned()
    } else if matches!(name, "config" | "apiserver" | "controller-manager" | "scheduler" | "kubelet" | "proxy") {
        format!("/etc/kubernetes/{name}")
    } else {
        format!("/etc/{name}")
    }
}

/// The name that a unit has on a host: its own when it is one, that of the unit that a drop-in belongs to (alone, it is
/// judged as if it were the unit), else that of the program it starts.
fn unit_name(name: &str, text: &str) -> String {
    let base = base_name(name);
    if is_unit_name(base) {
        return base.to_owned();
    }
    let parent = name.trim_end_matches('/').rsplit('/').nth(1).unwrap_or("");
    if let Some(unit) = parent.strip_suffix(".d").filter(|unit| is_unit_name(unit)) {
        return unit.to_owned();
    }
    let program =
        significant(text).filter_map(|line| line.trim_start().strip_prefix("ExecStart=")).find_map(|command| {
            let word = command.trim_start_matches(['-', '@', ':', '+', '!', ' ']).split_whitespace().next()?;
            Some(base_name(word).trim_matches(['"', '\'', '\\']).to_owned()).filter(|word| !word.is_empty())
        });
    let stem = base.split('.').next().unwrap_or("");
    let stem = if stem.is_empty() { "unit" } else { stem };
    format!("{}.service", program.as_deref().unwrap_or(stem))
}

fn is_unit_name(name: &str) -> bool {
    let types = [".service", ".socket", ".timer", ".mount", ".path", ".slice", ".target", ".swap", ".automount"];
    types.iter().any(|ending| name.len() > ending.len() && name.ends_with(ending))
}

/// For files too broken to say what they are.
fn by_name(name: &str) -> Option<FileIdentity> {
    let ends = |endings: &[&str]| endings.iter().any(|ending| name.ends_with(ending));
    Some(match name {
        "nginx.conf" => FileIdentity::NginxConfig,
        "haproxy.cfg" => FileIdentity::HaproxyConfig,
        "keepalived.conf" => FileIdentity::KeepalivedConfig,
        "daemon.json" => FileIdentity::DockerDaemonJson,
        "config.toml" => FileIdentity::ContainerdConfig,
        "crio.conf" => FileIdentity::CrioConfig,
        "resolv.conf" => FileIdentity::ResolvConf,
        "admin.conf" | "super-admin.conf" | "kubelet.conf" | "controller-manager.conf" | "scheduler.conf" => {
            FileIdentity::Kubeconfig
        }
        "kube-apiserver.yaml" | "kube-controller-manager.yaml" | "kube-scheduler.yaml" | "etcd.yaml" => {
            FileIdentity::StaticPod
        }
        "kubeadm-config.yaml" | "kubeadm.yaml" => FileIdentity::KubeadmConfig,
        _ if is_unit_name(name) => FileIdentity::SystemdUnit,
        _ if ends(&[".kubeconfig"]) => FileIdentity::Kubeconfig,
        _ if ends(&[".manifest"]) => FileIdentity::StaticPod,
        _ if ends(&[".env"]) => FileIdentity::EnvFile,
        _ if ends(&[".sh"]) => FileIdentity::StartScript,
        _ if ends(&[".pem", ".crt", ".key", ".cer"]) => FileIdentity::Pem,
        _ if ends(&[".conflist"]) => FileIdentity::CniConfig,
        _ => return None,
    })
}
