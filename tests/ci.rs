//! A check in a pipeline: configuration, waivers, baseline and exit codes, as the program is started.

#![expect(clippy::disallowed_methods, reason = "tests write what the program reads, and read what it wrote")]

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

const UNIT: &str = "[Service]\nExecStart=/usr/bin/kubelet --config=/var/lib/kubelet/config.yaml\nRestart=no\n";

/// A repository with a unit that does not start again after a failure, and one that does.
fn repository() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), "units/kubelet.service", UNIT);
    folder
}

fn write(folder: &Path, name: &str, text: &str) -> PathBuf {
    let path = folder.join(name);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(&path, text).unwrap();
    path
}

fn k8sdoctor(folder: &Path, arguments: &[&str]) -> (i32, String, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_k8sdoctor"));
    command.args(arguments).current_dir(folder).env_remove("GITHUB_STEP_SUMMARY").env("COLUMNS", "100");
    let output = command.stdin(std::process::Stdio::null()).output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (output.status.code().unwrap_or(-1), text(&output.stdout), text(&output.stderr))
}

/// The report of `check units` with these arguments.
fn json(folder: &Path, arguments: &[&str]) -> (i32, Value) {
    let mut all = vec!["check", "units", "--format", "json", "--at", "2026-01-01"];
    all.extend(arguments);
    let (code, stdout, stderr) = k8sdoctor(folder, &all);
    (code, serde_json::from_str(&stdout).unwrap_or_else(|error| panic!("{error}\n{stdout}\n{stderr}")))
}

fn rules(report: &Value) -> Vec<&str> {
    report["findings"].as_array().into_iter().flatten().filter_map(|finding| finding["rule"].as_str()).collect()
}

const RULE: &str = "unit-restart-policy";

#[test]
fn the_configuration_decides_what_fails() {
    let folder = repository();
    let (code, report) = json(folder.path(), &["--fail-on", "info"]);
    assert_eq!((code, rules(&report)), (1, vec![RULE]), "{report:#}");
    for (config, arguments, expected) in [
        ("fail-on = \"error\"\n".to_owned(), &[][..], 0),
        ("fail-on = \"error\"\n".to_owned(), &["--fail-on", "info"], 1),
        (format!("[rules]\n{RULE} = \"error\"\n"), &["--fail-on", "error"], 1),
        (format!("[rules]\n{RULE} = \"info\"\n"), &[], 0),
        (format!("[rules]\n{RULE} = \"off\"\n"), &["--fail-on", "info"], 0),
        (format!("[rules]\nunit = \"off\"\n{RULE} = \"on\"\n"), &["--fail-on", "info"], 1),
        (format!("[rules]\n{RULE} = \"error\"\n"), &["--fail-on", "error", "--no-config"], 0),
    ] {
        write(folder.path(), "k8sdoctor.toml", &config);
        let (code, report) = json(folder.path(), arguments);
        assert_eq!(code, expected, "{config} {arguments:?}\n{report:#}");
    }
    // A host's own tree is evidence: nothing in it configures the check.
    let tree = folder.path().join("tree");
    write(&tree, "etc/systemd/system/kubelet.service", UNIT);
    write(&tree, "k8sdoctor.toml", "fail-on = \"never\"\n");
    write(folder.path(), "k8sdoctor.toml", "fail-on = \"info\"\n");
    let (code, stdout, _) = k8sdoctor(folder.path(), &["check", "tree", "--only", RULE]);
    assert_eq!(code, 1, "{stdout}");
    assert!(stdout.contains("configuration: k8sdoctor.toml\n"), "{stdout}");
}

#[test]
fn a_wrong_configuration_is_refused() {
    let folder = repository();
    for (config, expected) in [
        ("fail-om = \"error\"\n", "error: k8sdoctor.toml:1:1: there is no key `fail-om`; did you mean `fail-on`?"),
        ("[rules]\nunit-restart-polcy = \"off\"\n", "k8sdoctor.toml:2:1: there is no rule or component"),
        ("outputs = [\"sarif=/tmp/x\"]\n", "leaves the configuration's folder"),
        ("outputs = [\"sarif=../x\"]\n", "leaves the configuration's folder"),
        ("outputs = [\"sarrif=x\"]\n", "k8sdoctor.toml:1:12: `sarrif` is none of"),
        ("kubernetes-version = \"2\"\n", "k8sdoctor.toml:1:22: expected a Kubernetes release"),
    ] {
        write(folder.path(), "k8sdoctor.toml", config);
        let (code, stdout, stderr) = k8sdoctor(folder.path(), &["check", "units"]);
        assert!(code == 2 && stdout.is_empty() && stderr.contains(expected), "{config}: {code} {stdout} {stderr}");
    }
    let (code, _, stderr) = k8sdoctor(folder.path(), &["check", "units", "--config", "none.toml"]);
    assert!(code == 2 && stderr.contains("none.toml"), "{stderr}");
}

