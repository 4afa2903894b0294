//! lb-server-name-invalid: nginx' server_name with a port in it, which no request's name ever equals.

use super::frontends::{all, note_unread};
use crate::engine::verdict::{Draft, Verdict};
use crate::facts::Host;
use crate::rules::{Context, Detector, Judge};

pub(super) const DETECTOR: Detector =
    Detector { id: "lb-server-name-invalid", judge: Judge::Host(judge), refine: None };

fn judge(_: &Context<'_>, host: &Host, verdict: &mut Verdict) {
    note_unread(host, &["nginx"], verdict);
    for balanced in all(host) {
        let Some(frontend) = balanced.frontend.filter(|_| balanced.balancer == "nginx") else { continue };
        for name in &frontend.server_names {
            let Some(plain) = without_port(&name.value) else {
                verdict.pass();
                continue;
            };
            verdict.fail(
                Draft::new()
                    .subject(name.value.clone())
                    .value("name", &name.value)
                    .value("plain", plain)
                    .value("file", name.origin.path().unwrap_or(balanced.path))
                    .maybe_value("line", name.origin.span().map(|span| span.line))
                    .at(&host.name, &name.origin, "names are compared without the port"),
            );
        }
    }
}

/// The name before a port; none when there is none. A regular expression and a scheme are other things.
fn without_port(name: &str) -> Option<&str> {
    if name.starts_with('~') {
        return None;
    }
    let (plain, port) = name.rsplit_once(':')?;
    let is_port = !port.is_empty() && port.len() <= 5 && port.bytes().all(|byte| byte.is_ascii_digit());
    // `fd00::1` is an address, `[fd00::1]:80` one with a port.
    (is_port && !plain.is_empty() && (!plain.contains(':') || plain.ends_with(']'))).then_some(plain)
}

#[cfg(test)]
mod tests {
    use super::without_port;

    #[test]
    fn tells_ports_from_addresses() {
        for (name, expected) in [
            ("10.0.1.13:8080", Some("10.0.1.13")),
            ("api.example.org:443", Some("api.example.org")),
            ("[fd00::1]:80", Some("[fd00::1]")),
            ("fd00::1", None),
            ("[fd00::1]", None),
            ("~^api:443$", None),
            ("_", None),
            ("api", None),
        ] {
            assert_eq!(without_port(name), expected, "{name}");
        }
    }
}
