//! PEM files of certificates and keys, and the same as bare DER.
//!
//! Blocks are found as Go's encoding/pem finds them, since that is what the components read the files with: a block
//! begins at the beginning of a line, and text around the blocks does not matter. Of a private key only the digest of its
//! public half is kept.

mod certificate;
mod der;
mod key;
#[cfg(test)]
mod tests;

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use sha2::{Digest as _, Sha256};

pub use certificate::{Verified, issued_by, parse_der_certificate};

use crate::facts::certificates::{CertificateFile, PrivateKey};
use crate::origin::{Origin, Unknown};

/// What a bundle puts before the label of a private key of which it holds the public half alone: the block's content is
/// the SubjectPublicKeyInfo, or one line [`REDACTED_FAULT`] that says why there is none.
pub const REDACTED: &str = "REDACTED ";
/// The header of a redacted block whose private key could not be understood.
pub const REDACTED_FAULT: &str = "Fault: ";

/// Certificates of one file; a bundle of every public authority has about 150.
const BLOCK_LIMIT: usize = 2000;

const BEGIN: &str = "-----BEGIN ";
const END: &str = "-----END ";
const DASHES: &str = "-----";

/// Everything that a certificate or key file holds. What could not be understood is in `problems`, without any of its
/// content. `mode` are the file's permission bits.
pub fn parse(bytes: &[u8], origin: Origin, mode: Option<u32>) -> CertificateFile {
    let mut file = CertificateFile {
        origin,
        certificates: Vec::new(),
        keys: Vec::new(),
        public_keys: Vec::new(),
        mode,
        problems: Vec::new(),
    };
    if bytes.trim_ascii().is_empty() {
        file.problems.push("the file is empty".to_owned());
        return file;
    }
    // PEM is ASCII; other bytes can only stand between the blocks.
    let text = String::from_utf8_lossy(bytes);
    let blocks = blocks(&text);
    if text.matches(BEGIN).count() > blocks.len() {
        file.problems
            .push("a -----BEGIN line is no PEM block: something stands before or after it on its line".to_owned());
    } else if blocks.is_empty() && bytes.first() == Some(&der::SEQUENCE) {
        add_der(&mut file, bytes);
    } else if blocks.is_empty() {
        file.problems.push("neither PEM nor DER: no line begins with -----BEGIN".to_owned());
    }
    for block in blocks {
        add_block(&mut file, block);
    }
    file
}

/// Data of a kubeconfig field: base64 around a PEM file.
pub fn parse_base64(data: &str, origin: Origin) -> CertificateFile {
    let data: String = data.chars().filter(|character| !character.is_ascii_whitespace()).collect();
    match BASE64.decode(data) {
        Ok(bytes) => parse(&bytes, origin, None),
        Err(error) => CertificateFile {
            origin,
            certificates: Vec::new(),
            keys: Vec::new(),
            public_keys: Vec::new(),
            mode: None,
            problems: vec![format!("not base64: {}", base64_fault(&error))],
        },
    }
}

/// The PEM block (without the last line's end) that stands for a private key in a bundle, in as many lines as the block
/// had: `text` is the whole block from its -----BEGIN to its -----END line. None when it is no complete block of an
/// unencrypted private key; such a one has to be blanked as it is.
pub fn redacted_block(text: &str) -> Option<String> {
    let lines = text.lines().count();
    let mut found = blocks(text);
    let Block { label, encrypted: false, redacted: false, content: Ok(content), .. } = found.pop()? else {
        return None;
    };
    if !found.is_empty() || !label.ends_with("PRIVATE KEY") || label == "ENCRYPTED PRIVATE KEY" || lines < 3 {
        return None;
    }
    let body = match label.as_str() {
        "RSA PRIVATE KEY" | "EC PRIVATE KEY" | "PRIVATE KEY" => match private_key(&content) {
            Ok(public) => BASE64.encode(public),
            Err(why) => format!("{REDACTED_FAULT}{why}"),
        },
        _ => format!("{REDACTED_FAULT}a kind of key that Kubernetes does not read"),
    };
    // Wrapped as openssl does where the private key took as many lines; a shorter one has a longer last line.
    let room = lines - 2;
    let mut body_lines: Vec<&str> = Vec::new();
    let mut rest = body.as_str();
    while body_lines.len() + 1 < room && rest.len() > 64 && !body.starts_with(REDACTED_FAULT) {
        let (line, after) = rest.split_at(64);
        body_lines.push(line);
        rest = after;
    }
    body_lines.push(rest);
    body_lines.resize(room, "");
    Some(format!("{BEGIN}{REDACTED}{label}{DASHES}\n{}\n{END}{REDACTED}{label}{DASHES}", body_lines.join("\n")))
}

/// The SubjectPublicKeyInfo of a private key in DER; none when the bytes are no such key.
pub fn public_half_of_der(bytes: &[u8]) -> Option<Vec<u8>> {
    private_key(bytes).ok()
}

/// A block of a PEM file: the line it begins on (from 1), its label, and its bytes.
struct Block {
    line: usize,
    label: String,
    /// Lines `Name: value` before the data say that it is encrypted.
    encrypted: bool,
    /// A private key of which only the public half was kept.
    redacted: bool,
    /// What [`REDACTED_FAULT`] says.
    fault: Option<String>,
    content: Result<Vec<u8>, String>,
}

