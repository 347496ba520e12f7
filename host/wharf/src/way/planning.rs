//! Steps 2 and 3: from an activity to a job, and from a job and a configuration to a plan.

use wharf_components::{CallError, ComponentSet, World};
use wharf_images::{EnvironmentPlan, FoldersPlan, ImagePlan};
use wharf_kubernetes::names;
use wharf_model::configuration::{Daemon, Engine};
use wharf_model::job::Job;
use wharf_model::kubernetes::KubernetesPlace;
use wharf_model::launch::LaunchSpec;
use wharf_model::outcome::Whose;
use wharf_model::{Cause, EventKind, ExecutionConfiguration, Fault, ImageSpec, Limit, Outcome, Phase, Plan, Resources};

use super::permission::{Permitted, allows_secrets, missing};
use super::{Step, Way};
use crate::conclude::outcome;
use crate::engines::Engines;
use crate::environment::{self, Environment};
use crate::host::why_not_loaded;
use crate::journal::Journal;
use crate::plugins;
use crate::settings::{Availability, Home};

/// Docker's key for how many processes and threads a container may have.
const PIDS_LIMIT: &str = "pids-limit";

/// A plan, before policies saw it. Only [`plan`] makes one.
pub(crate) struct Planned {
    plan: Plan,
    image: ImagePlan,
    limits: Vec<Limit>,
}

impl Planned {
    pub(crate) fn into_parts(self) -> (Plan, ImagePlan, Vec<Limit>) {
        (self.plan, self.image, self.limits)
    }
}

/// Asks the recipe adapter for a job, and puts it together with the configuration.
pub(crate) async fn plan(way: &Way, permitted: Permitted) -> Step<Planned> {
    let phase = way.journal.phase(Phase::Adapter);
    let (configuration, limits) = permitted.into_parts();
    let kind = way.activity.kind.as_str();
    let adapter = match &way.activity.plugin {
        Some(name) => Some(plugins::adapter_of(&way.set, name).await.map_err(|fault| not_prepared(&fault))?),
        None => way.set.adapter_for(kind),
    };
    let Some(adapter) = adapter else {
        return Err(Box::new(Outcome {
            advice: Some(
                "put a recipe adapter for it into `plugins/`: `wharf component list` says what is loaded".to_owned(),
            ),
            ..outcome(
                Cause::NotPrepared,
                format!(
                    "no recipe adapter is loaded for activities of the kind `{kind}`{}",
                    why_no_adapter(&way.set).unwrap_or_default()
                ),
            )
        }));
    };
    let call = adapter.prepare(&way.activity).await;
    way.journal.note(EventKind::Decision(call.decision("adapter")));
    let job = call.answer.map_err(|error| {
        Box::new(outcome(Cause::NotPrepared, format!("{} could not prepare it: {error}", call.by.component)))
    })?;
    allows_secrets(&configuration, job.secrets.values(), adapter.name())?;
    let spec = way.host.home().load_base_image(&configuration.base_image).map_err(|fault| {
        Box::new(Outcome { advice: fault.hint.clone(), ..outcome(Cause::ImageMissing, fault.to_string()) })
    })?;
    for needed in &job.languages {
        if !spec.languages.iter().any(|language| language.name == needed.name) {
            let have: Vec<&str> = spec.languages.iter().map(|language| language.name.as_str()).collect();
            return Err(Box::new(Outcome {
                advice: Some(format!(
                    "add `[languages.{}]` to base-images/{}.toml, or use another configuration",
                    needed.name, spec.name
                )),
                ..outcome(
                    Cause::NotPrepared,
                    format!(
                        "the recipe needs {}, and the base image {} of {} has {}",
                        needed.name,
                        spec.name,
                        configuration.name,
                        if have.is_empty() { "no language".to_owned() } else { have.join(" and ") }
                    ),
                )
            }));
        }
    }
    if let Some(name) = &way.activity.code_env {
        is_available(way.host.home(), name, &configuration)?;
    }
    let environment =
        environment::of_run(way.host.home(), &way.activity, &job, &spec.name).map_err(|fault| not_prepared(&fault))?;
    if let Some(environment) = &environment {
        has_language(environment, &job)?;
    }
    let folders = match &way.activity.plugin {
        Some(name) => plugins::folders(adapter, name, &job).await.map_err(|fault| not_prepared(&fault))?,
        None => None,
    };
    let image = image_plan(&way.set, &way.journal, &spec, environment, folders).await?;
    let key = content_key(way.host.engines(), configuration.engine.builder(), &image).await;
    let mut plan = Plan::new(&way.run, &way.activity, job, configuration, spec, key);
    plan.code_env = image.environment.as_ref().map(|environment| environment.spec.clone());
    one_source_each(&plan)?;
    set_standard_env(&mut plan);
    phase.done();
    Ok(Planned { plan, image, limits })
}

