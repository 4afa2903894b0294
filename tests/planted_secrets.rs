//! Secrets of every kind, planted in every place they can stand: none is in the archive, packed or unpacked, nor in what is
//! printed of it.

#![expect(clippy::disallowed_methods, reason = "a tree is written, and what comes out is read")]

mod fixtures;
#[path = "planted_secrets/kinds.rs"]
mod kinds;

use std::fs;
use std::io::{Read, Write};
use std::path::Path;
use std::process::Command;

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use fixtures::testdata;
use k8sdoctor::bundle::redact::{Policy, Stream, content};
use kinds::{LINES, MUST_BEGIN, TEXTS};

fn own(number: usize) -> String {
    format!("S3cr{number}tQz7Vw9Kx2")
}

fn planted() -> Vec<(String, String, String)> {
    let lines = LINES.iter().map(|(name, line)| {
        let (line, secret) = line.rsplit_once('|').map_or((*line, None), |(line, secret)| (line, Some(secret)));
        (*name, format!("{line}\n"), secret)
    });
    let texts = TEXTS.iter().map(|(name, text)| (*name, (*text).to_owned(), None));
    lines
        .chain(texts)
        .enumerate()
        .map(|(number, (name, text, secret))| {
            let secret = secret.map_or_else(|| own(number), str::to_owned);
            // The first at-sign that is not a URL's own; a placeholder stands before the host's.
            let at = text.find("@@").or_else(|| text.find('@')).expect("a place");
            let at = if text.contains("a@b@@") { text.find("@@").expect("a place") } else { at };
            (name.to_owned(), format!("{}{secret}{}", &text[..at], &text[at + 1..]), secret)
        })
        .collect()
}

/// What is looked for: the secret, but for parts of it that are names (a token's id, a user).
fn needle(secret: &str) -> String {
    match secret.split_once('.') {
        Some((id, rest)) if id.len() == 6 && rest.len() == 16 => rest.to_owned(),
        _ => secret.to_owned(),
    }
}

fn redacted(path: &str, text: &[u8]) -> Vec<u8> {
    content(path, text, Policy::default()).expect("redacted").content
}

/// What is read of a log at once.
const READ: usize = 256 << 10;

/// A log's text as it is redacted on its way, in pieces of this size.
fn streamed(text: &[u8], size: usize) -> Vec<u8> {
    let mut stream = Stream::new("/var/log/x.log", Policy::default());
    let mut out = Vec::new();
    text.chunks(size).for_each(|piece| stream.push(piece, &mut out));
    stream.finish(&mut out);
    out
}

fn holds(text: &[u8], secret: &str) -> bool {
    memchr::memmem::find(text, needle(secret).as_bytes()).is_some()
}

fn gz(text: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(text).expect("packed");
    encoder.finish().expect("packed")
}

fn ungz(bytes: &[u8]) -> Vec<u8> {
    let mut text = Vec::new();
    flate2::read::MultiGzDecoder::new(bytes).read_to_end(&mut text).expect("unpacked");
    text
}

