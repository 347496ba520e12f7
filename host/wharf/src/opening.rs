//! What a host takes when it opens a home: the lock, the exchange's key and port, the components.

use std::collections::HashSet;
use std::fs::{File, TryLockError};
use std::io::{Read, Write};
use std::net::SocketAddr;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::Path;

use wharf_components::{ComponentSet, EngineOptions, Gate};
use wharf_exchange::{Exchange, TlsIdentity};
use wharf_model::Fault;

use crate::conclude::sentence_of;
use crate::settings::{Home, Site};

pub(crate) fn private_dir(dir: &Path) -> std::io::Result<()> {
    std::fs::create_dir_all(dir)?;
    std::fs::set_permissions(dir, std::fs::Permissions::from_mode(0o700))
}

/// A text that is made once and then kept.
pub(crate) fn kept(file: &Path, make: impl FnOnce() -> String) -> std::io::Result<String> {
    match std::fs::read_to_string(file) {
        Ok(text) if !text.trim().is_empty() => Ok(text.trim().to_owned()),
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error),
        _ => {
            let text = make();
            // Renamed into place, so that a crash leaves either nothing or all of it.
            let fresh = file.with_extension("new");
            let mut out = File::options().write(true).create(true).truncate(true).mode(0o600).open(&fresh)?;
            out.write_all(text.as_bytes())?;
            out.sync_all()?;
            std::fs::rename(&fresh, file)?;
            Ok(text)
        }
    }
}

pub(crate) fn take_lock(home: &Home) -> Result<File, Fault> {
    let path = home.lock_file();
    let cannot = |error: std::io::Error| Fault::new("home-locked", format!("can't lock {}: {error}", path.display()));
    let mut file =
        File::options().read(true).write(true).create(true).truncate(false).mode(0o600).open(&path).map_err(cannot)?;
    match file.try_lock() {
        Ok(()) => {
            file.set_len(0).and_then(|()| write!(file, "{}", std::process::id())).map_err(cannot)?;
            Ok(file)
        }
        Err(TryLockError::WouldBlock) => {
            let mut owner = String::new();
            let _ = file.read_to_string(&mut owner);
            Err(Fault::new("home-busy", format!("process {} owns the home {}", owner.trim(), home.root().display()))
                .hint("speak to it through its socket, or wait until its last run has ended"))
        }
        Err(TryLockError::Error(error)) => Err(cannot(error)),
    }
}

/// Opens the exchange under the key and, where it is still free, the port that runners know. Those of runs that go on may dial before the
/// host has looked for their containers: it knows them by the hashes of their tickets.
pub(crate) async fn open_exchange(home: &Home, site: &Site, expected: HashSet<[u8; 32]>) -> Result<Exchange, Fault> {
    let dir = home.exchange_dir();
    let cannot = |error: &dyn std::error::Error| {
        Fault::new("exchange-unavailable", format!("containers could not reach this host: {}", sentence_of(error)))
            .hint("look at `[exchange] listen` in wharf.toml")
    };
    let identity = {
        let made = TlsIdentity::generate().map_err(|error| cannot(&error))?;
        // The key first: a certificate without its key would be kept for ever.
        let both = kept(&dir.join("identity.pem"), || format!("{}\n{}", made.key_pem, made.cert_pem))
            .map_err(|error| cannot(&error))?;
        let (key_pem, cert_pem) = both.split_at(both.find("-----BEGIN CERTIFICATE").unwrap_or(both.len()));
        TlsIdentity { cert_pem: cert_pem.to_owned(), key_pem: key_pem.to_owned() }
    };
    let mut listen = site.exchange.listen;
    let port_file = dir.join("port");
    if listen.port() == 0 {
        let known = std::fs::read_to_string(&port_file).ok().and_then(|text| text.trim().parse().ok());
        if let Some(port) = known {
            match Exchange::bind_expecting(SocketAddr::new(listen.ip(), port), &identity, expected.clone()).await {
                Ok(exchange) => return Ok(exchange),
                Err(error) => tracing::warn!(
                    port,
                    error = %sentence_of(&error),
                    "the exchange's port is taken by another process: runners of earlier runs can't find this host"
                ),
            }
        }
        listen.set_port(0);
    }
    let exchange = Exchange::bind_expecting(listen, &identity, expected).await.map_err(|error| cannot(&error))?;
    std::fs::write(&port_file, exchange.local_addr().port().to_string()).map_err(|error| cannot(&error))?;
    Ok(exchange)
}

pub(crate) async fn load_components(home: &Home, signals_based_traps: bool, gate: Gate) -> Result<ComponentSet, Fault> {
    let options = EngineOptions {
        cache_dir: Some(home.cache_dir().join("components")),
        signals_based_traps,
        ..EngineOptions::default()
    };
    let folders = [home.policies_dir(), home.plugins_dir()];
    let cache = home.cache_dir();
    private_dir(&cache)
        .map_err(|error| Fault::new("home-locked", format!("can't make {}: {error}", cache.display())))?;
    let load = move || {
        let engine = wharf_components::Engine::new(options)?.with_gate(gate);
        Ok::<_, wharf_components::ComponentsError>(ComponentSet::load(&engine, &folders))
    };
    match tokio::task::spawn_blocking(load).await {
        Ok(Ok(set)) => Ok(set),
        Ok(Err(error)) => Err(Fault::new("components-unavailable", sentence_of(&error))),
        Err(_) => Err(Fault::new("components-unavailable", "loading the components failed")),
    }
}