/// Something that the home's files say keeps the run from being prepared.
fn not_prepared(fault: &Fault) -> Box<Outcome> {
    Box::new(Outcome {
        advice: fault.hint.clone(),
        whose: Whose::Configuration,
        ..outcome(Cause::NotPrepared, fault.to_string())
    })
}

/// Whether a configuration may use a code environment.
fn is_available(home: &Home, name: &str, configuration: &ExecutionConfiguration) -> Step<()> {
    let settings = home.load_code_env(name).map_err(|fault| not_prepared(&fault))?;
    if let Availability::Only(names) = &settings.available
        && !settings.available.includes(&configuration.name)
    {
        let file = format!("`configurations` in code-envs/{name}/env.toml");
        let (there, advice) = if names.is_empty() {
            ("none".to_owned(), format!("add \"{}\" to {file}", configuration.name))
        } else {
            (names.join(", "), format!("use one of those, or add \"{}\" to {file}", configuration.name))
        };
        return Err(Box::new(Outcome {
            advice: Some(advice),
            whose: Whose::Configuration,
            ..outcome(
                Cause::NotPrepared,
                format!(
                    "the code environment {name} isn't available to the execution configuration {}; it is to: {there}",
                    configuration.name
                ),
            )
        }));
    }
    Ok(())
}

fn has_language(environment: &Environment, job: &Job) -> Step<()> {
    let (name, language) = (&environment.spec.name, &environment.spec.language);
    if !job.languages.is_empty() && !job.languages.iter().any(|needed| needed.name == *language) {
        let needed: Vec<&str> = job.languages.iter().map(|language| language.name.as_str()).collect();
        return Err(Box::new(outcome(
            Cause::NotPrepared,
            format!(
                "the code environment {name} is of the language {language}, and the recipe needs {}",
                needed.join(" and ")
            ),
        )));
    }
    Ok(())
}

/// An adapter that is there and isn't loaded, as the end of a sentence: it may be the one that is missing.
fn why_no_adapter(set: &ComponentSet) -> Option<String> {
    let failed = set.failures().iter().find(|failure| {
        let in_plugins = failure.file.parent().is_some_and(|folder| folder.ends_with("plugins"));
        failure.world == Some(World::RecipeAdapter) || (failure.world.is_none() && in_plugins)
    })?;
    Some(format!(" ({} isn't loaded: {})", failed.file.file_stem()?.display(), failed.fault))
}

/// A variable that had a value and a secret would have either, depending on who reads this.
fn one_source_each(plan: &Plan) -> Step<()> {
    let Some((variable, name)) = plan.secrets.iter().find(|(variable, _)| plan.env.contains_key(*variable)) else {
        return Ok(());
    };
    let by = if plan.job.env.contains_key(variable) {
        "the recipe adapter".to_owned()
    } else {
        format!("[env] of {}", plan.configuration.name)
    };
    Err(Box::new(Outcome {
        advice: Some(format!("let the secret have a variable of another name than {variable}")),
        ..outcome(
            Cause::NotPrepared,
            format!("the variable {variable} is set by {by}, so it can't get the secret \"{name}\" as well"),
        )
    }))
}

