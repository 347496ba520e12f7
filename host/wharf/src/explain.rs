//! The way of a run, stopped before anything is created; or, for one that happened, as it was recorded.

use std::sync::{Arc, PoisonError};

use wharf_images::{Labels, render, render_environment};
use wharf_model::{Activity, Fault};

use crate::difference::differences;
use crate::host::{Inner, no_such_run, store_fault};
use crate::journal::Journal;
use crate::message::{Explanation, RecordedRun};
use crate::replay::{Round, rounds};
use crate::way::{Asked, Judged, Way, judge};

impl Inner {
    /// What would happen to an activity.
    pub(crate) async fn explain(self: &Arc<Self>, mut activity: Activity) -> Result<Explanation, Fault> {
        let site = self.home().load_site()?;
        let (name, chosen_by) = self.choose(&site, &activity)?;
        let configuration = self.home().load_configuration(&name)?;
        self.check_activity(&activity).await?;
        activity.configuration = Some(name.clone());
        let (journal, decisions) = Journal::collected();
        let set = self.set().await;
        let run = uuid::Uuid::new_v4().simple().to_string();
        let way = Way { host: Arc::clone(self), run, activity, site, set, journal };
        let judged = judge(&way, Asked { configuration }).await;
        let mut explanation = Explanation {
            run: None,
            configuration: name,
            chosen_by: chosen_by.to_owned(),
            decisions: std::mem::take(&mut *decisions.lock().unwrap_or_else(PoisonError::into_inner)),
            plan: None,
            limits: Vec::new(),
            base_key: None,
            image_key: None,
            image_there: None,
            containerfile: None,
            code_env_key: None,
            code_env_containerfile: None,
            folders_key: None,
            object: None,
            differences: Vec::new(),
            outcome: None,
        };
        match judged {
            Ok(judged) => self.describe(&judged, &mut explanation).await,
            Err(end) => explanation.outcome = Some(*end),
        }
        Ok(explanation)
    }

    async fn describe(&self, judged: &Judged, explanation: &mut Explanation) {
        let plan = judged.plan();
        let image = judged.image();
        if let Ok(engine) = self.engines().docker(plan.configuration.engine.builder())
            && let Ok(Some(keys)) = engine.images.keys(image).await
        {
            let labels = Labels {
                key: &keys.base,
                name: &image.spec.name,
                made_by: &image.made_by,
                parent: keys.parent.as_str(),
            };
            let from = image.spec.origin.to_string();
            explanation.containerfile = render(&from, &image.spec, &image.recipe, labels).ok().map(|made| made.text);
            explanation.base_key = Some(keys.base.to_string());
            if let (Some(environment), Some(key)) = (&image.environment, &keys.environment) {
                let labels = Labels { key, name: &environment.spec.name, ..labels };
                let from = image.base_tag(&keys);
                let made = render_environment(&from, &image.spec, &environment.spec, &environment.recipe, "", labels);
                explanation.code_env_containerfile = made.ok().map(|made| made.text);
                explanation.code_env_key = Some(key.to_string());
            }
            explanation.folders_key = keys.folders.as_ref().map(ToString::to_string);
            explanation.image_key = Some(keys.run.to_string());
            explanation.image_there = engine.images.ready(image).await.ok().map(|ready| ready.is_some());
        }
        explanation.configuration.clone_from(&plan.configuration.name);
        explanation.limits = judged.limits().to_vec();
        explanation.object = Some(judged.object().clone());
        explanation.differences = differences(plan, &explanation.decisions);
        explanation.plan = Some(plan.clone());
    }

    /// What components were asked about a run, and what they answered.
    pub(crate) fn recorded(&self, run: &str) -> Result<RecordedRun, Fault> {
        let details =
            self.store().details(run).map_err(|error| store_fault(&error))?.ok_or_else(|| no_such_run(run))?;
        Ok(RecordedRun {
            run: run.to_owned(),
            activity: details.activity,
            plan: details.plan,
            questions: self.store().questions(run).map_err(|error| store_fault(&error))?,
            decisions: self.store().decisions(run).map_err(|error| store_fault(&error))?,
        })
    }

    /// What happened to a run.
    pub(crate) async fn explain_run(&self, run: &str) -> Result<Explanation, Fault> {
        let details =
            self.store().details(run).map_err(|error| store_fault(&error))?.ok_or_else(|| no_such_run(run))?;
        let decisions = self.store().decisions(run).map_err(|error| store_fault(&error))?;
        let rounds = rounds(self.store(), run).map_err(|error| store_fault(&error))?;
        let limits = rounds.last().map(Round::limits).unwrap_or_default();
        // Of a run that a policy rejected, the plan as far as it came.
        let plan = details.plan.or_else(|| rounds.last().and_then(Round::last_plan));
        let object = details.launch.as_ref().and_then(|launch| {
            let backend = self.engines().backend(&launch.engine).ok()?;
            Some(backend.object(&launch.spec))
        });
        let differences = plan.as_ref().map(|plan| differences(plan, &decisions)).unwrap_or_default();
        Ok(Explanation {
            run: Some(run.to_owned()),
            configuration: details.summary.configuration,
            chosen_by: "record".to_owned(),
            decisions,
            limits,
            base_key: plan.as_ref().and_then(|plan| plan.image_key.as_ref().map(ToString::to_string)),
            image_key: None,
            image_there: None,
            containerfile: None,
            code_env_key: None,
            code_env_containerfile: None,
            folders_key: None,
            object,
            differences,
            plan,
            outcome: details.summary.outcome,
        })
    }
}
