//! Addresses and names in evidence, replaced by others that a reader of the bundle learns nothing from and a rule judges the
//! same by.
//!
//! What an address or name becomes depends on it and the key alone, so that the bundles of a cluster's hosts, taken with
//! one key, still fit together. Addresses that share a prefix share one of the same length afterwards, and stay of their
//! family and kind (private, link-local, loopback, public, ...); names keep their length and kinds of characters, and labels
//! that begin alike still do. A certificate cannot be changed without breaking its signature: its parsed facts stand in its
//! place, in a PEM block of [`FACTS`], with the keys that its signature was verified with.

mod address;
mod certificate;
mod cut;
mod learn;
mod name;

use std::borrow::Cow;
use std::net::IpAddr;
use std::sync::LazyLock;

use regex::bytes::Regex;
use sha2::{Digest, Sha256};

pub use crate::parse::pem::FACTS;
use crate::source::SourceRef;
use address::Addresses;
use certificate::Certificates;
use cut::Cuts;
use name::Names;

/// What is replaced beside secrets.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Wanted {
    pub addresses: bool,
    pub hostnames: bool,
    /// The same on each host gives the same pseudonyms; a random one when there is none.
    pub key: Option<String>,
}

impl Wanted {
    pub fn any(&self) -> bool {
        self.addresses || self.hostnames
    }
}

/// A line longer than this is cut where no address or name is.
const CARRY: usize = 1 << 20;

/// Replaces addresses and names.
#[derive(Debug)]
pub struct Pseudonyms {
    addresses: Option<Addresses>,
    names: Option<Names>,
    certificates: Certificates,
}

static BASE64_PEM: LazyLock<Option<Regex>> =
    LazyLock::new(|| Regex::new("LS0tLS1CRUdJTi[A-Za-z0-9+/]{40,}={0,2}").ok());
static PEM: LazyLock<Option<Regex>> =
    LazyLock::new(|| Regex::new(r"(?s)-----BEGIN ([A-Z0-9 ]{1,40})-----.*?-----END [A-Z0-9 ]{1,40}-----").ok());

impl Pseudonyms {
    /// Reads the host's configuration for what its names and certificates are. None when nothing is to be replaced.
    ///
    /// # Errors
    ///
    /// When the system gives no random key.
    pub fn learn(source: &SourceRef, wanted: &Wanted) -> std::io::Result<Option<Pseudonyms>> {
        if !wanted.any() {
            return Ok(None);
        }
        let key = match &wanted.key {
            Some(text) => Sha256::digest(text.as_bytes()).into(),
            None => {
                let mut key = [0; 32];
                ring::rand::SecureRandom::fill(&ring::rand::SystemRandom::new(), &mut key)
                    .map_err(|_| std::io::Error::other("the system gives no random numbers for the pseudonyms"))?;
                key
            }
        };
        let learned = learn::of(source);
        Ok(Some(Pseudonyms {
            addresses: wanted.addresses.then(|| Addresses::new(key)),
            names: wanted
                .hostnames
                .then(|| Names::new(key, learned.names))
                .transpose()
                .map_err(std::io::Error::other)?,
            certificates: Certificates::new(learned.certificates),
        }))
    }

    /// A file's content.
    ///
    /// # Errors
    ///
    /// Why it has to be left out: it cannot be looked through.
    pub fn content(&self, path: &str, content: &[u8]) -> Result<Vec<u8>, String> {
        if content.starts_with(b"TZif") {
            return Ok(content.to_vec());
        }
        if super::redact::is_packed(content) {
            let text = super::redact::unpack(content)?;
            let mapped = self.content(path, &text)?;
            return match content.starts_with(&[0x1f, 0x8b]) {
                true => super::redact::pack(&mapped),
                false if mapped == text => Ok(content.to_vec()),
                false => Err("it holds addresses or names and is packed in a way that is not packed again".to_owned()),
            };
        }
        if content.first() == Some(&0x30)
            && let Ok(certificate) = crate::parse::pem::parse_der_certificate(content)
        {
            return Ok(self.facts(certificate).into_bytes());
        }
        if let Some(mapped) = self.addresses.as_ref().and_then(|addresses| addresses.table(path, content)) {
            return Ok(mapped);
        }
        let (lines, _) = self.mended(content, &mut Cuts::default(), true);
        Ok(self.text(&lines))
    }

