//! Client certificates, read when they are needed. A key goes from its file into the TLS library and nowhere else: no fact,
//! message or cache holds it, so these types have no Debug.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

use crate::collect::Files;
use crate::origin::Unknown;

use super::plan::ClientCertificate;

/// A certificate chain and its key.
pub struct Identity {
    pub chain: Vec<CertificateDer<'static>>,
    pub key: PrivateKeyDer<'static>,
}

/// What can be presented.
pub enum Presentable {
    /// Nothing is configured.
    Nothing,
    This(Identity),
    /// Something is configured, and this is why it cannot be used: the first one's reason.
    Unreadable(Unknown),
}

impl Presentable {
    /// The identity, and the reason why there is none when there should be.
    pub fn parts(self) -> (Option<Identity>, Option<Unknown>) {
        match self {
            Presentable::Nothing => (None, None),
            Presentable::This(identity) => (Some(identity), None),
            Presentable::Unreadable(why) => (None, Some(why)),
        }
    }
}

/// The first that can be read.
pub fn first(certificates: &[ClientCertificate], files: &Files) -> Presentable {
    let mut first_problem = None;
    for certificate in certificates {
        match read(certificate, files) {
            Ok(identity) => return Presentable::This(identity),
            Err(why) => first_problem = first_problem.or(Some(why)),
        }
    }
    first_problem.map_or(Presentable::Nothing, Presentable::Unreadable)
}

fn read(certificate: &ClientCertificate, files: &Files) -> Result<Identity, Unknown> {
    match certificate {
        ClientCertificate::Files { certificate, key } => {
            let chain = chain_of(&bytes(files, certificate)?, certificate)?;
            Ok(Identity { chain, key: key_of(&bytes(files, key)?, key)? })
        }
        ClientCertificate::Kubeconfig { path } => {
            let text = bytes(files, path)?;
            let certificate = data(&text, "client-certificate-data", path)?;
            let key = data(&text, "client-key-data", path)?;
            Ok(Identity { chain: chain_of(&certificate, path)?, key: key_of(&key, path)? })
        }
    }
}

/// Asked of the source itself: what `Files` remembers goes into a bundle.
fn bytes(files: &Files, path: &str) -> Result<Vec<u8>, Unknown> {
    files.source().read(path).map_err(|error| error.unknown())
}

fn chain_of(pem: &[u8], path: &str) -> Result<Vec<CertificateDer<'static>>, Unknown> {
    let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    match chain {
        Ok(chain) if !chain.is_empty() => Ok(chain),
        Ok(_) => Err(Unknown::new(path, "holds no certificate")),
        Err(_) => Err(Unknown::new(path, "holds no valid PEM")),
    }
}

fn key_of(pem: &[u8], path: &str) -> Result<PrivateKeyDer<'static>, Unknown> {
    // The reason of a parser may quote what it read; of a key nothing is quoted.
    PrivateKeyDer::from_pem_slice(pem).map_err(|_| Unknown::new(path, "holds no private key that can be used"))
}

/// A field's value out of a kubeconfig in which it stands once: with several users nothing here says whose it is.
fn data(kubeconfig: &[u8], field: &str, path: &str) -> Result<Vec<u8>, Unknown> {
    let text = std::str::from_utf8(kubeconfig).map_err(|_| Unknown::new(path, "is no UTF-8"))?;
    let mut values = text.lines().filter_map(|line| {
        let line = line.trim_start().trim_start_matches("- ").trim_start();
        let value = line.strip_prefix(field)?.trim_start().strip_prefix(':')?.trim();
        Some(value.trim_matches(['"', '\'']))
    });
    match (values.next(), values.next()) {
        (Some(value), None) => {
            BASE64_STANDARD.decode(value).map_err(|_| Unknown::new(path, format!("the value of {field} is no base64")))
        }
        (None, _) => Err(Unknown::new(path, format!("has no line with {field}"))),
        (Some(_), Some(_)) => Err(Unknown::new(path, format!("has {field} of several users"))),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::source::MemorySource;

    fn pair() -> (String, String) {
        let key = rcgen::KeyPair::generate().unwrap();
        let made = rcgen::CertificateParams::new(vec!["client".to_owned()]).unwrap().self_signed(&key).unwrap();
        (made.pem(), key.serialize_pem())
    }

    fn kubeconfig(certificate: &str, key: &str) -> String {
        format!(
            "users:\n- name: a\n  user:\n    client-certificate-data: {}\n    client-key-data: {}\n",
            BASE64_STANDARD.encode(certificate),
            BASE64_STANDARD.encode(key)
        )
    }

    fn named(certificate: &str, key: &str) -> ClientCertificate {
        ClientCertificate::Files { certificate: certificate.to_owned(), key: key.to_owned() }
    }

    #[test]
    fn reads_or_says_why_not() {
        let (certificate, key) = pair();
        let both = format!("{certificate}{key}");
        let two_users = format!("{}{}", kubeconfig(&certificate, &key), kubeconfig(&certificate, &key));
        let source = MemorySource::new("m1")
            .file("/c.crt", certificate.clone())
            .file("/c.key", key.clone())
            .file("/both.pem", both)
            .file("/admin.conf", kubeconfig(&certificate, &key))
            .file("/two.conf", two_users)
            .file("/empty", "")
            .denied("/denied.key");
        let files = Files::new(Arc::new(source));
        let config = |path: &str| ClientCertificate::Kubeconfig { path: path.to_owned() };
        let cases = [
            (named("/c.crt", "/c.key"), None),
            (named("/both.pem", "/both.pem"), None),
            (config("/admin.conf"), None),
            (named("/c.crt", "/denied.key"), Some("/denied.key: permission denied")),
            (named("/no.crt", "/c.key"), Some("/no.crt: no such file or directory")),
            (named("/empty", "/c.key"), Some("/empty: holds no certificate")),
            (named("/c.crt", "/c.crt"), Some("/c.crt: holds no private key that can be used")),
            (config("/two.conf"), Some("/two.conf: has client-certificate-data of several users")),
            (config("/empty"), Some("/empty: has no line with client-certificate-data")),
        ];
        for (asked, expected) in cases {
            let problem = read(&asked, &files).err().map(|why| why.to_string());
            assert_eq!(problem.as_deref(), expected, "{asked:?}");
        }
        // The second is taken when the first cannot be read, and the first one's reason is kept when none can.
        let mixed = [named("/no.crt", "/c.key"), config("/admin.conf")];
        assert!(matches!(first(&mixed, &files), Presentable::This(_)));
        let none = [named("/no.crt", "/c.key"), named("/empty", "/c.key")];
        assert!(matches!(first(&none, &files), Presentable::Unreadable(why) if why.what == "/no.crt"));
        assert!(matches!(first(&[], &files), Presentable::Nothing));
        assert!(files.texts_read().is_empty() && files.refused().is_empty());
    }
}
