//! An admission webhook of one test, for the objects of its home alone.

use std::net::TcpListener;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use tempfile::TempDir;
use wharf_tests::{Certificates, Cluster, Home};

/// Answers each review with the words of its argument; with none, not at all.
const SERVER: &str = r#"
import http.server, json, ssl, sys, time
port, words, folder = int(sys.argv[1]), sys.argv[2], sys.argv[3]
class Handler(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        review = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if not words:
            time.sleep(600)
        answer = {"uid": review["request"]["uid"], "allowed": False, "status": {"message": words}}
        body = json.dumps({"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "response": answer}).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
    def log_message(self, *args):
        pass
server = http.server.ThreadingHTTPServer(("127.0.0.1", port), Handler)
server.daemon_threads = True
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain(folder + "/server-cert.pem", folder + "/server-key.pem")
server.socket = context.wrap_socket(server.socket, server_side=True)
server.serve_forever()
"#;

/// A webhook. It goes with this.
pub(crate) struct Webhook {
    cluster: Cluster,
    name: String,
    server: Child,
    _folder: TempDir,
}

impl Webhook {
    /// One that refuses objects of a kind with these words.
    pub(crate) fn refusing(cluster: &Cluster, home: &Home, kind: &str, words: &str) -> Self {
        Self::new(cluster, home, kind, words, 10)
    }

    /// One that takes the question and gives no answer; the API server gives up after so many seconds.
    pub(crate) fn silent(cluster: &Cluster, home: &Home, kind: &str, seconds: u32) -> Self {
        Self::new(cluster, home, kind, "", seconds)
    }

    fn new(cluster: &Cluster, home: &Home, kind: &str, words: &str, seconds: u32) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let certificates = Certificates::new([127, 0, 0, 1].into());
        certificates.write_server(folder.path());
        let free = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr());
        let port = free.expect("a free port").port();
        let mut command = Command::new("python3");
        command.args(["-c", SERVER, &port.to_string(), words]).arg(folder.path()).stdin(Stdio::null());
        let server = command.spawn().expect("python3 can be started");
        let started = Instant::now();
        while std::net::TcpStream::connect(("127.0.0.1", port)).is_err() {
            assert!(started.elapsed() < Duration::from_secs(30), "the webhook's server doesn't come up");
            std::thread::sleep(Duration::from_millis(50));
        }
        let authority = std::fs::read(folder.path().join("ca.pem")).expect("the authority's certificate");
        let (host, group) = (home.id(), if kind == "jobs" { "batch" } else { "" });
        let name = format!("{kind}.tests-{host}.example.com");
        cluster.apply(&format!(
            "apiVersion: admissionregistration.k8s.io/v1\nkind: ValidatingWebhookConfiguration\nmetadata: {{name: {name}}}\n\
             webhooks:\n- name: {name}\n  admissionReviewVersions: [v1]\n  sideEffects: None\n  failurePolicy: Fail\n  \
             timeoutSeconds: {seconds}\n  objectSelector: {{matchLabels: {{wharf.host: '{host}'}}}}\n  \
             rules: [{{apiGroups: ['{group}'], apiVersions: [v1], operations: [CREATE], resources: [{kind}]}}]\n  \
             clientConfig: {{url: 'https://127.0.0.1:{port}/', caBundle: {}}}\n",
            STANDARD.encode(authority)
        ));
        // The API server takes it up a moment later.
        std::thread::sleep(Duration::from_secs(2));
        Self { cluster: cluster.clone(), name, server, _folder: folder }
    }

    /// As the API server names it.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }
}

impl Drop for Webhook {
    fn drop(&mut self) {
        let _ = self.cluster.admin(&["delete", "validatingwebhookconfiguration", &self.name, "--ignore-not-found"]);
        let _ = self.server.kill();
        let _ = self.server.wait();
        std::thread::sleep(Duration::from_secs(2));
    }
}