#[test]
fn no_kind_survives_in_any_place() {
    let mut survived = Vec::new();
    let mut kinds = 0;
    for (name, text, secret) in planted() {
        kinds += 1;
        let before = "I1121 10:00:00.000000       1 main.go:1] starting\n";
        let mut places: Vec<(&str, Vec<u8>)> = Vec::new();
        let plain = format!("{before}{text}last: line\n");
        places.push(("a file", redacted("/etc/x.conf", plain.as_bytes())));
        places.push(("Windows' line ends", redacted("/etc/x.conf", text.replace('\n', "\r\n").as_bytes())));
        places.push(("a packed log", ungz(&redacted("/var/log/x.gz", &gz(plain.as_bytes())))));
        let once = BASE64.encode(&plain);
        let undone = |text: Vec<u8>| {
            let text = String::from_utf8(text).expect("text");
            let run = text.split_whitespace().last().expect("a run").trim_matches('"').to_owned();
            BASE64.decode(&run).unwrap_or(run.into_bytes())
        };
        places.push(("base64", undone(redacted("/etc/x.yaml", format!("data: {once}").as_bytes()))));
        let twice = redacted("/etc/x.yaml", format!("data: {}", BASE64.encode(&once)).as_bytes());
        places.push(("base64 of base64", BASE64.decode(undone(twice)).unwrap_or_default()));
        // In pieces of all sizes, as a log is read.
        for size in [1, 7, 4096] {
            places.push(("a stream", streamed(plain.as_bytes(), size)));
        }
        places
            .push(("a log's end without a line's", streamed(format!("{before}{}", text.trim_end()).as_bytes(), READ)));
        places.push(("a file's end without a line's", redacted("/etc/x.conf", text.trim_end().as_bytes())));
        // Across the border of what is read at once: cut in the secret, right before it, and in what stands around it.
        let at = text.find(&secret).expect("planted");
        for cut in [at, at + secret.len() / 2, at + secret.len(), at / 2] {
            let filling = READ - cut;
            let lines = before.repeat(filling / before.len());
            let rest = ".".repeat((filling - lines.len()).saturating_sub(1));
            let log = format!("{lines}{rest}\n{text}last: line\n");
            places.push(("a block's border", streamed(log.as_bytes(), READ)));
        }
        let docker: String = plain
            .lines()
            .map(|line| {
                format!(
                    "{{\"log\":\"{}\\n\",\"stream\":\"stderr\",\"time\":\"2026-11-21T10:00:00Z\"}}\n",
                    in_json(line)
                )
            })
            .collect();
        if !in_json(&secret).contains('\\') && !MUST_BEGIN.contains(&name.as_str()) {
            places.push(("docker's log", streamed(docker.as_bytes(), READ)));
        }
        let cri: String =
            plain.lines().map(|line| format!("2026-11-21T10:00:00.000000000Z stderr F {line}\n")).collect();
        if !MUST_BEGIN.contains(&name.as_str()) {
            places.push(("a container's log", streamed(cri.as_bytes(), READ)));
        }
        if text.lines().count() == 1 {
            let line = text.trim_end();
            for filling in [300 << 10, (256 << 10) - 20, 256 << 10, (256 << 10) + (32 << 10) - 30, 700 << 10] {
                let long = format!(
                    "{{\"a\":\"{}\"}} {line} {{\"b\":\"{}\"}}\n",
                    "word ".repeat(filling / 5),
                    "word ".repeat(70_000)
                );
                if !MUST_BEGIN.contains(&name.as_str()) {
                    places.push(("a long line of a log", streamed(long.as_bytes(), READ)));
                    places.push(("a long line", redacted("/var/log/x.log", long.as_bytes())));
                }
            }
        }
        survived.extend(places.iter().filter(|(_, out)| holds(out, &secret)).map(|(place, out)| {
            let at = memchr::memmem::find(out, needle(&secret).as_bytes()).unwrap_or_default();
            format!(
                "{name} in {place}: {}",
                String::from_utf8_lossy(&out[at.saturating_sub(40)..(at + 60).min(out.len())])
            )
        }));
        let kept = redacted("/etc/x.conf", plain.as_bytes());
        assert_eq!(
            kept.iter().filter(|byte| **byte == b'\n').count(),
            plain.matches('\n').count(),
            "{name}: lines are kept"
        );
        assert!(
            kept.ends_with(b"line\n") || name.contains("table"),
            "{name}: what follows is kept: {}",
            String::from_utf8_lossy(&kept)
        );
    }
    assert!(kinds >= 60);
    assert!(survived.is_empty(), "{}:\n{}", survived.len(), survived.join("\n"));
}

/// What a container wrote, cut by CRI's runtime into pieces that end at `cuts`, with another channel's line in between.
fn cut_by_cri(line: &str, cuts: &[usize]) -> String {
    let mut log = String::new();
    let mut from = 0;
    for to in cuts.iter().copied().chain([line.len()]) {
        let tag = if to == line.len() { "F" } else { "P" };
        log += &format!("2026-11-21T10:00:00.000000000Z stdout {tag} {}\n", &line[from..to]);
        log += "2026-11-21T10:00:00.000000001Z stderr F starting\n";
        from = to;
    }
    log
}

