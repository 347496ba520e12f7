//! What each kind of work reads and writes.

use wharf_plugin_sdk::adapter::Activity;
use wharf_plugin_sdk::{Binding, BindingKind};

/// What is done with a model.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Work {
    Train,
    Retrain,
    Score,
}

/// A role, and what plays it. Every one of them is required, and takes one.
struct Role {
    name: &'static str,
    kind: BindingKind,
    what: &'static str,
}

const ROWS: Role = Role { name: "main", kind: BindingKind::Dataset, what: "the rows to learn from" };
const NEW_ROWS: Role = Role { name: "main", kind: BindingKind::Dataset, what: "the rows" };
const SAVED: Role = Role { name: "model", kind: BindingKind::Folder, what: "the saved model" };
const NEW_MODEL: Role = Role { name: "model", kind: BindingKind::Folder, what: "where the saved model goes" };
const SCORED: Role = Role { name: "main", kind: BindingKind::Dataset, what: "where the scored rows go" };

impl Work {
    /// The work of a kind of activity.
    pub(crate) fn of(kind: &str) -> Option<Self> {
        match kind {
            "ml-train" => Some(Self::Train),
            "ml-retrain" => Some(Self::Retrain),
            "ml-score" => Some(Self::Score),
            _ => None,
        }
    }

    /// The word that the engine takes for it.
    pub(crate) fn command(self) -> &'static str {
        match self {
            Self::Train => "train",
            Self::Retrain => "retrain",
            Self::Score => "score",
        }
    }

    fn inputs(self) -> &'static [Role] {
        match self {
            Self::Train => &[ROWS],
            Self::Retrain | Self::Score => &[NEW_ROWS, SAVED],
        }
    }

    fn outputs(self) -> &'static [Role] {
        match self {
            Self::Train | Self::Retrain => &[NEW_MODEL],
            Self::Score => &[SCORED],
        }
    }
}

/// All that is wrong with an activity's inputs and outputs.
pub(crate) fn problems(work: Work, activity: &Activity) -> Vec<String> {
    let mut problems = Vec::new();
    check("inputs", work.inputs(), &activity.inputs, &mut problems);
    check("outputs", work.outputs(), &activity.outputs, &mut problems);
    problems
}

fn check(side: &str, roles: &[Role], bindings: &[Binding], problems: &mut Vec<String>) {
    let word = |kind| match kind {
        BindingKind::Dataset => "a dataset",
        BindingKind::Folder => "a folder",
    };
    for role in roles {
        let mut playing = bindings.iter().filter(|binding| binding.role == role.name);
        match (playing.next(), playing.next()) {
            (None, _) => {
                problems.push(format!("{side}.{} is missing: {}, {}", role.name, role.what, word(role.kind)));
            }
            (Some(_), Some(_)) => problems.push(format!("{side}.{} is there more than once; it takes one", role.name)),
            (Some(one), None) if one.kind != role.kind => {
                problems.push(format!("{side}.{} is {}; it takes {}", role.name, word(one.kind), word(role.kind)));
            }
            (Some(_), None) => {}
        }
    }
    let known: Vec<&str> = roles.iter().map(|role| role.name).collect();
    for binding in bindings.iter().filter(|binding| !known.contains(&binding.role.as_str())) {
        problems.push(format!("{side}.{} isn't a role here; there is {}", binding.role, known.join(" and ")));
    }
}
