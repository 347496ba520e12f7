//! TLS: each certificate that is wrong has its sentence, with daemons that the tests play.

use std::path::Path;

use serde_json::json;
use tokio_rustls::TlsAcceptor;
use wharf_docker::DockerBackend;
use wharf_model::configuration::Daemon;
use wharf_model::launch::Backend;

use crate::authority::{Authority, acceptor, fill};
use crate::played::{Answer, Played, greeted};

async fn played(tls: Option<TlsAcceptor>) -> Played {
    Played::new(tls, |heard| greeted(heard, "1.41").unwrap_or_else(|| Answer::Json(200, json!({})))).await
}

/// What is wrong when a daemon is asked with the certificates of a folder; nothing, or a sentence.
async fn asked(daemon: &Played, host: &str, folder: Option<&Path>) -> Option<String> {
    let daemon =
        Daemon { cert_path: folder.map(Path::to_owned), ..Daemon::at(format!("tcp://{host}:{}", daemon.port)) };
    let answer = DockerBackend::connect(&daemon).unwrap().info().await;
    answer.err().map(|error| error.to_string())
}

/// A folder with the certificates that these take it to have.
fn folder(authority: &Authority, client: Option<&crate::authority::Pair>) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    fill(folder.path(), authority, client);
    folder
}

#[tokio::test]
async fn a_daemon_is_verified_by_its_authority_name_and_time() {
    let (ours, other) = (Authority::new("ours"), Authority::new("other"));
    let right = folder(&ours, None);
    let daemon = played(Some(acceptor(&ours.daemon(&["127.0.0.1", "localhost"]), None))).await;
    assert_eq!(asked(&daemon, "127.0.0.1", Some(right.path())).await, None);
    assert_eq!(asked(&daemon, "localhost", Some(right.path())).await, None);
    let wrong = folder(&other, None);
    for (daemon, host, folder, expected) in [
        (&daemon, "127.0.0.1", Some(wrong.path()), "isn't signed by the authority in "),
        (
            &played(Some(acceptor(&ours.daemon(&["build.example.com", "10.0.0.1"]), None))).await,
            "127.0.0.1",
            Some(right.path()),
            "not for 127.0.0.1: give the daemon one with that name or address among its subjectAltName",
        ),
        (
            &played(Some(acceptor(&ours.daemon(&["build.example.com"]), None))).await,
            "localhost",
            Some(right.path()),
            "build.example.com",
        ),
        (
            &played(Some(acceptor(&ours.expired_daemon(&["127.0.0.1"]), None))).await,
            "127.0.0.1",
            Some(right.path()),
            "its certificate has expired: give the daemon a new one",
        ),
        (
            // A client's certificate isn't one of a daemon.
            &played(Some(acceptor(&ours.client(), None))).await,
            "127.0.0.1",
            Some(right.path()),
            "its certificate can't be used",
        ),
        (&played(None).await, "127.0.0.1", Some(right.path()), "it doesn't speak TLS"),
        (&daemon, "127.0.0.1", None, "it speaks TLS: set `cert_path`"),
    ] {
        let error = asked(daemon, host, folder).await.unwrap();
        assert!(error.contains(expected), "{expected}: {error}");
        assert_eq!(daemon.heard().iter().filter(|heard| !heard.line.contains("/info")).count(), 0);
    }
}

#[tokio::test]
async fn a_daemon_that_demands_a_certificate_gets_the_right_one() {
    let (ours, other) = (Authority::new("ours"), Authority::new("other"));
    let daemon = played(Some(acceptor(&ours.daemon(&["127.0.0.1"]), Some(&ours)))).await;
    let right = folder(&ours, Some(&ours.client()));
    assert_eq!(asked(&daemon, "127.0.0.1", Some(right.path())).await, None);
    for (client, expected) in [
        (None, "it demands a client's certificate: put cert.pem and key.pem into "),
        (Some(other.client()), "it refuses "),
        (Some(ours.expired_client()), "cert.pem has expired: make a new one"),
        // A daemon's certificate isn't one of a client.
        (Some(ours.daemon(&["127.0.0.1"])), "is for clients (extendedKeyUsage clientAuth)"),
    ] {
        let folder = folder(&ours, client.as_ref());
        let error = asked(&daemon, "127.0.0.1", Some(folder.path())).await.unwrap();
        assert!(error.contains(expected) && error.contains(&daemon.daemon().host), "{expected}: {error}");
    }
}

#[tokio::test]
async fn a_folder_that_is_not_right_is_named_with_its_file() {
    let ours = Authority::new("ours");
    let daemon = played(Some(acceptor(&ours.daemon(&["127.0.0.1"]), None))).await;
    let (client, another) = (ours.client(), ours.client());
    let encrypted = "-----BEGIN ENCRYPTED PRIVATE KEY-----\nMIIB\n-----END ENCRYPTED PRIVATE KEY-----\n";
    for (files, expected) in [
        (vec![], "ca.pem: put the certificate of the authority"),
        (vec![("cert.pem", client.certificate.as_str()), ("key.pem", client.key.as_str())], "there is no "),
        (vec![("ca.pem", "nothing")], "ca.pem has no certificate in PEM"),
        (vec![("ca.pem", &ours.certificate), ("cert.pem", &client.certificate)], "cert.pem without key.pem"),
        (vec![("ca.pem", &ours.certificate), ("key.pem", &client.key)], "key.pem without cert.pem"),
        (
            vec![("ca.pem", &ours.certificate), ("cert.pem", &client.certificate), ("key.pem", &another.key)],
            "key.pem isn't the key of ",
        ),
        (
            vec![("ca.pem", &ours.certificate), ("cert.pem", &client.certificate), ("key.pem", encrypted)],
            "key.pem has no private key in PEM",
        ),
        (
            vec![("ca.pem", &ours.certificate), ("cert.pem", ""), ("key.pem", &client.key)],
            "cert.pem has no certificate in PEM",
        ),
    ] {
        let folder = tempfile::tempdir().unwrap();
        for (name, text) in files {
            std::fs::write(folder.path().join(name), text).unwrap();
        }
        let error = asked(&daemon, "127.0.0.1", Some(folder.path())).await.unwrap();
        assert!(error.contains(expected) && error.contains(&*folder.path().to_string_lossy()), "{expected}: {error}");
    }
    let error = asked(&daemon, "127.0.0.1", Some(Path::new("/no/such/folder"))).await.unwrap();
    assert!(error.contains("`cert_path` is /no/such/folder, and there is no such folder"), "{error}");
}

#[tokio::test]
async fn a_renewed_certificate_is_taken_without_a_restart() {
    let ours = Authority::new("ours");
    let daemon = played(Some(acceptor(&ours.daemon(&["127.0.0.1"]), Some(&ours)))).await;
    let folder = folder(&ours, Some(&ours.expired_client()));
    let backend =
        DockerBackend::connect(&Daemon { cert_path: Some(folder.path().to_owned()), ..daemon.daemon() }).unwrap();
    assert!(backend.info().await.unwrap_err().to_string().contains("has expired"));
    fill(folder.path(), &ours, Some(&ours.client()));
    backend.info().await.unwrap();
}