/// As dockerd escapes text.
fn in_json(text: &str) -> String {
    let text = text.replace('\\', "\\\\").replace('"', "\\\"").replace('\t', "\\t");
    text.replace('<', "\\u003c").replace('>', "\\u003e").replace('&', "\\u0026")
}

/// What a container wrote, as dockerd cuts it after 16 KiB, which is where `cut` of `line` stands.
fn cut_by_docker(line: &str, cut: usize) -> String {
    let filling = (16 << 10) - cut;
    let text = format!("{}{} {line}", "word ".repeat((filling - 1) / 5), ".".repeat((filling - 1) % 5));
    let (first, last) = text.split_at(16 << 10);
    let rest = "\"stream\":\"stdout\",\"time\":\"2026-11-21T10:00:00.000000000Z\"}\n";
    format!("{{\"log\":\"{}\",{rest}{{\"log\":\"{}\\n\",{rest}", in_json(first), in_json(last))
}

#[test]
fn no_kind_survives_where_a_runtime_cut_the_line() {
    let cri = "2026-11-21T10:00:00.000000000Z stdout F starting\n";
    let docker = "{\"log\":\"starting\\n\",\"stream\":\"stdout\",\"time\":\"2026-11-21T10:00:00.000000000Z\"}\n";
    let shown = |log: &str| log.replace("word ", "");
    let mut survived = Vec::new();
    for (name, text, secret) in planted() {
        if text.lines().count() > 1 || MUST_BEGIN.contains(&name.as_str()) {
            continue;
        }
        let line = text.trim_end();
        let begin = line.find(&secret).expect("planted");
        let end = begin + secret.len();
        for cut in 1..line.len() {
            let mut logs = vec![
                cut_by_cri(line, &[cut]),
                cut_by_cri(line, &[cut, (cut + line.len()).div_ceil(2).min(line.len() - 1).max(cut)]),
            ];
            if line.len() < 8 << 10 {
                logs.push(cut_by_docker(line, cut));
            }
            // Each half that is long enough to be worth something, or to be recognised.
            let halves = [secret.get(..cut.saturating_sub(begin)), secret.get(cut.saturating_sub(begin)..)];
            let halves: Vec<&str> = if (begin + 1..end).contains(&cut) {
                halves.into_iter().flatten().filter(|half| half.len() >= 9).collect()
            } else {
                vec![&secret]
            };
            for log in logs {
                let ordinary = if log.starts_with('{') { docker } else { cri };
                let log = format!("{ordinary}{log}{ordinary}");
                let out = streamed(log.as_bytes(), READ);
                assert_eq!(out.len(), log.len(), "{name}, {cut}");
                let found = halves.iter().find(|half| holds(&out, half));
                survived.extend(found.map(|half| format!("{name}, cut at {cut}: {half}: {}", shown(&log))));
                let out = redacted("/var/log/pods/x.log", log.as_bytes());
                let found = halves.iter().find(|half| holds(&out, half));
                survived.extend(found.map(|half| format!("{name}, whole, cut at {cut}: {half}: {}", shown(&log))));
            }
        }
    }
    assert!(survived.is_empty(), "{}:\n{}", survived.len(), survived.join("\n"));
}

