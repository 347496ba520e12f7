//! Several components that answer as one.

use std::sync::Arc;

use wharf_model::{Decision, Fault, GroupVotes, Judgement, Logic, Mode, Reason, document};

use crate::application::{Application, GroupTable, Subject};
use crate::call_error::cut;
use crate::loaded::{ComponentInfo, Kind, Loaded, Names};
use crate::policy::PolicyRole;
use crate::settings_file::{CODE, CallLimits, ComponentSettingsFile, Grants, OnError};
use crate::source::{self, Source};
use crate::trust::Voucher;
use crate::world::World;

/// One component, and how to call it.
#[derive(Clone)]
pub(crate) struct Single<I> {
    pub(crate) loaded: Arc<Loaded>,
    pub(crate) indices: I,
}

/// A group whose members are all there.
pub(crate) struct Group<I> {
    pub(crate) file: Arc<GroupFile>,
    pub(crate) members: Vec<Single<I>>,
}

/// What answers under one name.
#[derive(Clone)]
pub(crate) enum Body<I> {
    Single(Single<I>),
    Group(Arc<Group<I>>),
}

impl<I> Body<I> {
    pub(crate) fn name(&self) -> &str {
        match self {
            Self::Single(single) => &single.loaded.info.name,
            Self::Group(group) => &group.file.name,
        }
    }

    pub(crate) fn info(&self) -> &ComponentInfo {
        match self {
            Self::Single(single) => &single.loaded.info,
            Self::Group(group) => &group.file.info,
        }
    }

    fn application(&self) -> &Application {
        match self {
            Self::Single(single) => &single.loaded.info.application,
            Self::Group(group) => &group.file.application,
        }
    }

    pub(crate) fn mode_of(&self, run: &Subject<'_>) -> Mode {
        self.application().mode_of(run)
    }

    pub(crate) fn always_enforces(&self) -> bool {
        self.application().always_enforces()
    }
}

/// A group's file, read.
pub(crate) struct GroupFile {
    pub(crate) name: String,
    pub(crate) table: GroupTable,
    pub(crate) application: Application,
    pub(crate) names: Names,
    text: String,
    info: ComponentInfo,
}

/// The members of a group, and what they all are.
pub(crate) type Members = (World, Vec<Arc<Loaded>>);

impl GroupFile {
    /// The group that a file makes; `None` when it makes none.
    pub(crate) fn read(source: &Source) -> Result<Option<Self>, Fault> {
        let text = source.toml_text()?;
        let settings = ComponentSettingsFile::read(&source.files.toml, text)?;
        let application = settings.application();
        let Some(table) = settings.group else { return Ok(None) };
        let digest = source::digest(text.as_bytes());
        let info = ComponentInfo {
            name: source.name(),
            file: source.file.clone(),
            source: source.file.clone(),
            // Said anew when its members are known.
            world: World::Policy,
            title: "group".to_owned(),
            version: String::new(),
            description: format!("{} of {}", table.logic.as_str(), table.members.join(", ")),
            settings_schema: None,
            digest: digest.clone(),
            settings_digest: digest,
            settings_for: Vec::new(),
            canary: settings.canary,
            order: settings.order,
            application: application.clone(),
            group: Some(table.clone()),
            member_of: Vec::new(),
            role: None,
            offers: Vec::new(),
            on_error: OnError::Deny,
            limits: CallLimits::default(),
            grants: Grants::default(),
            imports: Vec::new(),
            voucher: Voucher::Anybody,
        };
        Ok(Some(Self {
            name: info.name.clone(),
            table,
            application,
            names: Names::of(&info),
            text: text.to_owned(),
            info,
        }))
    }

    /// What is known of it, once its world is.
    pub(crate) fn info(&self, world: World) -> ComponentInfo {
        let role = (world == World::Policy).then_some(PolicyRole::Validating);
        ComponentInfo { world, role, ..self.info.clone() }
    }

    /// Finds the members among what is loaded; with their world, as far as it is known.
    pub(crate) fn members(&self, loaded: &[Arc<Loaded>]) -> Result<Members, (Fault, Option<World>)> {
        let mut members: Vec<Arc<Loaded>> = Vec::new();
        for name in &self.table.members {
            let world = members.first().map(|member| member.info.world);
            let line = document::line_of(&self.text, &["group", "members"]);
            let fault = |message: String| Fault::new(CODE, message).at(&self.info.file, line);
            let Some(member) = loaded.iter().find(|loaded| loaded.info.name == *name) else {
                let message = format!("its member {name} isn't a component that is loaded");
                return Err((fault(message).hint("`wharf component list` says why it isn't"), world));
            };
            let info = &member.info;
            let fault = match (&member.kind, world) {
                (Kind::Policy(_, PolicyRole::Mutating), _) => fault(format!(
                    "its member {name} changes plans: what it changed before another member said no couldn't be taken back"
                ))
                .hint("a group takes permission components, or policies that judge"),
                (Kind::ImageRecipe(_) | Kind::RecipeAdapter(_), _) => {
                    fault(format!("its member {name} makes something ({}) and judges nothing", info.world))
                        .hint("a group takes permission components, or policies that judge")
                }
                (_, Some(world)) if world != info.world => {
                    fault(format!("its members are of two worlds: {world}, and {name} of {}", info.world))
                        .hint("make a group of each")
                }
                _ if info.application != Application::default() => fault(format!(
                    "its member {name} has conditions or a mode of its own, and a member is asked whenever its group is"
                ))
                .hint(format!("move `mode`, `mode_for` and `when` from {name}.toml into the group's file")),
                _ if info.on_error == OnError::Allow => fault(format!(
                    "its member {name} has `on_error = \"allow\"`, and a member that fails never counts as a yes"
                ))
                .hint(format!("take it out of {name}.toml")),
                _ => {
                    members.push(Arc::clone(member));
                    continue;
                }
            };
            return Err((fault, world.or(Some(info.world))));
        }
        // The file was refused if there was no member.
        let world = members.first().map_or(World::Policy, |member| member.info.world);
        Ok((world, members))
    }
}

