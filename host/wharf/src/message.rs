//! The library's own messages, as `host.sock` speaks them: one JSON object a line.
//!
//! A caller sends one [`Request`] and reads [`Reply`] lines until `end` or `fault`.

use serde::{Deserialize, Serialize};
use wharf_model::{Activity, Decision, Event, Fault, Limit, Outcome, Plan};

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
    /// The newest runs. Answers a list of [`RunSummary`](crate::store::RunSummary).
    Runs {
        /// At most so many.
        limit: u32,
    },
    /// The run that a person means: `last`, an id, or the beginning of one. Answers its id.
    Resolve {
        /// What was typed.
        text: String,
    },
    /// The components. Answers a [`ComponentReport`].
    Components,
    /// Make a base image ready where its configurations run. Answers one [`BaseProgress`] a line.
    BuildBase {
        /// Which.
        name: String,
    },
    /// The base images. Answers a list of [`BaseSummary`].
    Bases,
    /// What is well and what isn't. Answers a list of [`Finding`].
    Diagnose,
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
    /// Where policies stand in the order.
    pub order: i64,
    /// What it was granted.
    pub grants: Vec<String>,
    /// Bytes of the file.
    pub size: u64,
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

/// How a base image's build goes on.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum BaseProgress {
    /// A line for a person.
    Progress(String),
    /// It is there.
    Done(BaseReport),
}

/// A base image that is there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BaseReport {
    /// Its name.
    pub name: String,
    /// Its content key.
    pub key: String,
    /// The image that runs use: base, runner and libraries.
    pub image: String,
    /// Whether anything had to be built.
    pub built: bool,
    /// How long it took.
    pub millis: u64,
    /// Bytes.
    pub size: u64,
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
