//! `wharf.toml`: what holds for the whole home.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use wharf_components::Trust;
use wharf_fetch::Roots;
use wharf_model::image::ContextFile;
use wharf_model::{Activity, Fault};

use super::base_image::certificates;
use super::configuration::check_advertise;
use super::history::{self, History, HistoryTable};
use super::name::{is_name, not_a_name};
use super::source::Source;
use super::time_span::TimeSpan;
use super::trust::{self, TrustTable};

/// The shape of `wharf.toml`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct SiteFile {
    /// The execution configuration of activities that name none and whose project has no default.
    pub default_configuration: Option<String>,
    /// Policies that must be loaded: without one of them, nothing runs.
    pub required_policies: Vec<String>,
    /// What differs by project.
    pub projects: BTreeMap<String, ProjectTable>,
    /// How containers reach this host.
    pub exchange: SiteExchangeTable,
    /// How long the host waits for what.
    pub runs: RunsTable,
    /// How long what has ended is remembered.
    pub history: HistoryTable,
    /// Whose components are loaded.
    pub trust: TrustTable,
    /// How components with `canary = true` are tried.
    pub canary: CanaryTable,
    /// What becomes of what an earlier process left.
    pub recovery: RecoveryTable,
    /// Files with certificates (PEM) that are trusted beside the machine's own: by HTTP requests of the host and of components,
    /// and by base images that name none themselves; relative to the home.
    pub extra_ca: Vec<String>,
}

/// What differs for one project.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ProjectTable {
    /// The execution configuration of the project's activities that name none.
    pub default_configuration: Option<String>,
}

/// How containers reach this host.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct SiteExchangeTable {
    /// The address that the exchange listens on, `IP:PORT`; port 0 takes a free one and keeps it. `0.0.0.0:0` by default.
    pub listen: Option<String>,
    /// The address at which containers reach the exchange, `HOST` or `HOST:PORT`; an execution configuration can say another.
    pub advertise: Option<String>,
}

/// What becomes of what an earlier process left.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct RecoveryTable {
    /// Runs that were recorded, and whose container was never created.
    pub never_launched: NeverLaunched,
    /// Containers and pods with this home's label that no record knows.
    pub unknown_objects: UnknownObjects,
}

/// What becomes of runs whose container was never created.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum NeverLaunched {
    /// They end: whoever submitted them is told to do it again.
    #[default]
    Fail,
    /// They are judged and launched, once.
    Launch,
}

/// What becomes of objects that no record knows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum UnknownObjects {
    /// They are removed.
    #[default]
    Remove,
    /// They are left, and told in the log.
    Keep,
}

/// How components with `canary = true` are tried, and when they are taken back.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct CanaryTable {
    /// How many recorded runs they are asked about, the newest. 5,000 by default.
    pub runs: Option<u64>,
    /// How many of those may go otherwise than they went. None by default.
    pub max_flips: Option<u64>,
    /// How often one in force may fail within `window` before it is taken back. 5 times by default.
    pub max_failures: Option<u32>,
    /// See `max_failures`. 10 minutes by default.
    pub window: Option<TimeSpan>,
}

/// How long the host waits for what.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct RunsTable {
    /// How long a recipe that is stopped has before it is killed. 10 seconds by default.
    pub grace: Option<TimeSpan>,
    /// How long the runner of a container that started may take until it is heard of. A minute by default.
    pub start_timeout: Option<TimeSpan>,
    /// How long a runner that was heard of may be silent while its container runs, before the run is ended as lost. 15
    /// minutes by default; a runner that doesn't reach the host ends its recipe by itself after 10.
    pub silence_timeout: Option<TimeSpan>,
    /// How many runs may be there that haven't ended; more are refused for then. 10,000 by default.
    pub max_open: Option<u32>,
}

