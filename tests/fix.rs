//! `k8sdoctor fix` over every fixture of a rule that fails and whose fix is a change of files: applied in a copy, the
//! finding is gone, and applied again nothing changes.

#![expect(clippy::disallowed_methods, reason = "trees are copied, and read besides what the program reads")]

mod fixtures;

use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

use fixtures::{folders, name, options, sources, testdata};
use k8sdoctor::engine::run::run;
use k8sdoctor::fix;
use k8sdoctor::report::{EvidenceKind, Risk};

fn k8sdoctor(arguments: &[&str]) -> (i32, String, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_k8sdoctor")).args(arguments).output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (output.status.code().unwrap_or(-1), text(&output.stdout), text(&output.stderr))
}

/// `fix` with these options over these sources.
fn fix(rule: &str, sources: &[String], more: &[&str]) -> (i32, String, String) {
    let mut arguments = vec!["fix", "--only", rule, "--at", "2026-01-01", "--no-config"];
    arguments.extend(more);
    arguments.extend(sources.iter().map(String::as_str));
    k8sdoctor(&arguments)
}

fn copied(case: &Path) -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let copy = folder.path().join(name(case));
    assert!(Command::new("cp").arg("-a").args([case, &copy]).status().unwrap().success());
    (folder, copy)
}

/// All files below a folder with their text.
fn files(of: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut found = BTreeMap::new();
    let mut open = vec![of.to_owned()];
    while let Some(folder) = open.pop() {
        for entry in std::fs::read_dir(folder).unwrap().flatten() {
            let path = entry.path();
            match entry.file_type().unwrap() {
                kind if kind.is_dir() => open.push(path),
                kind if kind.is_file() => {
                    found.insert(path.clone(), std::fs::read(&path).unwrap_or_default());
                }
                _ => {}
            }
        }
    }
    found
}

/// Why a finding stays when its fix has changed the files.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Stays {
    /// Its log is of the time before.
    Log,
    /// The kernel has the old value until the fix's command loads the file.
    Kernel,
    /// A command of the fix does what no file can, such as `systemctl enable`.
    Command,
}

/// The fixtures whose finding stays, each with the reason: every other one is mended by the changes of files alone.
const STAY: [(&str, Stays); 16] = [
    ("apiserver-address-not-local/fail-ipv6-file-and-log", Stays::Log),
    ("apiserver-insecure-port-removed/fail-flag-in-the-environment-file-and-log", Stays::Log),
    ("apiserver-insecure-port-removed/fail-flag-in-the-manifest-and-log", Stays::Log),
    ("etcd-address-not-local/fail-file-and-log", Stays::Log),
    ("etcd-address-not-local/fail-ipv6", Stays::Log),
    ("host-bridge-netfilter-disabled/fail-no-module-and-no-list-of-them", Stays::Kernel),
    ("host-bridge-netfilter-disabled/fail-present", Stays::Kernel),
    ("host-bridge-netfilter-disabled/fail-second-of-two", Stays::Kernel),
    ("host-limit-too-low/fail-file-table", Stays::Kernel),
    ("host-limit-too-low/fail-inotify-instances", Stays::Kernel),
    ("host-limit-too-low/fail-second-of-two", Stays::Kernel),
    ("host-no-default-route/fail-file-and-log", Stays::Log),
    ("lb-vip-absent/fail-haproxy-binds-it-on-the-backup", Stays::Kernel),
    ("node-port-range-conflict/fail-ephemeral", Stays::Kernel),
    ("node-port-range-conflict/fail-second-of-two", Stays::Kernel),
    ("unit-restart-policy/fail-not-at-boot", Stays::Command),
];

/// The reason that the fixture itself gives for a finding to stay, if it has one. None when no finding of the rule has a
/// fix that is a change of files.
fn reason(rule: &str, case: &Path) -> Option<Option<Stays>> {
    let run = run(&options(sources(case), &[rule])).ok()?;
    let mut found = None;
    for finding in run.report.findings.iter().filter(|finding| finding.rule == rule) {
        let (Some(fix), Some(host)) = (&finding.fix, finding.hosts.first()) else { continue };
        let roots: BTreeMap<&str, &str> =
            run.report.hosts.iter().map(|host| (host.name.as_str(), host.source.as_str())).collect();
        let root = Path::new(roots.get(host.as_str())?);
        let read = |path: &str| match std::fs::read_to_string(root.join(path.trim_start_matches('/'))) {
            Ok(text) => Ok(Some(text)),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error.to_string()),
        };
        let Some(plan) = fix::plan(fix, read).filter(|_| fix.risk != Risk::Manual) else { continue };
        let runs = |start: &str| plan.commands.iter().any(|command| command.starts_with(start));
        let stays = if finding.evidence.iter().any(|evidence| evidence.kind == EvidenceKind::Log) {
            Some(Stays::Log)
        } else if runs("sysctl ") || runs("modprobe ") {
            Some(Stays::Kernel)
        } else {
            runs("systemctl enable ").then_some(Stays::Command)
        };
        found = Some(found.flatten().or(stays));
    }
    found
}

