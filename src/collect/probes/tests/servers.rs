//! Servers to ask, each on a thread or in a process of its own.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::thread;

use rustls::pki_types::PrivateKeyDer;

/// A port that was free a moment ago.
pub fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// Accepts connections and never says anything.
pub fn silent() -> u16 {
    serve(|mut stream| {
        let mut sink = [0; 1024];
        while stream.read(&mut sink).is_ok_and(|count| count > 0) {}
    })
}

/// Answers whatever it is sent with these bytes and closes.
pub fn answering(bytes: &'static [u8]) -> u16 {
    serve(move |mut stream| {
        let mut sink = [0; 4096];
        let _ = stream.read(&mut sink);
        let _ = stream.write_all(bytes);
    })
}

fn serve(each: impl Fn(std::net::TcpStream) + Send + Sync + 'static) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let each = Arc::new(each);
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let each = each.clone();
            thread::spawn(move || each(stream));
        }
    });
    port
}

/// An HTTP server that answers a path with status and body, anything else with 404.
pub fn http(routes: &'static [(&'static str, &'static str, &'static str)]) -> u16 {
    serve(move |stream| respond(stream, routes))
}

/// The same on a unix socket.
pub fn unix_http(path: &Path, routes: &'static [(&'static str, &'static str, &'static str)]) {
    let listener = UnixListener::bind(path).unwrap();
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            thread::spawn(move || respond(stream, routes));
        }
    });
}

/// Accepts on a unix socket and never says anything.
pub fn unix_silent(path: &Path) {
    let listener = UnixListener::bind(path).unwrap();
    thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            thread::spawn(move || {
                let mut sink = [0; 1024];
                while stream.read(&mut sink).is_ok_and(|count| count > 0) {}
            });
        }
    });
}

fn respond(mut stream: impl Read + Write, routes: &[(&str, &str, &str)]) {
    let mut request = Vec::new();
    let mut part = [0; 1024];
    while !request.windows(4).any(|end| end == b"\r\n\r\n") {
        match stream.read(&mut part) {
            Ok(count) if count > 0 => request.extend_from_slice(&part[..count]),
            _ => return,
        }
    }
    let text = String::from_utf8_lossy(&request);
    let path = text.split(' ').nth(1).unwrap_or_default();
    assert!(!text.to_lowercase().contains("authorization:"), "{text}");
    let (status, body) = routes
        .iter()
        .find(|(route, _, _)| *route == path)
        .map_or(("404 Not Found", "404 page not found"), |(_, status, body)| (status, body));
    let _ = write!(stream, "HTTP/1.1 {status}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}", body.len());
}

/// An authority, and a certificate of it for 127.0.0.1, localhost and client use; PEM.
pub struct Pki {
    pub ca: String,
    pub certificate: String,
    pub key: String,
}

pub fn pki() -> Pki {
    let mut params = rcgen::CertificateParams::default();
    params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    params.distinguished_name.push(rcgen::DnType::CommonName, "etcd-ca");
    let ca_key = rcgen::KeyPair::generate().unwrap();
    let ca = params.self_signed(&ca_key).unwrap();
    let issuer = rcgen::Issuer::new(params, ca_key);

    let names = vec!["localhost".to_owned(), "127.0.0.1".to_owned()];
    let mut params = rcgen::CertificateParams::new(names).unwrap();
    params.distinguished_name.push(rcgen::DnType::CommonName, "m1");
    params.extended_key_usages =
        vec![rcgen::ExtendedKeyUsagePurpose::ServerAuth, rcgen::ExtendedKeyUsagePurpose::ClientAuth];
    let key = rcgen::KeyPair::generate().unwrap();
    let certificate = params.signed_by(&key, &issuer).unwrap();
    Pki { ca: ca.pem(), certificate: certificate.pem(), key: key.serialize_pem() }
}

/// A TLS server with the certificate and its authority as chain; with `demand` it asks for a client certificate, in
/// TLS 1.2 so that the refusal is part of the handshake.
pub fn tls(pki: &Pki, demand: bool) -> u16 {
    use rustls::pki_types::CertificateDer;
    use rustls::pki_types::pem::PemObject;

    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let versions: &[&rustls::SupportedProtocolVersion] =
        if demand { &[&rustls::version::TLS12] } else { rustls::ALL_VERSIONS };
    let builder =
        rustls::ServerConfig::builder_with_provider(provider.clone()).with_protocol_versions(versions).unwrap();
    let ca = CertificateDer::from_pem_slice(pki.ca.as_bytes()).unwrap();
    let builder = if demand {
        let mut roots = rustls::RootCertStore::empty();
        roots.add(ca.clone()).unwrap();
        let verifier =
            rustls::server::WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider).build().unwrap();
        builder.with_client_cert_verifier(verifier)
    } else {
        builder.with_no_client_auth()
    };
    let chain = vec![CertificateDer::from_pem_slice(pki.certificate.as_bytes()).unwrap(), ca];
    let key = PrivateKeyDer::from_pem_slice(pki.key.as_bytes()).unwrap();
    let config = Arc::new(builder.with_single_cert(chain, key).unwrap());
    serve(move |mut stream| {
        let Ok(mut connection) = rustls::ServerConnection::new(config.clone()) else { return };
        let mut tls = rustls::Stream::new(&mut connection, &mut stream);
        let mut sink = [0; 16];
        let _ = tls.read(&mut sink);
        let _ = tls.flush();
    })
}

/// A process that ends with the test.
pub struct Started(Child);

impl Started {
    /// Whether it still runs.
    pub fn runs(&mut self) -> bool {
        matches!(self.0.try_wait(), Ok(None))
    }
}

impl Drop for Started {
    /// Asked to end first, so that it ends its own children; killed after five seconds.
    fn drop(&mut self) {
        if self.runs()
            && let Some(pid) = rustix::process::Pid::from_raw(self.0.id() as i32)
        {
            let _ = rustix::process::kill_process(pid, rustix::process::Signal::TERM);
        }
        for _ in 0..100 {
            if !self.runs() {
                return;
            }
            thread::sleep(std::time::Duration::from_millis(50));
        }
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Starts the program in `directory`, with its output in a file there; none when it is not installed.
pub fn start(program: &str, arguments: &[String], directory: &Path) -> Option<Started> {
    let log = std::fs::File::create(directory.join("log")).unwrap();
    let child = Command::new(program)
        .args(arguments)
        .current_dir(directory)
        .stdin(Stdio::null())
        .stdout(log.try_clone().unwrap())
        .stderr(log)
        .spawn();
    match child {
        Ok(child) => Some(Started(child)),
        Err(error) => {
            println!("skipped: {program} cannot be started: {error}");
            None
        }
    }
}
