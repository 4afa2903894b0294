//! TLS as a witness: a handshake that accepts whatever is served and writes it down. Whether a client would have accepted
//! it is for the rules to say, which know what that client verifies.

use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::Duration;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{ResolvesClientCert, Resumption};
use rustls::crypto::ring;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::sign::CertifiedKey;
use rustls::{AlertDescription, ClientConfig, DigitallySignedStruct, SignatureScheme};
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio_rustls::TlsConnector;

use crate::facts::certificates::Certificate;
use crate::facts::probe::{HUNG_UP, PLAIN_TEXT, TLS_ALERT};
use crate::origin::{Fact, Unknown};

use super::budget::{Budget, no_answer};
use super::credentials::Identity;
use super::{served, tcp};

/// Bytes of an answer that are kept to say what it was.
const HEAD: usize = 256;

/// Certificates of a chain that are kept; real chains have up to four.
const CHAIN: usize = 16;

/// What is done when the server asks for a client certificate, which is not at hand here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unidentified {
    /// Goes on without one: the server lets anybody finish the handshake.
    GoOn,
    /// Hangs up before the client's part: a server that insists (etcd) then logs a connection that came to nothing, and
    /// not a client without a certificate, which would be evidence of a fault that this program made.
    HangUp,
}

/// The chain that `stream`'s other end serves for `server_name`, and what TLS said when the handshake did not complete.
pub async fn handshake<S>(
    stream: S,
    server_name: &str,
    target: &str,
    unidentified: Unidentified,
    budget: Budget,
) -> (Fact<Vec<Certificate>>, Option<String>)
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let witness = Arc::new(Witness::default());
    let head = Arc::new(Mutex::new(Vec::new()));
    let name = match ServerName::try_from(server_name.to_owned()) {
        Ok(name) => name,
        Err(_) => return failed(target, format!("\"{server_name}\" is no name that TLS could be asked for")),
    };
    let mut config = match config(witness.clone(), None) {
        Ok(config) => config,
        Err(why) => return failed(target, why),
    };
    let asked = Arc::new(Asked::default());
    if unidentified == Unidentified::HangUp {
        config.client_auth_cert_resolver = asked.clone();
    }
    let connector = TlsConnector::from(Arc::new(config));
    let tapped = Tapped { inner: stream, head: head.clone(), asked: asked.clone() };
    let failure = match budget.within(connector.connect(name, tapped)).await {
        Ok(Ok(mut stream)) => {
            // A farewell, so that the server has no reason to log a broken connection.
            let _ = tokio::time::timeout(Duration::from_millis(100), stream.shutdown()).await;
            None
        }
        Ok(Err(_)) if asked.was() && witness.chain().is_some() => None,
        Ok(Err(error)) => {
            let head = head.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
            Some(not_tls(&head).unwrap_or_else(|| describe_io(&error)))
        }
        Err(waited) => {
            let head = head.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
            match not_tls(&head) {
                Some(failure) => Some(failure),
                None if witness.chain().is_none() => {
                    return (Err(Unknown::new(target, format!("TLS {}", no_answer(waited)))), None);
                }
                None => Some(format!("the handshake {}", no_answer(waited).replace("answer", "end"))),
            }
        }
    };
    let chain = match witness.chain() {
        Some(chain) => served::certificates(&chain).map_err(|why| Unknown::new(target, why)),
        None => Err(Unknown::new(target, failure.clone().unwrap_or_else(|| "served no certificate".to_owned()))),
    };
    (chain, failure)
}

fn failed(target: &str, why: String) -> (Fact<Vec<Certificate>>, Option<String>) {
    (Err(Unknown::new(target, why.clone())), Some(why))
}

/// A client's configuration that accepts every server, for questions whose answer is wanted even from one with a bad
/// certificate. Nothing secret goes over it: a client certificate proves itself by a signature, the key stays here.
pub fn accepting(identity: Option<Identity>) -> Result<ClientConfig, String> {
    config(Arc::new(Witness::default()), identity)
}

fn config(witness: Arc<Witness>, identity: Option<Identity>) -> Result<ClientConfig, String> {
    let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|error| describe(&error))?
        .dangerous()
        .with_custom_certificate_verifier(witness);
    let mut config = match identity {
        Some(identity) => {
            builder.with_client_auth_cert(identity.chain, identity.key).map_err(|error| describe(&error))?
        }
        None => builder.with_no_client_auth(),
    };
    config.resumption = Resumption::disabled();
    Ok(config)
}

/// Accepts and remembers.
#[derive(Debug, Default)]
struct Witness {
    chain: Mutex<Option<Vec<Vec<u8>>>>,
}

impl Witness {
    /// DER of the certificates as served, leaf first.
    fn chain(&self) -> Option<Vec<Vec<u8>>> {
        self.chain.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).clone()
    }
}

