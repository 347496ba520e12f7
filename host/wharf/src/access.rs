//! One way to a home, whether this process owns it or another one does.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use futures_util::stream::BoxStream;
use futures_util::{Stream, StreamExt, stream};
use serde::de::DeserializeOwned;
use wharf_model::{Activity, Event, Fault, Outcome};

use crate::client::{Client, NotFound};
use crate::host::{Host, HostOptions};
use crate::message::{
    BaseSummary, BuildProgress, BuildTarget, CodeEnvSummary, ComponentReport, Explanation, FieldHistory, Finding,
    ImageDifference, ImageList, InstalledPlugin, Prune, PruneReport, RecordedRun, ReplayProgress, ReplayRequest, Reply,
    Request, WhatIf, WhatIfRequest,
};
use crate::store::{RunFilter, RunSummary};

/// How long an owner may take to begin or to end.
const CHANGING: Duration = Duration::from_secs(30);
/// How long to wait before looking again.
const PAUSE: Duration = Duration::from_millis(100);

/// A home, opened by this process or reached through the process that owns it.
pub enum Access {
    /// This process owns it.
    Owner(Host),
    /// Another process owns it.
    Client(Client),
}

impl Access {
    /// Opens the home, or connects to its owner.
    ///
    /// # Errors
    /// There is no home, it can't be opened, or its owner doesn't answer.
    pub async fn open(home: &Path, options: HostOptions) -> Result<Self, Fault> {
        let started = Instant::now();
        loop {
            match Host::open(home, options.clone()).await {
                Ok(host) => return Ok(Self::Owner(host)),
                Err(fault) if fault.code == "home-busy" => {}
                Err(fault) => return Err(fault),
            }
            // An owner has the lock before it answers, while it loads components, and after that, while it ends. In the one
            // case it will answer soon, in the other the home will be free.
            match Client::find(home).await {
                Ok(client) => return Ok(Self::Client(client)),
                Err(NotFound::Wrong(fault)) => return Err(fault),
                Err(NotFound::Nobody(fault)) if started.elapsed() > CHANGING => return Err(fault),
                Err(NotFound::Nobody(_)) => tokio::time::sleep(PAUSE).await,
            }
        }
    }

    /// Whether this process owns the home.
    #[must_use]
    pub fn is_owner(&self) -> bool {
        matches!(self, Self::Owner(_))
    }

