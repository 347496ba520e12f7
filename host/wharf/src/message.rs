//! The library's own messages, as `host.sock` speaks them: one JSON object a line.
//!
//! A caller sends one [`Request`] and reads [`Reply`] lines until `end` or `fault`.

use std::path::PathBuf;

pub use crate::field::{FieldEdit, FieldHistory, FieldObjection, FieldRound};
pub use crate::plugins::InstalledPlugin;
pub use crate::questions::RecordedQuestion;
pub use crate::replay::{
    Difference, Effects, Flip, FlipKind, NotReplayed, ReplayProgress, ReplayReport, ReplayRequest, WhatIf,
    WhatIfRequest,
};
pub use crate::store::RunFilter;
use serde::{Deserialize, Serialize};
pub use wharf_components::GroupTable;
use wharf_model::{Activity, Decision, Event, Fault, Limit, Mode, Outcome, Plan};

/// What can be asked of a host.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "request")]
pub enum Request {
    /// Is somebody there? Answers [`Hello`].
    Hello,
    /// Run this. Answers the run's id.
    Submit {
        /// What to run.
        activity: Box<Activity>,
        /// The caller's own key: the same activity, submitted with it again, isn't run again.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        key: Option<String>,
    },
    /// The events and log lines of a run. Answers one [`Event`] a line.
    Follow {
        /// The run.
        run: String,
        /// Only events after this number.
        #[serde(default)]
        after: u64,
        /// Go on until the run has ended; else stop at what there is now.
        follow: bool,
    },
    /// Waits for a run's end. Answers its [`Outcome`].
    Wait {
        /// The run.
        run: String,
    },
    /// Stop a run. Answers nothing.
    Stop {
        /// The run.
        run: String,
        /// Who asks, for the record.
        by: String,
    },
    /// What would happen. Answers an [`Explanation`].
    Explain {
        /// What would run.
        activity: Box<Activity>,
    },
    /// What happened. Answers an [`Explanation`].
    ExplainRun {
        /// The run.
        run: String,
    },
    /// All that components were asked about a run, and what they answered. Answers a [`RecordedRun`].
    Recorded {
        /// The run.
        run: String,
    },
    /// What happened to one field of a run's plan. Answers a [`FieldHistory`].
    ExplainField {
        /// The run.
        run: String,
        /// The field, in full or without what stands before its first dot.
        field: String,
    },
    /// What a component that isn't in use would have said to runs of the past. Answers one [`ReplayProgress`] a line.
    Replay(ReplayRequest),
    /// How a run of the past would have been judged with other settings of one component. Answers a [`WhatIf`].
    WhatIf(WhatIfRequest),
    /// The newest runs. Answers a list of [`RunSummary`](crate::store::RunSummary).
    Runs {
        /// At most so many.
        limit: u32,
        /// Which.
        #[serde(default)]
        filter: RunFilter,
    },
    /// The run that a person means: `last`, an id, or the beginning of one. Answers its id.
    Resolve {
        /// What was typed.
        text: String,
    },
    /// The components. Answers a [`ComponentReport`].
    Components,
    /// Make images ready where the configurations run that need them. Answers one [`BuildProgress`] a line.
    Build {
        /// Which.
        target: BuildTarget,
    },
    /// The base images. Answers a list of [`BaseSummary`].
    Bases,
    /// The code environments. Answers a list of [`CodeEnvSummary`].
    CodeEnvs,
    /// The plugins. Answers a list of [`InstalledPlugin`].
    Plugins,
    /// Install a plugin. Answers an [`InstalledPlugin`].
    InstallPlugin {
        /// A folder or a zip file.
        source: PathBuf,
        /// Put it in the place of one that is there.
        #[serde(default)]
        replace: bool,
    },
    /// Remove a plugin. Answers the folder that is gone.
    RemovePlugin {
        /// Its name.
        name: String,
    },
    /// The images that wharf made, on all engines. Answers an [`ImageList`].
    Images,
    /// What an image is made of, against another one. Answers a list of [`ImageDifference`].
    CompareImages {
        /// The name of a base image or a code environment, or the beginning of a content key.
        name: String,
        /// The beginning of the content key of the one before. Without it, the one that was made before.
        with: Option<String>,
    },
    /// Remove images that nobody needs. Answers a [`PruneReport`].
    PruneImages(Prune),
    /// What is well and what isn't. Answers a list of [`Finding`].
    Diagnose,
    /// Whether every page of the record store is sound; takes as long as it is large. Answers a list of [`Finding`].
    CheckRecords,
    /// What a cluster lets this home do. Answers a list of [`Finding`].
    CheckCluster {
        /// The execution configuration.
        configuration: String,
        /// Try it from inside of a pod, too.
        pod: bool,
    },
}

