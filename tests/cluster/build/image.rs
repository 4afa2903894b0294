//! Container images of one layer, as archives that `ctr images import` and `docker load` take.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use sha2::{Digest, Sha256};

/// What an image holds.
pub struct Image<'a> {
    /// `registry.k8s.io/kube-proxy:v1.34.4`.
    pub reference: &'a str,
    /// Files of this machine and where they are in the image.
    pub files: Vec<(PathBuf, String)>,
    pub entry: &'a [&'a str],
}

/// Writes the archive, when it is not there.
pub fn write(image: &Image, out: &Path) -> Result<()> {
    if out.is_file() {
        return Ok(());
    }
    let layer = layer(image)?;
    let digest = hex(&Sha256::digest(&layer));
    let config = serde_json::json!({
        "architecture": "amd64",
        "os": "linux",
        "config": {
            "Entrypoint": image.entry,
            "Env": ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"],
        },
        "rootfs": { "type": "layers", "diff_ids": [format!("sha256:{digest}")] },
    });
    let config = serde_json::to_vec(&config)?;
    let config_name = format!("{}.json", hex(&Sha256::digest(&config)));
    let layer_name = format!("{digest}/layer.tar");
    let manifest =
        serde_json::json!([{ "Config": config_name, "RepoTags": [image.reference], "Layers": [layer_name] }]);
    let unfinished = out.with_extension("unfinished");
    let mut archive = tar::Builder::new(std::fs::File::create(&unfinished)?);
    for (name, bytes) in
        [(config_name, config), (layer_name, layer), ("manifest.json".to_owned(), serde_json::to_vec(&manifest)?)]
    {
        let mut header = header(tar::EntryType::Regular, 0o644);
        header.set_size(u64::try_from(bytes.len())?);
        archive.append_data(&mut header, name, bytes.as_slice())?;
    }
    archive.into_inner()?.sync_all()?;
    std::fs::rename(&unfinished, out).with_context(|| out.display().to_string())
}

fn layer(image: &Image) -> Result<Vec<u8>> {
    let mut archive = tar::Builder::new(Vec::new());
    for (folder, mode) in [("etc", 0o755), ("tmp", 0o1777)] {
        let mut header = header(tar::EntryType::Directory, mode);
        header.set_size(0);
        archive.append_data(&mut header, folder, std::io::empty())?;
    }
    for (from, to) in &image.files {
        let bytes = std::fs::read(from).with_context(|| from.display().to_string())?;
        let mut header = header(tar::EntryType::Regular, 0o755);
        header.set_size(u64::try_from(bytes.len())?);
        archive.append_data(&mut header, to.trim_start_matches('/'), bytes.as_slice())?;
    }
    Ok(archive.into_inner()?)
}

fn header(kind: tar::EntryType, mode: u32) -> tar::Header {
    let mut header = tar::Header::new_gnu();
    header.set_entry_type(kind);
    header.set_mode(mode);
    header.set_uid(0);
    header.set_gid(0);
    header
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