/// What recipes find in their environment, whatever their adapter; the configuration and the job may say otherwise.
fn set_standard_env(plan: &mut Plan) {
    let mut standard = vec![("DKU_CONTAINER_EXEC_NAME", plan.configuration.name.clone())];
    // Numeric libraries count the machine's CPUs, not the container's share of them.
    if let Some(wharf_model::Quantity::Cpus(nanos)) = plan.resources.get("cpus") {
        standard.push(("OMP_NUM_THREADS", nanos.div_ceil(1_000_000_000).to_string()));
    }
    for (key, value) in standard {
        if plan.secrets.contains_key(key) {
            continue;
        }
        plan.env.entry(key.to_owned()).or_insert(value);
    }
}

/// Asks the image-recipe component that a base image names, for the base image and for the code environment over it.
pub(crate) async fn image_plan(
    set: &ComponentSet,
    journal: &Journal,
    spec: &ImageSpec,
    environment: Option<Environment>,
    folders: Option<FoldersPlan>,
) -> Step<ImagePlan> {
    let Some(maker) = set.image_recipe(&spec.made_by) else {
        let message = format!(
            "the image recipe {} that the base image {} names isn't loaded{}",
            spec.made_by,
            spec.name,
            why_not_loaded(set, &spec.made_by)
        );
        journal.note(EventKind::Decision(missing("image-recipe", &spec.made_by, &message)));
        return Err(Box::new(outcome(Cause::ImageMissing, message)));
    };
    let call = maker.generate(spec).await;
    journal.note(EventKind::Decision(call.decision("image-recipe")));
    let made_by = format!("{}@{}", call.by.component, call.by.digest.get(..16).unwrap_or(&call.by.digest));
    let refused = |what: String, error: &CallError| {
        Box::new(outcome(Cause::ImageMissing, format!("{} can't make {what}: {error}", maker.name())))
    };
    let recipe = call.answer.map_err(|error| refused(format!("the base image {}", spec.name), &error))?;
    let environment = match environment {
        Some(Environment { spec: asked, locks, refresh, file, lock_file }) => {
            let call = maker.generate_environment(spec, &asked).await;
            journal.note(EventKind::Decision(call.decision("image-recipe")));
            let recipe =
                call.answer.map_err(|error| refused(format!("the code environment {}", asked.name), &error))?;
            Some(EnvironmentPlan { spec: asked, recipe, locks, refresh, file, lock_file })
        }
        None => None,
    };
    Ok(ImagePlan { spec: spec.clone(), recipe, made_by, environment, folders })
}

/// The content key of the base image, or of the code environment over it. `None` while it can't be known: it starts from an
/// image that isn't pulled yet, or the engine doesn't answer, which the steps that need the engine will say.
pub(crate) async fn content_key(
    engines: &Engines,
    daemon: &Daemon,
    image: &ImagePlan,
) -> Option<wharf_model::ContentKey> {
    let engine = engines.docker(daemon).ok()?;
    engine.images.keys(image).await.ok().flatten().map(|keys| keys.content().clone())
}

/// Where a plan's run goes on its cluster; nowhere for a daemon.
fn place(plan: &Plan) -> Result<Option<Box<KubernetesPlace>>, String> {
    let Some(settings) = plan.configuration.engine.kubernetes() else { return Ok(None) };
    Ok(Some(Box::new(KubernetesPlace {
        cluster: settings.cluster.clone(),
        namespace: names::namespace(&settings.namespace, &plan.requester.user, plan.project.as_deref())?,
        pod: settings.pod.clone(),
        template: settings.pod_template.clone(),
    })))
}

/// The resources of a plan in the words of its engine.
fn resources(plan: &Plan) -> Result<Resources, String> {
    if plan.configuration.engine.kubernetes().is_none() {
        return Ok(plan.resources.clone());
    }
    let mut resources = plan.resources.clone();
    // Policies that were written for daemons set it on every run. A node has a limit of its own for each pod.
    resources.remove(PIDS_LIMIT);
    wharf_kubernetes::resources::in_kubernetes_words(&resources)
}