/// One line of an answer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Reply {
    /// A value.
    Value(serde_json::Value),
    /// Something that happened to the run that is followed.
    Event(Box<Event>),
    /// It couldn't be done. The last line.
    Fault(Fault),
    /// The last line.
    End,
}

/// Who answers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hello {
    /// The host library's version.
    pub version: String,
    /// The process that owns the home.
    pub process: u32,
    /// The home's id: the value of the label `wharf.host`.
    pub host: String,
}

/// What the record has of a run for whoever wants to ask the same again.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RecordedRun {
    /// The run.
    pub run: String,
    /// What was asked for; of a plugin's recipe without its parameters.
    pub activity: Activity,
    /// The plan after the last change, if it came so far.
    pub plan: Option<Plan>,
    /// What permission components and policies were asked, in order.
    pub questions: Vec<RecordedQuestion>,
    /// Every answer of a component, in order.
    pub decisions: Vec<Decision>,
}

/// The way of a run up to the point where something would be created.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Explanation {
    /// The run, for one that happened.
    pub run: Option<String>,
    /// The execution configuration, and where its name came from.
    pub configuration: String,
    /// `activity`, `project` or `site`.
    pub chosen_by: String,
    /// Every answer of a component, in order.
    pub decisions: Vec<Decision>,
    /// The plan after the last change, if it came so far.
    pub plan: Option<Plan>,
    /// What admission will count.
    pub limits: Vec<Limit>,
    /// The content key of the base image.
    pub base_key: Option<String>,
    /// The content key of the image that the run uses: base, runner and libraries.
    pub image_key: Option<String>,
    /// Whether that image is at the engine; none when the engine can't be asked.
    pub image_there: Option<bool>,
    /// The Containerfile of the base image.
    pub containerfile: Option<String>,
    /// The content key of the code environment over the base image.
    #[serde(default)]
    pub code_env_key: Option<String>,
    /// The Containerfile of the code environment.
    #[serde(default)]
    pub code_env_containerfile: Option<String>,
    /// The content key of the plugin's folders over those, where its recipe gets some.
    #[serde(default)]
    pub folders_key: Option<String>,
    /// The exact object that would be created at the engine.
    pub object: Option<serde_json::Value>,
    /// The security keys that aren't at their strict defaults, and who changed them.
    #[serde(default)]
    pub differences: Vec<SecurityDifference>,
    /// Why it would end here, or how it ended.
    pub outcome: Option<Outcome>,
}

/// A security key of a plan that isn't at its strict default.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SecurityDifference {
    /// The key, as `[security]` of an execution configuration has it.
    pub key: String,
    /// The strict default.
    pub strict: serde_json::Value,
    /// What holds for this run.
    pub value: serde_json::Value,
    /// Whose doing it is.
    pub from: ChangedBy,
}

/// Who changed a security key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ChangedBy {
    /// The execution configuration of this name.
    Configuration(String),
    /// A policy; the last one that did.
    Policy {
        /// Its name.
        component: String,
        /// Its rule.
        rule: String,
        /// Why.
        reason: String,
    },
}

/// The components of a home.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ComponentReport {
    /// Those that are loaded.
    pub loaded: Vec<ComponentSummary>,
    /// Those that are not, and why.
    pub failed: Vec<ComponentFailure>,
    /// Policies that `wharf.toml` requires and that aren't loaded: while there are any, no run is accepted.
    pub missing: Vec<String>,
    /// Why no run is accepted: what is required doesn't judge, or a group of policies can't be asked. Each with what to do.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub closed: Vec<Closed>,
    /// Changes on disk that aren't taken, since some of them can't be loaded: what is loaded goes on as a whole.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub held_back: Option<HeldBackChanges>,
}