/// What holds for the whole home.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Site {
    /// The execution configuration of activities that name none and whose project has no default.
    pub default_configuration: Option<String>,
    /// Policies that must be loaded.
    pub required_policies: Vec<String>,
    /// What differs by project.
    pub projects: BTreeMap<String, ProjectTable>,
    /// How containers reach this host.
    pub exchange: SiteExchange,
    /// How long the host waits for what.
    pub runs: RunTimes,
    /// How long what has ended is remembered.
    pub history: History,
    /// Whose components are loaded; what ships with the host isn't in it yet.
    #[serde(skip)]
    pub trust: Trust,
    /// Whether what ships with the host is trusted.
    pub trust_shipped: bool,
    /// How components with `canary = true` are tried.
    pub canary: CanaryRules,
    /// What becomes of what an earlier process left.
    pub recovery: RecoveryTable,
    /// The certificates that base images trust which name none.
    #[serde(skip)]
    pub extra_ca: Vec<ContextFile>,
    /// Whom HTTP requests of the host and of components trust: these, and the machine's.
    #[serde(skip)]
    pub roots: Roots,
}

/// How components with `canary = true` are tried, and when they are taken back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct CanaryRules {
    /// How many recorded runs they are asked about, the newest.
    pub runs: u64,
    /// How many of those may go otherwise than they went.
    pub max_flips: u64,
    /// How often one in force may fail within `window` before it is taken back.
    pub max_failures: u32,
    /// See `max_failures`.
    pub window: Duration,
}

impl Default for CanaryRules {
    fn default() -> Self {
        Self { runs: 5_000, max_flips: 0, max_failures: 5, window: Duration::from_secs(600) }
    }
}

/// How containers reach this host.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct SiteExchange {
    /// The address that the exchange listens on.
    pub listen: SocketAddr,
    /// The address at which containers reach the exchange, for configurations that say none.
    pub advertise: Option<String>,
}

/// How long the host waits for what.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct RunTimes {
    /// How long a recipe that is stopped has before it is killed.
    pub grace: Duration,
    /// How long a runner may take until it is heard of.
    pub start_timeout: Duration,
    /// How long a runner that was heard of may be silent while its container runs.
    pub silence_timeout: Duration,
    /// How many runs may be there that haven't ended.
    pub max_open: u32,
}

impl Default for Site {
    fn default() -> Self {
        Self {
            default_configuration: None,
            required_policies: Vec::new(),
            projects: BTreeMap::new(),
            exchange: SiteExchange { listen: SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0)), advertise: None },
            runs: RunTimes {
                grace: Duration::from_secs(10),
                start_timeout: Duration::from_secs(60),
                silence_timeout: Duration::from_secs(15 * 60),
                max_open: 10_000,
            },
            history: History::default(),
            trust: Trust::default(),
            trust_shipped: true,
            canary: CanaryRules::default(),
            recovery: RecoveryTable::default(),
            extra_ca: Vec::new(),
            roots: Roots::default(),
        }
    }
}

impl Site {
    /// The execution configuration of an activity: its own, else its project's default, else the site's.
    #[must_use]
    pub fn configuration_of<'a>(&'a self, activity: &'a Activity) -> Option<&'a str> {
        let project = || activity.project.as_ref().and_then(|name| self.projects.get(name));
        activity
            .configuration
            .as_deref()
            .or_else(|| project().and_then(|project| project.default_configuration.as_deref()))
            .or(self.default_configuration.as_deref())
    }
}