/// What a plan says that its engine can't hold, for people.
pub(crate) fn not_held(plan: &Plan) -> Option<String> {
    let limit = plan.resources.get(PIDS_LIMIT).filter(|_| plan.configuration.engine.kubernetes().is_some())?;
    Some(format!(
        "pids-limit = {limit} isn't held: Kubernetes has none for a pod, its nodes have one for all (podPidsLimit)"
    ))
}

/// When the engine itself ends a run, should no host be there to do so: later than any host would.
fn engine_deadline(plan: &Plan, grace_seconds: u32) -> Option<u64> {
    let settings = plan.configuration.engine.kubernetes()?;
    let before = settings.pod.patience.until_it_runs();
    Some(plan.time_limit?.saturating_add(before).saturating_add(grace_seconds.into()).saturating_add(60))
}

/// The engine's object for a plan. Pure: what `explain` shows and what is launched come from here.
pub(crate) fn launch_spec(
    host_id: &str,
    attempt: u32,
    plan: &Plan,
    image: &str,
    way_back: WayBack<'_>,
    grace_seconds: u32,
) -> Step<LaunchSpec> {
    use wharf_model::protocol::{RUNNER, variables};
    let runtime = match &plan.configuration.engine {
        Engine::Docker { runtime, .. } => runtime.clone(),
        Engine::Kubernetes(_) => None,
    };
    let not_sayable =
        |problem| Box::new(Outcome { whose: Whose::Configuration, ..outcome(Cause::NotPrepared, problem) });
    let kubernetes = place(plan).map_err(not_sayable)?;
    let resources = resources(plan).map_err(not_sayable)?;
    Ok(LaunchSpec {
        host: host_id.to_owned(),
        run: plan.run.clone(),
        attempt,
        image: image.to_owned(),
        argv: vec![RUNNER.to_owned(), "run".to_owned()],
        env: [
            (variables::EXCHANGE.to_owned(), way_back.address.to_owned()),
            (variables::FINGERPRINT.to_owned(), way_back.fingerprint.to_owned()),
        ]
        .into(),
        secret_env: [(variables::TICKET.to_owned(), way_back.ticket.to_owned())].into(),
        resources,
        security: plan.security.clone(),
        labels: plan.labels.clone(),
        runtime,
        grace_seconds,
        deadline_seconds: engine_deadline(plan, grace_seconds),
        kubernetes,
    })
}

/// How a runner finds the host.
#[derive(Clone, Copy)]
pub(crate) struct WayBack<'a> {
    /// `HOST:PORT`, or the name under which the host finds the runner.
    pub(crate) address: &'a str,
    /// Of the exchange's certificate.
    pub(crate) fingerprint: &'a str,
    /// In hex; empty where it isn't made yet.
    pub(crate) ticket: &'a str,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::fixture::Fixture;

    #[test]
    fn a_code_environment_is_refused_where_it_is_not_available() {
        let fixture = Fixture::new();
        fixture.write("configs/small.toml", "base_image = \"python-r\"\n");
        fixture.write("configs/large.toml", "base_image = \"python-r\"\n");
        fixture.write("code-envs/all/env.toml", "language = \"python\"\n");
        fixture.write("code-envs/ml/env.toml", "language = \"python\"\nconfigurations = [\"large\", \"gpu\"]\n");
        fixture.write("code-envs/off/env.toml", "language = \"python\"\nconfigurations = []\n");
        let home = fixture.home();
        let may = |name: &str, configuration: &str| {
            is_available(&home, name, &home.load_configuration(configuration).expect("it is sound"))
        };
        assert!(may("all", "small").is_ok() && may("ml", "large").is_ok());
        let end = may("ml", "small").expect_err("it is for others");
        assert_eq!(end.cause, Cause::NotPrepared);
        assert!(end.sentence.ends_with("to the execution configuration small; it is to: large, gpu"), "{end:?}");
        let end = may("off", "small").expect_err("it is for none");
        assert!(end.sentence.ends_with("it is to: none"), "{end:?}");
    }
}