/// Why no run is accepted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Closed {
    /// Why.
    pub reason: String,
    /// What to do.
    pub advice: String,
}

/// Changes on disk that aren't taken.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HeldBackChanges {
    /// Milliseconds since 1970, when the host found it.
    pub since: u64,
    /// The files.
    pub changes: Vec<FileChange>,
}

/// A file that changed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileChange {
    /// The file.
    pub file: std::path::PathBuf,
    /// `added`, `changed` or `removed`.
    pub change: String,
}

/// A loaded component.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ComponentSummary {
    /// The file's name without `.wasm`.
    pub name: String,
    /// Its world, with the role of a policy: `permission`, `policy (mutating)`, ...
    pub world: String,
    /// Its own version.
    pub version: String,
    /// What it says of itself.
    pub description: String,
    /// SHA-256 of the file.
    pub digest: String,
    /// SHA-256 of its settings.
    #[serde(default)]
    pub settings_digest: String,
    /// Its changes are tried before they come into force.
    #[serde(default)]
    pub canary: bool,
    /// Where policies stand in the order.
    pub order: i64,
    /// What it was granted, in words: "reads the real time".
    pub grants: Vec<String>,
    /// Who vouches for it: `minisign:KEY`, `cosign:KEY`, `digest` (its digest is listed) or `shipped` (it came with wharf).
    #[serde(default)]
    pub signed_by: Option<String>,
    /// Bytes of the file.
    pub size: u64,
    /// The `.wasm` file that its TOML file names, when it isn't of the same name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub component: Option<String>,
    /// `enforce`, `audit` or `off`.
    #[serde(default)]
    pub mode: Mode,
    /// Other modes, and for which runs, in words.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub mode_for: Vec<String>,
    /// The runs that it is asked about, in words; none for all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub when: Option<String>,
    /// The configurations under which it has settings of their own.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub settings_for: Vec<String>,
    /// For a group: its logic and its members.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group: Option<GroupTable>,
    /// The groups that it answers in.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub member_of: Vec<String>,
}

/// A component that isn't loaded.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ComponentFailure {
    /// The file.
    pub file: std::path::PathBuf,
    /// Why.
    pub fault: Fault,
    /// An older version of it still works.
    pub older_works: bool,
}

/// Which images to make ready.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum BuildTarget {
    /// A base image, wherever its configurations run.
    Base(String),
    /// A code environment, wherever the configurations that may use it run.
    CodeEnv(String),
    /// All that the configurations of the home can need.
    All,
}

/// How the making of images goes on.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum BuildProgress {
    /// A line for a person.
    Progress(String),
    /// One of the images is ready, or can't be.
    Image(Box<BuiltImage>),
    /// That was the last one.
    Done(BuildReport),
}

/// What came of the making of images.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct BuildReport {
    /// How many are ready.
    pub ready: u32,
    /// How many can't be, or aren't in their registry.
    pub failed: u32,
    /// How long it took.
    pub millis: u64,
}

/// An image that runs use, on one engine.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct BuiltImage {
    /// Its base image.
    pub base: String,
    /// Its code environment.
    pub code_env: Option<String>,
    /// The engine's address.
    pub engine: String,
    /// The configurations for which it was asked.
    pub configurations: Vec<String>,
    /// The content key of the base image, or of the code environment over it.
    pub key: Option<String>,
    /// The image that runs use: base, code environment, runner and libraries.
    pub image: Option<String>,
    /// Whether anything had to be built.
    pub built: bool,
    /// What was done, in order; nothing when all was there.
    pub made: Vec<MadeImage>,
    /// How long it took.
    pub millis: u64,
    /// Bytes.
    pub size: Option<u64>,
    /// Why it isn't ready.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fault: Option<Fault>,
}

/// One thing that was done for an image.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MadeImage {
    /// The tag of the part that it was done for.
    pub image: String,
    /// `built`, `pulled`, `copied`, `pushed`, or `not-in-registry`.
    pub what: String,
    /// Where it was copied from; why it isn't in the registry.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
    /// Layers that were sent to the registry.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sent: Option<u32>,
    /// Layers that the registry had already.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub skipped: Option<u32>,
    /// The digest under which the registry has it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub digest: Option<String>,
    /// How long it took.
    pub millis: u64,
}

