//! When a component is asked about a run, and what its answer means for it.

use std::fmt::Write as _;
use std::path::Path;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use wharf_model::decision::{Logic, Mode};
use wharf_model::{ActivityKind, Fault, Identity, Plan, document};

use crate::request::Request;
use crate::settings_file::CODE;

/// Conditions on a run. Every key that is there must match; a key matches when one of its patterns does.
///
/// In a pattern `*` stands for any characters and `?` for one.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Conditions {
    /// The run's execution configuration.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub configurations: Option<Vec<String>>,
    /// Its kind: `python`, `ml-*`, ...
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kinds: Option<Vec<String>>,
    /// Its project. A run without one matches no pattern.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub projects: Option<Vec<String>>,
    /// One of the groups of who asks.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub groups: Option<Vec<String>>,
    /// Who asks.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub users: Option<Vec<String>>,
}

/// Another mode for some runs. The keys beside `mode` are conditions, as in `[when]`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ModeFor {
    /// The mode of the runs that match.
    pub mode: Mode,
    /// The run's execution configuration.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub configurations: Option<Vec<String>>,
    /// Its kind: `python`, `ml-*`, ...
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kinds: Option<Vec<String>>,
    /// Its project. A run without one matches no pattern.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub projects: Option<Vec<String>>,
    /// One of the groups of who asks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub groups: Option<Vec<String>>,
    /// Who asks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub users: Option<Vec<String>>,
}

/// When a component is asked about a run, and what its answer means for it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Application {
    /// What its answer means, where `mode_for` says nothing else.
    pub mode: Mode,
    /// Exceptions: the first that matches holds.
    pub mode_for: Vec<ModeFor>,
    /// The runs that it is asked about. Without conditions: all.
    pub when: Conditions,
}

/// Several components that answer as one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct GroupTable {
    /// How their answers make one.
    pub logic: Logic,
    /// Their names: permission components, or policies that judge. They are asked in this order.
    #[schemars(length(min = 1))]
    pub members: Vec<String>,
}

/// The run that conditions are about.
#[derive(Clone, Copy, Debug)]
pub struct Subject<'a> {
    /// Its execution configuration.
    pub configuration: &'a str,
    /// What kind of work.
    pub kind: ActivityKind,
    /// Its project.
    pub project: Option<&'a str>,
    /// Who asks.
    pub requester: &'a Identity,
}

impl<'a> Subject<'a> {
    /// What a permission component is asked about.
    #[must_use]
    pub fn of_request(request: &Request<'a>) -> Self {
        Self {
            configuration: &request.configuration.name,
            kind: request.kind,
            project: request.project,
            requester: request.requester,
        }
    }

    /// What a policy is asked about.
    #[must_use]
    pub fn of_plan(plan: &'a Plan) -> Self {
        Self {
            configuration: &plan.configuration.name,
            kind: plan.kind,
            project: plan.project.as_deref(),
            requester: &plan.requester,
        }
    }
}

impl Conditions {
    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.lists().into_iter().all(|(_, patterns)| patterns.is_none())
    }

    /// Whether a run meets all of them.
    #[must_use]
    pub fn match_run(&self, run: &Subject<'_>) -> bool {
        let Identity { user, groups } = run.requester;
        let groups: Vec<&str> = groups.iter().map(String::as_str).collect();
        let any = |patterns: &Option<Vec<String>>, texts: &[&str]| {
            patterns
                .as_ref()
                .is_none_or(|patterns| texts.iter().any(|text| patterns.iter().any(|pattern| matches(pattern, text))))
        };
        any(&self.configurations, &[run.configuration])
            && any(&self.kinds, &[run.kind.as_str()])
            && any(&self.projects, run.project.as_slice())
            && any(&self.groups, &groups)
            && any(&self.users, &[user])
    }

    fn lists(&self) -> [(&'static str, Option<&[String]>); 5] {
        [
            ("configurations", self.configurations.as_deref()),
            ("kinds", self.kinds.as_deref()),
            ("projects", self.projects.as_deref()),
            ("groups", self.groups.as_deref()),
            ("users", self.users.as_deref()),
        ]
    }

    /// The conditions in words; empty when there is none.
    #[must_use]
    pub fn in_words(&self) -> String {
        let mut words = String::new();
        for (key, patterns) in self.lists() {
            let Some(patterns) = patterns else { continue };
            let gap = if words.is_empty() { "" } else { " and " };
            let _ = write!(words, "{gap}{key} {}", patterns.join("|"));
        }
        words
    }

    /// Refuses what could never match, or not mean what it seems to.
    fn check(&self, file: &Path, text: &str, place: &[&str]) -> Result<(), Fault> {
        for (key, patterns) in self.lists() {
            let fault = |message: String| {
                let path: Vec<&str> = place.iter().copied().chain([key]).collect();
                Fault::new(CODE, message).at(file, document::line_of(text, &path))
            };
            let Some(patterns) = patterns else { continue };
            if patterns.is_empty() {
                return Err(fault(format!("`{key}` is empty, so no run matches")).hint("leave the key out for any"));
            }
            if patterns.iter().any(|pattern| pattern.is_empty() || pattern.trim() != pattern) {
                return Err(fault(format!("`{key}` has a pattern that is empty or has spaces around it")));
            }
            let kinds = ActivityKind::ALL.map(ActivityKind::as_str);
            let unknown = |pattern: &&String| !kinds.iter().any(|kind| matches(pattern, kind));
            if key == "kinds"
                && let Some(pattern) = patterns.iter().find(unknown)
            {
                return Err(fault(format!("no kind of activity is called \"{pattern}\""))
                    .hint(format!("there are: {}", kinds.join(", "))));
            }
        }
        Ok(())
    }
}

