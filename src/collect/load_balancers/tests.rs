use std::sync::Arc;

use super::*;
use crate::facts::load_balancer::{Frontend, ProxyLayer};
use crate::source::MemorySource;

fn collected(source: MemorySource) -> (LoadBalancers, Vec<String>) {
    let problems = Problems::new("lb");
    let found = collect(&Files::new(Arc::new(source)), &problems);
    let problems = problems.into_sorted();
    (found, problems.into_iter().map(|problem| format!("{} {}", problem.place, problem.message)).collect())
}

fn nginx(text: &str) -> (Vec<Frontend>, Vec<String>) {
    let (found, problems) = collected(MemorySource::new("lb").file("/etc/nginx/nginx.conf", text));
    let proxy = found.nginx.unwrap().unwrap();
    for frontend in &proxy.frontends {
        for value in frontend.server_names.iter().chain(&frontend.listen).chain(&frontend.upstream_scheme) {
            let span = value.origin.span().unwrap();
            assert_eq!(&text[span.start..span.end], value.value);
        }
    }
    (proxy.frontends, problems)
}

fn backends(frontend: &Frontend) -> Vec<(&str, bool, bool)> {
    frontend.backends.iter().map(|b| (b.address.value.as_str(), b.backup, b.disabled)).collect()
}

