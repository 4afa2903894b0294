//! Container runtimes as configured: docker, containerd, CRI-O, CNI and what flannel left.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::{Files, Problems, TextFile};
use crate::facts::runtime::{CniConfig, ContainerdConfig, Runtimes};
use crate::origin::{Fact, Origin, Sourced, Span, Unknown};
use crate::parse::{self, json, toml};
use crate::source::{FileKind, ReadError};

type Values = BTreeMap<String, Sourced<String>>;
type Parser = fn(&str) -> (BTreeMap<String, (String, Span)>, Vec<parse::Problem>);

/// The first that is there counts.
const CONTAINERD: [&str; 3] = [
    "/etc/containerd/config.toml",
    "/var/lib/rancher/k3s/agent/etc/containerd/config.toml",
    "/var/lib/rancher/rke2/agent/etc/containerd/config.toml",
];
/// Files that one `imports` may bring in.
const IMPORT_LIMIT: usize = 64;

pub fn collect(files: &Files, problems: &Problems) -> Runtimes {
    let mut reader = Reader { files, problems, invalid: Vec::new() };
    let docker_daemon = reader.scalars("/etc/docker/daemon.json", json::flatten);
    let docker_images = docker_images(files, docker_daemon.as_ref().ok().and_then(Option::as_ref));
    let containerd = reader.containerd();
    let crio = reader.crio();
    Runtimes {
        docker_daemon,
        docker_images,
        containerd,
        crio,
        cni: cni(files, problems),
        flannel_subnet: flannel_subnet(files),
        invalid: reader.invalid,
    }
}

/// What docker keeps of its images' names, one list for each storage driver that was ever used; the newest counts.
fn docker_images(files: &Files, daemon: Option<&Values>) -> Fact<Option<Vec<String>>> {
    let configured = daemon.and_then(|daemon| daemon.get("data-root").or_else(|| daemon.get("graph")));
    let root = configured.map_or("/var/lib/docker", |root| root.value.trim_end_matches('/'));
    let directory = format!("{root}/image");
    let drivers = match files.list(&directory) {
        Ok(drivers) => drivers,
        Err(error) if error.is_absent() => return Ok(None),
        Err(error) => return Err(error.unknown()),
    };
    let mut lists = Vec::new();
    for driver in drivers.iter().filter(|driver| driver.kind == FileKind::Directory) {
        let path = format!("{directory}/{}/repositories.json", driver.name);
        match files.metadata(&path) {
            Ok(metadata) => lists.push((metadata.modified, path)),
            Err(error) if error.is_absent() => {}
            Err(error) => return Err(error.unknown()),
        }
    }
    let Some((_, path)) = lists.into_iter().max() else { return Ok(None) };
    let bytes = files.bytes(&path).map_err(|error| error.unknown())?;
    let list: DockerRepositories = serde_json::from_slice(&bytes)
        .map_err(|error| Unknown::new(&path, format!("is not docker's list of images: {error}")))?;
    Ok(Some(list.repositories.into_values().flat_map(BTreeMap::into_keys).collect()))
}

/// `{"Repositories": {"k8s.gcr.io/pause": {"k8s.gcr.io/pause:3.1": "sha256:..."}}}`
#[derive(serde::Deserialize)]
struct DockerRepositories {
    #[serde(rename = "Repositories")]
    repositories: BTreeMap<String, BTreeMap<String, serde::de::IgnoredAny>>,
}

/// The text, none when it is known that there is no such file.
pub(super) fn optional_text(files: &Files, path: &str) -> Fact<Option<Arc<TextFile>>> {
    match files.text(path) {
        Ok(file) => Ok(Some(file)),
        Err(error) if error.is_absent() => Ok(None),
        Err(error) => Err(error.unknown()),
    }
}

/// The first of several places that holds the file. That a later place is not known does not matter when the first, the
/// usual one, is known to be empty.
pub(super) fn first_text(files: &Files, paths: &[&str]) -> Fact<Option<Arc<TextFile>>> {
    let mut answer = Ok(None);
    for (index, path) in paths.iter().enumerate() {
        match files.text(path) {
            Ok(file) => return Ok(Some(file)),
            Err(error) if error.is_absent() => {}
            Err(error @ ReadError::NotCovered { .. }) if index > 0 => drop(error),
            Err(error) if answer.is_ok() => answer = Err(error.unknown()),
            Err(_) => {}
        }
    }
    answer
}

struct Reader<'a> {
    files: &'a Files,
    problems: &'a Problems,
    invalid: Vec<(Origin, String)>,
}