#[test]
fn config_show_says_where_each_value_comes_from() {
    let folder = repository();
    let config = "fail-on = \"error\"\noutputs = [\"sarif=results.sarif\"]\n[thresholds]\nopen-files = 9\n\
                  [hosts.m1]\nroles = [\"etcd\"]\n[[waivers]]\nrule = \"unit-*\"\nreason = \"old\"\n";
    write(folder.path(), "k8sdoctor.toml", config);
    let (code, stdout, stderr) = k8sdoctor(folder.path(), &["config", "show", "units", "--severity", "warning"]);
    assert_eq!(code, 0, "{stderr}");
    for (value, origin) in [
        ("fail-on = \"error\"", "k8sdoctor.toml:1"),
        ("severity = \"warning\"", "--severity"),
        ("fail-on-unknown = false", "default"),
        ("outputs = [\"sarif=results.sarif\"]", "k8sdoctor.toml:2"),
        ("open-files = 9", "k8sdoctor.toml:4"),
        ("control-plane-cpus = 2", "default"),
        ("roles = [\"etcd\"]", "k8sdoctor.toml:6"),
        ("# { rule = \"unit-*\"", "k8sdoctor.toml:7"),
    ] {
        let line = stdout.lines().find(|line| line.starts_with(value)).unwrap_or_else(|| panic!("{value}\n{stdout}"));
        assert!(line.ends_with(&format!("# {origin}")), "{line}");
    }
    let (_, report) = json(folder.path(), &[]);
    assert_eq!(report["configuration"], "k8sdoctor.toml");
    assert!(folder.path().join("results.sarif").is_file());
}

#[test]
fn what_lies_elsewhere_is_judged_by_the_configuration_here() {
    let (here, elsewhere) = (repository(), repository());
    write(here.path(), "k8sdoctor.toml", "fail-on = \"info\"\n");
    let units = elsewhere.path().join("units").display().to_string();
    let check = |arguments: &[&str]| k8sdoctor(here.path(), &[&["check", "--only", RULE, &units], arguments].concat());
    assert_eq!(check(&[]).0, 1);
    assert_eq!(check(&["--no-config"]).0, 0);
    // What stands above the source comes first.
    write(elsewhere.path(), "k8sdoctor.toml", "fail-on = \"never\"\n");
    assert_eq!(check(&[]).0, 0);
}

#[test]
fn waivers_cover_until_their_end() {
    let folder = repository();
    let waiver =
        |more: &str| format!("fail-on = \"info\"\n[[waivers]]\nrule = \"{RULE}\"\nreason = \"replaced soon\"\n{more}");
    for (config, code, suppressed, notice) in [
        (waiver(""), 0, true, None),
        (waiver("path = \"**/kubelet.service\"\nowner = \"me\"\nuntil = 2026-01-01\n"), 0, true, None),
        (waiver("until = 2025-12-31\n"), 1, false, Some("ended on 2025-12-31: what it covered fails again (1)")),
        (waiver("host = \"m*x\"\n"), 1, false, Some("matches nothing")),
        (waiver("path = \"/etc/*\"\n"), 1, false, Some("matches nothing")),
    ] {
        write(folder.path(), "k8sdoctor.toml", &config);
        let (found, report) = json(folder.path(), &[]);
        assert_eq!(found, code, "{config}\n{report:#}");
        assert_eq!(report["findings"][0]["suppressed"].is_object(), suppressed, "{config}\n{report:#}");
        assert_eq!(report["summary"]["waived"], u64::from(suppressed));
        let notices = report["notices"].to_string();
        assert_eq!(notice.is_some(), notices != "[]", "{config}: {notices}");
        assert!(notice.is_none_or(|notice| notices.contains(notice)), "{config}: {notices}");
        let (_, human, _) = k8sdoctor(folder.path(), &["check", "units", "--at", "2026-01-01"]);
        assert_eq!(human.contains("replaced soon (k8sdoctor.toml:2"), suppressed, "{human}");
        let (_, sarif, _) = k8sdoctor(folder.path(), &["check", "units", "--at", "2026-01-01", "--format", "sarif"]);
        let sarif: Value = serde_json::from_str(&sarif).unwrap();
        let first = &sarif["runs"][0]["results"][0];
        assert_eq!(first["suppressions"][0]["kind"].as_str(), suppressed.then_some("external"), "{first:#}");
    }
}

