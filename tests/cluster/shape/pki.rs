//! Certificates by cfssl, as those who run Kubernetes without kubeadm make them.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};

use crate::command::which;

/// What a certificate is for.
#[derive(Debug, Clone, Copy)]
pub enum Use {
    Client,
    /// Server and client.
    Both,
}

/// An authority: `ca.pem`, `ca-key.pem` and what they issued, in a folder beside the hosts.
pub struct Authority {
    folder: PathBuf,
}

impl Authority {
    pub fn make(folder: &Path, common_name: &str) -> Result<Authority> {
        std::fs::create_dir_all(folder)?;
        let usages = |usages: &str| format!(r#"{{"expiry":"87600h","usages":[{usages}]}}"#);
        let both = usages(r#""signing","key encipherment","server auth","client auth""#);
        let client = usages(r#""signing","key encipherment","client auth""#);
        let configuration = format!(
            r#"{{"signing":{{"default":{{"expiry":"87600h"}},"profiles":{{"both":{both},"client":{client}}}}}}}"#
        );
        std::fs::write(folder.join("config.json"), configuration)?;
        cfssl(folder, &["gencert", "-initca", "-"], common_name, None, "ca")?;
        Ok(Authority { folder: folder.to_owned() })
    }

    /// `<out>.pem` and `<out>-key.pem` for names and addresses with commas between.
    pub fn issue(
        &self,
        usage: Use,
        names: &str,
        common_name: &str,
        organization: Option<&str>,
        out: &str,
    ) -> Result<()> {
        let profile = match usage {
            Use::Client => "-profile=client",
            Use::Both => "-profile=both",
        };
        let names = format!("-hostname={names}");
        let words = ["gencert", "-ca=ca.pem", "-ca-key=ca-key.pem", "-config=config.json", profile, &names, "-"];
        cfssl(&self.folder, &words, common_name, organization, out)
    }
}

fn cfssl(folder: &Path, words: &[&str], common_name: &str, organization: Option<&str>, out: &str) -> Result<()> {
    let names: Vec<_> = organization.iter().map(|organization| serde_json::json!({ "O": organization })).collect();
    let request =
        serde_json::json!({ "CN": common_name, "key": { "algo": "rsa", "size": 2048 }, "names": names }).to_string();
    let program = which("cfssl").context("cfssl is not installed (package golang-cfssl)")?;
    let mut child = Command::new(program)
        .args(words)
        .current_dir(folder)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()?;
    child.stdin.take().context("cfssl's input")?.write_all(request.as_bytes())?;
    let said = child.wait_with_output()?;
    ensure!(said.status.success(), "cfssl {}", words.join(" "));
    let made: serde_json::Value = serde_json::from_slice(&said.stdout).context("cfssl")?;
    for (part, suffix) in [("cert", ".pem"), ("key", "-key.pem")] {
        let text = made[part].as_str().with_context(|| format!("cfssl gave no {part}"))?;
        write_private(&folder.join(format!("{out}{suffix}")), text)?;
    }
    Ok(())
}

/// Writes a file that its owner alone reads.
pub fn write_private(path: &Path, text: &str) -> Result<()> {
    use std::os::unix::fs::OpenOptionsExt;
    let mut file = std::fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path)?;
    Ok(file.write_all(text.as_bytes())?)
}
