//! Step 7: the container is created and started.

use std::collections::BTreeMap;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use wharf_exchange::{LogFile, Session, SessionSpec, Ticket, Token};
use wharf_model::launch::{Backend, BackendError};
use wharf_model::protocol::{Context, ContextBinding, RunnerResult, Task, TaskFile, variables};
use wharf_model::{Activity, Binding, Cause, EventKind, Phase, Plan, SecretValue};

use super::asking::Asking;
use super::carrier::Carrier;
use super::image::{Resolved, again};
use super::planning::{WayBack, launch_spec, not_held};
use super::{Step, Way, stopped_before};
use crate::conclude::{engine_outcome, outcome, sentence_of};
use crate::heard::Heard;
use crate::live::Live;
use crate::secrets;
use crate::store::{LaunchRecord, OpenRun, RunState};

/// Seconds between two heartbeats.
const HEARTBEAT_SECONDS: u32 = 2;

/// The variable that tells a recipe the name of its code environment.
const CODE_ENV: &str = "WHARF_CODE_ENV";

/// An attempt whose container is there. Only [`launch`] and [`find_again`] make one.
pub(crate) struct Launched {
    pub(crate) backend: Arc<dyn Backend>,
    pub(crate) container: String,
    /// By which the engine knows its image.
    pub(crate) image: String,
    pub(crate) session: Session,
    /// For runners that don't dial.
    pub(crate) carrier: Option<Carrier>,
    pub(crate) heard: Arc<Heard>,
    pub(crate) token: Token,
    pub(crate) plan: Plan,
}

/// Records what is about to be created, synced; then creates and starts it.
pub(crate) async fn launch(way: &Way, mut resolved: Resolved, live: &Live) -> Step<Launched> {
    let phase = way.journal.phase(Phase::Launch);
    let attempt = 1;
    let ticket = new_ticket()?;
    let plan = resolved.judged().plan().clone();
    let address = way
        .host
        .way_back(&way.site, &plan, attempt, resolved.backend().as_ref())
        .await
        .map_err(|error| Box::new(engine_outcome(&error)))?;
    let values =
        secrets::resolve(way.host.secrets(), &plan).await.map_err(|error| Box::new(secrets::secret_outcome(&error)))?;
    let task = task(&plan, &way.activity, values, attempt, way.grace_seconds());
    let (session, heard) = open_session(way, &plan, Ok(task), attempt, ticket.sha256(), Before::default())?;
    if let Some(text) = not_held(&plan) {
        way.journal.note(EventKind::Progress { phase: Phase::Launch, text });
    }
    let caller = Asking::new(way, Phase::Launch, live);
    let mut retried = false;
    loop {
        let ticket_hex = ticket.to_hex();
        let way_back = WayBack { address: &address, fingerprint: way.host.fingerprint(), ticket: &ticket_hex };
        let spec = launch_spec(way.host.id(), attempt, &plan, resolved.image(), way_back, way.grace_seconds())?;
        let mut record = LaunchRecord {
            spec: wharf_model::LaunchSpec { secret_env: [].into(), ..spec.clone() },
            engine: plan.configuration.engine.address(),
            ticket_sha256: hex::encode(ticket.sha256()),
            container: None,
        };
        // From here on a container may exist, so a restarted host must know of it.
        way.host.check(way.host.store().launching(&way.run, &record))?;
        match resolved.backend().launch(&spec, &caller).await {
            Ok(launched) => {
                record.container = Some(launched.id.clone());
                way.host.check(way.host.store().running(&way.run, &record))?;
                let carrier = Carrier::start(way, &plan, resolved.backend(), &launched.id);
                phase.done();
                return Ok(Launched {
                    carrier,
                    backend: Arc::clone(resolved.backend()),
                    container: launched.id,
                    image: record.spec.image,
                    session,
                    heard,
                    token: Token::new(&way.run, attempt),
                    plan,
                });
            }
            // Somebody removed it between our look and the launch.
            Err(BackendError::NoSuchImage { .. }) if !retried => {
                retried = true;
                resolved = again(way, resolved).await?;
            }
            Err(error) => {
                session.close().await;
                return Err(match (&error, live.stopped_by()) {
                    (BackendError::GivenUp { .. }, Some(by)) => stopped_before(&by),
                    _ => Box::new(engine_outcome(&error)),
                });
            }
        }
    }
}

