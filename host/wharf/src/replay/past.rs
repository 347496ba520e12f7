//! A run of the past, as its record has it.

use wharf_components::ComponentInfo;
use wharf_model::decision::Question;
use wharf_model::{Decision, ExecutionConfiguration, Judgement, Limit, Plan};

use crate::questions::RecordedQuestion;
use crate::store::{Store, StoreError};

/// The name of the field whose change begins a new round.
const CONFIGURATION: &str = "execution-configuration";

/// One round of a run: what its components were asked under one execution configuration, and what they answered.
pub(crate) struct Round {
    questions: Vec<RecordedQuestion>,
    pub(crate) decisions: Vec<Decision>,
}

/// A plan that mutating policies were asked about, and the question in which it stood.
#[derive(Clone, Copy)]
pub(crate) struct Asked<'a> {
    /// Nobody, for what the first of them would have been asked.
    pub(crate) component: &'a str,
    pub(crate) question: &'a Question,
    pub(crate) plan: &'a Plan,
}

/// The rounds of a run. None for one whose record doesn't have what components were asked.
pub(crate) fn rounds(store: &Store, run: &str) -> Result<Vec<Round>, StoreError> {
    let questions = store.questions(run)?;
    if questions.is_empty() {
        return Ok(Vec::new());
    }
    Ok(split(questions, store.decisions(run)?))
}

/// Each round begins with permission, and ends where a policy sends the run to another configuration.
fn split(questions: Vec<RecordedQuestion>, decisions: Vec<Decision>) -> Vec<Round> {
    let mut rounds: Vec<Round> = Vec::new();
    for question in questions {
        let goes_on = question.question.plan.is_some()
            || rounds.last().is_some_and(|round| round.questions.iter().all(|asked| asked.question.plan.is_none()));
        match rounds.last_mut().filter(|_| goes_on) {
            Some(round) => round.questions.push(question),
            None => rounds.push(Round { questions: vec![question], decisions: Vec::new() }),
        }
    }
    let mut at = 0;
    for decision in decisions {
        let moves = moved_to(&decision).is_some();
        if let Some(round) = rounds.get_mut(at) {
            round.decisions.push(decision);
        }
        at += usize::from(moves);
    }
    rounds
}

/// The execution configuration that a policy sent the run to.
pub(crate) fn moved_to(decision: &Decision) -> Option<&str> {
    let Judgement::Accept { changes, .. } = &decision.judgement else { return None };
    let moved = changes.iter().rev().find(|receipt| receipt.field == CONFIGURATION && decision.is_enforced())?;
    moved.after.as_deref()
}

/// Whether a run goes on after this.
pub(crate) fn passes(judgement: &Judgement) -> bool {
    matches!(judgement, Judgement::Accept { .. } | Judgement::Error { ignored: true, .. })
}

impl Round {
    /// What a component of this kind and name decided, where that counted.
    pub(crate) fn decision(&self, step: &str, name: &str) -> Option<&Decision> {
        let enforced = self.decisions.iter().filter(|decision| decision.is_enforced());
        enforced.into_iter().find(|decision| decision.step == step && decision.component == name)
    }

    /// What a permission component was asked.
    pub(crate) fn permission(&self) -> Option<(&ExecutionConfiguration, &Question)> {
        self.questions.iter().find_map(|asked| Some((asked.question.configuration.as_ref()?, &asked.question)))
    }

    /// The plans that mutating policies were asked about, in order: the first one before any policy.
    pub(crate) fn plans(&self) -> impl Iterator<Item = Asked<'_>> {
        let questions = self.questions.iter().filter(|asked| asked.question.object.is_none());
        questions.filter_map(|asked| {
            let plan = asked.question.plan.as_ref()?;
            Some(Asked { component: &asked.component, question: &asked.question, plan })
        })
    }

    /// The plan that validating policies were asked about, and the engine's object. None when the run didn't come so far.
    pub(crate) fn judged(&self) -> Option<(&Plan, &serde_json::Value, &Question)> {
        self.questions.iter().find_map(|asked| {
            let question = &asked.question;
            Some((question.plan.as_ref()?, question.object.as_ref()?, question))
        })
    }

    /// What admission was to count.
    pub(crate) fn limits(&self) -> Vec<Limit> {
        let enforced = self.decisions.iter().filter(|decision| decision.is_enforced());
        let limits = enforced.filter_map(|decision| match &decision.judgement {
            Judgement::Accept { limits, .. } => Some(limits),
            _ => None,
        });
        limits.flatten().cloned().collect()
    }

    /// The plan after the last edit, as far as the run came.
    pub(crate) fn last_plan(&self) -> Option<Plan> {
        if let Some((plan, _, _)) = self.judged() {
            return Some(plan.clone());
        }
        let last = self.plans().last()?;
        let mut plan = last.plan.clone();
        if let Some(Judgement::Accept { changes, .. }) =
            self.decision("policy", last.component).map(|decision| &decision.judgement)
        {
            changes.iter().for_each(|receipt| {
                plan.apply(&receipt.change.edit);
            });
        }
        Some(plan)
    }

    /// What a mutating policy would have been asked: where its namesake stood, else where its order puts it. `order` says of a
    /// component where it stands now; one that isn't there any more stood before.
    pub(crate) fn plan_for(
        &self,
        policy: &ComponentInfo,
        order: impl Fn(&str) -> Option<i32>,
    ) -> Option<(Plan, &Question)> {
        let own = self.plans().find(|asked| asked.component == policy.name);
        let behind = || {
            self.plans().filter(|asked| !asked.component.is_empty()).find(|asked| {
                let place = order(asked.component);
                place.is_some_and(|order| (order, asked.component) > (policy.order, policy.name.as_str()))
            })
        };
        match own.or_else(behind) {
            Some(asked) => Some((asked.plan.clone(), asked.question)),
            None => {
                let question = self.judged().map(|(_, _, question)| question);
                Some((self.last_plan()?, question.or_else(|| self.plans().last().map(|asked| asked.question))?))
            }
        }
    }

    /// What a policy that named this base image by its name alone led to then: the plan that was asked about after it.
    pub(crate) fn plan_after(&self, policy: &str, image: &str) -> Option<&Plan> {
        let after = self.plans().skip_while(|asked| asked.component != policy).skip(1).map(|asked| asked.plan);
        let mut after = after.chain(self.judged().map(|(plan, _, _)| plan));
        after.next().filter(|plan| plan.image.name == image)
    }
}
