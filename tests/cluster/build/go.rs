//! Programs built from their Go modules.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result};
use serde::Deserialize;

use crate::command::{output, which};

/// A component's first build takes minutes.
const LIMIT: Duration = Duration::from_secs(3600);

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Downloaded {
    go_mod: String,
    /// The unpacked module.
    dir: PathBuf,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct GoMod {
    go: Option<String>,
    require: Option<Vec<Version>>,
    replace: Option<Vec<Replace>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Version {
    path: String,
    version: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Replace {
    old: Version,
    new: Version,
}

fn go() -> Command {
    let program = which("go").unwrap_or_else(|| "go".into());
    let mut command = Command::new(program);
    // The caches are the user's own.
    command.env("GOFLAGS", "-mod=mod").env("CGO_ENABLED", "0").env("GOWORK", "off");
    command
}

impl GoMod {
    /// What it has replaced by released versions of modules, but for `others`: Go asks the main module alone.
    fn pins(&self, others: &[&str]) -> String {
        let replaces = self.replace.iter().flatten().filter(|replace| !others.contains(&replace.old.path.as_str()));
        let pins = replaces.filter_map(|Replace { old, new }| {
            let version = new.version.as_ref()?;
            let of = old.version.as_ref().map(|version| format!(" {version}")).unwrap_or_default();
            Some(format!("replace {}{of} => {} {version}\n", old.path, new.path))
        });
        pins.collect()
    }
}

/// The go.mod of a module's release, and the folder of its files.
fn go_mod(module: &str, version: &str) -> Result<(GoMod, PathBuf)> {
    let release = format!("{module}@{version}");
    let downloaded = output(go().args(["mod", "download", "-json", &release]).current_dir("/"), LIMIT)?;
    let downloaded: Downloaded = serde_json::from_str(&downloaded).context("go mod download")?;
    let original = output(go().args(["mod", "edit", "-json", &downloaded.go_mod]).current_dir("/"), LIMIT)?;
    Ok((serde_json::from_str(&original).context("go mod edit")?, downloaded.dir))
}

/// Builds programs of one Kubernetes release (`1.34.4`) into a folder.
///
/// The module's own go.mod takes the staging modules from folders of its repository; they are released with it as
/// v0.MINOR.PATCH.
pub fn kubernetes(version: &str, programs: &[&str], folder: &Path) -> Result<()> {
    let missing: Vec<&str> = programs.iter().copied().filter(|program| !folder.join(program).is_file()).collect();
    if missing.is_empty() {
        return Ok(());
    }
    let (original, _) = go_mod("k8s.io/kubernetes", &format!("v{version}"))?;
    let minor = version.strip_prefix("1.").context("a release of Kubernetes 1")?;
    let staging = format!("v0.{minor}");

    let mut text = format!("module k8sdoctor.test/kubernetes\n\ngo {}\n\n", original.go.as_deref().unwrap_or("1.16"));
    text.push_str(&format!("require k8s.io/kubernetes v{version}\n"));
    // Older ones crash with a newer Go.
    text.push_str("require github.com/modern-go/reflect2 v1.0.2\n");
    let in_folder = original.replace.iter().flatten().filter(|replace| replace.new.path.starts_with("./staging/"));
    let of_workspace = original.require.iter().flatten().filter(|require| require.version.as_deref() == Some("v0.0.0"));
    let mut names: Vec<&str> =
        in_folder.map(|replace| replace.old.path.as_str()).chain(of_workspace.map(|r| r.path.as_str())).collect();
    names.sort_unstable();
    names.dedup();
    names.iter().for_each(|name| text.push_str(&format!("replace {name} => {name} {staging}\n")));
    // What else it pins is pinned here too.
    text.push_str(&original.pins(&names));
    let work = tempfile::tempdir()?;
    std::fs::write(work.path().join("go.mod"), text)?;
    let imports: Vec<String> = programs.iter().map(|program| format!("k8s.io/kubernetes/cmd/{program}")).collect();
    write_imports(work.path(), imports.iter().map(String::as_str))?;
    let (major, minor) = ("1", minor.split('.').next().unwrap_or_default());
    let set = |package: &str| {
        let values = [
            ("gitVersion", format!("v{version}")),
            ("gitMajor", major.to_owned()),
            ("gitMinor", minor.to_owned()),
            ("gitTreeState", "clean".to_owned()),
        ];
        values.map(|(name, value)| format!("-X {package}.{name}={value}")).join(" ")
    };
    let flags = format!("-s -w {} {}", set("k8s.io/component-base/version"), set("k8s.io/client-go/pkg/version"));
    for program in missing {
        build(work.path(), false, &flags, &format!("k8s.io/kubernetes/cmd/{program}"), &folder.join(program))?;
    }
    Ok(())
}

/// A program of another module than Kubernetes' own.
#[derive(Debug, Clone, Copy)]
pub struct Program<'a> {
    pub import: &'a str,
    pub module: &'a str,
    pub version: &'a str,
    /// Parts of it are C; it is linked statically.
    pub has_c: bool,
}

/// Builds it, when it is not there.
pub fn program(program: Program, out: &Path) -> Result<()> {
    let Program { import, module, version, has_c } = program;
    if out.is_file() {
        return Ok(());
    }
    let work = tempfile::tempdir()?;
    let mut text = format!("module k8sdoctor.test/program\n\ngo 1.21\n\nrequire {module} {version}\n");
    let (original, folder) = go_mod(module, version)?;
    text.push_str(&original.pins(&[]));
    // What it was built with itself is known by its own sums, also where the database of sums has no answer.
    let _ = std::fs::copy(folder.join("go.sum"), work.path().join("go.sum"));
    std::fs::write(work.path().join("go.mod"), text)?;
    write_imports(work.path(), [import].into_iter())?;
    let flags = if has_c { "-s -w -linkmode external -extldflags -static" } else { "-s -w" };
    build(work.path(), has_c, flags, import, out)
}

fn write_imports<'a>(folder: &Path, imports: impl Iterator<Item = &'a str>) -> Result<()> {
    let mut text = "//go:build tools\n\npackage tools\n\n".to_owned();
    imports.for_each(|import| text.push_str(&format!("import _ \"{import}\"\n")));
    Ok(std::fs::write(folder.join("tools.go"), text)?)
}

fn build(work: &Path, has_c: bool, flags: &str, import: &str, out: &Path) -> Result<()> {
    crate::command::say(&format!("building {import}"));
    let unfinished = out.with_extension("unfinished");
    let mut command = go();
    command.args(["build", "-trimpath", "-ldflags", flags, "-o"]).arg(&unfinished).arg(import).current_dir(work);
    if has_c {
        command.env("CGO_ENABLED", "1");
    }
    output(&mut command, LIMIT)?;
    std::fs::rename(&unfinished, out).with_context(|| out.display().to_string())
}