#[test]
fn a_comment_allows_beside_the_value() {
    let folder = repository();
    let allowed = |comment: &str| UNIT.replace("Restart=no", &format!("{comment}\nRestart=no"));
    for (unit, code, notice) in [
        (allowed(&format!("# k8sdoctor: allow {RULE} the supervisor starts it")), 0, None),
        (allowed(&format!("# k8sdoctor: allow {RULE}")), 1, Some("without a reason")),
        (allowed("# k8sdoctor: allow unit-restart-polcy it is so"), 1, Some("did you mean `unit-restart-policy`")),
        (format!("# k8sdoctor: allow {RULE} elsewhere\n{UNIT}"), 1, Some("allows nothing that was found")),
    ] {
        write(folder.path(), "units/kubelet.service", &unit);
        let (found, report) = json(folder.path(), &["--fail-on", "info"]);
        assert_eq!(found, code, "{unit}\n{report:#}");
        let notices = report["notices"].to_string();
        assert_eq!(notice.is_some(), notices != "[]", "{unit}: {notices}");
        assert!(notice.is_none_or(|notice| notices.contains(notice)), "{unit}: {notices}");
        if code == 0 {
            assert_eq!(report["findings"][0]["suppressed"]["kind"], "comment");
        }
    }
}

#[test]
fn a_baseline_lets_known_findings_pass_and_new_ones_fail() {
    let folder = repository();
    let with = &["--fail-on", "info", "--baseline", "known.json"][..];
    let (code, _, stderr) = k8sdoctor(folder.path(), &["check", "units", "--baseline", "known.json"]);
    assert!(code == 2 && stderr.contains("--update-baseline"), "{stderr}");
    let (code, _) = json(folder.path(), &[with, &["--update-baseline"]].concat());
    assert_eq!(code, 0);
    let first = std::fs::read_to_string(folder.path().join("known.json")).unwrap();
    // Another line is the same finding; writing again changes nothing.
    write(folder.path(), "units/kubelet.service", &format!("# moved\n\n{UNIT}"));
    let (code, report) = json(folder.path(), with);
    assert_eq!((code, &report["findings"][0]["suppressed"]["kind"]), (0, &Value::from("baseline")), "{report:#}");
    assert_eq!(report["summary"]["known"], 1);
    json(folder.path(), &[with, &["--update-baseline"]].concat());
    assert_eq!(std::fs::read_to_string(folder.path().join("known.json")).unwrap(), first);
    // A second unit with the same fault is new.
    let docker = "[Service]\nExecStart=/usr/bin/dockerd\nRestart=no\n";
    write(folder.path(), "units/docker.service", docker);
    let (code, report) = json(folder.path(), with);
    let open: Vec<&Value> =
        report["findings"].as_array().unwrap().iter().filter(|finding| finding["suppressed"].is_null()).collect();
    assert!(code == 1 && open.len() == 1 && open[0].to_string().contains("docker.service"), "{report:#}");
    write(folder.path(), "known.json", "{\"version\": 2, \"findings\": []}");
    let (code, _, stderr) = k8sdoctor(folder.path(), &["check", "units", "--baseline", "known.json"]);
    assert!(code == 2 && stderr.contains("version 2"), "{stderr}");
}

/// The three masters of which m2's etcd listens on an address that comes and goes, judged with this waiver.
fn floating_with_waiver(only: &str, waiver: &str) -> (i32, Value) {
    let cluster = Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata/clusters/peer-on-floating-address");
    let sources = ["m1", "m2", "m3"].map(|name| cluster.join(name).display().to_string());
    let folder = tempfile::tempdir().unwrap();
    let config = write(folder.path(), "waive.toml", &format!("[[waivers]]\nreason = \"the address comes\"\n{waiver}"));
    let config = config.display().to_string();
    let mut arguments = vec!["check", "--format", "json", "--at", "2026-01-01", "--config", &config];
    arguments.extend(["--only", only]);
    arguments.extend(sources.iter().map(String::as_str));
    let (code, stdout, stderr) = k8sdoctor(folder.path(), &arguments);
    (code, serde_json::from_str(&stdout).unwrap_or_else(|error| panic!("{error} {stderr}")))
}