#[test]
fn every_mechanical_fix_mends_its_fixture_and_once_is_enough() {
    let only = std::env::var("RULE").ok();
    let mut complaints = Vec::new();
    let mut stay = BTreeMap::new();
    let mut tried = BTreeSet::new();
    for folder in folders(&testdata("rules")) {
        let rule = name(&folder);
        if only.as_ref().is_some_and(|only| *only != rule) {
            continue;
        }
        for case in folders(&folder).into_iter().filter(|case| name(case).starts_with("fail-")) {
            if case.join("kubernetes-version").exists() {
                continue;
            }
            let Some(reason) = reason(&rule, &case) else { continue };
            let at = format!("{rule}/{}", name(&case));
            tried.insert(at.clone());
            let (_keep, copy) = copied(&case);
            let (_, shown, stderr) = fix(&rule, &sources(&copy), &["--apply", "--risky"]);
            if !stderr.is_empty() || !shown.contains("# changed ") && !shown.contains("# made ") {
                complaints.push(format!("{at}: {shown}{stderr}"));
                continue;
            }
            match (shown.contains("# still there: "), reason) {
                (false, _) if shown.contains("# gone: ") => {}
                (true, Some(reason)) => {
                    // What the reader is still to do stands there.
                    let to_do = match reason {
                        Stays::Log => {
                            shown.contains("then restart on ")
                                || shown.contains("check again when it has started anew")
                                || shown.contains("#   then run on ")
                        }
                        Stays::Kernel | Stays::Command => {
                            shown.contains("#   then run on ")
                                && shown.contains("run the commands above, then check again")
                        }
                    };
                    if !to_do {
                        complaints.push(format!("{at}: what else is to be done? {shown}"));
                    }
                    stay.insert(at.clone(), reason);
                }
                _ => complaints.push(format!("{at}: {shown}")),
            }
            let once = files(&copy);
            let (_, shown, _) = fix(&rule, &sources(&copy), &["--apply", "--risky"]);
            if files(&copy) != once {
                complaints.push(format!("{at}: the second time changes something again: {shown}"));
            }
        }
    }
    println!("{} fixtures with a mechanical fix, {} of them mended by it alone", tried.len(), tried.len() - stay.len());
    assert!(only.is_some() || tried.len() > 100, "{tried:?}");
    assert!(complaints.is_empty(), "{} of {}:\n{}", complaints.len(), tried.len(), complaints.join("\n"));
    let expected = STAY.into_iter().map(|(at, why)| (at.to_owned(), why));
    let expected: BTreeMap<String, Stays> =
        expected.filter(|(at, _)| only.as_ref().is_none_or(|only| at.starts_with(&format!("{only}/")))).collect();
    assert_eq!(stay, expected);
}

const PEER: &str = "testdata/clusters/peer-on-floating-address/m2";

#[test]
fn without_apply_it_is_a_diff_that_patch_takes() {
    let (_keep, copy) = copied(Path::new(PEER));
    let before = files(&copy);
    let sources = [copy.display().to_string()];
    let (code, shown, _) = fix("etcd-address-not-local", &sources, &[]);
    assert_eq!(code, 1, "{shown}");
    assert!(shown.contains("\n-") && shown.contains("\n+") && shown.contains("# etcd-address-not-local ("), "{shown}");
    assert_eq!(files(&copy), before);
    let diff = copy.join("x.diff");
    std::fs::write(&diff, &shown).unwrap();
    if Command::new("patch").arg("--version").output().is_ok() {
        let patched = Command::new("patch").args(["-p0", "-d", "/", "-i"]).arg(&diff).output().unwrap();
        assert!(patched.status.success(), "{}", String::from_utf8_lossy(&patched.stdout));
        let (code, shown, _) = fix("etcd-address-not-local", &sources, &[]);
        assert_eq!(code, 0, "{shown}");
    }
}

