//! A certificate that is replaced on disk while its server goes on.

use crate::harness::cfssl::Authority;
use crate::harness::{Options, Process, Sandbox, eventually};

const RULE: &str = "pki-served-stale";
const PKI: &str = "/etc/kubernetes/ssl";
const UNIT: &str = "/etc/systemd/system/kube-apiserver.service";

/// An apiserver of a release that reads its certificate when it starts, as far as this program asks it.
const APISERVER: &str = "\
import http.server, ssl
class Answer(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        body = b'{\"gitVersion\": \"v1.15.12\"}' if self.path == '/version' else b'ok'
        self.send_response(200)
        self.send_header('Content-Length', str(len(body)))
        self.end_headers()
        self.wfile.write(body)
    def log_message(self, *arguments):
        pass
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain('/etc/kubernetes/ssl/apiserver.pem', '/etc/kubernetes/ssl/apiserver-key.pem')
server = http.server.ThreadingHTTPServer(('0.0.0.0', 6443), Answer)
server.socket = context.wrap_socket(server.socket, server_side=True)
server.serve_forever()
";

fn listening(host: &Sandbox, port: u16) {
    let listens = format!("ss -Hltn | grep ':{port} '");
    eventually(&listens, 10, || host.output(&listens).status.success().then_some(()));
}

fn serve(host: &Sandbox) -> Process {
    host.write("/root/apiserver.py", APISERVER);
    let server = host.spawn("python3 /root/apiserver.py", "/tmp/apiserver.log");
    listening(host, 6443);
    server
}

#[test]
fn an_apiserver_that_was_not_restarted() {
    let options = Options { needs: &["python3", "cfssl", "cfssljson", "ss"], ..Options::default() };
    let Some(host) = Sandbox::start(options) else { return };
    let authority = Authority::new(&host, PKI, "kubernetes");
    authority.issue("apiserver", "server", "kube-apiserver", &["m1", "10.0.0.11", "127.0.0.1"]);
    let unit = format!(
        "[Service]\nExecStart=/usr/bin/kube-apiserver --advertise-address=10.0.0.11 --tls-cert-file={PKI}/apiserver.pem \
         --tls-private-key-file={PKI}/apiserver-key.pem --etcd-servers=http://127.0.0.1:2379\n"
    );
    host.write(UNIT, unit);
    let mut server = serve(&host);
    host.check(&["--only", RULE]).silent(RULE);

    authority.issue("apiserver", "server", "kube-apiserver", &["m1", "10.0.0.11", "10.0.0.88", "127.0.0.1"]);
    let report = host.check(&["--only", RULE]);
    let finding = report.only(RULE);
    finding.says(&["kube-apiserver", "127.0.0.1:6443", "/etc/kubernetes/ssl/apiserver.pem"]);
    assert_eq!(finding.evidence_of("probe").len(), 1, "{}", report.human());
    host.apply(&finding.fix());
    assert_eq!(host.systemctl_calls(), "restart kube-apiserver.service\n");
    server.kill();
    let _server = serve(&host);
    host.check(&["--only", RULE]).silent(RULE);
}

#[test]
fn etcd_takes_up_a_new_one_by_itself() {
    let options = Options { needs: &["etcd", "cfssl", "cfssljson", "ss"], ..Options::default() };
    let Some(host) = Sandbox::start(options) else { return };
    let authority = Authority::new(&host, "/etc/etcd/ssl", "etcd");
    authority.issue("server", "server", "etcd", &["m1", "10.0.0.11"]);
    let _etcd = host.spawn(
        "etcd --name m1 --data-dir /var/lib/m1 --listen-client-urls https://10.0.0.11:2379 \
         --advertise-client-urls https://10.0.0.11:2379 --listen-peer-urls http://127.0.0.1:2380 \
         --initial-advertise-peer-urls http://127.0.0.1:2380 --initial-cluster m1=http://127.0.0.1:2380 \
         --cert-file=/etc/etcd/ssl/server.pem --key-file=/etc/etcd/ssl/server-key.pem",
        "/tmp/etcd.log",
    );
    listening(&host, 2379);
    authority.issue("server", "server", "etcd", &["m1", "10.0.0.11", "10.0.0.12"]);
    host.check(&["--only", RULE]).silent(RULE);
}
