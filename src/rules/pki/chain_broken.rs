//! pki-chain-broken: one side presents a certificate that no authority has issued which the other side trusts. All pairs
//! of who presents and who verifies are looked at together, to blame the one that disagrees with the rest.

use super::inventory::{flag_file, is_in_use, leads_to, readable, started_as, used_by};
use super::san_missing::sans;
use crate::engine::verdict::{Draft, Verdict};
use crate::facts::certificates::CertificateFile;
use crate::facts::component::ComponentName;
use crate::facts::kubernetes::Kubeconfig;
use crate::facts::log::LogHit;
use crate::facts::topology::{self, Edge, Service};
use crate::facts::{Cluster, Host};
use crate::origin::Fact;
use crate::parse::pem::Verified;
use crate::rules::{Context, Detector, Judge, Refined};
use crate::source::SourceKind;

pub(super) const DETECTOR: Detector =
    Detector { id: "pki-chain-broken", judge: Judge::Cluster(judge), refine: Some(refine) };

/// A certificate or a bundle of authorities somewhere in the cluster.
#[derive(Clone, Copy)]
struct Place<'a> {
    host: &'a Host,
    path: &'a str,
    file: &'a CertificateFile,
    /// Who presents it, or trusts by it.
    user: &'a str,
}

impl Place<'_> {
    fn is(&self, other: &Place<'_>) -> bool {
        self.host.name == other.host.name && self.path == other.path
    }

    /// Whether a kubeconfig holds it.
    fn is_embedded(&self) -> bool {
        self.path == self.user
    }
}

struct Pair<'a> {
    presented: Place<'a>,
    trusted: Place<'a>,
    accepted: bool,
}

fn judge(context: &Context<'_>, verdict: &mut Verdict) {
    let mut pairs = Pairs { pairs: Vec::new(), verdict };
    let edges = topology::edges(context.cluster);
    for host in &context.cluster.hosts {
        pairs.of_kubeconfigs(context.cluster, host, &edges);
        pairs.of_etcd(context.cluster, host, &edges);
        pairs.within(context.cluster, host);
    }
    let Pairs { pairs, verdict } = pairs;
    for _ in pairs.iter().filter(|pair| pair.accepted) {
        verdict.pass();
    }
    let mut told: Vec<(Place<'_>, bool)> = Vec::new();
    for pair in pairs.iter().filter(|pair| !pair.accepted) {
        let blames_trust = blames_trust(pair, &pairs);
        let blamed = if blames_trust { pair.trusted } else { pair.presented };
        if told.iter().any(|(place, trust)| *trust == blames_trust && place.is(&blamed)) {
            continue;
        }
        told.push((blamed, blames_trust));
        let of: Vec<&Pair<'_>> = pairs
            .iter()
            .filter(|other| {
                !other.accepted && (if blames_trust { &other.trusted } else { &other.presented }).is(&blamed)
            })
            .collect();
        verdict.fail(draft(&of, blames_trust));
    }
}

/// While a host is set up, clients come before their authorities do: on a whole host it counts only when it goes on.
fn refine(_: &Context<'_>, host: &Host, hit: &LogHit) -> Refined {
    if host.kind != SourceKind::File && hit.ongoing == Some(false) { Refined::Drop } else { Refined::Keep(Vec::new()) }
}

/// Whether it is the bundle of authorities that is wrong, not the certificate: it accepts nobody, and the certificate is
/// accepted elsewhere or is not the only one that it refuses.
fn blames_trust(pair: &Pair<'_>, pairs: &[Pair<'_>]) -> bool {
    let trust_accepts = pairs.iter().any(|other| other.trusted.is(&pair.trusted) && other.accepted);
    if trust_accepts {
        return false;
    }
    let accepted_elsewhere = pairs.iter().any(|other| other.presented.is(&pair.presented) && other.accepted);
    let refused = |of: &dyn Fn(&Pair<'_>) -> bool, key: &dyn Fn(&Pair<'_>) -> String| {
        let mut keys: Vec<String> = pairs.iter().filter(|other| of(other)).map(key).collect();
        keys.sort();
        keys.dedup();
        keys.len()
    };
    let refuses = refused(&|other| other.trusted.is(&pair.trusted), &|other| leaf_id(&other.presented));
    let refused_by = refused(&|other| other.presented.is(&pair.presented), &|other| leaf_id(&other.trusted));
    // What another side trusts and goes well with has issued it.
    let issued_by_right = || {
        pairs.iter().any(|other| {
            other.accepted
                && !other.trusted.is(&pair.trusted)
                && leads_to(pair.presented.file, other.trusted.file) == Verified::Yes
        })
    };
    accepted_elsewhere || refuses > refused_by || (refuses == refused_by && issued_by_right())
}

fn leaf_id(place: &Place<'_>) -> String {
    place.file.certificates.first().map(|certificate| certificate.sha256.clone()).unwrap_or_default()
}