/// Takes over the container of a run that another process had launched. `None` when there is none.
pub(crate) async fn find_again(way: &Way, run: &OpenRun, record: &LaunchRecord) -> Step<Option<Launched>> {
    let Some(plan) = run.plan.clone() else { return Ok(None) };
    let backend = way.host.engines().backend(&record.engine).map_err(|error| Box::new(engine_outcome(&error)))?;
    let found = backend.find_attempt(&record.spec).await.map_err(|error| Box::new(engine_outcome(&error)))?;
    let Some(found) = found else { return Ok(None) };
    let mut record = LaunchRecord { container: Some(found.id.clone()), ..record.clone() };
    if run.summary.state == RunState::Launching {
        complete(way, backend.as_ref(), &found.id, &mut record).await?;
    }
    let mut ticket = [0; 32];
    if hex::decode_to_slice(&record.ticket_sha256, &mut ticket).is_err() {
        return Err(Box::new(outcome(Cause::HostFault, "the record of the run has no ticket")));
    }
    // From their store once more: the record has none. A recipe that has begun has its values, and is left alone whatever
    // comes of it; only a runner that hasn't asked for its task yet can't begin.
    let values = secrets::resolve(way.host.secrets(), &plan).await.map_err(|error| {
        let sentence = sentence_of(&error);
        tracing::warn!(run = way.run, error = sentence, "a secret of a run that goes on can't be had again");
        sentence
    });
    let task = values.map(|values| task(&plan, &way.activity, values, record.spec.attempt, way.grace_seconds()));
    let before = Before { up: run.started_at, result: run.result.clone() };
    let (session, heard) = open_session(way, &plan, task, record.spec.attempt, ticket, before)?;
    way.host.check(way.host.store().running(&way.run, &record))?;
    Ok(Some(Launched {
        carrier: Carrier::start(way, &plan, &backend, &found.id),
        backend,
        container: found.id,
        image: record.spec.image.clone(),
        session,
        heard,
        token: Token::new(&way.run, record.spec.attempt),
        plan,
    }))
}

/// Gives an object its ticket whose host was killed before it could. Of the old ticket the record has only the hash, so it is
/// another one, recorded before it is used.
async fn complete(way: &Way, backend: &dyn Backend, container: &str, record: &mut LaunchRecord) -> Step<()> {
    let failed = |error: BackendError| Box::new(engine_outcome(&error));
    if !backend.lacks_its_ticket(container).await.map_err(failed)? {
        return Ok(());
    }
    let ticket = new_ticket()?;
    record.ticket_sha256 = hex::encode(ticket.sha256());
    way.host.check(way.host.store().launching(&way.run, record))?;
    let secret_env = [(variables::TICKET.to_owned(), ticket.to_hex())].into();
    let spec = wharf_model::LaunchSpec { secret_env, ..record.spec.clone() };
    // Whoever asks for a stop is heard as soon as the run is watched.
    backend.give_ticket(container, &spec, &()).await.map_err(failed)?;
    tracing::info!(run = way.run, container, "a host was killed while it launched this run: it has a ticket now");
    Ok(())
}

fn new_ticket() -> Step<Ticket> {
    Ticket::generate()
        .map_err(|error| Box::new(outcome(Cause::HostFault, format!("no ticket could be made for the run: {error}"))))
}

/// What an earlier process heard of a run.
#[derive(Default)]
struct Before {
    /// When the runner came up.
    up: Option<u64>,
    result: Option<RunnerResult>,
}

fn open_session(
    way: &Way,
    plan: &Plan,
    task: Result<Task, String>,
    attempt: u32,
    ticket_sha256: [u8; 32],
    before: Before,
) -> Step<(Session, Arc<Heard>)> {
    let log = LogFile::open(way.host.log_path(&way.run)).map_err(|error| {
        Box::new(outcome(Cause::HostFault, format!("the run's log can't be kept: {}", sentence_of(&error))))
    })?;
    let log = log.limited_to(plan.configuration.logs.limit);
    let heard = Arc::new(Heard::new(way.journal.clone(), log.path(), before.up, before.result));
    let session = way.host.exchange().open(SessionSpec {
        run: way.run.clone(),
        attempt,
        ticket_sha256,
        task,
        inputs: plan.inputs.clone(),
        outputs: plan.outputs.clone(),
        output_limit: plan.configuration.exchange.output_limit,
        store: Arc::clone(way.host.datasets()),
        log,
        sink: Arc::clone(&heard) as Arc<dyn wharf_exchange::SessionSink>,
    });
    Ok((session, heard))
}

fn task(
    plan: &Plan,
    activity: &Activity,
    secrets: BTreeMap<String, SecretValue>,
    attempt: u32,
    grace_seconds: u32,
) -> Task {
    let bindings = |bindings: &[Binding]| {
        bindings
            .iter()
            .map(|binding| ContextBinding {
                name: binding.name.clone(),
                role: binding.role.clone(),
                kind: binding.kind,
            })
            .collect()
    };
    let mut env = plan.env.clone();
    if let Some(code_env) = &plan.code_env {
        env.insert(CODE_ENV.to_owned(), code_env.name.clone());
    }
    Task {
        run: plan.run.clone(),
        attempt,
        argv: plan.job.argv.clone(),
        env,
        secrets,
        files: plan
            .job
            .files
            .iter()
            .map(|file| TaskFile {
                path: file.path.clone(),
                base64: STANDARD.encode(&file.contents),
                executable: file.executable,
            })
            .collect(),
        context: Context {
            run: plan.run.clone(),
            project: plan.project.clone().unwrap_or_default(),
            configuration: plan.configuration.name.clone(),
            variables: activity.variables.clone(),
            parameters: plan.parameters.clone(),
            inputs: bindings(&plan.inputs),
            outputs: bindings(&plan.outputs),
        },
        heartbeat_seconds: HEARTBEAT_SECONDS,
        grace_seconds,
        logs: plan.configuration.logs.clone(),
    }
}