    /// Whole lines, of which a container's may have been cut; and where in them begins what has to wait for more.
    fn mended<'t>(&self, lines: &'t [u8], cuts: &mut Cuts, is_last: bool) -> (Cow<'t, [u8]>, usize) {
        cuts.mend(lines, is_last, |text| self.text(text) != text)
    }

    /// A text with its PEM blocks.
    pub fn text(&self, text: &[u8]) -> Vec<u8> {
        let mut out = Vec::with_capacity(text.len() + text.len() / 16);
        let mut done = 0;
        for found in PEM.iter().flat_map(|pattern| pattern.captures_iter(text)) {
            let (Some(block), Some(label)) = (found.get(0), found.get(1)) else { continue };
            self.encoded(text.get(done..block.start()).unwrap_or_default(), &mut out);
            out.extend(self.block(label.as_bytes(), block.as_bytes()));
            done = block.end();
        }
        self.encoded(text.get(done..).unwrap_or_default(), &mut out);
        out
    }

    /// A name or path.
    pub fn word(&self, word: &str) -> String {
        String::from_utf8_lossy(&self.text(word.as_bytes())).into_owned()
    }

    /// Text without PEM blocks, but maybe with base64 of them.
    fn encoded(&self, text: &[u8], out: &mut Vec<u8>) {
        use base64::Engine;
        let engine = base64::engine::general_purpose::STANDARD;
        let mut done = 0;
        for found in BASE64_PEM.iter().flat_map(|pattern| pattern.find_iter(text)) {
            self.plain(text.get(done..found.start()).unwrap_or_default(), out);
            match engine.decode(found.as_bytes()) {
                Ok(pem) => out.extend(engine.encode(self.text(&pem)).bytes()),
                // Nobody knows what is in it.
                Err(_) => out.extend(std::iter::repeat_n(super::redact::FILL, found.len())),
            }
            done = found.end();
        }
        self.plain(text.get(done..).unwrap_or_default(), out);
    }

    fn plain(&self, text: &[u8], out: &mut Vec<u8>) {
        match (&self.addresses, &self.names) {
            (Some(addresses), Some(names)) => {
                let mut mapped = Vec::with_capacity(text.len() + 64);
                addresses.text(text, &mut mapped);
                names.text(&mapped, out);
            }
            (Some(addresses), None) => addresses.text(text, out),
            (None, Some(names)) => names.text(text, out),
            (None, None) => out.extend_from_slice(text),
        }
    }

    fn block(&self, label: &[u8], block: &[u8]) -> Vec<u8> {
        // Keys name nobody; requests and what else there is may.
        if label.ends_with(b"KEY") || label.ends_with(b"PARAMETERS") || label == FACTS.as_bytes() {
            return block.to_vec();
        }
        let file = crate::parse::pem::parse(block, crate::origin::Origin::file("", None), None);
        match file.certificates.into_iter().next() {
            Some(certificate) => self.facts(certificate).into_bytes(),
            None => b"-----BEGIN REMOVED-----\n-----END REMOVED-----".to_vec(),
        }
    }

    fn facts(&self, certificate: crate::facts::certificates::Certificate) -> String {
        let mut certificate = self.certificates.with_signers(certificate);
        for name in &mut certificate.dns_names {
            *name = self.word(name);
        }
        let texts = [&mut certificate.subject, &mut certificate.issuer];
        for text in texts.into_iter().chain(&mut certificate.common_name).chain(&mut certificate.organizations) {
            *text = self.word(text);
        }
        for address in &mut certificate.addresses {
            *address = self.address(*address);
        }
        crate::parse::pem::facts_block(&certificate)
    }

    fn address(&self, address: IpAddr) -> IpAddr {
        self.addresses.as_ref().map_or(address, |addresses| addresses.map(address))
    }

    /// Certificates that were served, with the keys that their signatures were verified with: their encoding goes.
    pub fn served(&self, probes: &mut crate::facts::probe::Probes) {
        for answer in &mut probes.handshakes {
            let Ok(chain) = &mut answer.chain else { continue };
            for certificate in chain {
                *certificate = self.certificates.with_signers(certificate.clone());
                certificate.der.clear();
            }
        }
    }
}

/// How many bytes from a place on belong to the escape that begins before it: 1 of `\nm1`, 5 of `\u003cm1`, else 0. JSON
/// within JSON doubles the backslash.
fn escape_at(text: &[u8], at: usize) -> usize {
    if at.checked_sub(1).and_then(|before| text.get(before)) != Some(&b'\\') {
        return 0;
    }
    match text.get(at) {
        Some(b'u') => 5,
        Some(b'n' | b't' | b'r' | b'b' | b'f') => 1,
        _ => 0,
    }
}

/// Whether the byte before a place is part of the same word: it is a letter or digit, and not the end of an escape.
fn joins_before(text: &[u8], at: usize) -> bool {
    let is_word = at.checked_sub(1).and_then(|at| text.get(at)).is_some_and(u8::is_ascii_alphanumeric);
    let ends_here = |length: usize| at.checked_sub(length).is_some_and(|from| escape_at(text, from) == length);
    is_word && !ends_here(1) && !ends_here(5)
}

/// A text that comes in pieces: no line is cut.
pub struct Lines<'a> {
    pseudonyms: &'a Pseudonyms,
    rest: Vec<u8>,
    cuts: Cuts,
}

impl<'a> Lines<'a> {
    pub fn new(pseudonyms: &'a Pseudonyms) -> Lines<'a> {
        Lines { pseudonyms, rest: Vec::new(), cuts: Cuts::default() }
    }

    /// Replaces the piece by what is certain of it and of those before.
    pub fn push(&mut self, piece: &mut Vec<u8>, is_last: bool) {
        self.rest.append(piece);
        let whole = if is_last {
            self.rest.len()
        } else {
            match memchr::memrchr(b'\n', &self.rest) {
                Some(at) => at + 1,
                None if self.rest.len() < CARRY => return,
                // A blank or quote ends every address and name.
                None => {
                    self.rest.iter().rposition(|byte| b" \",'\t".contains(byte)).map_or(self.rest.len(), |at| at + 1)
                }
            }
        };
        let kept = self.rest.split_off(whole);
        let lines = std::mem::replace(&mut self.rest, kept);
        let (lines, end) = self.pseudonyms.mended(&lines, &mut self.cuts, is_last);
        *piece = self.pseudonyms.text(lines.get(..end).unwrap_or_default());
        if let Some(waiting) = lines.get(end..).filter(|waiting| !waiting.is_empty()) {
            // A message's next piece is to come.
            self.rest.splice(..0, waiting.iter().copied());
        }
    }
}

#[cfg(test)]
mod tests;
