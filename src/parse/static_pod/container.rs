//! A container of a Pod: its command line, environment, probes and mounts.

use std::collections::BTreeMap;

use super::Reader;
use crate::facts::kubernetes::{Container, ContainerProbe};
use crate::origin::Sourced;
use crate::parse::config_document::SECRET;
use crate::parse::yaml::Node;

impl Reader {
    pub(super) fn container(&mut self, node: &Node, field: &str) -> Container {
        let mut command = self.strings(node, "command", field);
        command.extend(self.strings(node, "args", field));
        let image = self.string(node, "image", &format!("{field}.image"));
        if image.as_ref().is_none_or(|image| image.value.is_empty()) {
            let place = node.entry("name").map_or(node.span, |(_, name)| name.span);
            self.refuse(Some(place), format!("{field} has no image"));
        }
        Container {
            name: self.string(node, "name", &format!("{field}.name")).map(|name| name.value).unwrap_or_default(),
            image,
            command,
            environment: self.environment(node, field),
            probes: self.probes(node),
            mounts: mounts(node),
        }
    }

    /// The words of `command` or `args`, each with its own place.
    fn strings(&mut self, node: &Node, key: &str, field: &str) -> Vec<Sourced<String>> {
        let Some(list) = node.get(key).filter(|list| !list.is_null()) else { return Vec::new() };
        if list.as_str().is_some() {
            self.refuse(Some(list.span), format!("{field}.{key} is a string where a list of strings belongs"));
        }
        let mut words = Vec::new();
        for (index, item) in list.items().iter().enumerate() {
            words.extend(self.as_string(item, &format!("{field}.{key}.{index}")));
        }
        words
    }

    /// Variables with a value of their own; those that come from a Secret, a ConfigMap or a field are left out.
    fn environment(&mut self, node: &Node, field: &str) -> BTreeMap<String, Sourced<String>> {
        let variables = node.get("env").map(Node::items).unwrap_or_default();
        let mut found = BTreeMap::new();
        for (index, variable) in variables.iter().enumerate() {
            let value = self.string(variable, "value", &format!("{field}.env.{index}.value"));
            if let (Some(name), Some(value)) = (variable.get("name").and_then(Node::as_str), value) {
                found.insert(name.to_owned(), value.map(|value| without_secret(name, value)));
            }
        }
        found
    }

    fn probes(&self, node: &Node) -> Vec<ContainerProbe> {
        let kinds = ["livenessProbe", "readinessProbe", "startupProbe"];
        kinds.iter().filter_map(|kind| self.probe(node.get(kind)?, kind)).collect()
    }

    /// A probe over the network; what is run inside of the container names no port.
    fn probe(&self, probe: &Node, kind: &str) -> Option<ContainerProbe> {
        let (action, default_scheme) = match (probe.get("httpGet"), probe.get("tcpSocket"), probe.get("grpc")) {
            (Some(action), _, _) => (action, "HTTP"),
            (_, Some(action), _) => (action, "TCP"),
            (_, _, Some(action)) => (action, "GRPC"),
            _ => return None,
        };
        let text = |key: &str| {
            let value = action.get(key).filter(|value| !value.is_null())?.as_str()?;
            (!value.is_empty()).then(|| value.to_owned())
        };
        let port = action.get("port");
        Some(ContainerProbe {
            kind: kind.to_owned(),
            host: text("host"),
            port: text("port").unwrap_or_default(),
            scheme: text("scheme").unwrap_or_else(|| default_scheme.to_owned()),
            scheme_at: text("scheme").and(action.get("scheme")).map(|scheme| self.origin(scheme.span)),
            path: text("path").unwrap_or_else(|| if default_scheme == "HTTP" { "/".to_owned() } else { String::new() }),
            origin: self.origin(port.unwrap_or(action).span),
        })
    }
}

fn mounts(node: &Node) -> BTreeMap<String, String> {
    let mounts = node.get("volumeMounts").map(Node::items).unwrap_or_default();
    mounts
        .iter()
        .filter_map(|mount| {
            let text = |key: &str| mount.get(key).and_then(Node::as_str);
            Some((text("mountPath")?.to_owned(), text("name")?.to_owned()))
        })
        .collect()
}

/// A variable's value, unless its name says that it is a secret; a proxy's without the password in its URL.
fn without_secret(name: &str, value: String) -> String {
    let name = name.to_ascii_uppercase();
    let secret = ["PASSWORD", "PASSWD", "SECRET", "CREDENTIAL", "PRIVATE_KEY", "ACCESS_KEY", "API_KEY"];
    // etcd's cluster token tells clusters apart and opens nothing.
    let is_token = name.ends_with("TOKEN") && !name.starts_with("ETCD_");
    if value.is_empty() {
        return value;
    }
    if is_token || secret.iter().any(|word| name.contains(word)) {
        return SECRET.to_owned();
    }
    if let Some((scheme, rest)) = value.split_once("://") {
        let authority = rest.split('/').next().unwrap_or_default();
        if let Some((user, _)) = authority.rsplit_once('@') {
            return format!("{scheme}://{SECRET}{}", rest.get(user.len()..).unwrap_or_default());
        }
    }
    value
}
