//! Everything of one host, in the order in which one thing is needed for the next: what does not depend on each other runs
//! side by side.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;

use super::{
    Files, Problems, certificates, components, executables, filesystems, firewall, firewalld, hidden, kubernetes,
    load_balancers, logs, names, network, packages, paths, planned, probes, runtimes, sysctls, system, units,
};
use crate::facts::Host;
use crate::facts::component::{Component, ComponentName};
use crate::facts::log::Logs;
use crate::facts::probe::Probes;
use crate::logs::{ScanOptions, Scanner};
use crate::origin::{Fact, Sourced, Unknown};
use crate::source::{SourceKind, SourceRef};

/// What taking a host's facts needs beside its source.
#[derive(Debug, Clone)]
pub struct HostOptions {
    pub scan: ScanOptions,
    /// None for no probes.
    pub probe_deadline: Option<Duration>,
    pub at: Timestamp,
}

/// The facts of the host behind a source.
pub fn collect(source: SourceRef, scanner: &Scanner, options: &HostOptions) -> Host {
    collect_with(source, options, |files, scan| logs::collect(files, scanner, scan))
}

/// The facts of the host behind a source, with what `take_logs` makes of its logs.
pub fn collect_with(
    source: SourceRef,
    options: &HostOptions,
    take_logs: impl FnOnce(&Files, &ScanOptions) -> Logs + Send,
) -> Host {
    let label = source.label().to_owned();
    let kind = source.kind();
    let files = Files::new(source);
    let name = name_in(&files);
    let problems = Problems::new(name.as_str());
    let mut host = std::thread::scope(|scope| {
        // Logs take the longest by far, and need nothing of the rest.
        let logs = scope.spawn(|| take_logs(&files, &options.scan));
        let mut host = configuration(&files, &problems, name.clone(), &label);
        if let (SourceKind::Live, Some(deadline)) = (kind, options.probe_deadline) {
            host.probes = probes::take(probes::Plan::of(&host), &files, deadline);
        } else if let Some(recorded) = files.source().recording().and_then(|recording| recording.probes.as_ref()) {
            host.probes = recorded.clone();
        }
        if let Some(kernel) = &host.probes.kernel {
            host.filesystems = kernel.filesystems.clone();
            host.firewall = kernel.firewall.clone();
            host.clock = kernel.clock.clone();
        }
        host.logs = logs.join().unwrap_or_else(|_| Logs {
            left_out: vec![("logs".to_owned(), "the scanner failed; please report this".to_owned())],
            ..Logs::default()
        });
        add_unfinished(&host.logs, &problems);
        host.logs.looked_at = match files.source().recording() {
            Some(recording) => recording.at.filter(|_| recording.of == SourceKind::Live),
            None => (kind == SourceKind::Live).then(super::now),
        };
        host
    });
    add_refused(&files, &problems);
    for (text, first) in files.not_utf8() {
        let message =
            "holds bytes that are not UTF-8: programs read something else there than what is meant, or nothing";
        problems.add(&text.path, Some(first), message, Some("mend the file".to_owned()));
    }
    if let Some(recording) = files.source().recording() {
        for (path, why) in &recording.left_out {
            problems.add(path, None, why.clone(), None);
        }
        let late = || files.source().late_damage().map(|why| format!("the archive is damaged: {why}"));
        if let Some(why) = recording.incomplete.clone().or_else(late) {
            problems.add(&label, None, why, Some("collect it again".to_owned()));
            host.incomplete = true;
        }
    }
    host.problems = problems.into_sorted();
    host.texts = files.texts_read();
    host
}

/// Logs that are told one by one when there was no time for them.
const TOLD: usize = 3;

/// Logs that there was no time for.
fn add_unfinished(logs: &Logs, problems: &Problems) {
    let remedy = || Some("give it more time with --timeout".to_owned());
    let unfinished = || logs.left_out.iter().filter(|(path, _)| logs.unfinished.contains(path));
    for (path, why) in unfinished().take(if logs.unfinished.len() > TOLD { 0 } else { TOLD }) {
        problems.add(path, None, why.clone(), remedy());
    }
    if logs.unfinished.len() > TOLD {
        let message =
            format!("the time for reading logs was over: {} were not read to their end", logs.unfinished.len());
        problems.add("logs", None, message, remedy());
    }
}