#[test]
fn what_is_restarted_by_a_command_is_not_restarted_twice_and_chinese_is_spoken() {
    let (_keep, copy) = copied(Path::new("testdata/rules/lb-vip-absent/fail-haproxy-binds-it-on-the-backup"));
    let sources = [copy.display().to_string()];
    let (_, shown, _) = fix("lb-vip-absent", &sources, &[]);
    assert!(shown.contains("then run on lb2: systemctl restart haproxy") && !shown.contains("then restart"), "{shown}");
    let (_, shown, _) = fix("lb-vip-absent", &sources, &["--lang", "zh"]);
    assert!(shown.contains("然后在 lb2 上执行：systemctl restart haproxy"), "{shown}");
    let (_, shown, _) = fix("lb-vip-absent", &sources, &["--lang", "zh", "--apply"]);
    assert!(shown.contains("# 仍然存在：lb2 上的 lb-vip-absent：") && !shown.contains(" on lb2"), "{shown}");
}

#[test]
fn only_safe_fixes_are_made() {
    let (_keep, copy) = copied(Path::new("testdata/rules/docker-api-exposed/fail-flag"));
    let before = files(&copy);
    let sources = [copy.display().to_string()];
    let (code, shown, _) = fix("docker-api-exposed", &sources, &["--apply"]);
    assert!(code == 1 && shown.contains("# left: docker-api-exposed on ") && shown.contains("it is risky"), "{shown}");
    assert_eq!(files(&copy), before);
    let (code, shown, stderr) = fix("docker-api-exposed", &sources, &["--apply", "--risky"]);
    assert_eq!(code, 0, "{shown}{stderr}");
    assert_ne!(files(&copy), before);
}

#[test]
fn what_was_is_kept_beside() {
    let (_keep, copy) = copied(Path::new(PEER));
    let before = files(&copy);
    let sources = [copy.display().to_string()];
    let manifest = before.keys().find(|path| path.ends_with("etc/kubernetes/manifests/etcd.yaml"));
    let Some(manifest) = manifest else { panic!("no manifest in {before:?}") };
    std::fs::set_permissions(manifest, std::fs::Permissions::from_mode(0o640)).unwrap();
    let (_, shown, stderr) = fix("etcd-address-not-local", &sources, &["--apply"]);
    assert!(stderr.is_empty(), "{shown}{stderr}");
    let after = files(&copy);
    let added: Vec<&PathBuf> = after.keys().filter(|path| !before.contains_key(*path)).collect();
    let [backup] = added.as_slice() else { panic!("{added:?}") };
    // The kubelet starts what stands in this folder, unless its name begins with a dot.
    assert!(name(backup).starts_with(".etcd.yaml.k8sdoctor-"), "{backup:?}");
    assert_eq!(after[*backup], before[manifest]);
    assert_eq!(std::fs::metadata(manifest).unwrap().permissions().mode() & 0o777, 0o640);
    assert!(shown.contains(&backup.display().to_string()), "{shown}");
}

#[test]
fn no_link_leads_out_of_the_tree() {
    let (_keep, copy) = copied(Path::new(PEER));
    let outside = tempfile::tempdir().unwrap();
    let manifests = copy.join("etc/kubernetes/manifests");
    let stolen = outside.path().join("manifests");
    assert!(Command::new("mv").args([&manifests, &stolen]).status().unwrap().success());
    symlink(&stolen, &manifests).unwrap();
    let before = files(outside.path());
    let sources = [copy.display().to_string()];
    fix("etcd-address-not-local", &sources, &["--apply", "--risky"]);
    assert_eq!(files(outside.path()), before);
    // A file that is a link is left too, wherever it leads.
    std::fs::remove_file(&manifests).unwrap();
    std::fs::create_dir(&manifests).unwrap();
    let text = std::fs::read(stolen.join("etcd.yaml")).unwrap();
    std::fs::write(copy.join("etc/kept.yaml"), &text).unwrap();
    symlink("/etc/kept.yaml", manifests.join("etcd.yaml")).unwrap();
    let (_, shown, _) = fix("etcd-address-not-local", &sources, &["--apply", "--risky"]);
    assert_eq!(std::fs::read(copy.join("etc/kept.yaml")).unwrap(), text, "{shown}");
    assert!(manifests.join("etcd.yaml").is_symlink());
}