impl ModeFor {
    /// The conditions beside the mode.
    #[must_use]
    pub fn conditions(&self) -> Conditions {
        let Self { mode: _, configurations, kinds, projects, groups, users } = self.clone();
        Conditions { configurations, kinds, projects, groups, users }
    }
}

impl Application {
    /// What its answer means for a run; [`Mode::Off`] when it isn't about such runs at all.
    #[must_use]
    pub fn mode_of(&self, run: &Subject<'_>) -> Mode {
        if !self.when.match_run(run) {
            return Mode::Off;
        }
        let exception = self.mode_for.iter().find(|exception| exception.conditions().match_run(run));
        exception.map_or(self.mode, |exception| exception.mode)
    }

    /// Whether its answer counts for every run that it is about.
    #[must_use]
    pub fn always_enforces(&self) -> bool {
        self.mode == Mode::Enforce && self.mode_for.iter().all(|exception| exception.mode == Mode::Enforce)
    }

    /// Whether there is no run that it is asked about.
    pub(crate) fn is_never_asked(&self) -> bool {
        self.mode == Mode::Off && self.mode_for.iter().all(|exception| exception.mode == Mode::Off)
    }

    /// The configurations that it names, without those that are patterns.
    #[must_use]
    pub fn configurations(&self) -> Vec<String> {
        let exceptions = self.mode_for.iter().filter_map(|exception| exception.configurations.clone());
        let all = exceptions.chain(self.when.configurations.clone()).flatten();
        all.filter(|pattern| !pattern.contains(['*', '?'])).collect()
    }

    pub(crate) fn check(&self, file: &Path, text: &str) -> Result<(), Fault> {
        self.when.check(file, text, &["when"])?;
        for (at, exception) in self.mode_for.iter().enumerate() {
            let (conditions, at) = (exception.conditions(), at.to_string());
            let place = ["mode_for", at.as_str()];
            if conditions.is_empty() {
                return Err(Fault::new(CODE, "a [[mode_for]] has no condition, so it would hold for all runs")
                    .at(file, document::line_of(text, &place))
                    .hint("write `mode` at the top of the file instead, or give it a condition such as `groups`"));
            }
            conditions.check(file, text, &place)?;
        }
        Ok(())
    }
}

