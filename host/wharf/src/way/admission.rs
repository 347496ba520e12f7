//! Step 5: limits, in one transaction over everything that runs.

use wharf_model::quantity::{self, ALL_GPUS};
use wharf_model::{Cause, EventKind, Limit, Outcome, Phase, Quantity};

use super::{Judged, Step, Way};
use crate::conclude::outcome;
use crate::queue::{Told, Wish};
use crate::store::{RunState, Takes};

/// A run that there is room for. Only [`admit`] makes one. What it takes is freed with its outcome.
pub(crate) struct Admitted {
    judged: Judged,
}

impl Admitted {
    pub(crate) fn judged(&self) -> &Judged {
        &self.judged
    }
}

/// Takes room for the run under all limits that components returned, and waits for it where they say so.
pub(crate) async fn admit(way: &Way, judged: Judged) -> Step<Admitted> {
    let phase = way.journal.phase(Phase::Admission);
    way.host.check(way.host.store().set_plan(&way.run, judged.plan()))?;
    let amount = |key: &str| match judged.plan().resources.get(key) {
        Some(Quantity::Cpus(amount) | Quantity::Bytes(amount)) => *amount,
        _ => 0,
    };
    let (cpus, memory) = (amount("cpus"), amount("memory"));
    let asked = judged.plan().resources.iter().filter_map(|(key, value)| quantity::gpus(key, value));
    let gpus = asked.fold(0, u64::saturating_add).min(ALL_GPUS);
    let takes = Takes { cpus, memory, gpus };
    let wish = Wish {
        run: way.run.clone(),
        user: way.activity.requester.user.clone(),
        priority: way.activity.priority,
        limits: judged.limits().to_vec(),
        takes,
    };
    let mut place = way.host.queue().enter(wish);
    let mut waits = false;
    loop {
        let told = place.told.borrow_and_update().clone();
        match told {
            Told::Admitted => break,
            Told::Nothing => {}
            Told::Failed(why) => return Err(Box::new(outcome(Cause::HostFault, why))),
            Told::Refused(limit, used) => return Err(Box::new(refused(&limit, used, takes))),
            Told::Waits(limit, used, position) => {
                if !waits {
                    way.host.check(way.host.store().set_state(&way.run, RunState::Queued))?;
                    waits = true;
                }
                let why = format!("waiting for room: {}", in_use(&limit, used, takes));
                way.journal.note(EventKind::Queued { why, position: u64::try_from(position).ok() });
            }
        }
        if place.told.changed().await.is_err() {
            return Err(Box::new(outcome(Cause::HostFault, "the queue of runs failed")));
        }
    }
    phase.done();
    Ok(Admitted { judged })
}

/// What a run that isn't to wait ends with.
fn refused(limit: &Limit, used: u64, takes: Takes) -> Outcome {
    let end = outcome(Cause::Rejected, format!("rejected by a limit: {}", in_use(limit, used, takes)));
    if takes.of(&limit.counter) > limit.maximum {
        Outcome { advice: Some("it would never fit: ask for less".to_owned()), ..end }
    } else {
        Outcome { retry_helps: true, ..end }
    }
}

fn in_use(limit: &Limit, used: u64, takes: Takes) -> String {
    let text = |amount| describe(&limit.counter, amount);
    format!(
        "{} of {} for {} in use, and this run needs {}",
        text(used),
        text(limit.maximum),
        limit.scope,
        text(takes.of(&limit.counter))
    )
}

fn describe(counter: &str, amount: u64) -> String {
    match counter {
        "cpus" => format!("{} CPUs", Quantity::Cpus(amount)),
        "memory" => quantity::describe_bytes(amount),
        "gpus" if amount >= ALL_GPUS => "all GPUs".to_owned(),
        "gpus" => format!("{amount} GPU{}", if amount == 1 { "" } else { "s" }),
        _ => format!("{amount} run{}", if amount == 1 { "" } else { "s" }),
    }
}
