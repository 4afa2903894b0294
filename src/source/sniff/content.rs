//! What a text is by what stands in it.

use super::FileIdentity;

pub(super) fn significant(text: &str) -> impl Iterator<Item = &str> {
    text.lines().map(str::trim_end).filter(|line| {
        let line = line.trim_start();
        !line.is_empty() && !line.starts_with(['#', ';'])
    })
}

pub(super) fn by_content(name: &str, text: &str) -> Option<FileIdentity> {
    if let Some(shell) = text.strip_prefix("#!") {
        let line = shell.lines().next().unwrap_or("");
        return line.contains("sh").then_some(FileIdentity::StartScript);
    }
    let first = significant(text).next()?.trim_start();
    if first.starts_with("-----BEGIN ") || (text.contains("\n-----BEGIN CERTIFICATE") && is_certificate_dump(first)) {
        return Some(FileIdentity::Pem);
    }
    // `journalctl -o export` is made of assignments too.
    if text.starts_with("__CURSOR=") || text.contains("\n__REALTIME_TIMESTAMP=") {
        return Some(FileIdentity::Log);
    }
    kubernetes_document(first, text)
        .or_else(|| ini_or_toml(first, text))
        .or_else(|| json(first, text))
        .or_else(|| braces_or_sections(first, text))
        .or_else(|| address_lines(name, text))
        .or_else(|| is_env_file(text).then_some(FileIdentity::EnvFile))
}

fn is_certificate_dump(first: &str) -> bool {
    ["Certificate:", "Bag Attributes", "subject=", "Certificate Request:"].iter().any(|start| first.starts_with(start))
}

/// YAML and JSON that say their kind.
fn kubernetes_document(first: &str, text: &str) -> Option<FileIdentity> {
    let is_json = first.starts_with('{');
    let is_yaml = first.starts_with("---") || first.starts_with("%YAML") || yaml_key(first).is_some();
    if !is_json && !is_yaml {
        return None;
    }
    let mut kinds = Vec::new();
    let mut keys = Vec::new();
    if is_json {
        let mut rest = text;
        while let Some((_, after)) = rest.split_once("\"kind\"") {
            rest = after;
            if let Some(value) = after.trim_start().strip_prefix(':') {
                kinds.extend(value.trim_start().strip_prefix('"').and_then(|value| value.split('"').next()));
            }
        }
        // A log line that quotes an object names its kind as well.
        if !text.contains("\"apiVersion\"") || is_json_log(text) {
            return None;
        }
        kinds.truncate(1);
    } else {
        for (key, value) in text.lines().filter_map(yaml_key) {
            keys.push(key);
            if key == "kind" {
                kinds.push(value.split('#').next().unwrap_or(value).trim().trim_matches(['"', '\'']));
            }
        }
    }
    let has = |names: &[&str]| names.iter().any(|name| kinds.contains(name));
    let keyed = |names: &[&str]| names.iter().all(|name| keys.contains(name));
    Some(match () {
        () if has(&["ClusterConfiguration", "InitConfiguration", "JoinConfiguration", "MasterConfiguration"]) => {
            FileIdentity::KubeadmConfig
        }
        () if has(&["KubeletConfiguration"]) => FileIdentity::KubeletConfig,
        () if has(&["KubeProxyConfiguration"]) => FileIdentity::KubeProxyConfig,
        () if has(&["Config"]) || keyed(&["clusters", "contexts", "users"]) => FileIdentity::Kubeconfig,
        () if has(&["Pod"]) => FileIdentity::StaticPod,
        () if keyed(&["listen-client-urls"]) || keyed(&["initial-cluster"]) || keyed(&["listen-peer-urls"]) => {
            FileIdentity::EtcdConfig
        }
        () => return None,
    })
}

/// A mapping's key and value at the line's very beginning.
fn yaml_key(line: &str) -> Option<(&str, &str)> {
    let (key, value) = line.split_once(':')?;
    let key = key.trim_end().trim_matches(['"', '\'']);
    let plain = !key.is_empty() && key.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_./".contains(&byte));
    (plain && (value.is_empty() || value.starts_with([' ', '\t', '\r']))).then_some((key, value))
}

fn ini_or_toml(first: &str, text: &str) -> Option<FileIdentity> {
    const UNIT: [&str; 11] = [
        "[Unit]",
        "[Service]",
        "[Install]",
        "[Socket]",
        "[Timer]",
        "[Mount]",
        "[Path]",
        "[Slice]",
        "[Target]",
        "[Swap]",
        "[Automount]",
    ];
    if UNIT.contains(&first.trim_end()) {
        return Some(FileIdentity::SystemdUnit);
    }
    let tables = || significant(text).map(str::trim_start).filter(|line| line.starts_with('['));
    if tables().any(|line| line.starts_with("[crio")) {
        return Some(FileIdentity::CrioConfig);
    }
    let is_assignment = first.starts_with('[') || first.contains('=');
    let containerd = tables().any(|line| line.starts_with("[plugins") || line.contains("io.containerd."))
        || significant(text).any(|line| {
            line.split_once('=').is_some_and(|(key, _)| matches!(key.trim(), "disabled_plugins" | "required_plugins"))
        });
    (is_assignment && containerd).then_some(FileIdentity::ContainerdConfig)
}