#[test]
fn a_message_of_many_pieces_keeps_no_secret_and_the_rest_of_it() {
    // Pieces of 16 KiB; the secret stands across two of them, far behind what is looked at in one.
    let secret = own(950);
    for pieces in [3, 17, 40] {
        let before = "word ".repeat(pieces * (16 << 10) / 5);
        let line = format!("{before} DB_PASSWORD={secret} {before}");
        for shift in [0, 3, 9] {
            let at = line.find(&secret).expect("planted") + shift;
            let mut cuts: Vec<usize> = (1..).map(|cut| cut * (16 << 10)).take_while(|cut| *cut < at).collect();
            cuts.extend((at..line.len()).step_by(16 << 10));
            let log = cut_by_cri(&line, &cuts);
            let out = String::from_utf8(streamed(log.as_bytes(), READ)).expect("text");
            let halves = [&secret[..shift], &secret[shift..]];
            assert!(halves.iter().filter(|half| half.len() > 5).all(|half| !out.contains(*half)), "{pieces} {shift}");
            assert_eq!(out.len(), log.len());
            assert_eq!(out.matches("word ").count(), log.matches("word ").count(), "nothing else is replaced");
            assert_eq!(out.lines().count(), log.lines().count());
        }
    }
    // A key that begins in one piece and never ends.
    let key = fs::read_to_string(testdata("pem").join("rsa-pkcs1.key")).expect("a key");
    let line = format!("{} key: {}", "word ".repeat(3000), key.replace('\n', "\\n"));
    for cut in (15_000..line.len()).step_by(97) {
        let out = String::from_utf8(streamed(cut_by_cri(&line, &[cut]).as_bytes(), READ)).expect("text");
        let left = key.lines().filter(|line| line.len() > 40 && out.contains(*line)).count();
        assert_eq!(left, 0, "cut at {cut}");
    }
}

/// Private keys, with the lines of their numbers.
fn keys() -> Vec<(String, String)> {
    let names = [
        "rsa-pkcs1.key",
        "rsa-encrypted-pkcs1.key",
        "rsa-encrypted-pkcs8.key",
        "ec-sec1.key",
        "ec-pkcs8.key",
        "ec-with-parameters.key",
        "ec-without-public.key",
        "ed25519.key",
    ];
    names
        .iter()
        .map(|name| ((*name).to_owned(), fs::read_to_string(testdata("pem").join(name)).expect("a key")))
        .collect()
}

#[test]
fn no_private_key_survives_in_any_place() {
    for (name, key) in keys() {
        // The last line of an EC key is its public half, which stays.
        let lines = if name.starts_with("ec") { 1 } else { usize::MAX };
        let secret: Vec<&str> = key
            .lines()
            .filter(|line| line.len() >= 20 && !line.contains('-') && !line.contains(':'))
            .take(lines)
            .collect();
        let indented: String = key.lines().map(|line| format!("    {line}\n")).collect();
        let cri: String = key.lines().map(|line| format!("2026-11-21T10:00:00.000000000Z stdout F {line}\n")).collect();
        let wrapped: String = BASE64
            .encode(&key)
            .as_bytes()
            .chunks(76)
            .map(|line| format!("{}\n", String::from_utf8_lossy(line)))
            .collect();
        let cut: String = key.lines().take(3).map(|line| format!("{line}\n")).collect();
        for (place, text) in [
            ("a file", key.clone()),
            ("Windows' line ends", key.replace('\n', "\r\n")),
            ("yaml", format!("key: |\n{indented}other: x\n")),
            ("a log", cri),
            ("json", format!("{{\"private\": \"{}\"}}\n", key.replace('\n', "\\n"))),
            ("a kubeconfig", format!("users:\n- user:\n    client-key-data: {}\n", BASE64.encode(&key))),
            ("some base64", format!("x: {}\n", BASE64.encode(&key))),
            ("base64 twice", format!("x: {}\n", BASE64.encode(BASE64.encode(&key)))),
            ("wrapped base64", wrapped),
            ("cut off", cut),
        ] {
            for secrets in [true, false] {
                let out = content("/etc/x", text.as_bytes(), Policy { secrets }).expect("redacted").content;
                let mut forms = vec![String::from_utf8_lossy(&out).into_owned()];
                for _ in 0..2 {
                    let last = forms.last().cloned().unwrap_or_default();
                    let joined: String = last.split_whitespace().filter(|word| word.len() > 15).collect();
                    forms.extend(BASE64.decode(joined).ok().and_then(|text| String::from_utf8(text).ok()));
                }
                for line in &secret {
                    assert!(forms.iter().all(|form| !form.contains(line)), "{name} in {place}: {line}\n{}", forms[0]);
                }
                // A public half is all that may be decoded.
                assert_eq!(forms[0].lines().count(), text.lines().count(), "{name} in {place}: lines are kept");
            }
        }
    }
}

