use super::{Options, dot, json, mermaid, text};
use crate::facts::topology::map::{Link, Node, Server, Service, State, Topology, Where};

/// Names that would leave their place in a drawing, a document or a terminal.
const HOSTILE: &str = "a\"]; end\n\\N --> <script>alert(1)</script> {x} `y` |z| #quot; \u{1b}[31m \u{202e}";

fn hostile() -> Topology {
    let place = Where { place: HOSTILE.to_owned(), line: Some(3) };
    Topology {
        at: "2026-01-01T00:00:00Z".parse().unwrap(),
        hosts: vec![Node {
            name: HOSTILE.to_owned(),
            source: HOSTILE.to_owned(),
            roles: vec!["worker".to_owned()],
            addresses: vec![HOSTILE.to_owned()],
            components: vec![Service {
                name: "kubelet",
                version: Some(HOSTILE.to_owned()),
                running: None,
                listens: vec![HOSTILE.to_owned()],
                configured_at: place.clone(),
            }],
        }],
        etcd_members: Vec::new(),
        endpoints: Vec::new(),
        links: vec![
            Link {
                host: HOSTILE.to_owned(),
                client: HOSTILE.to_owned(),
                configured_at: place.clone(),
                url: HOSTILE.to_owned(),
                scheme: String::new(),
                service: None,
                through: Some(format!("{HOSTILE} on {HOSTILE}")),
                servers: vec![Server { host: HOSTILE.to_owned(), component: "kubelet", certificate: None }],
                state: State::Broken,
                why: vec![HOSTILE.to_owned()],
            },
            Link {
                host: HOSTILE.to_owned(),
                client: "kubelet".to_owned(),
                configured_at: place,
                url: HOSTILE.to_owned(),
                scheme: String::new(),
                service: None,
                through: None,
                servers: Vec::new(),
                state: State::Unknown,
                why: Vec::new(),
            },
        ],
    }
}

#[test]
fn hostile_names_stay_where_they_are() {
    let map = hostile();
    for (form, drawn) in
        [("dot", dot(&map)), ("mermaid", mermaid(&map)), ("text", text(&map, Options { colour: false }))]
    {
        assert!(!drawn.contains('\u{1b}') && !drawn.contains('\u{202e}'), "{form}: {drawn}");
        assert!(drawn.lines().all(|line| !line.trim_start().starts_with("\\N")), "{form}: {drawn}");
    }
    for line in dot(&map).lines() {
        // Every quote that is not escaped opens or closes a string, so their number is even.
        let mut quotes = 0;
        let mut characters = line.chars();
        while let Some(character) = characters.next() {
            match character {
                '\\' => drop(characters.next()),
                '"' => quotes += 1,
                _ => {}
            }
        }
        assert_eq!(quotes % 2, 0, "{line}");
        assert!(!line.contains("[31m") || line.contains("\\\\x1b"), "{line}");
    }
    let drawn = mermaid(&map);
    for line in drawn.lines() {
        assert!(line.matches('"').count() <= 2, "{line}");
        assert!(!line.contains("<script") && !line.contains('`'), "{line}");
    }
    assert_eq!(drawn.lines().filter(|line| line.trim() == "end").count(), 1, "{drawn}");
}

#[test]
fn json_is_json() {
    let value: serde_json::Value = serde_json::from_str(&json(&hostile()).unwrap()).unwrap();
    assert_eq!(value["version"], 1);
    assert_eq!(value["links"][0]["url"], HOSTILE);
}