fn is_json_log(text: &str) -> bool {
    let line = text.lines().next().unwrap_or("").trim_end();
    let keys = ["\"msg\"", "\"message\"", "\"level\"", "\"ts\"", "\"log\"", "\"MESSAGE\"", "\"time\"", "\"auditID\""];
    line.ends_with('}') && line.len() > 2 && keys.iter().any(|key| line.contains(key))
}

fn json(first: &str, text: &str) -> Option<FileIdentity> {
    const DAEMON: [&str; 18] = [
        "exec-opts",
        "registry-mirrors",
        "insecure-registries",
        "storage-driver",
        "storage-opts",
        "log-driver",
        "log-opts",
        "data-root",
        "graph",
        "live-restore",
        "bip",
        "hosts",
        "cgroup-parent",
        "default-ulimits",
        "default-runtime",
        "max-concurrent-downloads",
        "default-address-pools",
        "iptables",
    ];
    if !first.starts_with('{') || is_json_log(text) {
        return None;
    }
    if text.contains("\"cniVersion\"") {
        return Some(FileIdentity::CniConfig);
    }
    let has = |key: &&str| text.contains(&format!("\"{key}\""));
    DAEMON.iter().any(has).then_some(FileIdentity::DockerDaemonJson)
}

/// nginx, haproxy and keepalived. The first line has to look like configuration: logs quote it.
fn braces_or_sections(first: &str, text: &str) -> Option<FileIdentity> {
    let words = |line: &str| {
        let mut words = line.split_whitespace().map(str::to_owned);
        (words.next().unwrap_or_default(), words.next().unwrap_or_default())
    };
    let lines = || significant(text).map(str::trim_start).filter(|line| !line.starts_with('!'));
    const SECTIONS: [&str; 9] =
        ["global", "defaults", "frontend", "backend", "listen", "peers", "resolvers", "userlist", "program"];
    if SECTIONS.contains(&words(first).0.as_str()) && !first.ends_with(['{', ';']) {
        let inside = ["bind", "mode", "server", "balance", "timeout", "maxconn", "log", "option", "default_backend"];
        if lines().any(|line| inside.contains(&words(line).0.as_str())) {
            return Some(FileIdentity::HaproxyConfig);
        }
    }
    // The brace may stand on a line of its own.
    let opens = |names: &[&str]| {
        lines().zip(lines().skip(1).chain([""])).any(|(line, next)| {
            names.contains(&words(line).0.trim_end_matches('{')) && (line.contains('{') || next.starts_with('{'))
        })
    };
    let braces = lines().next().is_some_and(|line| {
        line.contains('{')
            || line.ends_with(';')
            || ["include", "global_defs"].contains(&words(line).0.as_str())
            || lines().nth(1).is_some_and(|line| line.trim() == "{")
    });
    if !braces {
        return None;
    }
    let vrrp =
        ["vrrp_instance", "vrrp_script", "virtual_server", "global_defs", "vrrp_sync_group", "virtual_server_group"];
    let begins = |names: &[&str]| lines().any(|line| names.contains(&words(line).0.as_str()));
    if opens(&vrrp) || begins(&["vrrp_instance", "virtual_server"]) {
        return Some(FileIdentity::KeepalivedConfig);
    }
    let nginx = ["http", "stream", "server", "upstream", "events", "location"];
    (opens(&nginx) || lines().any(|line| words(line).0 == "proxy_pass" && line.ends_with(';')))
        .then_some(FileIdentity::NginxConfig)
}

/// /etc/hosts and /etc/resolv.conf.
fn address_lines(name: &str, text: &str) -> Option<FileIdentity> {
    let mut hosts = 0;
    let mut servers = 0;
    let mut others = 0;
    for line in significant(text) {
        let mut words = line.split_whitespace();
        match (words.next(), words.next()) {
            (Some("nameserver"), Some(_)) => servers += 1,
            (Some("search" | "domain" | "options" | "sortlist"), _) => {}
            (Some(address), Some(_)) if address.parse::<std::net::IpAddr>().is_ok() => hosts += 1,
            _ => others += 1,
        }
    }
    if servers > 0 && hosts == 0 && others == 0 {
        Some(FileIdentity::ResolvConf)
    } else if hosts > 0 && (name == "hosts" || (others == 0 && text.contains("localhost"))) {
        // An access log's lines begin with an address too, but hardly all of them with localhost among them.
        Some(FileIdentity::HostsFile)
    } else {
        None
    }
}

pub(super) fn env_key(line: &str) -> Option<&str> {
    let line = line.trim_start();
    let line = line.strip_prefix("export ").unwrap_or(line);
    let (key, _) = line.split_once('=')?;
    let plain = !key.is_empty() && key.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    (plain && !key.starts_with(|first: char| first.is_ascii_digit())).then_some(key)
}

/// Nearly all lines are assignments, but for continued ones: a mistyped line is what we are here for.
fn is_env_file(text: &str) -> bool {
    // logrus and its kin: level=error msg="..."
    if significant(text)
        .next()
        .and_then(env_key)
        .is_some_and(|key| matches!(key, "time" | "level" | "ts" | "msg" | "t"))
    {
        return false;
    }
    let (mut assignments, mut others, mut continued) = (0, 0, false);
    for line in significant(text) {
        match env_key(line) {
            Some(_) => assignments += 1,
            None if continued || line.trim_start().starts_with("-") => {}
            None => others += 1,
        }
        continued = line.ends_with('\\');
    }
    assignments > 0 && others * 4 <= assignments
}