struct Pairs<'a, 'v> {
    pairs: Vec<Pair<'a>>,
    verdict: &'v mut Verdict,
}

impl<'a> Pairs<'a, '_> {
    fn add(&mut self, presented: Place<'a>, trusted: Place<'a>) {
        match leads_to(presented.file, trusted.file) {
            Verified::Unsupported => {}
            sure => self.pairs.push(Pair { presented, trusted, accepted: sure == Verified::Yes }),
        }
    }

    fn place(
        &mut self,
        host: &'a Host,
        user: &'a str,
        path: &'a str,
        file: &'a Fact<CertificateFile>,
    ) -> Option<Place<'a>> {
        let file = match readable(path, file) {
            Ok(file) => file,
            Err(unknown) => {
                self.verdict.unknown(unknown);
                return None;
            }
        };
        (!file.certificates.is_empty()).then_some(Place { host, path, file, user })
    }

    fn of_flag(&mut self, host: &'a Host, component: ComponentName, flag: &str) -> Option<Place<'a>> {
        let (path, file) = flag_file(host, component, flag)?;
        self.place(host, component.name(), &path.value, file)
    }

    /// What a kubeconfig trusts against what the apiservers that it leads to serve, and what it presents against what
    /// they trust.
    fn of_kubeconfigs(&mut self, cluster: &'a Cluster, host: &'a Host, edges: &[Edge]) {
        for config in host.kubernetes.kubeconfigs.iter().filter(|config| is_of_the_cluster(config)) {
            let Some(entry) = config.current_cluster() else { continue };
            let trusted = match (&entry.certificate_authority_data, &entry.certificate_authority) {
                _ if entry.insecure_skip_tls_verify => None,
                (Some(file), _) => Some(Place { host, path: &config.path, file, user: &config.path }),
                (None, Some(path)) => host
                    .kubernetes
                    .certificates
                    .get(&path.value)
                    .and_then(|file| self.place(host, &config.path, &path.value, file)),
                (None, None) => None,
            };
            let user = config.current_user();
            let presented = user.and_then(|user| match (&user.client_certificate_data, &user.client_certificate) {
                (Some(file), _) => Some(Place { host, path: &config.path, file, user: &config.path }),
                (None, Some(path)) => {
                    let file = host.kubernetes.certificates.get(&path.value)?;
                    self.place(host, &config.path, &path.value, file)
                }
                (None, None) => None,
            });
            for server in servers(cluster, host, &config.path, Service::Apiserver, edges) {
                let own_names_only = server
                    .component(ComponentName::KubeApiserver)
                    .is_some_and(|api| api.flag("tls-sni-cert-key").is_none());
                if let Some(trusted) = trusted.filter(|_| own_names_only)
                    && let Some(served) = self.of_flag(server, ComponentName::KubeApiserver, "tls-cert-file")
                {
                    self.add(served, trusted);
                }
                if let Some(presented) = presented
                    && let Some(trusted) = self.of_flag(server, ComponentName::KubeApiserver, "client-ca-file")
                {
                    self.add(presented, trusted);
                }
            }
        }
    }

    /// The apiserver and its etcd both ways, and etcd's peers among each other.
    fn of_etcd(&mut self, cluster: &'a Cluster, host: &'a Host, edges: &[Edge]) {
        for server in servers(cluster, host, "kube-apiserver", Service::EtcdClient, edges) {
            let served = self.of_flag(server, ComponentName::Etcd, "cert-file");
            if let (Some(served), Some(trusted)) =
                (served, self.of_flag(host, ComponentName::KubeApiserver, "etcd-cafile"))
            {
                self.add(served, trusted);
            }
            let presented = self.of_flag(host, ComponentName::KubeApiserver, "etcd-certfile");
            if let (Some(presented), Some(trusted)) =
                (presented, self.of_flag(server, ComponentName::Etcd, "trusted-ca-file"))
            {
                self.add(presented, trusted);
            }
        }
        let mut peers = servers(cluster, host, "etcd", Service::EtcdPeer, edges);
        if peers.iter().all(|peer| peer.name != host.name) {
            peers.push(host);
        }
        let trusted = self.of_flag(host, ComponentName::Etcd, "peer-trusted-ca-file");
        for peer in peers {
            if let (Some(trusted), Some(presented)) =
                (trusted, self.of_flag(peer, ComponentName::Etcd, "peer-cert-file"))
            {
                self.add(presented, trusted);
            }
        }
    }

    /// The apiservers against this host's kubelet, and against the extension apiservers that they stand before.
    fn within(&mut self, cluster: &'a Cluster, host: &'a Host) {
        let configured = match &host.kubernetes.kubelet_configuration {
            Ok(Some(kubelet)) => kubelet.get("authentication.x509.clientCAFile"),
            _ => None,
        };
        let named = host.component(ComponentName::Kubelet).and_then(|kubelet| kubelet.flag("client-ca-file"));
        let trusted = named.or(configured).and_then(|path| {
            let (path, file) = host.kubernetes.certificates.get_key_value(&path.value)?;
            self.place(host, "kubelet", path, file)
        });
        for master in &cluster.hosts {
            if let Some(trusted) = trusted
                && let Some(presented) =
                    self.of_flag(master, ComponentName::KubeApiserver, "kubelet-client-certificate")
            {
                self.add(presented, trusted);
            }
        }
        let proxy = self.of_flag(host, ComponentName::KubeApiserver, "proxy-client-cert-file");
        let trusted = self.of_flag(host, ComponentName::KubeApiserver, "requestheader-client-ca-file");
        if let (Some(presented), Some(trusted)) = (proxy, trusted) {
            self.add(presented, trusted);
        }
    }
}