impl Reader<'_> {
    fn flatten(&mut self, file: &TextFile, parser: Parser) -> Values {
        let (values, problems) = parser(&file.text);
        for problem in &problems {
            self.invalid.push((Origin::file(file.path.clone(), problem.span), problem.message.clone()));
        }
        self.problems.add_parsed(&file.path, problems);
        let sourced = |(key, (value, span)): (String, (String, Span))| {
            let value = without_secret(&key, value);
            (key, Sourced::new(value, Origin::file(file.path.clone(), Some(span))))
        };
        values.into_iter().map(sourced).collect()
    }

    fn scalars(&mut self, path: &str, parser: Parser) -> Fact<Option<Values>> {
        Ok(optional_text(self.files, path)?.map(|file| self.flatten(&file, parser)))
    }

    fn containerd(&mut self) -> Fact<Option<ContainerdConfig>> {
        let Some(file) = first_text(self.files, &CONTAINERD)? else { return Ok(None) };
        let mut values = self.flatten(&file, toml::flatten);
        let mut disabled_plugins = items(&values, "disabled_plugins");
        for import in items(&values, "imports") {
            for path in self.imported(&file.path, &import) {
                if let Ok(file) = self.files.text(&path) {
                    let imported = self.flatten(&file, toml::flatten);
                    disabled_plugins.extend(items(&imported, "disabled_plugins"));
                    // What is imported overrides, except that lists grow.
                    values.extend(imported.into_iter().filter(|(key, _)| !key.starts_with("disabled_plugins.")));
                }
            }
        }
        let version = values.get("version").and_then(|version| version.value.parse().ok()).unwrap_or(1);
        // containerd looks up a plug-in by its bare name in version 1 and by its URI since; the other spelling is ignored.
        let (cri, runtime, image) = match version {
            0 | 1 => ("plugins.cri", "plugins.cri", "sandbox_image"),
            2 => {
                let cri = "plugins.\"io.containerd.grpc.v1.cri\"";
                (cri, cri, "sandbox_image")
            }
            _ => (
                "plugins.\"io.containerd.cri.v1.images\"",
                "plugins.\"io.containerd.cri.v1.runtime\"",
                "pinned_images.sandbox",
            ),
        };
        let name = values.get(&format!("{runtime}.containerd.default_runtime_name"));
        let name = parse::words::join_key("", name.map_or("runc", |name| &name.value));
        let cgroup = values.get(&format!("{runtime}.containerd.runtimes.{name}.options.SystemdCgroup"));
        Ok(Some(ContainerdConfig {
            path: file.path.to_string(),
            version,
            disabled_plugins,
            sandbox_image: values.get(&format!("{cri}.{image}")).cloned(),
            systemd_cgroup: cgroup.map(|cgroup| cgroup.clone().map(|value| value == "true")),
            values,
        }))
    }

    /// The files that an import names: relative to the importing file, `*` in the last component.
    fn imported(&self, from: &str, import: &Sourced<String>) -> Vec<String> {
        let directory = from.rsplit_once('/').map_or("", |(directory, _)| directory);
        let path = match import.value.starts_with('/') {
            true => import.value.clone(),
            false => format!("{directory}/{}", import.value),
        };
        let mut paths = expand(self.files, &path).unwrap_or_default();
        paths.retain(|path| path != from);
        if paths.len() > IMPORT_LIMIT {
            let message = format!("only the first {IMPORT_LIMIT} files of this import are read");
            self.problems.add(from, import.origin.span(), message, None);
            paths.truncate(IMPORT_LIMIT);
        }
        paths
    }

    fn crio(&mut self) -> Fact<Option<Values>> {
        let mut values = self.scalars("/etc/crio/crio.conf", toml::flatten)?;
        // Later files override earlier ones.
        for path in files_in(self.files, "/etc/crio/crio.conf.d", &[""])? {
            if let Some(more) = self.scalars(&path, toml::flatten)? {
                values.get_or_insert_default().extend(more);
            }
        }
        Ok(values)
    }
}

/// Registry passwords and tokens, and those within a URL, are not kept.
fn without_secret(key: &str, value: String) -> String {
    let last = key.rsplit('.').next().unwrap_or(key).trim_matches('"').to_ascii_lowercase();
    if ["password", "token", "identitytoken", "auth", "secret"].iter().any(|secret| last.ends_with(secret)) {
        return "(not kept)".to_owned();
    }
    if let Some((scheme, rest)) = value.split_once("://")
        && let Some((user, host)) = rest.split_once('@')
        && !user.contains('/')
    {
        return format!("{scheme}://(not kept)@{host}");
    }
    value
}

