//! Step 5: limits, in one transaction over everything that runs.

use wharf_model::quantity::{self, ALL_GPUS};
use wharf_model::{Cause, EventKind, Outcome, Phase, Quantity, WhenFull};

use super::{Judged, Step, Way};
use crate::conclude::outcome;
use crate::store::{Admission, RunState, Takes};

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
    let mut waits_for = None;
    loop {
        // Asked for before looking, so that room which comes in between isn't missed.
        let room = way.host.room().notified();
        tokio::pin!(room);
        room.as_mut().enable();
        match way.host.check(way.host.store().admit(&way.run, judged.limits(), Takes { cpus, memory, gpus }))? {
            Admission::Admitted => break,
            Admission::Full { limit, used } => {
                let mine = match limit.counter.as_str() {
                    "cpus" => cpus,
                    "memory" => memory,
                    "gpus" => gpus,
                    _ => 1,
                };
                let text = |amount| describe(&limit.counter, amount);
                let why = format!(
                    "{} of {} for {} in use, and this run needs {}",
                    text(used),
                    text(limit.maximum),
                    limit.scope,
                    text(mine)
                );
                if limit.when_full == WhenFull::Reject || mine > limit.maximum {
                    let mut end = outcome(Cause::Rejected, format!("rejected by a limit: {why}"));
                    if mine > limit.maximum {
                        end = Outcome { advice: Some("it would never fit: ask for less".to_owned()), ..end };
                    } else {
                        end = Outcome { retry_helps: true, ..end };
                    }
                    return Err(Box::new(end));
                }
                if waits_for.as_ref() != Some(&why) {
                    way.host.check(way.host.store().set_state(&way.run, RunState::Queued))?;
                    way.journal.note(EventKind::Queued { why: format!("waiting for room: {why}") });
                    waits_for = Some(why);
                }
            }
        }
        room.await;
    }
    phase.done();
    Ok(Admitted { judged })
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