/// What a group answers, from its members' decisions. What isn't a clear yes of a member is never taken for one; where a yes is
/// what may not be, neither is a failure taken for a no.
pub(crate) fn judgement(votes: &GroupVotes) -> Judgement {
    let (mut limits, mut warnings) = (Vec::new(), Vec::new());
    let (mut noes, mut yeses, mut failures) = (Vec::new(), Vec::new(), Vec::new());
    for Decision { component: name, judgement, .. } in &votes.members {
        match judgement {
            Judgement::Accept { limits: more, warnings: more_warnings, .. } => {
                limits.extend(more.iter().cloned());
                warnings.extend(more_warnings.iter().map(|warning| format!("{name}: {warning}")));
                yeses.push(Reason {
                    rule: "none-of".to_owned(),
                    message: format!("{name} says yes, and none of the group may"),
                    field: None,
                });
            }
            Judgement::Reject { reasons } => noes.extend(
                reasons
                    .iter()
                    .map(|reason| Reason { message: format!("{name}: {}", reason.message), ..reason.clone() }),
            ),
            Judgement::Error { message, .. } => failures.push(Reason {
                rule: "member-failed".to_owned(),
                message: format!("{name} failed: {}", cut(message)),
                field: None,
            }),
        }
    }
    let is_yes = match votes.logic {
        Logic::All => noes.is_empty() && failures.is_empty(),
        Logic::Any => !yeses.is_empty(),
        Logic::None => yeses.is_empty() && failures.is_empty(),
    };
    match (votes.logic, is_yes) {
        (Logic::None, true) => Judgement::Accept { changes: Vec::new(), limits: Vec::new(), warnings: Vec::new() },
        (_, true) => {
            warnings.extend(failures.into_iter().map(|failure| failure.message));
            Judgement::Accept { changes: Vec::new(), limits, warnings }
        }
        (Logic::None, false) => Judgement::Reject { reasons: yeses.into_iter().chain(failures).collect() },
        (_, false) => Judgement::Reject { reasons: noes.into_iter().chain(failures).collect() },
    }
}

#[cfg(test)]
mod tests {
    use wharf_model::{Limit, WhenFull};

    use super::*;

    fn vote(what: char, at: usize) -> Decision {
        let limit =
            Limit { scope: at.to_string(), counter: "running".to_owned(), maximum: 1, when_full: WhenFull::Wait };
        let judgement = match what {
            'y' => Judgement::Accept { changes: Vec::new(), limits: vec![limit], warnings: Vec::new() },
            'n' => Judgement::Reject {
                reasons: vec![Reason { rule: "r".to_owned(), message: "No.".to_owned(), field: None }],
            },
            _ => Judgement::Error { message: "trapped".to_owned(), ignored: false },
        };
        Decision {
            step: "policy".to_owned(),
            component: format!("m{at}"),
            version: String::new(),
            digest: String::new(),
            settings_digest: String::new(),
            micros: 0,
            mode: Mode::Enforce,
            votes: None,
            judgement,
        }
    }

    fn judged(logic: Logic, votes: &str) -> Judgement {
        judgement(&GroupVotes { logic, members: votes.chars().enumerate().map(|(at, what)| vote(what, at)).collect() })
    }

    /// Yes, no and error of every two members, under each logic.
    #[test]
    fn an_error_never_helps() {
        for (votes, all, any, none) in [
            ("yy", true, true, false),
            ("yn", false, true, false),
            ("ye", false, true, false),
            ("nn", false, false, true),
            ("ne", false, false, false),
            ("en", false, false, false),
            ("ee", false, false, false),
            ("e", false, false, false),
            ("n", false, false, true),
            ("y", true, true, false),
        ] {
            for (logic, yes) in [(Logic::All, all), (Logic::Any, any), (Logic::None, none)] {
                match judged(logic, votes) {
                    Judgement::Accept { .. } => assert!(yes, "{logic:?} {votes}"),
                    Judgement::Reject { reasons } => {
                        assert!(!yes, "{logic:?} {votes}");
                        assert!(!reasons.is_empty(), "{logic:?} {votes}: a no without a reason");
                    }
                    other @ Judgement::Error { .. } => panic!("{other:?}"),
                }
            }
        }
    }

    #[test]
    fn reasons_name_the_member_and_limits_of_every_yes_hold() {
        let Judgement::Accept { limits, warnings, .. } = judged(Logic::Any, "yeyn") else { panic!() };
        assert_eq!(limits.iter().map(|limit| limit.scope.as_str()).collect::<Vec<_>>(), ["0", "2"]);
        assert_eq!(warnings, ["m1 failed: trapped"]);
        let Judgement::Reject { reasons } = judged(Logic::Any, "ne") else { panic!() };
        let texts: Vec<&str> = reasons.iter().map(|reason| reason.message.as_str()).collect();
        assert_eq!(texts, ["m0: No.", "m1 failed: trapped"]);
        let Judgement::Reject { reasons } = judged(Logic::None, "ny") else { panic!() };
        assert_eq!(reasons[0].message, "m1 says yes, and none of the group may");
        let Judgement::Accept { limits, .. } = judged(Logic::None, "nn") else { panic!() };
        assert_eq!(limits, []);
    }
}