/// What was there and could not be read. The same refusal of many processes' files is one problem.
fn add_refused(files: &Files, problems: &Problems) {
    let mut of_processes: BTreeMap<(String, String, Option<String>), Vec<String>> = BTreeMap::new();
    for refused in files.refused() {
        let unknown = refused.unknown();
        let path = files.source().display_path(&unknown.what);
        match process_file(&path) {
            Some(file) => {
                of_processes.entry((file.to_owned(), unknown.why, unknown.remedy)).or_default().push(path);
            }
            None => problems.add(&path, None, unknown.why, unknown.remedy),
        }
    }
    for ((file, why, remedy), paths) in of_processes {
        match &paths[..] {
            [path] => problems.add(path, None, why, remedy),
            paths => {
                problems.add(&format!("/proc/*/{file}"), None, format!("{why}, of {} processes", paths.len()), remedy)
            }
        }
    }
}

/// `fd` of `/proc/412/fd`.
fn process_file(path: &str) -> Option<&str> {
    let (pid, file) = path.strip_prefix("/proc/")?.split_once('/')?;
    pid.bytes().all(|byte| byte.is_ascii_digit()).then_some(file)
}

/// What a bundle says that its host is called, else what the host's files say.
pub fn name_of(source: &SourceRef) -> String {
    name_in(&Files::new(SourceRef::clone(source)))
}

fn name_in(files: &Files) -> String {
    let recorded = files.source().recording().and_then(|recording| recording.host.as_ref());
    match recorded.filter(|name| is_printable(name)) {
        Some(name) => name.clone(),
        None => name(files, files.source().label()),
    }
}

/// /etc/hostname, else what the kernel says, else the source's last path component.
pub fn name(files: &Files, label: &str) -> String {
    let written = files.line("/etc/hostname").ok().or_else(|| files.line("/proc/sys/kernel/hostname").ok());
    let written = written.and_then(|text| {
        let first = text.lines().map(str::trim).find(|line| !line.is_empty() && !line.starts_with('#'))?;
        Some(first.to_owned())
    });
    let last = last_part(label);
    match written.filter(|name| is_printable(name)) {
        // No host can be called so in a cluster: the folder tells it apart from the others.
        Some(name) if !is_host_name(&name) && files.kind() == SourceKind::Tree && is_host_name(last) => last.to_owned(),
        Some(name) => name,
        None if last.is_empty() || last == "-" => "stdin".to_owned(),
        None => last.to_owned(),
    }
}

/// The last part of a path.
pub fn last_part(label: &str) -> &str {
    label.trim_end_matches('/').rsplit('/').next().unwrap_or(label)
}

/// Whether a host may be called so, but for its case.
pub fn is_host_name(name: &str) -> bool {
    let is_part = |part: &str| {
        part.starts_with(|c: char| c.is_ascii_alphanumeric())
            && part.ends_with(|c: char| c.is_ascii_alphanumeric())
            && part.chars().all(|c| c.is_ascii_alphanumeric() || c == '-')
    };
    !name.is_empty() && name.split('.').all(is_part)
}

fn is_printable(name: &str) -> bool {
    name.len() <= 253 && name.chars().all(|c| c.is_ascii_graphic())
}