/// Whether a text is what a pattern says, as a whole. Upper and lower case differ.
fn matches(pattern: &str, text: &str) -> bool {
    let (pattern, text): (Vec<char>, Vec<char>) = (pattern.chars().collect(), text.chars().collect());
    let (mut at, mut seen) = (0, 0);
    // Where the last `*` was, and how far the text was then: another character goes to it when what follows doesn't fit.
    let mut star: Option<(usize, usize)> = None;
    while seen < text.len() {
        match pattern.get(at) {
            Some('*') => {
                star = Some((at, seen));
                at += 1;
            }
            Some(wanted) if *wanted == '?' || *wanted == text[seen] => {
                at += 1;
                seen += 1;
            }
            _ => match star {
                Some((place, taken)) => {
                    star = Some((place, taken + 1));
                    at = place + 1;
                    seen = taken + 1;
                }
                None => return false,
            },
        }
    }
    pattern[at..].iter().all(|rest| *rest == '*')
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings_file::ComponentSettingsFile;

    fn application(text: &str) -> Application {
        ComponentSettingsFile::read(Path::new("p.toml"), text).unwrap().application()
    }

    fn mode(application: &Application, configuration: &str, project: Option<&str>, groups: &[&str]) -> Mode {
        let requester =
            Identity { user: "ana".to_owned(), groups: groups.iter().map(|group| (*group).to_owned()).collect() };
        application.mode_of(&Subject { configuration, kind: ActivityKind::MlTrain, project, requester: &requester })
    }

    #[test]
    fn patterns_are_for_the_whole_text() {
        for (pattern, text, fits) in [
            ("a", "a", true),
            ("a", "ab", false),
            ("a", "A", false),
            ("a*", "a", true),
            ("*a", "ba", true),
            ("*a", "bab", false),
            ("*", "", true),
            ("?", "", false),
            ("??", "é1", true),
            ("a*b*c", "aXbXbXc", true),
            ("a*b*c", "aXbXb", false),
            ("*.*", "a.b.c", true),
            ("a**", "abc", true),
            ("a.c", "abc", false),
            ("[a]", "a", false),
        ] {
            assert_eq!(matches(pattern, text), fits, "{pattern} {text}");
        }
    }

    /// A pattern of many stars must not take time that grows without bound.
    #[test]
    fn a_long_pattern_ends() {
        let started = std::time::Instant::now();
        assert!(!matches(&"*a".repeat(200), &"a".repeat(199)));
        assert!(!matches(&format!("{}b", "*a".repeat(200)), &"a".repeat(2_000)));
        assert!(started.elapsed() < std::time::Duration::from_secs(5));
    }

    #[test]
    fn all_keys_must_match_and_one_pattern_of_each() {
        let policy = application("[when]\nconfigurations = [\"gpu-*\", \"big\"]\ngroups = [\"interns\", \"guests\"]");
        assert_eq!(mode(&policy, "gpu-1", None, &["analysts", "guests"]), Mode::Enforce);
        assert_eq!(mode(&policy, "big", None, &["interns"]), Mode::Enforce);
        assert_eq!(mode(&policy, "small", None, &["interns"]), Mode::Off);
        assert_eq!(mode(&policy, "gpu-1", None, &["analysts"]), Mode::Off);
        assert_eq!(mode(&policy, "gpu-1", None, &[]), Mode::Off);
        let policy = application("[when]\nprojects = [\"*\"]");
        assert_eq!(mode(&policy, "a", Some("SALES"), &[]), Mode::Enforce);
        assert_eq!(mode(&policy, "a", None, &[]), Mode::Off);
        assert_eq!(mode(&application("[when]\nkinds = [\"ml-*\"]"), "a", None, &[]), Mode::Enforce);
        assert_eq!(mode(&application("[when]\nkinds = [\"python\"]"), "a", None, &[]), Mode::Off);
        assert_eq!(mode(&application("[when]\nusers = [\"an?\"]"), "a", None, &[]), Mode::Enforce);
        assert_eq!(mode(&application("[when]\nusers = [\"bob\"]"), "a", None, &[]), Mode::Off);
    }

    #[test]
    fn the_first_exception_that_matches_holds() {
        let policy = application(
            "mode = \"audit\"\n[[mode_for]]\nconfigurations = [\"prod\"]\nmode = \"enforce\"\n[[mode_for]]\ngroups = \
             [\"staff\"]\nmode = \"off\"",
        );
        assert_eq!(mode(&policy, "prod", None, &["staff"]), Mode::Enforce);
        assert_eq!(mode(&policy, "test", None, &["staff"]), Mode::Off);
        assert_eq!(mode(&policy, "test", None, &[]), Mode::Audit);
        assert!(!policy.always_enforces() && !policy.is_never_asked());
        assert_eq!(policy.configurations(), ["prod"]);
        assert!(application("").always_enforces());
        assert!(application("mode = \"off\"").is_never_asked());
    }

    /// What can't match must not look like a rule.
    #[test]
    fn conditions_that_say_nothing_are_refused() {
        for (text, line, words) in [
            ("[when]\ngroups = []", 2, "no run matches"),
            ("[when]\ngroups = [\"\"]", 2, "a pattern that is empty"),
            ("[when]\nusers = [\"a \"]", 2, "spaces around"),
            ("[when]\nkinds = [\"pyhton\"]", 2, "no kind of activity is called \"pyhton\""),
            ("[when]\ngroup = [\"a\"]", 2, "unknown key `group`"),
            ("[[mode_for]]\nmode = \"audit\"", 1, "no condition"),
            ("[[mode_for]]\ngroups = [\"a\"]", 1, "mode"),
            ("\n[[mode_for]]\nmode = \"audit\"\nkinds = [\"x\"]", 4, "no kind"),
            ("mode = \"adit\"", 1, "adit"),
        ] {
            let fault = ComponentSettingsFile::read(Path::new("p.toml"), text).unwrap_err();
            assert!(fault.message.contains(words), "{text:?}: {fault}");
            assert_eq!(fault.at.and_then(|at| at.line), Some(line), "{text:?}");
        }
    }
}