/// A list's items in order.
fn items(values: &Values, key: &str) -> Vec<Sourced<String>> {
    (0..).map_while(|index| values.get(&format!("{key}.{index}")).cloned()).collect()
}

/// Regular files of a directory whose names end so, in lexical order; none when there is no such directory.
fn files_in(files: &Files, directory: &str, endings: &[&str]) -> Fact<Vec<String>> {
    match files.list(directory) {
        Ok(entries) => Ok(entries
            .iter()
            .filter(|entry| matches!(entry.kind, FileKind::File | FileKind::Link) && !entry.name.starts_with('.'))
            .filter(|entry| endings.iter().any(|ending| entry.name.ends_with(ending)))
            .map(|entry| format!("{directory}/{}", entry.name))
            .collect()),
        Err(error) if error.is_absent() => Ok(Vec::new()),
        Err(error) => Err(error.unknown()),
    }
}

/// The paths that a pattern with `*` and `?` in its last component stands for, sorted; a plain path stands for itself.
pub(super) fn expand(files: &Files, pattern: &str) -> Result<Vec<String>, ReadError> {
    let Some((directory, name)) = pattern.rsplit_once('/').filter(|(_, name)| name.contains(['*', '?'])) else {
        return Ok(vec![pattern.to_owned()]);
    };
    let listed = match files.list(if directory.is_empty() { "/" } else { directory }) {
        Ok(listed) => listed,
        Err(error) if error.is_absent() => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let fits = |entry: &&crate::source::Entry| {
        let hidden = entry.name.starts_with('.') && !name.starts_with('.');
        !hidden && entry.kind != FileKind::Directory && matches(name.as_bytes(), entry.name.as_bytes())
    };
    Ok(listed.iter().filter(fits).map(|entry| format!("{directory}/{}", entry.name)).collect())
}

/// Shell pattern matching without brackets, in the time of the product of the lengths.
fn matches(pattern: &[u8], name: &[u8]) -> bool {
    let (mut at, mut in_name, mut star) = (0, 0, None);
    while in_name < name.len() {
        match pattern.get(at) {
            Some(b'*') => {
                star = Some((at, in_name));
                at += 1;
            }
            Some(letter) if *letter == b'?' || Some(letter) == name.get(in_name) => {
                at += 1;
                in_name += 1;
            }
            _ => match star {
                Some((star_at, taken)) => {
                    star = Some((star_at, taken + 1));
                    at = star_at + 1;
                    in_name = taken + 1;
                }
                None => return false,
            },
        }
    }
    pattern.get(at..).is_some_and(|rest| rest.iter().all(|letter| *letter == b'*'))
}

fn cni(files: &Files, problems: &Problems) -> Fact<Vec<CniConfig>> {
    // A copy of a host without the whole folder does not say that the host has none: the plug-ins' installers make it.
    if !files.is_of_live_host() && files.exists("/etc/cni") == Ok(false) {
        return Err(Unknown::new("CNI configuration", "/etc/cni is not part of this source"));
    }
    let mut configs = Vec::new();
    for path in files_in(files, "/etc/cni/net.d", &[".conf", ".conflist", ".json"])? {
        let Some(file) = optional_text(files, &path)? else { continue };
        let (values, parsed) = json::flatten(&file.text);
        let value = |key: &str| values.get(key).map(|(value, _)| value.clone());
        let plugins: Vec<String> = match value("type") {
            Some(kind) => vec![kind],
            None => {
                let holds = |index: &usize| {
                    let start = format!("plugins.{index}.");
                    values.range(start.clone()..).next().is_some_and(|(key, _)| key.starts_with(&start))
                };
                (0..).take_while(holds).filter_map(|index| value(&format!("plugins.{index}.type"))).collect()
            }
        };
        let mtu = values.iter().find_map(|(key, (value, span))| {
            let is_it =
                key == "mtu" || key.starts_with("plugins.") && key.ends_with(".mtu") && key.matches('.').count() == 2;
            let number = value.parse::<u32>().ok().filter(|mtu| is_it && *mtu > 0)?;
            Some(Sourced::new(number, Origin::file(file.path.clone(), Some(*span))))
        });
        let ends = |key: &str, name: &str| key == name || key.ends_with(&format!(".{name}"));
        let subnets = values
            .iter()
            .filter(|(key, _)| key.contains("ipam.") && ends(key, "subnet"))
            .filter_map(|(_, (subnet, _))| subnet.parse().ok())
            .take(16)
            .collect();
        // libcni reads a list from .conflist and a single plug-in from the others.
        let is_list = path.ends_with(".conflist");
        let (span, problem) = match parsed.first() {
            Some(first) => (first.span, Some(first.message.clone())),
            None if is_list && plugins.is_empty() => (None, Some("no plug-in in `plugins`".to_owned())),
            None if !is_list && value("type").is_none() => (None, Some("`type` is missing".to_owned())),
            None if value("name").is_none() => (None, Some("`name` is missing".to_owned())),
            None => (None, None),
        };
        problems.add_parsed(&path, parsed);
        let origin = Origin::file(file.path.clone(), span);
        configs.push(CniConfig { path, name: value("name"), plugins, mtu, subnets, origin, problem });
    }
    Ok(configs)
}

fn flannel_subnet(files: &Files) -> Fact<Option<Values>> {
    let Some(file) = optional_text(files, "/run/flannel/subnet.env")? else { return Ok(None) };
    let mut values = Values::new();
    let mut spans = parse::words::Spans::new(&file.text);
    let mut start = 0;
    for line in file.text.split_inclusive('\n') {
        if let Some((key, value)) = line.split_once('=') {
            let at = start + key.len() + 1;
            let value = value.trim_end();
            let origin = Origin::file(file.path.clone(), Some(spans.span(at, at + value.len())));
            values.insert(key.trim().to_owned(), Sourced::new(value.to_owned(), origin));
        }
        start += line.len();
    }
    Ok(Some(values))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::MemorySource;

    fn runtimes(source: MemorySource) -> (Runtimes, Vec<crate::report::Problem>) {
        let problems = Problems::new("m1");
        let runtimes = collect(&Files::new(Arc::new(source)), &problems);
        (runtimes, problems.into_sorted())
    }

    fn place(value: &Sourced<impl Sized>) -> String {
        value.origin.to_string()
    }

    #[test]
    fn containerd_is_read_in_each_version() {
        let cases = [
            (
                "[plugins.cri]\nsandbox_image = \"p:1\"\n[plugins.cri.containerd.runtimes.runc.options]\nSystemdCgroup = true\n",
                1,
            ),
            (
                "version = 2\n[plugins.\"io.containerd.grpc.v1.cri\"]\nsandbox_image = \"p:1\"\n[plugins.\"io.containerd.grpc.v1.cri\".containerd]\ndefault_runtime_name = \"nvidia\"\n[plugins.\"io.containerd.grpc.v1.cri\".containerd.runtimes.runc.options]\nSystemdCgroup = false\n[plugins.\"io.containerd.grpc.v1.cri\".containerd.runtimes.nvidia.options]\nSystemdCgroup = true\n",
                2,
            ),
            (
                "version = 3\n[plugins.'io.containerd.cri.v1.images'.pinned_images]\nsandbox = \"p:1\"\n[plugins.'io.containerd.cri.v1.runtime'.containerd.runtimes.runc.options]\nSystemdCgroup = true\n",
                3,
            ),
        ];
        for (text, version) in cases {
            let (runtimes, problems) = runtimes(MemorySource::new("m1").file("/etc/containerd/config.toml", text));
            let config = runtimes.containerd.unwrap().unwrap();
            assert!(problems.is_empty());
            assert_eq!(config.version, version);
            let image = config.sandbox_image.unwrap();
            assert_eq!(image.value, "p:1");
            let span = image.origin.span().unwrap();
            assert_eq!(&text[span.start..span.end], "p:1");
            assert!(config.systemd_cgroup.unwrap().value, "{version}");
        }
        // A key in another version's place is not one that containerd sees.
        let text = "version = 2\n[plugins.cri]\nsandbox_image = \"p:1\"\n";
        let (runtimes, _) = runtimes(MemorySource::new("m1").file("/etc/containerd/config.toml", text));
        assert_eq!(runtimes.containerd.unwrap().unwrap().sandbox_image, None);
    }

    #[test]
    fn containerd_imports_override_and_lists_grow() {
        let (runtimes, _) = runtimes(
            MemorySource::new("m1")
                .file(
                    "/var/lib/rancher/k3s/agent/etc/containerd/config.toml",
                    "imports = [\"/etc/containerd/conf.d/*.toml\", \"config.toml\"]\ndisabled_plugins = [\"a\"]\nroot = \"/x\"\n",
                )
                .file("/etc/containerd/conf.d/a.toml", "root = \"/y\"\ndisabled_plugins = [\"cri\"]\n")
                .file("/etc/containerd/conf.d/b.txt", "root = \"/z\"\n"),
        );
        let config = runtimes.containerd.unwrap().unwrap();
        assert_eq!(config.path, "/var/lib/rancher/k3s/agent/etc/containerd/config.toml");
        assert_eq!(config.values["root"].value, "/y");
        let disabled: Vec<_> = config.disabled_plugins.iter().map(|plugin| plugin.value.as_str()).collect();
        assert_eq!(disabled, ["a", "cri"]);
        assert_eq!(place(&config.disabled_plugins[1]), "/etc/containerd/conf.d/a.toml:2:22");
    }

    #[test]
    fn docker_crio_cni_and_flannel_are_read() {
        let (runtimes, problems) = runtimes(
            MemorySource::new("m1")
                .file(
                    "/etc/docker/daemon.json",
                    "{\n \"exec-opts\": [\"native.cgroupdriver=systemd\"],\n \"proxies\": {\"https-proxy\": \
                     \"http://u:geheim@p:1\"},\n}",
                )
                .file("/etc/crio/crio.conf", "[crio.runtime]\ncgroup_manager = \"cgroupfs\"\n")
                .file("/etc/crio/crio.conf.d/10.conf", "[crio.runtime]\ncgroup_manager = \"systemd\"\n")
                .file(
                    "/etc/cni/net.d/10-f.conflist",
                    "{\"name\":\"cbr0\",\"plugins\":[{\"type\":\"flannel\"},{\"type\":\"portmap\"}]}",
                )
                .file("/etc/cni/net.d/20.conf", "{\"name\":\"x\",\"plugins\":[]}")
                .file("/etc/cni/net.d/30.conf", "{\"name\":\"x\",\n\"type\": bridge}")
                .file("/etc/cni/net.d/README", "x")
                .file("/run/flannel/subnet.env", "FLANNEL_NETWORK=10.244.0.0/16\nFLANNEL_MTU=1450\n"),
        );
        let docker = runtimes.docker_daemon.unwrap().unwrap();
        assert_eq!(docker["exec-opts.0"].value, "native.cgroupdriver=systemd");
        assert_eq!(place(&docker["exec-opts.0"]), "/etc/docker/daemon.json:2:17");
        assert_eq!(docker["proxies.https-proxy"].value, "http://(not kept)@p:1");
        assert_eq!(runtimes.invalid.len(), 1);
        assert_eq!(runtimes.invalid[0].0.to_string(), "/etc/docker/daemon.json:3:51");
        assert_eq!(runtimes.crio.unwrap().unwrap()["crio.runtime.cgroup_manager"].value, "systemd");
        let cni = runtimes.cni.unwrap();
        assert_eq!(cni.len(), 3);
        assert_eq!((cni[0].plugins.len(), cni[0].problem.clone()), (2, None));
        assert_eq!(cni[1].problem.as_deref(), Some("`type` is missing"));
        assert!(cni[2].problem.as_deref().unwrap().contains("expected a value"));
        assert_eq!(cni[2].origin.to_string(), "/etc/cni/net.d/30.conf:2:9");
        let flannel = runtimes.flannel_subnet.unwrap().unwrap();
        assert_eq!(flannel["FLANNEL_MTU"].value, "1450");
        assert_eq!(place(&flannel["FLANNEL_MTU"]), "/run/flannel/subnet.env:2:13");
        assert_eq!(problems.len(), 2);
    }

    #[test]
    fn what_is_not_there_is_none_and_what_is_refused_is_unknown() {
        let (absent, _) = runtimes(MemorySource::new("m1").file("/etc/hosts", ""));
        assert!(matches!(absent.docker_daemon, Ok(None)));
        assert!(matches!(absent.containerd, Ok(None)));
        assert!(matches!(absent.crio, Ok(None)));
        assert!(absent.cni.unwrap().is_empty());
        let denied =
            ["/etc/docker/daemon.json", "/etc/containerd/config.toml", "/etc/cni/net.d", "/etc/crio/crio.conf"];
        let source = denied.iter().fold(MemorySource::new("m1"), |source, path| source.denied(*path));
        let (refused, _) = runtimes(source);
        assert!(refused.docker_daemon.is_err() && refused.containerd.is_err());
        assert!(refused.crio.is_err() && refused.cni.is_err());
    }

    #[test]
    fn patterns_match_as_in_a_shell() {
        for (pattern, name, expected) in [
            ("*.conf", "a.conf", true),
            ("*.conf", "a.conf.bak", false),
            ("a*b*c", "aXbXbc", true),
            ("?", "", false),
            ("*", "", true),
            ("a?c", "abc", true),
        ] {
            assert_eq!(matches(pattern.as_bytes(), name.as_bytes()), expected, "{pattern} {name}");
        }
    }
}