/// A person's own kubeconfig may be of any cluster, and a copy that was put aside of an earlier one.
fn is_of_the_cluster(config: &Kubeconfig) -> bool {
    !config.path.contains("/.kube/") && is_in_use(config)
}

/// The hosts that a client's endpoints lead to.
fn servers<'a>(cluster: &'a Cluster, host: &Host, client: &str, service: Service, edges: &[Edge]) -> Vec<&'a Host> {
    let of_client = |edge: &&Edge| {
        edge.client_host == host.name
            && edge.client == client
            && edge.service == service
            && edge.parsed().is_some_and(|url| url.scheme != "http")
    };
    let names: Vec<&String> = edges.iter().filter(of_client).flat_map(|edge| &edge.servers).collect();
    cluster.hosts.iter().filter(|server| names.contains(&&server.name)).collect()
}

fn draft(of: &[&Pair<'_>], blames_trust: bool) -> Draft {
    let Some(first) = of.first() else { return Draft::new() };
    let (blamed, other) =
        if blames_trust { (first.trusted, first.presented) } else { (first.presented, first.trusted) };
    let leaf = first.presented.file.certificates.first();
    let mut hosts = vec![blamed.host.name.clone()];
    let message = match (blames_trust, blamed.is_embedded()) {
        (false, false) => "default",
        (false, true) => "embedded",
        (true, false) => "trust",
        (true, true) => "trust_embedded",
    };
    let mut draft = Draft::new()
        .message(message)
        .subject(format!("{}:{}", blamed.host.name, blamed.path))
        .value("host", &blamed.host.name)
        .value("file", blamed.path)
        .value("user", blamed.user)
        .value("other_user", other.user)
        .value("other_host", &other.host.name)
        .value("presented", first.presented.path)
        .value("trusted", first.trusted.path)
        .maybe_value("certificate", (!first.presented.is_embedded()).then_some(first.presented.path))
        .maybe_value("ca", (!first.trusted.is_embedded()).then_some(first.trusted.path))
        .maybe_value("server", used_by(blamed.host, blamed.path).first().map(|name| started_as(blamed.host, name)))
        .maybe_value("kubeconfig", blamed.is_embedded().then_some(blamed.path))
        .maybe_value("blames", (!blames_trust).then_some("leaf"))
        .at(&blamed.host.name, &blamed.file.origin, described(&blamed, !blames_trust));
    let name = blamed.path.rsplit('/').next().unwrap_or_default().trim_end_matches(".conf");
    if blamed.path == format!("/etc/kubernetes/{name}.conf") {
        let of_kubeadm = ["admin", "controller-manager", "scheduler", "kubelet"].contains(&name);
        draft = draft.maybe_value("kubeadm_kubeconfig", of_kubeadm.then_some(name));
    }
    if blamed.path == "/etc/kubernetes/pki/apiserver.crt" {
        draft = draft
            .maybe_value("kubeadm", (!blames_trust).then_some("apiserver"))
            .maybe_value("names", leaf.map(|leaf| sans(leaf).join(",")).filter(|names| !names.is_empty()));
    }
    for pair in of {
        let place = if blames_trust { pair.presented } else { pair.trusted };
        if !hosts.contains(&place.host.name) {
            hosts.push(place.host.name.clone());
        }
        draft = draft.at(&place.host.name, &place.file.origin, described(&place, blames_trust));
    }
    let same_name =
        first.trusted.file.certificates.iter().any(|root| leaf.is_some_and(|leaf| leaf.issuer == root.subject));
    if same_name {
        draft = draft.note("both authorities have the same name, but not the same key");
    }
    draft.hosts(hosts)
}

fn described(place: &Place<'_>, presented: bool) -> String {
    let Some(first) = place.file.certificates.first() else { return String::new() };
    let key: String = first.authority_key_id.as_deref().unwrap_or_default().chars().take(12).collect();
    let own: String = first.subject_key_id.as_deref().unwrap_or_default().chars().take(12).collect();
    let with = |id: String| if id.is_empty() { String::new() } else { format!(" (key {id})") };
    match presented {
        true => format!("{} presents {}, issued by {}{}", place.user, first.subject, first.issuer, with(key)),
        false => format!("{} trusts {}{}", place.user, first.subject, with(own)),
    }
}