/// A code environment of a home.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CodeEnvSummary {
    /// Its name.
    pub name: String,
    /// `python` or `r`.
    pub language: Option<String>,
    /// The configurations that may use it; none means all.
    pub configurations: Option<Vec<String>>,
    /// After how many seconds packages that aren't pinned are looked at again.
    pub refresh_after: Option<u64>,
    /// Where it can be used.
    pub places: Vec<CodeEnvPlace>,
    /// Why it can't be read or made.
    pub fault: Option<Fault>,
}

/// A code environment over one base image, on one engine.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CodeEnvPlace {
    /// The base image.
    pub base: String,
    /// The engine's address.
    pub engine: String,
    /// Its content key; none when it can't be known without pulling.
    pub key: Option<String>,
    /// Whether it is there; none when that can't be asked.
    pub there: Option<bool>,
    /// What the last build got: `name==version`.
    pub packages: Option<Vec<String>>,
    /// When packages that aren't pinned were looked at last: RFC 3339.
    pub resolved_at: Option<String>,
}

/// An image that wharf made, on one engine.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImageSummary {
    /// The engine's address; of an image in a registry, that of the registry.
    pub engine: String,
    /// Its tags. Without any it is a leftover.
    pub tags: Vec<String>,
    /// The engine's id of it.
    pub id: String,
    /// `bootstrap`, `base`, `env` or `run`.
    pub kind: String,
    /// The base image, the code environment, or both.
    pub name: String,
    /// Its content key.
    pub key: String,
    /// Bytes, layers that it shares with others included.
    pub size: u64,
    /// Milliseconds since 1970.
    pub created_at: u64,
    /// Milliseconds since 1970; none when this home never used it.
    pub last_used: Option<u64>,
    /// The configurations that need it now, and `run ID` for runs that use it.
    pub used_by: Vec<String>,
}

/// The images of a home's engines.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImageList {
    /// Those that wharf made.
    pub images: Vec<ImageSummary>,
    /// Engines that don't answer.
    pub unreachable: Vec<Fault>,
}

/// Which images may go.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Prune {
    /// Only those that weren't used for so many seconds.
    pub older_than: u64,
    /// Of each name, so many of the newest stay.
    pub keep: u32,
    /// Only say which.
    pub dry_run: bool,
    /// In the registries, too.
    #[serde(default)]
    pub registries: bool,
}

/// What was removed, or would be.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PruneReport {
    /// Those that are gone, or would be.
    pub removed: Vec<ImageSummary>,
    /// Those that should be gone and aren't, with the words of their engine or registry.
    pub refused: Vec<(ImageSummary, Fault)>,
    /// How many stay.
    pub kept: u32,
    /// Engines and registries that don't answer, or don't let the host in.
    pub unreachable: Vec<Fault>,
}

/// How two images of one name differ in what they are made of.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImageDifference {
    /// `bootstrap`, `base`, `env` or `run`.
    pub kind: String,
    /// The base image, the code environment, or both.
    pub name: String,
    /// The content key of the one before; none when there is only one.
    pub before: Option<String>,
    /// The content key of the one after.
    pub after: String,
    /// Lines that begin with `-` (only before), `+` (only after) or a space (both); `...` where lines that are the same are
    /// left out.
    pub lines: Vec<String>,
}

/// A base image of a home.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BaseSummary {
    /// Its name.
    pub name: String,
    /// What it starts from.
    pub origin: Option<String>,
    /// The image-recipe component that makes it.
    pub made_by: Option<String>,
    /// Its content key; none when it can't be known without pulling.
    pub key: Option<String>,
    /// Whether it is on the engine of the configurations that use it; none when that can't be asked.
    pub there: Option<bool>,
    /// Configurations that use it.
    pub used_by: Vec<String>,
    /// Why it can't be read or made.
    pub fault: Option<Fault>,
}

/// Something that `wharf doctor` looked at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding {
    /// What was looked at.
    pub name: String,
    /// How it is.
    pub state: FindingState,
    /// What was seen, in one sentence.
    pub text: String,
    /// What to do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
}

/// How something is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FindingState {
    /// As it should be.
    Ok,
    /// Works, but somebody should look at it.
    Warning,
    /// Doesn't work.
    Bad,
}
