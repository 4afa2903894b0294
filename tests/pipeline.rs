//! Pipelines as teams run them: the GitLab job and the GitHub action of deploy/ over the clusters of testdata/hosts, gated,
//! and what they leave behind against the published schemas.

#![expect(clippy::disallowed_methods, reason = "a pipeline's folder is made, and what it wrote is read")]

mod fixtures;
#[allow(dead_code, reason = "what is expected of each case is for the test of the clusters")]
mod overlay;

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde::Deserialize;
use serde_json::Value;

const ROOT: &str = env!("CARGO_MANIFEST_DIR");

fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn said(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

/// Runs a job's script as a runner does, with the program as `k8sdoctor` in its path.
fn job(script: &str, folder: &Path, variables: &[(&str, &str)]) -> Output {
    let bin = folder.join("bin");
    std::fs::create_dir_all(&bin).unwrap();
    let program = bin.join("k8sdoctor");
    if !program.exists() {
        std::os::unix::fs::symlink(env!("CARGO_BIN_EXE_k8sdoctor"), &program).unwrap();
    }
    let path = format!("{}:{}", bin.display(), std::env::var("PATH").unwrap_or_default());
    let mut shell = Command::new("bash");
    shell.args(["-e", "-c", script]).current_dir(folder).env("PATH", path).env_remove("GITHUB_STEP_SUMMARY");
    shell.envs(variables.iter().copied()).output().unwrap()
}

/// A test that needs a program which is not here says so, and `tests/run` repeats it at its end.
fn skipped(why: &str) {
    println!("skipped: {why}");
    if let Some(path) = std::env::var_os("K8SDOCTOR_SKIPS") {
        let mut file = std::fs::OpenOptions::new().append(true).create(true).open(path).unwrap();
        writeln!(file, "pipeline: {why}").unwrap();
    }
}

/// JUnit's XML by the schema that Jenkins publishes.
fn assert_junit(file: &Path) {
    let schema = format!("{ROOT}/testdata/schemas/junit-10.xsd");
    match Command::new("xmllint").args(["--noout", "--nonet", "--schema", &schema]).arg(file).output() {
        Ok(output) => assert!(output.status.success(), "{}", said(&output)),
        Err(error) => skipped(&format!("JUnit by its schema: xmllint: {error}")),
    }
}

fn assert_sarif(file: &Path) {
    // One pattern of the published schema has a bracket too many, which only lax engines take.
    let schema = read(&Path::new(ROOT).join("testdata/schemas/sarif-2.1.0.json")).replace("{2}]?$", "{2}$");
    let schema: Value = serde_json::from_str(&schema).unwrap();
    let sarif: Value = serde_json::from_str(&read(file)).unwrap();
    let validator = jsonschema::validator_for(&schema).unwrap();
    let errors: Vec<String> = validator.iter_errors(&sarif).map(|error| error.to_string()).collect();
    assert!(errors.is_empty(), "{errors:#?}");
}

/// What of a fault's expectations says that it fails a pipeline.
fn is_grave(case: &(String, PathBuf, overlay::Case)) -> bool {
    !case.2.roots.is_empty() && !case.2.roots.iter().any(|root| root.pending)
}

#[derive(Deserialize)]
struct GitlabJob {
    script: Vec<String>,
    artifacts: Artifacts,
}

#[derive(Deserialize)]
struct Artifacts {
    reports: Reports,
    paths: Vec<String>,
}

#[derive(Deserialize)]
struct Reports {
    codequality: String,
    junit: String,
}

#[derive(Deserialize)]
struct Gitlab {
    k8sdoctor: GitlabJob,
}

#[test]
fn a_gitlab_pipeline_gates_the_clusters() {
    let template = read(&Path::new(ROOT).join("deploy/gitlab/k8sdoctor.yml"));
    let gitlab: Gitlab = serde_saphyr::from_str(&template).unwrap();
    let script = gitlab.k8sdoctor.script.join("\n");
    let clusters = overlay::clusters();
    assert!(clusters.len() >= 5 || std::env::var_os("HOSTS").is_some(), "{}", clusters.len());
    for cluster in &clusters {
        let run = |hosts: &overlay::Hosts, folder: &Path, options: &str| {
            let sources: Vec<String> = hosts.trees().iter().map(|tree| tree.display().to_string()).collect();
            let options = format!("--at {} {options}", cluster.file.at);
            let variables = [("K8SDOCTOR_SOURCES", &*sources.join(" ")), ("K8SDOCTOR_OPTIONS", &options)];
            job(&script, folder, &variables)
        };
        // As it should be it passes.
        let folder = tempfile::tempdir().unwrap();
        let output = run(&cluster.hosts(None), folder.path(), "");
        assert_eq!(output.status.code(), Some(0), "{}: {}", cluster.name, said(&output));
        // With a fault it does not, and leaves reports of it.
        let cases = cluster.cases("faults");
        let Some((name, root, case)) = cases.iter().find(|case| is_grave(case)) else { continue };
        let hosts = cluster.hosts(Some((root, case)));
        let output = run(&hosts, folder.path(), "");
        assert_eq!(output.status.code(), Some(1), "{name}: {}", said(&output));
        let GitlabJob { artifacts: Artifacts { reports, paths }, .. } = &gitlab.k8sdoctor;
        let quality: Value = serde_json::from_str(&read(&folder.path().join(&reports.codequality))).unwrap();
        let rule = &case.roots[0].rule;
        let issues = quality.as_array().unwrap();
        assert!(issues.iter().any(|issue| issue["check_name"] == rule.as_str()), "{name}: {quality:#}");
        for issue in issues {
            for field in ["description", "fingerprint", "severity"] {
                assert!(issue[field].is_string(), "{name}: {field} of {issue:#}");
            }
            let (path, line) = (&issue["location"]["path"], &issue["location"]["lines"]["begin"]);
            assert!(path.is_string() && line.as_u64() > Some(0), "{name}: {issue:#}");
        }
        assert_junit(&folder.path().join(&reports.junit));
        assert_sarif(&folder.path().join(&paths[0]));
        // Known from then on, it passes, until something else is wrong.
        let output = run(&hosts, folder.path(), "--baseline known.json --update-baseline");
        assert_eq!(output.status.code(), Some(0), "{name}: {}", said(&output));
        let Some((other, root, case)) = cases.iter().filter(|case| is_grave(case)).nth(1) else { continue };
        let output = run(&cluster.hosts(Some((root, case))), folder.path(), "--baseline known.json");
        assert_eq!(output.status.code(), Some(1), "{other} beside {name}: {}", said(&output));
    }
}

#[derive(Deserialize)]
struct Action {
    runs: Runs,
}

#[derive(Deserialize)]
struct Runs {
    steps: Vec<Step>,
}

#[derive(Deserialize)]
struct Step {
    name: String,
    run: String,
}

#[test]
fn the_action_installs_and_checks() {
    let action: Action =
        serde_saphyr::from_str(&read(&Path::new(ROOT).join("deploy/github-action/action.yml"))).unwrap();
    let step = |name: &str| action.runs.steps.iter().find(|step| step.name == name).map(|step| step.run.as_str());
    let (install, check) = (step("Install").unwrap(), step("Check").unwrap());
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name).display().to_string();
    let has = |program: &str| Command::new(program).arg("--version").output().is_ok();
    if ["curl", "sha256sum", "tar", "gzip", "awk"].into_iter().all(has) {
        let program = folder.path().join("program");
        std::fs::write(&program, "#!/bin/sh\necho k8sdoctor 0.0.0\n").unwrap();
        assert!(Command::new("chmod").arg("755").arg(&program).status().unwrap().success());
        let mut release = Command::new(format!("{ROOT}/deploy/release"));
        release.args(["v0.0.0", "https://example.org/v0.0.0", "https://example.org", &at("release")]);
        let machine = std::env::consts::ARCH;
        let output = release.arg(format!("{machine}={}", program.display())).output().unwrap();
        assert!(output.status.success(), "{}", said(&output));
        let action_path = format!("{ROOT}/deploy/github-action");
        let variables = [
            ("ACTION_PATH", action_path.as_str()),
            ("URL", &format!("file://{}", at("release"))),
            ("DIRECTORY", &at("installed")),
            ("GITHUB_PATH", &at("path")),
            ("VERSION", ""),
            ("REFERENCE", "v0.0.0"),
        ];
        let output = job(install, folder.path(), &variables);
        assert!(output.status.success(), "{}", said(&output));
        assert_eq!(read(&folder.path().join("path")), format!("{}\n", at("installed")));
        assert!(folder.path().join("installed/k8sdoctor").is_file());
    } else {
        skipped("the action's installation: curl, sha256sum, tar, gzip or awk is missing");
    }
    let m2 = format!("{ROOT}/testdata/clusters/peer-on-floating-address/m2");
    for (arguments, fail_on, code) in [("--at 2026-01-01", "", 1), ("--at 2026-01-01", "never", 0)] {
        let variables = [
            ("SOURCES", m2.as_str()),
            ("ARGUMENTS", arguments),
            ("FAIL_ON", fail_on),
            ("BASELINE", ""),
            ("SARIF", "out.sarif"),
            ("GITHUB_STEP_SUMMARY", &at("summary.md")),
        ];
        let output = job(check, folder.path(), &variables);
        assert_eq!(output.status.code(), Some(code), "{}", said(&output));
        assert!(said(&output).contains("::error file="), "{}", said(&output));
        assert!(read(&folder.path().join("summary.md")).contains("etcd-address-not-local"));
        assert_sarif(&folder.path().join("out.sarif"));
    }
}