#[test]
fn an_http_proxy_with_a_port_in_its_server_name() {
    let text = "\
worker_processes 1;
http {
  proxy_read_timeout 90;
  upstream backend {
    server 10.0.1.11:8080 weight=1;
    server 10.0.1.12 backup;
    server 10.0.1.14:8080 down;
  }
  server {
    listen 8080;
    server_name 10.0.1.13:8080;
    location / {
      proxy_pass http://backend;
      proxy_read_timeout 10m;
    }
    location /x { proxy_pass https://10.0.1.15/y; }
    location /z { proxy_pass http://backend; }
  }
  server { listen 80; root /var/www; }
}
";
    let (frontends, problems) = nginx(text);
    assert_eq!(problems, [""; 0]);
    let [backend, literal] = frontends.as_slice() else { panic!("{frontends:?}") };
    assert_eq!(backend.server_names[0].value, "10.0.1.13:8080");
    assert_eq!(backend.server_names[0].origin.to_string(), "/etc/nginx/nginx.conf:11:17");
    assert_eq!(backend.layer, ProxyLayer::Http);
    assert_eq!(backend.upstream_scheme.as_ref().unwrap().value, "http");
    let expected = [("10.0.1.11:8080", false, false), ("10.0.1.12:80", true, false), ("10.0.1.14:8080", false, true)];
    assert_eq!(backends(backend), expected);
    assert_eq!(backend.server_timeout.as_ref().unwrap().value, 600.0);
    assert!(!backend.terminates_tls && !backend.health_check);
    assert_eq!(backends(literal), [("10.0.1.15:443", false, false)]);
    let span = literal.backends[0].address.origin.span().unwrap();
    assert_eq!(&text[span.start..span.end], "10.0.1.15");
    assert_eq!(literal.server_timeout.as_ref().unwrap().value, 90.0);
}

#[test]
fn a_stream_proxy_and_snippets() {
    let (frontends, problems) = nginx(
        "stream {\n upstream k8s { server 10.0.0.11:6443; server [fd00::1]:6443; check interval=3000; }\n map $ssl_preread_server_name \
         $to { a k8s; default 10.0.0.9:1; x y; }\n server { listen 6443; proxy_pass k8s; proxy_timeout 1h; }\n server { listen 1 ssl; \
         proxy_pass $to; }\n server { listen 2; proxy_pass unix:/run/x.sock; }\n}\n",
    );
    assert_eq!(problems, [""; 0]);
    assert_eq!(backends(&frontends[0]), [("10.0.0.11:6443", false, false), ("[fd00::1]:6443", false, false)]);
    assert!(frontends[0].health_check && frontends[0].backends[0].checked);
    assert_eq!(frontends[0].layer, ProxyLayer::Tcp);
    assert_eq!(frontends[0].name, "k8s");
    assert_eq!(frontends[0].client_timeout.as_ref().unwrap().value, 3600.0);
    assert_eq!(frontends[0].upstream_scheme, None);
    assert!(frontends[1].terminates_tls);
    assert_eq!(backends(&frontends[1])[0], ("10.0.0.9:1", false, false));
    assert_eq!(frontends[1].backends.len(), 3);
    assert_eq!(backends(&frontends[2]), [("unix:/run/x.sock", false, false)]);

    for (text, layer) in [
        ("upstream b { server 10.0.0.1:1; }\nserver { listen 80; proxy_pass b; }", ProxyLayer::Tcp),
        (
            "upstream b { server 10.0.0.1:1; }\nserver { listen 80; location / { proxy_pass http://b; } }",
            ProxyLayer::Http,
        ),
    ] {
        let (frontends, _) = nginx(text);
        assert_eq!(frontends[0].layer, layer);
        assert_eq!(backends(&frontends[0]), [("10.0.0.1:1", false, false)]);
    }
}

#[test]
fn includes_are_followed_once_and_within_the_source() {
    let (found, problems) = collected(
        MemorySource::new("lb")
            .file(
                "/etc/nginx/nginx.conf",
                "http {\n include conf.d/*.conf;\n include none.conf;\n include sites-enabled/*;\n}\n",
            )
            .file("/etc/nginx/conf.d/a.conf", "upstream b { server 10.0.0.1:1; }\ninclude /etc/nginx/nginx.conf;\n")
            .file("/etc/nginx/conf.d/b.txt", "rubbish {")
            .file("/etc/nginx/sites-available/s", "server { listen 80; location / { proxy_pass http://b } }")
            .link("/etc/nginx/sites-enabled/s", "/etc/nginx/sites-available/s"),
    );
    let proxy = found.nginx.unwrap().unwrap();
    assert_eq!(backends(&proxy.frontends[0]), [("10.0.0.1:1", false, false)]);
    assert_eq!(proxy.frontends[0].origin.to_string(), "/etc/nginx/sites-enabled/s:1:1");
    assert_eq!(
        problems,
        [
            "/etc/nginx/nginx.conf:3:10 cannot be included: /etc/nginx/none.conf: no such file or directory",
            "/etc/nginx/sites-enabled/s:1:34 `proxy_pass` is not ended by `;`"
        ]
    );
}

#[test]
fn endless_includes_end() {
    let mut source = MemorySource::new("lb").file("/etc/nginx/nginx.conf", "include 0.conf;");
    for index in 0..20 {
        source = source.file(format!("/etc/nginx/{index}.conf"), format!("include {}.conf;", index + 1));
    }
    let (found, problems) = collected(source);
    assert!(found.nginx.unwrap().unwrap().frontends.is_empty());
    assert_eq!(problems, ["/etc/nginx/7.conf:1:9 too many files are included; the rest is not read"]);
}

#[test]
fn haproxy_and_keepalived_are_found() {
    let (found, problems) = collected(
        MemorySource::new("lb")
            .file("/usr/local/etc/haproxy/haproxy.cfg", "listen a\n bind :6443\n server m1 10.0.0.1:6443 check\n")
            .file("/etc/keepalived/keepalived.conf", "include conf.d/*.conf\n")
            .file(
                "/etc/keepalived/conf.d/a.conf",
                "vrrp_instance V {\n priority x\n virtual_ipaddress {\n  10.0.0.88\n }\n",
            ),
    );
    assert_eq!(found.haproxy.unwrap().unwrap().frontends[0].backends.len(), 1);
    assert!(found.nginx.unwrap().is_none());
    let keepalived = found.keepalived.unwrap().unwrap();
    assert_eq!(keepalived.path, "/etc/keepalived/keepalived.conf");
    assert_eq!(keepalived.instances[0].virtual_addresses[0].origin.to_string(), "/etc/keepalived/conf.d/a.conf:4:3");
    assert_eq!(
        problems,
        [
            "/etc/keepalived/conf.d/a.conf:1:1 block `vrrp_instance` is not closed by `}`",
            "/etc/keepalived/conf.d/a.conf:2:11 priority is `x`, not a number"
        ]
    );
}

#[test]
fn what_is_refused_is_unknown() {
    let (found, _) =
        collected(MemorySource::new("lb").denied("/etc/nginx/nginx.conf").denied("/etc/haproxy/haproxy.cfg"));
    assert!(found.nginx.is_err() && found.haproxy.is_err());
    assert!(matches!(found.keepalived, Ok(None)));
}

#[test]
fn what_servers_repeat_is_limited() {
    let upstream = format!("upstream b {{ {} }}", "server 10.0.0.1;".repeat(1000));
    let servers = "server { listen 1; location / { proxy_pass http://b; } }".repeat(1000);
    let (frontends, problems) = nginx(&format!("http {{ {upstream} {servers} }}"));
    assert!(frontends.iter().map(|frontend| frontend.backends.len()).sum::<usize>() <= 100_000);
    assert_eq!(problems.len(), 1);
    let proxy = format!("backend b\n{}", "server a 10.0.0.1:1\n".repeat(1000))
        + &"frontend f\ndefault_backend b\n".repeat(1000);
    let proxy = crate::parse::haproxy::parse(&"/h".into(), &proxy);
    assert!(proxy.frontends.iter().map(|frontend| frontend.backends.len()).sum::<usize>() <= 100_000);
    assert_eq!(proxy.problems.len(), 1);
}
