//! What components may call.

use std::time::{SystemTime, UNIX_EPOCH};

use ring::rand::{SecureRandom, SystemRandom};
use wasmtime::component::{HasSelf, Linker, Resource};
use wasmtime::{Result as Called, StoreContextMut, bail};
use wasmtime_wasi::p2::bindings::sockets::network::{ErrorCode, IpAddressFamily};
use wasmtime_wasi::p2::bindings::sockets::tcp::TcpSocket;
use wasmtime_wasi::p2::bindings::sockets::udp::UdpSocket;

use crate::bindings::{clock, folder, http, log, random, settings, types};
use crate::call_error::cut;
use crate::folder::{FolderError, GrantedFolder};
use crate::observation::LogLine;
use crate::settings_file::Grants;
use crate::state::State;
use crate::world::Contract;

/// How many lines a call may write to the log.
const LOG_LINES: u32 = 1_000;
/// How long one may be.
const LOG_LINE: usize = 8 * 1024;
/// The version under which this runtime links standard WASI; a test holds it.
const WASI: &str = "0.2.12";
/// How many random bytes come at once.
const RANDOM_BYTES: u32 = 4_096;

/// Links what every component has and what this one was granted, and nothing else.
pub(crate) fn link(engine: &wasmtime::Engine, contract: Contract, grants: &Grants) -> Called<Linker<State>> {
    let mut linker = Linker::new(engine);
    wasmtime_wasi::p2::add_to_linker_async(&mut linker)?;
    shut(&mut linker)?;
    match contract {
        Contract::V0_1 => link_0_1(&mut linker, grants)?,
        #[cfg(test)]
        Contract::Next => crate::next::link(&mut linker)?,
    }
    if !grants.http.is_empty() {
        http::add_to_linker::<_, HasSelf<State>>(&mut linker, |state| state)?;
    }
    Ok(linker)
}

fn link_0_1(linker: &mut Linker<State>, grants: &Grants) -> Called<()> {
    types::add_to_linker::<_, HasSelf<State>>(linker, |state| state)?;
    log::add_to_linker::<_, HasSelf<State>>(linker, |state| state)?;
    settings::add_to_linker::<_, HasSelf<State>>(linker, |state| state)?;
    if grants.clock {
        clock::add_to_linker::<_, HasSelf<State>>(linker, |state| state)?;
    }
    if grants.random {
        random::add_to_linker::<_, HasSelf<State>>(linker, |state| state)?;
    }
    if grants.folder.is_some() {
        folder::add_to_linker::<_, HasSelf<State>>(linker, |state| state)?;
    }
    Ok(())
}

/// Puts functions that give nothing in the place of those of WASI by which a component would reach further: so what it tried
/// is seen where it begins.
fn shut(linker: &mut Linker<State>) -> Called<()> {
    linker.allow_shadowing(true);
    linker
        .instance(&format!("wasi:sockets/tcp-create-socket@{WASI}"))?
        .func_wrap("create-tcp-socket", |store, (_,): (IpAddressFamily,)| {
            Ok((no_socket::<TcpSocket>(store, "open a TCP socket"),))
        })?;
    linker
        .instance(&format!("wasi:sockets/udp-create-socket@{WASI}"))?
        .func_wrap("create-udp-socket", |store, (_,): (IpAddressFamily,)| {
            Ok((no_socket::<UdpSocket>(store, "open a UDP socket"),))
        })?;
    linker.allow_shadowing(false);
    Ok(())
}

fn no_socket<T: 'static>(mut store: StoreContextMut<'_, State>, what: &str) -> Result<Resource<T>, ErrorCode> {
    store.data_mut().note(|| (what.to_owned(), Some("components have no network".to_owned())));
    Err(ErrorCode::AccessDenied)
}

impl types::Host for State {}