    /// Sends a message. The answers end after [`Reply::End`] or [`Reply::Fault`].
    #[must_use]
    pub fn call(&self, request: Request) -> BoxStream<'static, Reply> {
        match self {
            Self::Owner(host) => host.call(request),
            Self::Client(client) => client.call(request),
        }
    }

    /// Starts an activity and returns its run's id.
    ///
    /// # Errors
    /// Its configuration or its files can't be used: nothing was recorded then.
    pub async fn submit(&self, activity: Activity) -> Result<String, Fault> {
        self.value(Request::Submit { activity: Box::new(activity), key: None }).await
    }

    /// The same, once: the same activity of the same user, submitted again with this key, answers the run of the first time, whatever
    /// became of it. Keys are kept as long as their runs' records.
    ///
    /// # Errors
    /// `key-reused`, when something else was submitted with the key; and those of [`submit`](Self::submit).
    pub async fn submit_once(&self, activity: Activity, key: &str) -> Result<String, Fault> {
        self.value(Request::Submit { activity: Box::new(activity), key: Some(key.to_owned()) }).await
    }

    /// The events and log lines of a run, from after an event's number; ends with the run, or at what there is now.
    #[must_use]
    pub fn follow(&self, run: &str, after: u64, follow: bool) -> BoxStream<'static, Result<Event, Fault>> {
        self.call(Request::Follow { run: run.to_owned(), after, follow })
            .filter_map(async |reply| match reply {
                Reply::Event(event) => Some(Ok(*event)),
                Reply::Fault(fault) => Some(Err(fault)),
                Reply::Value(_) | Reply::End => None,
            })
            .boxed()
    }

    /// Waits for the end of a run.
    ///
    /// # Errors
    /// There is no such run, or the owner is gone.
    pub async fn wait(&self, run: &str) -> Result<Outcome, Fault> {
        self.value(Request::Wait { run: run.to_owned() }).await
    }

    /// Asks a run to end. It has ended when [`wait`](Self::wait) says so.
    ///
    /// # Errors
    /// There is no such run.
    pub async fn stop(&self, run: &str, by: &str) -> Result<(), Fault> {
        self.value(Request::Stop { run: run.to_owned(), by: by.to_owned() }).await
    }

    /// What would happen to an activity: the way of a run, stopped before anything is created.
    ///
    /// # Errors
    /// Its configuration or its files can't be used.
    pub async fn explain(&self, activity: Activity) -> Result<Explanation, Fault> {
        self.value(Request::Explain { activity: Box::new(activity) }).await
    }

    /// What happened to a run.
    ///
    /// # Errors
    /// There is no such run.
    pub async fn explain_run(&self, run: &str) -> Result<Explanation, Fault> {
        self.value(Request::ExplainRun { run: run.to_owned() }).await
    }

    /// What components were asked about a run, and what they answered.
    ///
    /// # Errors
    /// There is no such run.
    pub async fn recorded(&self, run: &str) -> Result<RecordedRun, Fault> {
        self.value(Request::Recorded { run: run.to_owned() }).await
    }

    /// What happened to one field of a run's plan, and by whom.
    ///
    /// # Errors
    /// There is no such run, or its plan has no such field.
    pub async fn explain_field(&self, run: &str, field: &str) -> Result<FieldHistory, Fault> {
        self.value(Request::ExplainField { run: run.to_owned(), field: field.to_owned() }).await
    }

    /// What a component that isn't in use would have said to runs of the past. Dropping the stream ends the work.
    #[must_use]
    pub fn replay(&self, request: ReplayRequest) -> BoxStream<'static, Result<ReplayProgress, Fault>> {
        values(self.call(Request::Replay(request))).boxed()
    }

    /// How a run of the past would have been judged with other settings of one component.
    ///
    /// # Errors
    /// There is no such run or component, or the settings aren't valid.
    pub async fn what_if(&self, request: WhatIfRequest) -> Result<WhatIf, Fault> {
        self.value(Request::WhatIf(request)).await
    }

    /// The newest runs.
    ///
    /// # Errors
    /// The store can't be read.
    pub async fn runs(&self, limit: u32) -> Result<Vec<RunSummary>, Fault> {
        self.find_runs(RunFilter::default(), limit).await
    }

    /// The newest of these runs.
    ///
    /// # Errors
    /// The store can't be read.
    pub async fn find_runs(&self, filter: RunFilter, limit: u32) -> Result<Vec<RunSummary>, Fault> {
        self.value(Request::Runs { limit, filter }).await
    }

    /// The run that a person means: `last`, an id, or the beginning of one.
    ///
    /// # Errors
    /// There is none, or more than one.
    pub async fn resolve_run(&self, text: &str) -> Result<String, Fault> {
        self.value(Request::Resolve { text: text.to_owned() }).await
    }

    /// The components that are loaded, and those that are not.
    ///
    /// # Errors
    /// The owner is gone.
    pub async fn components(&self) -> Result<ComponentReport, Fault> {
        self.value(Request::Components).await
    }

    /// Makes images ready. Dropping the stream ends the work.
    #[must_use]
    pub fn build(&self, target: BuildTarget) -> BoxStream<'static, Result<BuildProgress, Fault>> {
        values(self.call(Request::Build { target })).boxed()
    }

    /// The base images of the home.
    ///
    /// # Errors
    /// The owner is gone.
    pub async fn bases(&self) -> Result<Vec<BaseSummary>, Fault> {
        self.value(Request::Bases).await
    }

    /// The code environments of the home.
    ///
    /// # Errors
    /// The owner is gone.
    pub async fn code_envs(&self) -> Result<Vec<CodeEnvSummary>, Fault> {
        self.value(Request::CodeEnvs).await
    }

    /// The plugins of the home.
    ///
    /// # Errors
    /// The owner is gone.
    pub async fn plugins(&self) -> Result<Vec<InstalledPlugin>, Fault> {
        self.value(Request::Plugins).await
    }

    /// Installs the plugin of a folder or a zip file. With `replace`, one of the same name goes.
    ///
    /// # Errors
    /// It is no plugin, has something in it that leads out of its folder, or is there already.
    pub async fn install_plugin(&self, source: &Path, replace: bool) -> Result<InstalledPlugin, Fault> {
        self.value(Request::InstallPlugin { source: source.to_owned(), replace }).await
    }

    /// Removes a plugin, and says which folder is gone. Runs that have begun go on.
    ///
    /// # Errors
    /// There is none of this name.
    pub async fn remove_plugin(&self, name: &str) -> Result<PathBuf, Fault> {
        self.value(Request::RemovePlugin { name: name.to_owned() }).await
    }

    /// The images that wharf made, on all engines of the home.
    ///
    /// # Errors
    /// The home's files or its records can't be read.
    pub async fn images(&self) -> Result<ImageList, Fault> {
        self.value(Request::Images).await
    }

    /// What changed between two images: of a name, from the one before to what would be made now; or between two content keys,
    /// from `with` to `name`.
    ///
    /// # Errors
    /// There is no such image.
    pub async fn compare_images(&self, name: &str, with: Option<&str>) -> Result<Vec<ImageDifference>, Fault> {
        self.value(Request::CompareImages { name: name.to_owned(), with: with.map(str::to_owned) }).await
    }

    /// Removes images that nobody needs.
    ///
    /// # Errors
    /// A configuration can't be read, so that what it needs isn't known.
    pub async fn prune_images(&self, prune: Prune) -> Result<PruneReport, Fault> {
        self.value(Request::PruneImages(prune)).await
    }

    /// Looks at everything that can be wrong.
    ///
    /// # Errors
    /// The owner is gone.
    pub async fn diagnose(&self) -> Result<Vec<Finding>, Fault> {
        self.value(Request::Diagnose).await
    }

    /// Looks at every page of the record store: takes as long as it is large.
    ///
    /// # Errors
    /// It can't be opened, or the owner is gone.
    pub async fn check_records(&self) -> Result<Vec<Finding>, Fault> {
        self.value(Request::CheckRecords).await
    }

    /// What a cluster lets this home do, and what it lacks; with `pod`, tried from inside of a pod, too.
    ///
    /// # Errors
    /// The configuration can't be read, or isn't for Kubernetes.
    pub async fn check_cluster(&self, configuration: &str, pod: bool) -> Result<Vec<Finding>, Fault> {
        self.value(Request::CheckCluster { configuration: configuration.to_owned(), pod }).await
    }

    /// Ends: an owner waits until its last run has ended.
    pub async fn shutdown(self) {
        if let Self::Owner(host) = self {
            host.shutdown().await;
        }
    }

    async fn value<T: DeserializeOwned + Send + 'static>(&self, request: Request) -> Result<T, Fault> {
        let answers = values(self.call(request));
        futures_util::pin_mut!(answers);
        answers.next().await.unwrap_or_else(|| Err(gone()))
    }
}

/// The values of an answer.
fn values<T: DeserializeOwned + Send + 'static>(
    replies: BoxStream<'static, Reply>,
) -> impl Stream<Item = Result<T, Fault>> + Send {
    replies.flat_map(|reply| {
        stream::iter(match reply {
            Reply::Value(value) => Some(serde_json::from_value(value).map_err(|error| {
                Fault::new("socket-unreachable", format!("the owner of the home answered something else: {error}"))
                    .hint("use the same version of wharf for all calls")
            })),
            Reply::Fault(fault) => Some(Err(fault)),
            Reply::Event(_) | Reply::End => None,
        })
    })
}

/// The owner went away before it answered.
pub(crate) fn gone() -> Fault {
    Fault::new("socket-unreachable", "the process that owns the home went away before it answered")
        .hint("call again: the home is opened anew")
}
