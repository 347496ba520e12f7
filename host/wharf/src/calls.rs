//! What a host answers to each message.

use std::future::Future;
use std::sync::Arc;

use futures_util::stream::{self, BoxStream};
use futures_util::{FutureExt, StreamExt};
use serde::Serialize;
use wharf_model::Fault;

use crate::host::{Inner, no_such_run, store_fault};
use crate::journal::millis;
use crate::message::{Closed, ComponentFailure, ComponentReport, FileChange, HeldBackChanges, Hello, Reply, Request};
use crate::plugins;
use crate::store::RunFilter;
use crate::way::permission::why_required_does_not_judge;

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
        Request::Submit { activity, key } => one(async move { host.submit(*activity, key).await }),
        Request::Follow { run, after, follow } => crate::follow::follow(host, run, after, follow),
        Request::Wait { run } => one(async move { host.wait(&run).await }),
        Request::Stop { run, by } => one(async move { host.stop(&run, &by) }),
        Request::Explain { activity } => one(async move { host.explain(*activity).await }),
        Request::ExplainRun { run } => one(async move { host.explain_run(&run).await }),
        Request::Recorded { run } => one(async move { host.recorded(&run) }),
        Request::ExplainField { run, field } => one(async move { host.field(&run, &field) }),
        Request::Replay(request) => crate::replay::answer(host, request),
        Request::WhatIf(request) => one(async move { host.what_if(&request).await }),
        Request::Runs { limit, filter } => {
            one(async move { host.store().find(&filter, None, limit).map_err(|error| store_fault(&error)) })
        }
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
        Request::CheckRecords => one(host.check_records()),
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
            let runs = self.store().find(&RunFilter::default(), None, 1).map_err(|error| store_fault(&error))?;
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
        let required_closes =
            |name: &String| why_required_does_not_judge(&set, name).filter(|_| set.policy(name).is_some());
        let group_closes = set.closed_by().map(|group| {
            let name = group.file.file_stem().unwrap_or_default().to_string_lossy();
            let advice = format!("mend or remove {}", group.file.display());
            (format!("the group {name} of policies can't be used, so nothing may run"), advice)
        });
        let closed = group_closes.into_iter().chain(required.iter().filter_map(required_closes));
        let closed = closed.map(|(reason, advice)| Closed { reason, advice }).collect();
        let ledger = crate::canary::Ledger::read(&self.home().canary_file());
        Ok(ComponentReport {
            loaded: set.components().iter().map(crate::component::summary).collect(),
            failed: set
                .failures()
                .iter()
                .map(|failure| ComponentFailure {
                    file: failure.file.clone(),
                    fault: crate::canary::told(&ledger, failure),
                    older_works: failure.kept,
                })
                .collect(),
            missing: required.into_iter().filter(|name| set.policy(name).is_none()).collect(),
            closed,
            held_back: set.held_back().map(|held| HeldBackChanges {
                since: millis(held.since),
                changes: held
                    .changes
                    .iter()
                    .map(|(file, change)| FileChange { file: file.clone(), change: (*change).to_owned() })
                    .collect(),
            }),
        })
    }
}