impl ServerCertVerifier for Witness {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let chain = std::iter::once(end_entity).chain(intermediates).take(CHAIN).map(|der| der.to_vec()).collect();
        *self.chain.lock().unwrap_or_else(|poisoned| poisoned.into_inner()) = Some(chain);
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _certificate: &CertificateDer<'_>,
        _signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _message: &[u8],
        _certificate: &CertificateDer<'_>,
        _signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        vec![
            SignatureScheme::ECDSA_NISTP256_SHA256,
            SignatureScheme::ECDSA_NISTP384_SHA384,
            SignatureScheme::ECDSA_NISTP521_SHA512,
            SignatureScheme::ED25519,
            SignatureScheme::RSA_PSS_SHA256,
            SignatureScheme::RSA_PSS_SHA384,
            SignatureScheme::RSA_PSS_SHA512,
            SignatureScheme::RSA_PKCS1_SHA256,
            SignatureScheme::RSA_PKCS1_SHA384,
            SignatureScheme::RSA_PKCS1_SHA512,
            SignatureScheme::RSA_PKCS1_SHA1,
            SignatureScheme::ECDSA_SHA1_Legacy,
        ]
    }
}

/// Has no certificate for the server, and remembers that one was asked for.
#[derive(Debug, Default)]
struct Asked(AtomicBool);

impl Asked {
    fn was(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

impl ResolvesClientCert for Asked {
    fn resolve(&self, _root_hints: &[&[u8]], _schemes: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        self.0.store(true, Ordering::Relaxed);
        None
    }

    fn has_certs(&self) -> bool {
        true
    }
}

/// A stream that keeps the first bytes that came in, and lets none out once a certificate was asked for.
struct Tapped<S> {
    inner: S,
    head: Arc<Mutex<Vec<u8>>>,
    asked: Arc<Asked>,
}

impl<S: AsyncRead + Unpin> AsyncRead for Tapped<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let polled = Pin::new(&mut self.inner).poll_read(context, buffer);
        let mut head = self.head.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        let room = HEAD.saturating_sub(head.len());
        head.extend(buffer.filled().iter().skip(before).take(room));
        polled
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Tapped<S> {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        if self.asked.was() {
            return Poll::Ready(Err(io::ErrorKind::ConnectionAborted.into()));
        }
        Pin::new(&mut self.inner).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(context)
    }
}

/// What an answer was that does not begin like a TLS record (content types 20 to 24, then major version 3).
fn not_tls(head: &[u8]) -> Option<String> {
    let is_record = matches!(head, [20..=24] | [20..=24, 3, ..]);
    if head.is_empty() || is_record {
        return None;
    }
    let line: &[u8] = head.split(|byte| matches!(byte, b'\r' | b'\n')).next().unwrap_or(head);
    let line = line.get(..line.len().min(100)).unwrap_or(line);
    if !line.is_empty() && line.iter().all(|byte| (0x20..0x7f).contains(byte)) {
        return Some(format!("{PLAIN_TEXT}{}", String::from_utf8_lossy(line)));
    }
    let bytes: Vec<String> = head.iter().take(16).map(|byte| format!("{byte:02x}")).collect();
    Some(format!("answered with something that is not TLS: {}", bytes.join(" ")))
}

/// A failed handshake: rustls hides its own error in an I/O error.
fn describe_io(error: &io::Error) -> String {
    if let Some(tls) = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>()) {
        return describe(tls);
    }
    match error.kind() {
        io::ErrorKind::UnexpectedEof => format!("closed {HUNG_UP}"),
        io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe => {
            format!("reset {HUNG_UP}")
        }
        _ => tcp::plain(error),
    }
}

/// `TLS alert: certificate required`, or rustls' own words.
pub fn describe(error: &rustls::Error) -> String {
    match error {
        rustls::Error::AlertReceived(alert) => format!("{TLS_ALERT}: {}", alert_words(*alert)),
        rustls::Error::InvalidMessage(_) => format!("answered with something that is not TLS: {error}"),
        other => other.to_string(),
    }
}

fn alert_words(alert: AlertDescription) -> String {
    match alert {
        AlertDescription::UnknownCA => "unknown CA".to_owned(),
        AlertDescription::UnknownPSKIdentity => "unknown PSK identity".to_owned(),
        AlertDescription::Unknown(number) => format!("number {number}"),
        other => {
            let mut words = String::new();
            for letter in format!("{other:?}").chars() {
                if letter.is_ascii_uppercase() && !words.is_empty() {
                    words.push(' ');
                }
                words.push(letter.to_ascii_lowercase());
            }
            words
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_that_are_no_tls() {
        let cases: [(&[u8], Option<&str>); 6] = [
            (b"", None),
            (b"\x15\x03\x03\x00\x02\x02\x28", None),
            (b"\x16", None),
            (b"HTTP/1.1 400 Bad Request\r\nContent-Type", Some("answered in plain text: HTTP/1.1 400 Bad Request")),
            (b"SSH-2.0-OpenSSH_9.2\r\n", Some("answered in plain text: SSH-2.0-OpenSSH_9.2")),
            (b"\x00\x00\x12\x04", Some("answered with something that is not TLS: 00 00 12 04")),
        ];
        for (head, expected) in cases {
            assert_eq!(not_tls(head).as_deref(), expected, "{head:?}");
        }
    }

    #[test]
    fn alerts() {
        let cases = [
            (AlertDescription::CertificateRequired, "certificate required"),
            (AlertDescription::BadCertificate, "bad certificate"),
            (AlertDescription::UnknownCA, "unknown CA"),
            (AlertDescription::Unknown(200), "number 200"),
        ];
        for (alert, words) in cases {
            assert_eq!(describe(&rustls::Error::AlertReceived(alert)), format!("TLS alert: {words}"));
        }
    }
}