/// Checks a parsed file.
pub(super) fn resolve(source: &Source<'_>, home: &Path, file: SiteFile) -> Result<Site, Fault> {
    let standard = Site::default();
    let named = |what: &str, path: &[&str], name: &str| {
        if is_name(name) { Ok(()) } else { Err(source.fault(path, not_a_name(what, name))) }
    };
    if let Some(name) = &file.default_configuration {
        named("an execution configuration", &["default_configuration"], name)?;
    }
    for (project, table) in &file.projects {
        if let Some(name) = &table.default_configuration {
            named("an execution configuration", &["projects", project, "default_configuration"], name)?;
        }
    }
    for (at, name) in file.required_policies.iter().enumerate() {
        named("a policy", &["required_policies", &at.to_string()], name)?;
        if file.required_policies[..at].contains(name) {
            return Err(source.fault(
                &["required_policies", &at.to_string()],
                format!("`required_policies` names \"{name}\" twice"),
            ));
        }
    }
    let listen = match &file.exchange.listen {
        None => standard.exchange.listen,
        Some(text) => text.parse().map_err(|_| {
            source.fault(
                &["exchange", "listen"],
                format!("`listen` in [exchange] is \"{text}\"; expected an address and a port, such as \"0.0.0.0:0\""),
            )
        })?,
    };
    if let Some(advertise) = &file.exchange.advertise {
        check_advertise(source, advertise)?;
    }
    let trust_shipped = file.trust.shipped.unwrap_or(standard.trust_shipped);
    let trust = trust::resolve(source, &file.trust)?;
    let canary = CanaryRules {
        runs: file.canary.runs.unwrap_or(standard.canary.runs),
        max_flips: file.canary.max_flips.unwrap_or(standard.canary.max_flips),
        max_failures: file.canary.max_failures.unwrap_or(standard.canary.max_failures),
        window: file.canary.window.map_or(standard.canary.window, TimeSpan::duration),
    };
    let extra_ca = certificates(source, home, &file.extra_ca)?;
    let roots = Roots::with_pem(extra_ca.iter().map(|file| &*file.contents)).map_err(|(at, reason)| {
        let message = format!("`extra_ca` names \"{}\", which has a broken certificate: {reason}", file.extra_ca[at]);
        source.fault(&["extra_ca", &at.to_string()], message)
    })?;
    let history = history::resolve(source, &file.history)?;
    Ok(Site {
        history,
        canary,
        recovery: file.recovery,
        extra_ca,
        roots,
        trust,
        trust_shipped,
        default_configuration: file.default_configuration,
        required_policies: file.required_policies,
        projects: file.projects,
        exchange: SiteExchange { listen, advertise: file.exchange.advertise },
        runs: RunTimes {
            grace: file.runs.grace.map_or(standard.runs.grace, TimeSpan::duration),
            start_timeout: file.runs.start_timeout.map_or(standard.runs.start_timeout, TimeSpan::duration),
            silence_timeout: file.runs.silence_timeout.map_or(standard.runs.silence_timeout, TimeSpan::duration),
            max_open: file.runs.max_open.unwrap_or(standard.runs.max_open),
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::fixture::Fixture;

    #[test]
    fn an_empty_file_is_the_default() {
        assert_eq!(Fixture::new().home().load_site(), Ok(Site::default()));
    }

    #[test]
    fn the_nearest_default_wins() {
        let fixture = Fixture::new();
        fixture.write(
            "wharf.toml",
            "default_configuration = \"site\"\n[projects.SALES]\ndefault_configuration = \"sales\"\n[projects.OTHER]\n",
        );
        let site = fixture.home().load_site().expect("sound");
        fixture.write("a.toml", "kind = \"r\"\nscript = \"x\"\n");
        let mut activity =
            fixture.home().load_activity(&fixture.home().root().join("a.toml"), Default::default()).expect("sound");
        assert_eq!(site.configuration_of(&activity), Some("site"));
        activity.project = Some("OTHER".to_owned());
        assert_eq!(site.configuration_of(&activity), Some("site"));
        activity.project = Some("SALES".to_owned());
        assert_eq!(site.configuration_of(&activity), Some("sales"));
        activity.configuration = Some("own".to_owned());
        assert_eq!(site.configuration_of(&activity), Some("own"));
        activity.configuration = None;
        assert_eq!(Site::default().configuration_of(&activity), None);
    }

    #[test]
    fn each_slip_has_its_line() {
        let fixture = Fixture::new();
        for (text, expected) in [
            ("default_config = \"a\"\n", "1: unknown key `default_config`; did you mean `default_configuration`?"),
            ("required_policies = \"a\"\n", "1: `required_policies` is the text \"a\"; expected a list"),
            ("required_policies = [\"a\", \"a\"]\n", "1: `required_policies` names \"a\" twice"),
            (
                "[exchange]\nlisten = \"localhost\"\n",
                "2: `listen` in [exchange] is \"localhost\"; expected an address and a port, such as \"0.0.0.0:0\"",
            ),
            (
                "[runs]\ngrace = 0\n",
                "2: `runs.grace` is the number 0; expected a time such as \"90s\", \"30m\" or \"2h\", or a number of seconds",
            ),
            (
                "\n[projects.SALES]\ndefault_configuraton = \"a\"\n",
                "3: unknown key `default_configuraton` in [projects.SALES]; did you mean `default_configuration`?",
            ),
        ] {
            fixture.write("wharf.toml", text);
            let fault = fixture.home().load_site().expect_err(text);
            assert_eq!(fixture.spell(&fault), format!("wharf.toml:{expected}"), "{text}");
        }
    }
}