fn blocks(text: &str) -> Vec<Block> {
    let mut blocks = Vec::new();
    let mut lines = text.split('\n').map(|line| line.trim_end()).enumerate().peekable();
    while let Some((index, line)) = lines.next() {
        let Some(label) = line.strip_prefix(BEGIN).and_then(|rest| rest.strip_suffix(DASHES)) else { continue };
        if blocks.len() >= BLOCK_LIMIT {
            break;
        }
        let mut body = String::new();
        let mut encrypted = false;
        let mut fault = None;
        let mut end = Err(format!("it has no -----END {label}----- line: the file was cut off or put together wrong"));
        // Another block's beginning ends this one, and is left for the next turn.
        while let Some((_, line)) = lines.next_if(|(_, line)| !line.starts_with(BEGIN)) {
            if let Some(other) = line.strip_prefix(END) {
                end = match other.strip_suffix(DASHES) {
                    Some(other) if other == label => Ok(()),
                    _ => Err(format!("it ends with another label: {line}")),
                };
                break;
            }
            if line.contains(':') {
                encrypted |= line.starts_with("Proc-Type:") && line.contains("ENCRYPTED");
                if let Some(why) = line.strip_prefix(REDACTED_FAULT) {
                    fault = Some(why.chars().take(200).collect());
                }
            } else if !(encrypted && line.starts_with([' ', '\t'])) {
                body.push_str(line.trim());
            }
        }
        let content = end.and_then(|()| {
            BASE64.decode(body).map_err(|error| format!("its data is not base64: {}", base64_fault(&error)))
        });
        let original = label.strip_prefix(REDACTED);
        let label = original.unwrap_or(label).to_owned();
        blocks.push(Block { line: index + 1, label, encrypted, redacted: original.is_some(), fault, content });
    }
    blocks
}

/// What is wrong with the encoding, without the data's own characters.
fn base64_fault(error: &base64::DecodeError) -> &'static str {
    match error {
        base64::DecodeError::InvalidByte(..) => "it has a character that base64 does not have",
        base64::DecodeError::InvalidLength(_) => "its length is none that base64 gives; something is missing",
        base64::DecodeError::InvalidLastSymbol { .. } => "its last character is none that base64 gives",
        base64::DecodeError::InvalidPadding => "its padding (=) is wrong or missing",
    }
}

fn add_block(file: &mut CertificateFile, block: Block) {
    let Block { line, label, encrypted, redacted, fault, content } = block;
    let place = format!("{label} of line {line}");
    let is_private = label.ends_with("PRIVATE KEY");
    let content = match content {
        Ok(content) => content,
        Err(why) => {
            file.problems.push(format!("{place}: {why}"));
            return;
        }
    };
    if is_private {
        let encrypted = encrypted || label == "ENCRYPTED PRIVATE KEY";
        let digest = match label.as_str() {
            _ if encrypted => Err("the key is encrypted".to_owned()),
            _ if redacted => fault.map_or_else(|| key::spki(&content), Err),
            // Go's crypto/tls does not go by the label either.
            "RSA PRIVATE KEY" | "EC PRIVATE KEY" | "PRIVATE KEY" => private_key(&content),
            _ => Err("a kind of key that Kubernetes does not read".to_owned()),
        };
        if let (Err(why), false) = (&digest, encrypted) {
            file.problems.push(format!("{place}: {why}"));
        }
        add_key(file, digest, encrypted);
        return;
    }
    let result = match label.as_str() {
        "CERTIFICATE" => parse_der_certificate(&content).map(|certificate| file.certificates.push(certificate)),
        "PUBLIC KEY" => key::spki(&content).map(|public| file.public_keys.push(sha256_hex(&public))),
        "RSA PUBLIC KEY" => key::pkcs1_public(&content).map(|public| file.public_keys.push(sha256_hex(&public))),
        // What openssl writes before an EC key, and what is no part of a key pair.
        "EC PARAMETERS" | "DH PARAMETERS" | "CERTIFICATE REQUEST" | "NEW CERTIFICATE REQUEST" | "X509 CRL" => Ok(()),
        _ => Err("a kind of block that Kubernetes does not read".to_owned()),
    };
    if let Err(why) = result {
        file.problems.push(format!("{place}: {why}"));
    }
}

/// The public half of a private key of any of the three encodings; the error is that of the one that it is.
fn private_key(content: &[u8]) -> key::PublicHalf {
    let attempts = [key::pkcs8(content), key::pkcs1(content), key::sec1(content, None)];
    let mut why = "neither a PKCS#8, a PKCS#1 nor a SEC 1 private key".to_owned();
    for attempt in attempts {
        match attempt {
            Ok(public) => return Ok(public),
            Err(error) if !error.starts_with("not a") => why = error,
            Err(_) => {}
        }
    }
    Err(why)
}

fn add_key(file: &mut CertificateFile, public: key::PublicHalf, encrypted: bool) {
    let public_key_sha256 = public.map(|public| sha256_hex(&public)).map_err(|why| {
        let what = file.origin.path().map_or_else(|| "the private key".to_owned(), |path| format!("the key of {path}"));
        let unknown = Unknown::new(format!("the public half of {what}"), why);
        if encrypted { unknown.with_remedy("compare it by hand with its passphrase") } else { unknown }
    });
    file.keys.push(PrivateKey { public_key_sha256, encrypted });
}

/// A file without PEM around: certificates one after another are none that anything of Kubernetes reads.
fn add_der(file: &mut CertificateFile, bytes: &[u8]) {
    match parse_der_certificate(bytes) {
        Ok(certificate) => file.certificates.push(certificate),
        Err(why) => {
            if let Ok(public) = private_key(bytes) {
                add_key(file, Ok(public), false);
            } else if let Ok(public) = key::spki(bytes).or_else(|_| key::pkcs1_public(bytes)) {
                file.public_keys.push(sha256_hex(&public));
            } else {
                file.problems.push(why);
                return;
            }
        }
    }
    file.problems.push("DER without PEM around it: Kubernetes' components read PEM only".to_owned());
}

fn sha256_hex(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes))
}

fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write;
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut out, byte| {
        let _ = write!(out, "{byte:02x}");
        out
    })
}