#[test]
fn a_waived_cause_covers_what_follows_from_it() {
    let finding = |report: &Value, rule: &str| -> Value {
        let mut findings = report["findings"].as_array().into_iter().flatten();
        findings.find(|finding| finding["rule"] == rule).unwrap_or_else(|| panic!("{rule}: {report:#}")).clone()
    };
    let both = "etcd-address-not-local,etcd-quorum-fragile";
    let (_, report) = floating_with_waiver(both, "rule = \"etcd-quorum-f*\"\nhost = \"none\"\n");
    assert!(finding(&report, "etcd-quorum-fragile")["consequence_of"].is_string());
    let (code, report) = floating_with_waiver(both, "rule = \"etcd-address-not-local\"\nuntil = 2026-06-30\n");
    let fragile = finding(&report, "etcd-quorum-fragile");
    assert_eq!((code, &fragile["suppressed"]["kind"]), (0, &"waiver".into()), "{fragile:#}");
    assert_eq!(fragile["suppressed"]["until"], "2026-06-30");
    let notes = fragile["notes"].to_string();
    assert!(notes.contains("it follows from etcd-address-not-local, which is waived"), "{notes}");
    assert!(
        report["findings"].as_array().unwrap().iter().all(|finding| !finding["suppressed"].is_null()),
        "{report:#}"
    );
    // What another fault explains as well does not go with it.
    let (code, report) = floating_with_waiver("etcd", "rule = \"etcd-address-not-local\"\n");
    let fragile = finding(&report, "etcd-quorum-fragile");
    assert!(code == 1 && fragile["suppressed"].is_null(), "{fragile:#}");
    let other = finding(&report, "etcd-scheme-mismatch");
    assert_eq!(fragile["consequence_of"], other["id"], "{report:#}");
    // Past its end nothing is covered any more.
    let (code, report) = floating_with_waiver(both, "rule = \"etcd-address-not-local\"\nuntil = 2025-06-30\n");
    assert_eq!((code, &report["summary"]["waived"]), (1, &0.into()));
    // The other way round there is nothing to cover: the cause stands.
    let (code, report) = floating_with_waiver(both, "rule = \"etcd-quorum-fragile\"\n");
    assert!(code == 1 && finding(&report, "etcd-address-not-local")["suppressed"].is_null());
}

#[test]
fn the_intended_address_comes_from_the_configuration_above_the_source() {
    let case = Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata/rules/lb-vip-absent/fail-another-is-intended");
    let folder = tempfile::tempdir().unwrap();
    let arguments = |more: &'static [&'static str]| {
        let hosts = ["lb1", "lb2"].map(|name| case.join(name).display().to_string());
        let all: Vec<String> =
            ["check", "--only", "lb-vip-absent"].iter().chain(more).map(|word| word.to_string()).collect();
        k8sdoctor(folder.path(), &all.iter().chain(&hosts).map(String::as_str).collect::<Vec<_>>())
    };
    let (code, stdout, _) = arguments(&[]);
    assert!(code == 1 && stdout.contains("keepalived serves 10.0.0.88") && stdout.contains("10.0.0.99"), "{stdout}");
    let (code, stdout, _) = arguments(&["--no-config"]);
    assert_eq!(code, 0, "{stdout}");
}

#[test]
fn one_host_can_be_given_a_name() {
    let folder = repository();
    let (_, report) = json(folder.path(), &["--host-name", "m7"]);
    assert_eq!((&report["hosts"][0]["name"], &report["findings"][0]["hosts"][0]), (&"m7".into(), &"m7".into()));
    let (code, _, stderr) = k8sdoctor(folder.path(), &["check", "units", "units", "--host-name", "m7"]);
    assert!(code == 2 && stderr.contains("for one host"), "{stderr}");
}

#[test]
fn watching_prints_what_changed() {
    use std::io::{BufRead, BufReader};
    use std::process::Stdio;
    use std::sync::mpsc::channel;
    let folder = repository();
    let mut command = Command::new(env!("CARGO_BIN_EXE_k8sdoctor"));
    command.args(["check", "units", "--watch", "--interval", "20s", "--only", RULE]).current_dir(folder.path());
    let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
    let stdout = BufReader::new(child.stdout.take().unwrap());
    let (send, lines) = channel();
    std::thread::spawn(move || stdout.lines().map_while(Result::ok).all(|line| send.send(line).is_ok()));
    let until = |wanted: &str| {
        let mut seen = Vec::new();
        while let Ok(line) = lines.recv_timeout(std::time::Duration::from_secs(60)) {
            seen.push(line);
            if seen.last().is_some_and(|line| line.contains(wanted)) {
                return Ok(seen.join("\n"));
            }
        }
        Err(seen.join("\n"))
    };
    let first = until("not applicable");
    write(folder.path(), "units/kubelet.service", &UNIT.replace("Restart=no", "Restart=always\nRestartSec=10"));
    let gone = until("gone: ");
    write(folder.path(), "units/kubelet.service", UNIT);
    let new = until("more: k8sdoctor explain");
    let _ = child.kill();
    let _ = child.wait();
    let first = first.unwrap();
    assert!(first.contains(RULE), "{first}");
    let gone = gone.unwrap();
    assert!(gone.contains("0 new, 1 gone, 0 in all"), "{gone}");
    let new = new.unwrap();
    // What was said of the whole run is not said again.
    assert!(new.contains("1 new, 0 gone, 1 in all") && !new.contains("not applicable"), "{new}");
}

