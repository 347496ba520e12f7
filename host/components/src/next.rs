//! A made-up version 0.2 of the contracts, to try how a second version comes beside the first: policies have one field more
//! in what they accept. Its `wit` files and its guest are in `tests/next`.
//!
//! What didn't change (`types`) is mapped to the bindings of 0.1; what did has bindings of its own, and is translated here.

use std::path::Path;
use std::{fs, path::PathBuf};

use wasmtime::component::{HasSelf, Linker};

use crate::bindings::{
    log as log_0_1, metadata as metadata_0_1, policy_evaluation as policy_0_1, settings as settings_0_1,
};
use crate::call::{Session, within};
use crate::state::State;
use crate::{ComponentSet, Engine, EngineOptions, PolicyAnswer};

/// The version.
pub(crate) const VERSION: &str = "0.2.0";

mod bindings {
    wasmtime::component::bindgen!({
        path: "tests/next/wit",
        world: "wharf:plugin/policy",
        with: { "wharf:plugin/types": crate::bindings::wharf::plugin::types },
        exports: { default: async },
    });
}

use bindings::exports::wharf::plugin::{metadata, policy_evaluation as policy};
pub(crate) use metadata::GuestIndices as MetadataIndices;
pub(crate) use policy::GuestIndices as PolicyIndices;

/// Links what this version offers.
pub(crate) fn link(linker: &mut Linker<State>) -> wasmtime::Result<()> {
    use bindings::wharf::plugin::{log, settings};
    linker.instance("wharf:plugin/types@0.2.0")?;
    log::add_to_linker::<_, HasSelf<State>>(linker, |state| state)?;
    settings::add_to_linker::<_, HasSelf<State>>(linker, |state| state)
}

impl bindings::wharf::plugin::log::Host for State {
    fn log(&mut self, level: bindings::wharf::plugin::log::Level, message: String) {
        use bindings::wharf::plugin::log::Level;
        let level = match level {
            Level::Debug => log_0_1::Level::Debug,
            Level::Info => log_0_1::Level::Info,
            Level::Warn => log_0_1::Level::Warn,
            Level::Error => log_0_1::Level::Error,
        };
        log_0_1::Host::log(self, level, message);
    }
}

impl bindings::wharf::plugin::settings::Host for State {
    fn get(&mut self) -> String {
        settings_0_1::Host::get(self)
    }
}

pub(crate) async fn describe(indices: &MetadataIndices, session: &mut Session) -> wasmtime::Result<metadata_0_1::Info> {
    let deadline = session.deadline();
    let guest = indices.load(&mut session.store, &session.instance)?;
    let metadata::Info { name, version, description, settings_schema } =
        within(deadline, guest.call_describe(&mut session.store)).await?;
    Ok(metadata_0_1::Info { name, version, description, settings_schema })
}

pub(crate) async fn validate_settings(
    indices: &MetadataIndices,
    session: &mut Session,
    settings: &str,
) -> wasmtime::Result<Result<(), String>> {
    let deadline = session.deadline();
    let guest = indices.load(&mut session.store, &session.instance)?;
    within(deadline, guest.call_validate_settings(&mut session.store, settings)).await
}

pub(crate) async fn role(indices: &PolicyIndices, session: &mut Session) -> wasmtime::Result<policy_0_1::PolicyRole> {
    let deadline = session.deadline();
    let guest = indices.load(&mut session.store, &session.instance)?;
    Ok(match within(deadline, guest.call_role(&mut session.store)).await? {
        policy::PolicyRole::Mutating => policy_0_1::PolicyRole::Mutating,
        policy::PolicyRole::Validating => policy_0_1::PolicyRole::Validating,
    })
}

pub(crate) async fn evaluate(
    indices: &PolicyIndices,
    session: &mut Session,
    plan: &crate::bindings::types::Plan,
    usage: &crate::bindings::types::Usage,
) -> wasmtime::Result<policy_0_1::Decision> {
    let deadline = session.deadline();
    let guest = indices.load(&mut session.store, &session.instance)?;
    Ok(match within(deadline, guest.call_evaluate(&mut session.store, plan, usage)).await? {
        policy::Decision::Accept(policy::Acceptance { changes, limits, mut warnings, advice }) => {
            // The new field has no place in 0.1; its reader is the reader of warnings.
            warnings.extend(advice);
            let changes = changes.into_iter().map(change).collect();
            policy_0_1::Decision::Accept(policy_0_1::Acceptance { changes, limits, warnings })
        }
        policy::Decision::Reject(reasons) => policy_0_1::Decision::Reject(reasons),
    })
}

fn change(policy::Change { edit, rule, reason }: policy::Change) -> policy_0_1::Change {
    let edit = match edit {
        policy::Edit::SetLabel(pair) => policy_0_1::Edit::SetLabel(pair),
        policy::Edit::RemoveLabel(key) => policy_0_1::Edit::RemoveLabel(key),
    };
    policy_0_1::Change { edit, rule, reason }
}

fn guest() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/next/guest.wasm")
}

fn load(bytes: &[u8]) -> (tempfile::TempDir, ComponentSet) {
    let home = tempfile::tempdir().unwrap();
    let folder = home.path().join("policies");
    fs::create_dir(&folder).unwrap();
    fs::write(folder.join("next.wasm"), bytes).unwrap();
    fs::write(folder.join("next.toml"), "[settings]\nteam = \"a\"\n").unwrap();
    let engine = Engine::new(EngineOptions::default()).unwrap();
    (home, ComponentSet::load(&engine, &[folder]))
}

fn plan() -> wharf_model::Plan {
    serde_json::from_str(include_str!("../tests/next/plan.json")).unwrap()
}

#[tokio::test]
async fn a_second_version_works_beside_the_first() {
    let (_home, set) = load(&fs::read(guest()).unwrap());
    assert_eq!(set.failures(), []);
    let info = &set.components()[0];
    assert!(info.imports.iter().any(|name| name == "wharf:plugin/settings@0.2.0"), "{:?}", info.imports);
    let call = set.policy("next").unwrap().evaluate(&plan(), None, &[]).await;
    let PolicyAnswer::Accept { changes, warnings, .. } = call.answer.unwrap() else { panic!("it accepts") };
    assert_eq!(changes[0].edit, wharf_model::Edit::SetLabel("settings".to_owned(), "{\"team\":\"a\"}".to_owned()));
    assert_eq!(warnings, ["ana, ask for less memory"]);
}

#[test]
fn an_unknown_version_is_told_which_are_known() {
    let mut bytes = fs::read(guest()).unwrap();
    for at in 0..bytes.len() - 6 {
        if &bytes[at..at + 6] == b"@0.2.0" {
            bytes[at + 3] = b'9';
        }
    }
    let (_home, set) = load(&bytes);
    let fault = &set.failures()[0].fault;
    assert_eq!(fault.code, "component-unknown-world");
    assert_eq!(fault.message, "it is made for wharf:plugin 0.9.0; this host speaks 0.1.0, 0.2.0");
}
