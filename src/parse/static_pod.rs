//! Pod manifests of a directory that the kubelet watches.
//!
//! The kubelet takes the first document of a file, reads it leniently (unknown fields and repeated keys do not matter) and
//! wants a single v1 Pod; a field of the wrong type makes it drop the whole file, and all that it says is a line in its log.

mod container;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::facts::kubernetes::{HostPath, StaticPod};
use crate::origin::{Origin, Sourced, Span};
use crate::parse::yaml::{self, Node};
use crate::parse::{Problem, config_document};

/// What a manifest file holds.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Manifest {
    /// The Pod, also one that the kubelet refuses for the sake of a field; several of a List.
    pub pods: Vec<StaticPod>,
    /// Why the kubelet refuses the file, and where; empty when it runs it.
    pub invalid: Vec<(Origin, String)>,
    /// What the kubelet does not mind.
    pub problems: Vec<Problem>,
}

/// The manifest file at `path`.
pub fn parse(path: &str, text: &str) -> Manifest {
    let (documents, mut problems) = yaml::parse(text);
    let mut reader = Reader { path: path.into(), invalid: Vec::new() };
    let mut documents = documents.into_iter();
    let Some(document) = documents.next() else {
        match problems.pop() {
            Some(problem) => reader.refuse(problem.span, problem.message),
            None => reader.refuse(None, "the file is empty; the kubelet expects a Pod"),
        }
        return Manifest { invalid: reader.invalid, ..Manifest::default() };
    };
    if let Some(broken) = document.broken {
        problems.retain(|problem| problem != &broken);
        reader.refuse(broken.span, broken.message);
        return Manifest { pods: Vec::new(), invalid: reader.invalid, problems };
    }
    if let Some(ignored) = documents.next() {
        let place = config_document::head(ignored.root.span, text);
        problems.push(Problem::new(Some(place), "the kubelet reads the first document of a manifest file only"));
    }
    let pods = reader.document(&document.root, text);
    Manifest { pods, invalid: reader.invalid, problems }
}

struct Reader {
    path: Arc<str>,
    invalid: Vec<(Origin, String)>,
}

impl Reader {
    fn refuse(&mut self, span: Option<Span>, why: impl Into<String>) {
        self.invalid.push((Origin::file(self.path.clone(), span), why.into()));
    }

    fn origin(&self, span: Span) -> Origin {
        Origin::file(self.path.clone(), Some(span))
    }

    fn document(&mut self, root: &Node, text: &str) -> Vec<StaticPod> {
        let head = config_document::head(root.span, text);
        let kind = root.get("kind").and_then(Node::as_str).unwrap_or_default();
        match kind {
            "Pod" => self.pod(root, head).into_iter().collect(),
            "PodList" | "List" => {
                let place = root.get("kind").map_or(head, |kind| kind.span);
                self.refuse(Some(place), format!("the kubelet reads one Pod of a manifest file, not a {kind}"));
                let pods = root.get("items").map(Node::items).unwrap_or_default();
                let is_pod = |item: &&Node| kind == "PodList" || item.get("kind").and_then(Node::as_str) == Some("Pod");
                pods.iter().filter(is_pod).filter_map(|item| self.pod(item, head)).collect()
            }
            "" => {
                self.refuse(Some(head), "no Pod: the document has no kind");
                Vec::new()
            }
            other => {
                let place = root.get("kind").map_or(head, |kind| kind.span);
                self.refuse(Some(place), format!("a {other}, where the kubelet expects a Pod"));
                Vec::new()
            }
        }
    }

    /// A Pod, or none when it has no spec to speak of. Everything that the kubelet refuses is noted.
    fn pod(&mut self, root: &Node, head: Span) -> Option<StaticPod> {
        match root.get("apiVersion").and_then(Node::as_str) {
            Some("v1") => {}
            Some(other) => {
                let place = root.get("apiVersion").map_or(head, |version| version.span);
                self.refuse(Some(place), format!("a Pod of apiVersion {other}, where the kubelet expects v1"));
            }
            // A PodList's items need none.
            None if root.get("kind").is_none() => {}
            None => self.refuse(Some(head), "the Pod has no apiVersion"),
        }
        let empty = root.get("spec").is_none_or(|spec| spec.entries().is_empty());
        if empty {
            self.refuse(Some(head), "the Pod has no spec");
            return None;
        }
        let metadata = root.get("metadata");
        let name = metadata.and_then(|metadata| self.string(metadata, "name", "metadata.name"));
        if name.as_ref().is_none_or(|name| name.value.is_empty()) {
            self.refuse(Some(head), "the Pod has no metadata.name");
        }
        let spec = root.get("spec")?;
        let containers = spec.get("containers");
        if containers.is_none_or(|containers| containers.items().is_empty()) {
            let place = spec.entry("containers").map_or(head, |(key, _)| key.span);
            self.refuse(Some(place), "the Pod has no containers");
        }
        let containers = containers.map(Node::items).unwrap_or_default();
        Some(StaticPod {
            path: self.path.to_string(),
            modified: None,
            name,
            namespace: metadata
                .and_then(|metadata| self.string(metadata, "namespace", "metadata.namespace"))
                .map(|namespace| namespace.value)
                .filter(|namespace| !namespace.is_empty()),
            host_network: spec.get("hostNetwork").and_then(Node::as_bool).unwrap_or(false),
            annotations: self.annotations(metadata),
            containers: containers
                .iter()
                .enumerate()
                .map(|(index, container)| self.container(container, &format!("spec.containers.{index}")))
                .collect(),
            host_paths: self.host_paths(spec),
        })
    }

    fn annotations(&mut self, metadata: Option<&Node>) -> BTreeMap<String, Sourced<String>> {
        let annotations = metadata.and_then(|metadata| metadata.get("annotations"));
        let entries = annotations.map(Node::entries).unwrap_or_default();
        let mut found = BTreeMap::new();
        for (key, value) in entries {
            if let Some(name) = key.as_str()
                && let Some(value) = self.as_string(value, &format!("metadata.annotations[{name}]"))
            {
                found.insert(name.to_owned(), value);
            }
        }
        found
    }

    fn host_paths(&mut self, spec: &Node) -> Vec<HostPath> {
        let volumes = spec.get("volumes").map(Node::items).unwrap_or_default();
        let mut found = Vec::new();
        for (index, volume) in volumes.iter().enumerate() {
            let Some(host_path) = volume.get("hostPath") else { continue };
            let field = format!("spec.volumes.{index}.hostPath.path");
            if let Some(path) = self.string(host_path, "path", &field) {
                let kind = host_path.get("type").filter(|kind| !kind.is_null()).and_then(Node::as_str);
                let name = volume.get("name").and_then(Node::as_str).unwrap_or_default();
                found.push(HostPath { volume: name.to_owned(), path, kind: kind.unwrap_or_default().to_owned() });
            }
        }
        found
    }

    /// A field that has to be a string; none when it is absent, null or something else, which is noted.
    fn string(&mut self, node: &Node, key: &str, field: &str) -> Option<Sourced<String>> {
        self.as_string(node.get(key)?, field)
    }

    fn as_string(&mut self, value: &Node, field: &str) -> Option<Sourced<String>> {
        match value.type_name() {
            "null" => return None,
            "string" => {}
            other => {
                let quote = if value.as_str().is_some() { "; put it in quotes" } else { "" };
                self.refuse(Some(value.span), format!("{field} is a {other} where a string belongs{quote}"));
            }
        }
        // A number is still what the reader meant, and what rules may look at.
        value.as_str().map(|text| Sourced::new(text.to_owned(), self.origin(value.span)))
    }
}
