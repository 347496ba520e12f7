//! What a host answers to each message.

use std::collections::HashSet;
use std::future::Future;
use std::path::Path;
use std::sync::Arc;

use futures_util::stream::{self, BoxStream};
use futures_util::{FutureExt, StreamExt};
use serde::Serialize;
use wharf_model::Fault;

use crate::host::{Inner, no_such_run, store_fault};
use crate::message::{ComponentFailure, ComponentReport, Hello, Reply, Request};
use crate::plugins;

/// Answers one message.
pub(crate) fn call(host: Arc<Inner>, request: Request) -> BoxStream<'static, Reply> {
    match request {
        Request::Hello => one(async move {
            Ok(Hello {
                version: env!("CARGO_PKG_VERSION").to_owned(),
                process: std::process::id(),
                host: host.id().to_owned(),
            })
        }),
        Request::Submit { activity } => one(async move { host.submit(*activity).await }),
        Request::Follow { run, after, follow } => crate::follow::follow(host, run, after, follow),
        Request::Wait { run } => one(async move { host.wait(&run).await }),
        Request::Stop { run, by } => one(async move { host.stop(&run, &by) }),
        Request::Explain { activity } => one(async move { host.explain(*activity).await }),
        Request::ExplainRun { run } => one(async move { host.explain_run(&run).await }),
        Request::Recorded { run } => one(async move { host.recorded(&run) }),
        Request::Runs { limit } => one(async move { host.store().runs(limit).map_err(|error| store_fault(&error)) }),
        Request::Resolve { text } => one(async move { host.resolve(&text) }),
        Request::Components => one(async move { host.component_report().await }),
        Request::Build { target } => crate::builds::build(host, target),
        Request::Bases => one(async move { host.bases().await }),
        Request::CodeEnvs => one(async move { host.code_envs().await }),
        Request::Plugins => one(async move { Ok(plugins::list(&*host.set().await).await) }),
        Request::InstallPlugin { source, replace } => {
            one(async move { plugins::install(&*host.set().await, &source, replace).await })
        }
        Request::RemovePlugin { name } => one(async move { plugins::remove(&*host.set().await, &name).await }),
        Request::Images => one(async move { host.images().await }),
        Request::CompareImages { name, with } => one(async move { host.compare_images(&name, with.as_deref()).await }),
        Request::PruneImages(prune) => one(async move { host.prune_images(prune).await }),
        Request::Diagnose => one(async move { Ok(host.diagnose().await) }),
        Request::CheckCluster { configuration, pod } => {
            one(async move { host.check_cluster(&configuration, pod).await })
        }
    }
}

/// An answer of one value.
fn one<T: Serialize>(value: impl Future<Output = Result<T, Fault>> + Send + 'static) -> BoxStream<'static, Reply> {
    value
        .map(|value| {
            stream::iter(match value {
                Ok(value) => vec![to_reply(&value), Reply::End],
                Err(fault) => vec![Reply::Fault(fault)],
            })
        })
        .into_stream()
        .flatten()
        .boxed()
}

/// A value as a line of an answer.
pub(crate) fn to_reply<T: Serialize>(value: &T) -> Reply {
    match serde_json::to_value(value) {
        Ok(value) => Reply::Value(value),
        Err(error) => Reply::Fault(Fault::new("store-damaged", format!("an answer can't be written: {error}"))),
    }
}

impl Inner {
    /// The run that a person means.
    fn resolve(&self, text: &str) -> Result<String, Fault> {
        if text == "last" {
            let runs = self.store().runs(1).map_err(|error| store_fault(&error))?;
            return runs
                .into_iter()
                .next()
                .map(|run| run.run)
                .ok_or_else(|| Fault::new("no-such-run", "there is no run yet").hint("`wharf run` makes one"));
        }
        let ids = self.store().ids_with_prefix(text).map_err(|error| store_fault(&error))?;
        match ids.as_slice() {
            [id] => Ok(id.clone()),
            [] => Err(no_such_run(text)),
            _ if ids.iter().any(|id| id == text) => Ok(text.to_owned()),
            _ => Err(Fault::new("no-such-run", format!("more than one run begins with {text}"))
                .hint("give more of its id: `wharf runs` lists them")),
        }
    }

    /// What is loaded, what isn't, and what is missed.
    pub(crate) async fn component_report(&self) -> Result<ComponentReport, Fault> {
        let set = self.set().await;
        let required = self.home().load_site()?.required_policies;
        let loaded: HashSet<&Path> = set.components().iter().map(|info| info.file.as_path()).collect();
        Ok(ComponentReport {
            loaded: set.components().iter().map(crate::component::summary).collect(),
            failed: set
                .failures()
                .iter()
                .map(|failure| ComponentFailure {
                    file: failure.file.clone(),
                    fault: failure.fault.clone(),
                    older_works: loaded.contains(failure.file.as_path()),
                })
                .collect(),
            missing: required.into_iter().filter(|name| set.policy(name).is_none()).collect(),
        })
    }
}
