//! The base images and the code environments of a home: what there is.

use wharf_model::Fault;

use crate::builds::Target;
use crate::environment;
use crate::host::Inner;
use crate::message::{BaseSummary, CodeEnvPlace, CodeEnvSummary};

impl Inner {
    /// All base images of the home.
    pub(crate) async fn bases(&self) -> Result<Vec<BaseSummary>, Fault> {
        let configurations = self.home().load_configurations()?;
        let mut bases = Vec::new();
        for name in self.home().base_image_names()? {
            let used_by = configurations
                .iter()
                .filter(|(_, configuration)| configuration.as_ref().is_ok_and(|c| c.base_image == name))
                .map(|(configuration, _)| configuration.clone())
                .collect();
            let mut summary = BaseSummary {
                name: name.clone(),
                origin: None,
                made_by: None,
                key: None,
                there: None,
                used_by,
                fault: None,
            };
            if let Err(fault) = self.look_at(&name, &mut summary).await {
                summary.fault = Some(fault);
            }
            bases.push(summary);
        }
        Ok(bases)
    }

    async fn look_at(&self, name: &str, summary: &mut BaseSummary) -> Result<(), Fault> {
        let spec = self.home().load_base_image(name)?;
        summary.origin = Some(spec.origin.to_string());
        summary.made_by = Some(spec.made_by.clone());
        for target in self.targets_of_base(name)? {
            let (key, there) = self.state_of(&target).await?;
            summary.key = key.or(summary.key.take());
            // There means: on each of them.
            summary.there = match (summary.there, there) {
                (Some(before), Some(there)) => Some(before && there),
                (before, there) => there.or(before),
            };
        }
        Ok(())
    }

    /// All code environments of the home.
    pub(crate) async fn code_envs(&self) -> Result<Vec<CodeEnvSummary>, Fault> {
        let mut found = Vec::new();
        for name in self.home().code_env_names()? {
            let mut summary = CodeEnvSummary {
                name: name.clone(),
                language: None,
                configurations: None,
                refresh_after: None,
                places: Vec::new(),
                fault: None,
            };
            summary.fault = self.look_at_code_env(&name, &mut summary).await.err();
            found.push(summary);
        }
        Ok(found)
    }

    async fn look_at_code_env(&self, name: &str, summary: &mut CodeEnvSummary) -> Result<(), Fault> {
        let settings = self.home().load_code_env(name)?;
        summary.language = Some(settings.environment.language);
        summary.configurations = settings.available.names();
        summary.refresh_after = settings.refresh_after.map(|after| after.as_secs());
        for target in self.targets_of_code_env(name)? {
            let (key, there) = self.state_of(&target).await?;
            let locked = environment::locked(self.home(), name, &target.base, key.as_deref())?;
            let (packages, resolved_at) = locked.unzip();
            let engine = target.daemon.host;
            summary.places.push(CodeEnvPlace { base: target.base, engine, key, there, packages, resolved_at });
        }
        Ok(())
    }

    /// The content key of an image, and whether its engine has it; as far as that can be known without pulling.
    async fn state_of(&self, target: &Target) -> Result<(Option<String>, Option<bool>), Fault> {
        let plan = self.plan_of(&target.base, target.code_env.as_deref()).await?;
        let Ok(engine) = self.engines().docker(&target.daemon) else { return Ok((None, None)) };
        let keys = engine.images.keys(&plan).await.ok().flatten();
        let there = engine.images.ready(&plan).await.ok().map(|ready| ready.is_some());
        Ok((keys.map(|keys| keys.content().to_string()), there))
    }
}