/// The commands and what `--help` says of each, the program's own first.
fn helps() -> Vec<(Vec<String>, String)> {
    let folder = tempfile::tempdir().unwrap();
    let mut found = Vec::new();
    let mut open = vec![Vec::<String>::new()];
    while let Some(command) = open.pop() {
        let arguments: Vec<&str> = command.iter().map(String::as_str).chain(["--help"]).collect();
        let (code, stdout, stderr) = k8sdoctor(folder.path(), &arguments);
        assert_eq!(code, 0, "{arguments:?}: {stderr}");
        let listed =
            stdout.split("\nCommands:\n").nth(1).unwrap_or_default().lines().take_while(|line| !line.is_empty());
        let names = listed.filter(|line| line.starts_with("  ") && !line.starts_with("   "));
        let below = names.filter_map(|line| line.split_whitespace().next()).filter(|name| *name != "help");
        open.extend(below.map(|name| command.iter().cloned().chain([name.to_owned()]).collect()));
        found.push((command, stdout));
    }
    found.sort();
    found
}

/// The long options that a help text describes.
fn options_of(help: &str) -> impl Iterator<Item = &str> {
    let described = help.lines().filter(|line| line.trim_start().starts_with('-'));
    described.filter_map(|line| line.split([' ', ',', '[', '=']).find(|word| word.starts_with("--")))
}

#[test]
fn help_is_as_it_was() {
    let all: Vec<String> =
        helps().iter().map(|(command, text)| format!("==== k8sdoctor {}\n{text}", command.join(" "))).collect();
    insta::assert_snapshot!("help", all.join("\n"));
}

#[test]
fn completions_manual_and_plugin() {
    let folder = tempfile::tempdir().unwrap();
    let helps = helps();
    assert!(helps.len() > 15, "{}", helps.len());
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let (code, stdout, _) = k8sdoctor(folder.path(), &["completions", shell]);
        assert_eq!(code, 0, "{shell}");
        for (command, help) in &helps {
            for option in options_of(help).filter(|option| *option != "--help" && *option != "--version") {
                // fish writes long options without their dashes.
                let option = if shell == "fish" { format!("-l {}", &option[2..]) } else { option.to_owned() };
                assert!(stdout.contains(&option), "{shell} does not complete {option} of {command:?}");
            }
            assert!(command.iter().all(|name| stdout.contains(name.as_str())), "{shell}: {command:?}");
        }
        let syntax: &[&str] = match shell {
            "bash" | "zsh" => &["-n"],
            "fish" => &["--no-execute"],
            _ => continue,
        };
        let script = write(folder.path(), &format!("completion.{shell}"), &stdout);
        match Command::new(shell).args(syntax).arg(&script).output() {
            Ok(output) => assert!(output.status.success(), "{shell}: {}", String::from_utf8_lossy(&output.stderr)),
            Err(error) => println!("skipped: the syntax for {shell}: {error}"),
        }
    }
    let (code, stdout, _) = k8sdoctor(folder.path(), &["man"]);
    assert!(code == 0 && stdout.contains(".TH k8sdoctor 1"), "{stdout}");
    for (command, help) in &helps {
        for option in options_of(help) {
            assert!(stdout.contains(&option.replace('-', "\\-")), "the manual lacks {option} of {command:?}");
        }
    }
    for part in ["CHECK", "Exit codes"] {
        assert!(stdout.contains(part), "{part}\n{stdout}");
    }
    let plugin = folder.path().join("kubectl-k8sdoctor");
    std::os::unix::fs::symlink(env!("CARGO_BIN_EXE_k8sdoctor"), &plugin).unwrap();
    let output = Command::new(&plugin).args(["check", "--help"]).output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(text.contains("Usage: kubectl k8sdoctor check"), "{text}");
}