impl log::Host for State {
    fn log(&mut self, level: log::Level, message: String) {
        self.log_lines = self.log_lines.saturating_add(1);
        let component = &*self.component;
        if self.log_lines > LOG_LINES {
            if self.log_lines == LOG_LINES + 1 {
                tracing::warn!(component, "it writes more than {LOG_LINES} lines in one call; the rest is left out");
            }
            return;
        }
        let message = shown(&message);
        if let Some(seen) = &mut self.seen {
            let level = match level {
                log::Level::Debug => "debug",
                log::Level::Info => "info",
                log::Level::Warn => "warn",
                log::Level::Error => "error",
            };
            // Who watches shows it in its own way.
            seen.log.push(LogLine { level, message });
            return;
        }
        let component = &*self.component;
        match level {
            log::Level::Debug => tracing::debug!(component, "{message}"),
            log::Level::Info => tracing::info!(component, "{message}"),
            log::Level::Warn => tracing::warn!(component, "{message}"),
            log::Level::Error => tracing::error!(component, "{message}"),
        }
    }
}

/// A component's line, cut, and without what could move a terminal's cursor.
fn shown(message: &str) -> String {
    let end = message.floor_char_boundary(LOG_LINE);
    message[..end].chars().map(|c| if c.is_control() && c != '\t' { ' ' } else { c }).collect()
}

impl settings::Host for State {
    fn get(&mut self) -> String {
        self.settings.to_string()
    }
}

impl clock::Host for State {
    fn now(&mut self) -> u64 {
        self.note(|| ("ask for the time".to_owned(), None));
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        u64::try_from(now.as_millis()).unwrap_or(u64::MAX)
    }
}

impl random::Host for State {
    fn bytes(&mut self, count: u32) -> Called<Vec<u8>> {
        self.note(|| (format!("ask for {count} random bytes"), None));
        if count > RANDOM_BYTES {
            bail!("it asked for {count} random bytes at once, of at most {RANDOM_BYTES}");
        }
        let mut bytes = vec![0; count as usize];
        if SystemRandom::new().fill(&mut bytes).is_err() {
            bail!("the system has no random numbers");
        }
        Ok(bytes)
    }
}

impl folder::Host for State {
    async fn read(&mut self, path: String) -> Result<Vec<u8>, folder::ReadError> {
        let shown = cut(&path);
        let answer = read(self.folder.clone(), move |folder| folder.read(&path)).await;
        self.note(|| (format!("read \"{shown}\" of its folder"), refusal(&answer)));
        answer
    }

    async fn entries(&mut self, path: String) -> Result<Vec<String>, folder::ReadError> {
        let shown = cut(&path);
        let answer = read(self.folder.clone(), move |folder| folder.entries(&path)).await;
        self.note(|| (format!("list \"{shown}\" of its folder"), refusal(&answer)));
        answer
    }
}

fn refusal<T>(answer: &Result<T, folder::ReadError>) -> Option<String> {
    Some(match answer.as_ref().err()? {
        folder::ReadError::NotFound => "it isn't there".to_owned(),
        folder::ReadError::Outside => "it is outside of the folder".to_owned(),
        folder::ReadError::TooLarge => "it is too large".to_owned(),
        folder::ReadError::Other(message) => message.clone(),
    })
}

/// Reads away from the workers; a call whose time is over doesn't wait for a disk that doesn't answer.
async fn read<T: Send + 'static>(
    folder: Option<GrantedFolder>,
    what: impl FnOnce(&GrantedFolder) -> Result<T, FolderError> + Send + 'static,
) -> Result<T, folder::ReadError> {
    let Some(folder) = folder else { return Err(folder::ReadError::Other("no folder was granted".to_owned())) };
    let read = tokio::task::spawn_blocking(move || what(&folder)).await;
    read.unwrap_or_else(|error| Err(FolderError::Other(error.to_string()))).map_err(|error| match error {
        FolderError::NotFound => folder::ReadError::NotFound,
        FolderError::Outside => folder::ReadError::Outside,
        FolderError::TooLarge => folder::ReadError::TooLarge,
        FolderError::Other(message) => folder::ReadError::Other(message),
    })
}