#[test]
fn what_is_no_secret_is_kept() {
    for text in [
        "--initial-cluster-token=etcd-1",
        "ETCD_INITIAL_CLUSTER_TOKEN=\"etcd-cluster\"",
        "--auth-token=simple --listen-peer-urls=https://10.0.0.1:2380",
        "--token-auth-file=/etc/kubernetes/known_tokens.csv",
        "--service-account-key-file=/etc/kubernetes/pki/sa.pub",
        "server_tokens off;",
        "    proxy_pass https://backend;",
        "passwd:         files systemd",
        "automountServiceAccountToken: true",
        "  volumes:\n  - name: s\n    secret:\n      secretName: pull\n      optional: true",
        "E1121 failed to get token: the server has asked for the client to provide credentials",
        "MountVolume.SetUp failed for volume \"x\" : secret \"kube-system/y\" not found",
        "invalid bearer token, Token has expired",
        "kubelet.go:2] Unable to authenticate the request err=\"[invalid bearer token, square/go-jose: error in cryptographic primitive]\"",
        "https://10.0.0.1:2379,http://a@b/",
        "image: registry.example:5000/pause@sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
        "ExecStart=/usr/bin/etcd --password=$ETCD_PASSWORD",
        "CONFIG_CRYPTO_HMAC=y",
        "var/lib/kubelet/pods/5a1c2B3d-4455-4677-8899-AAbbCCddEEff/volumes/kubernetes.io~projected",
        "kind: ConfigMap\ndata:\n  a: plain",
    ] {
        assert_eq!(String::from_utf8_lossy(&redacted("/etc/x.yaml", text.as_bytes())), text);
    }
    let certificate = fs::read(testdata("pem").join("ec.crt")).expect("a certificate");
    assert_eq!(redacted("/etc/kubernetes/pki/ca.crt", &certificate), certificate);
    let data = format!("    certificate-authority-data: {}\n", BASE64.encode(&certificate));
    assert_eq!(redacted("/etc/kubernetes/admin.conf", data.as_bytes()), data.as_bytes());
}

#[test]
fn what_cannot_be_looked_through_is_left_out() {
    let wide: Vec<u8> = "password: x\n".encode_utf16().flat_map(u16::to_le_bytes).collect();
    assert!(content("/etc/x", &wide, Policy::default()).is_err());
    let mut broken = gz(b"password: hunter222222\n");
    broken.truncate(20);
    assert!(content("/var/log/x.gz", &broken, Policy::default()).is_err());
    let mut nested = b"password: hunter222222\n".to_vec();
    for _ in 0..20 {
        nested = gz(&nested);
    }
    assert!(content("/var/log/x.gz", &nested, Policy::default()).is_err());
}

fn program(arguments: &[&str]) -> (String, i32) {
    let output = Command::new(env!("CARGO_BIN_EXE_k8sdoctor")).args(arguments).output().expect("the program runs");
    let text = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    (text, output.status.code().unwrap_or(-1))
}

fn write(root: &Path, path: &str, text: impl AsRef<[u8]>) {
    let path = root.join(path);
    fs::create_dir_all(path.parent().expect("a parent")).expect("a directory");
    fs::write(path, text).expect("a file");
}