/// What files and /proc say.
fn configuration(files: &Files, problems: &Problems, name: String, label: &str) -> Host {
    let (system, (units, scripts)) = std::thread::scope(|scope| {
        let units = scope.spawn(|| units::collect(files, problems));
        let system = system::collect(files, problems);
        (system, units.join().unwrap_or_default())
    });
    let kubelet = components::kubelet_paths(files, &units, &system.processes);
    let mut kubernetes = kubernetes::collect_from(files, problems, &kubelet.manifests, &kubelet.configuration);
    let etcd_configuration = components::etcd_configuration(files, &units, &system.processes, problems);
    let mut components = components::build(&components::Evidence {
        processes: &system.processes,
        static_pods: kubernetes.readable_pods(),
        units: &units,
        scripts: &scripts,
        kubelet_configuration: &kubernetes.kubelet_configuration,
        kubeadm_configuration: &kubernetes.kubeadm_configuration,
        etcd_configuration: &etcd_configuration,
    });
    if matches!(kubernetes.kubelet_configuration, Ok(None))
        && let Some(configuration) = planned::kubelet_configuration(&kubernetes)
    {
        kubernetes.kubelet_configuration = Ok(Some(configuration));
    }
    planned::add(&mut components, &kubernetes);
    components.sort_by_key(|component| component.name);
    let hidden_components = hidden::components(&components, &kubernetes, &files.refused());
    packages::add_versions(&mut components, files, &units);
    let named = named_files(&components);
    kubernetes::add_kubeconfigs(&mut kubernetes, files, problems, &named.kubeconfigs);
    certificates::add(&mut kubernetes, files, problems, &named.certificates);
    let executables = executables::collect(files, &system.processes, executables::EXECUTABLES);
    let runtimes = runtimes::collect(files, problems);
    let paths = paths::collect(
        files,
        &paths::Named { units: &units, scripts: &scripts, kubernetes: &kubernetes, runtimes: &runtimes },
    );
    let (etcd_data, etcd_data_beside) = etcd_data(files, &components);
    let mut firewall = firewall::collect(files);
    let firewalld = firewalld::collect(files, &system.processes);
    let mut filesystems = filesystems::collect(files);
    if let (Err(of_df), Err(of_filter)) = (&mut filesystems, &mut firewall)
        && !files.is_of_live_host()
    {
        // One thing to be told of, not two.
        for unknown in [of_df, of_filter] {
            "what df and iptables-save print is not part of this source".clone_into(&mut unknown.why);
            let remedy = "record it too: df -PT > answers/df.txt; iptables-save > answers/iptables.txt";
            unknown.remedy = Some(remedy.to_owned());
        }
    }
    Host {
        name,
        source: label.to_owned(),
        kind: files.kind(),
        of_live_host: files.is_of_live_host(),
        incomplete: false,
        expected: crate::facts::expected::Expected::default(),
        network: network::collect(files, problems, &system.processes),
        names: names::collect(files, problems),
        sysctls: sysctls::collect(files, sysctls::SYSCTLS),
        executables,
        paths,
        units,
        scripts,
        etcd_data,
        etcd_data_beside,
        components,
        hidden_components,
        kubernetes,
        runtimes,
        load_balancers: load_balancers::collect(files, problems),
        logs: Logs::default(),
        probes: Probes::default(),
        filesystems,
        firewall,
        firewalld,
        clock: Err(Unknown::new("whether the kernel's clock is synchronized", Unknown::NOT_ASKED)),
        problems: Vec::new(),
        texts: BTreeMap::new(),
        system,
    }
}

/// Entries of etcd's directories that are told.
const BESIDE: usize = 8;

/// Whether the directories that etcd's configuration names hold a member's data, and what else they hold. One that is not
/// there holds nothing.
fn etcd_data(files: &Files, components: &[Component]) -> (BTreeMap<String, Fact<bool>>, BTreeMap<String, Vec<String>>) {
    let etcd = components.iter().find(|component| component.name == ComponentName::Etcd);
    let layers = etcd.iter().flat_map(|etcd| &etcd.layers);
    let named = layers.filter_map(|layer| layer.flags.get("data-dir")?.last());
    let (mut data, mut beside) = (BTreeMap::new(), BTreeMap::new());
    for path in named.filter(|path| path.value.starts_with('/')).map(|path| &path.value) {
        let holds = match files.list(path) {
            Ok(entries) => {
                let others = entries.iter().map(|entry| &entry.name).filter(|name| *name != "member");
                beside.insert(path.clone(), others.take(BESIDE).cloned().collect());
                Ok(entries.iter().any(|entry| entry.name == "member"))
            }
            Err(error) if error.is_absent() => Ok(false),
            Err(error) => Err(error.unknown()),
        };
        data.insert(path.clone(), holds);
    }
    (data, beside)
}

/// Files that flags name.
struct Named {
    kubeconfigs: Vec<Sourced<String>>,
    certificates: Vec<Sourced<String>>,
}

fn named_files(components: &[Component]) -> Named {
    let mut named = Named { kubeconfigs: Vec::new(), certificates: Vec::new() };
    for component in components {
        for layer in &component.layers {
            for (flag, values) in &layer.flags {
                let Some(value) = values.last().filter(|value| value.value.starts_with('/')) else { continue };
                if matches!(
                    flag.as_str(),
                    "kubeconfig" | "bootstrap-kubeconfig" | "authentication-kubeconfig" | "authorization-kubeconfig"
                ) {
                    named.kubeconfigs.push(value.clone());
                } else if names_certificate(flag) {
                    named.certificates.push(value.clone());
                }
            }
        }
    }
    named
}

/// Flags whose value is a certificate or key file, by how components spell them.
fn names_certificate(flag: &str) -> bool {
    const ENDINGS: [&str; 10] = [
        "cert-file",
        "key-file",
        "ca-file",
        "certfile",
        "keyfile",
        "cafile",
        "client-certificate",
        "client-key",
        "tlscert",
        "tlskey",
    ];
    ENDINGS.iter().any(|ending| flag.ends_with(ending)) || flag == "tlscacert"
}