#[test]
fn none_is_in_a_bundle_or_in_what_is_said_of_it() {
    let directory = tempfile::tempdir().expect("a directory");
    let root = directory.path().join("m1");
    let all = planted();
    let text: String = all.iter().map(|(_, text, _)| text.as_str()).collect();
    let key = fs::read_to_string(testdata("pem").join("rsa-pkcs1.key")).expect("a key");
    write(&root, "etc/hostname", "m1\n");
    write(&root, "var/log/messages", &text);
    write(&root, "var/log/messages-20261101.gz", gz(text.as_bytes()));
    write(&root, "var/log/pods/kube-system_etcd-m1_1/etcd/0.log", &text);
    write(&root, "etc/kubernetes/manifests/etcd.yaml", &text);
    write(
        &root,
        "etc/systemd/system/kubelet.service",
        format!("[Service]\nExecStart=/usr/bin/kubelet --token {}\n{text}", own(900)),
    );
    write(&root, "etc/haproxy/haproxy.cfg", &text);
    write(&root, "etc/keepalived/keepalived.conf", &text);
    write(&root, "etc/containerd/config.toml", &text);
    write(&root, "etc/kubernetes/pki/ca.key", &key);
    write(
        &root,
        "etc/kubernetes/admin.conf",
        format!("kind: Config\nclusters: []\nusers:\n- user:\n    token: {}\n", own(901)),
    );
    write(&root, "proc/100/cmdline", format!("kubelet\0--bootstrap-token\0{}\0--v=2\0", own(902)));
    write(&root, "proc/100/environ", format!("PATH=/bin\0API_TOKEN={}\0HOME=/\0", own(903)));
    let bundle = directory.path().join("x.tar.zst").display().to_string();
    let root = root.display().to_string();
    let mut outputs: Vec<String> = vec![program(&["collect", &root, "-o", &bundle]).0];
    let packed = fs::read(&bundle).expect("a bundle");
    let mut archive = Vec::new();
    zstd::stream::read::Decoder::new(packed.as_slice()).expect("zstd").read_to_end(&mut archive).expect("unpacked");
    let mut bytes = vec![packed, archive.clone()];
    for entry in tar::Archive::new(archive.as_slice()).entries().expect("entries") {
        let mut entry = entry.expect("an entry");
        let mut content = Vec::new();
        entry.read_to_end(&mut content).expect("content");
        if content.starts_with(&[0x1f, 0x8b]) {
            bytes.push(ungz(&content));
        }
    }
    assert!(bytes.len() > 2, "the packed log is there");
    for arguments in [
        vec!["check", &bundle],
        vec!["check", &bundle, "--format", "json", "--verbose"],
        vec!["check", &bundle, "--verbose"],
        vec!["bundle", "show", &bundle],
        vec!["bundle", "verify", &bundle],
        vec!["check", &root, "--verbose"],
    ] {
        outputs.push(program(&arguments).0);
    }
    let secrets: Vec<String> = all.into_iter().map(|(_, _, secret)| secret).chain((900..904).map(own)).collect();
    let lines = key.lines().filter(|line| line.len() > 40).map(str::to_owned);
    let mut survived = Vec::new();
    for secret in secrets.into_iter().chain(lines) {
        // What the tree itself is told of may quote its text; in a bundle there is nothing to quote.
        let bundled =
            outputs.iter().take(outputs.len() - 1).map(String::as_bytes).chain(bytes.iter().map(Vec::as_slice));
        if let Some(text) = bundled.into_iter().find(|text| holds(text, &secret)) {
            let at = memchr::memmem::find(text, needle(&secret).as_bytes()).unwrap_or_default();
            survived.push(format!(
                "{secret}: {}",
                String::from_utf8_lossy(&text[at.saturating_sub(60)..(at + 40).min(text.len())])
            ));
        }
    }
    assert!(survived.is_empty(), "{}:\n{}", survived.len(), survived.join("\n"));
}

#[test]
fn a_secret_in_a_log_whose_kind_stands_behind_its_data() {
    let yaml = "I0101 applied\napiVersion: v1\ndata:\n  pull: aHVudGVyMg==\n  long: |\n    aHVudGVyMw==\nkind: Secret\nmetadata:\n  name: x\ndone\n";
    let json = "{\n  \"apiVersion\": \"v1\",\n  \"data\": {\n    \"pull\": \"aHVudGVyMg==\",\n    \"more\": \"aHVudGVyMw==\"\n  },\n  \
        \"kind\": \"Secret\"\n}\ndone\n";
    for text in [yaml, json] {
        for size in [1, 13, 4096] {
            let mut stream = Stream::new("/var/log/x.log", Policy::default());
            let mut out = Vec::new();
            text.as_bytes().chunks(size).for_each(|piece| stream.push(piece, &mut out));
            stream.finish(&mut out);
            let out = String::from_utf8_lossy(&out);
            assert!(!out.contains("aHVudGVy"), "{out}");
            assert!(out.contains("done") && out.lines().count() == text.lines().count(), "{out}");
        }
    }
}
