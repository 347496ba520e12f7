//! The words that all worlds share, with what is handy to have on them.

use std::fmt;

pub use crate::bindings::shared::wharf::plugin::types::{
    Binding, BindingKind, CodeEnvironment, ExecutionConfiguration, Identity, ImageSpec, KeyValue, Language, Limit,
    Mirrors, Plan, Quantity, Reason, Request, Resource, Security, Usage, UsageEntry, WhenFull,
};
pub use wharf_model::quantity::ALL_GPUS;
use wharf_model::quantity::Quantity as HostQuantity;

impl Reason {
    /// A rule in kebab-case, and one sentence that says what is wrong and what would be accepted.
    ///
    /// ```
    /// use wharf_plugin_sdk::Reason;
    ///
    /// let reason = Reason::new("memory-ceiling", "8g is over 4g; ask for at most 4g").about("resources.memory");
    /// assert_eq!(reason.field.as_deref(), Some("resources.memory"));
    /// ```
    pub fn new(rule: impl Into<String>, message: impl Into<String>) -> Self {
        Self { rule: rule.into(), message: message.into(), field: None }
    }

    /// The field of the plan that it is about, e.g. `resources.memory`.
    ///
    /// ```
    /// use wharf_plugin_sdk::Reason;
    ///
    /// let reason = Reason::new("no-root", "runs aren't root; leave the user out").about("security.user");
    /// assert_eq!(reason.field.as_deref(), Some("security.user"));
    /// ```
    #[must_use]
    pub fn about(mut self, field: impl Into<String>) -> Self {
        self.field = Some(field.into());
        self
    }
}

impl Limit {
    /// At most so many runs at once; further ones wait.
    ///
    /// Limits of equal scopes share a count, whichever component returned them.
    ///
    /// ```
    /// use wharf_plugin_sdk::{Limit, WhenFull};
    ///
    /// assert_eq!(Limit::running("user:ana", 4).when_full, WhenFull::Wait);
    /// assert_eq!(Limit::running("user:ana", 4).or_reject().when_full, WhenFull::Reject);
    /// ```
    pub fn running(scope: impl Into<String>, maximum: u64) -> Self {
        Self::of(scope, "running", maximum)
    }

    /// At most so many billionths of a CPU at once; further runs wait.
    ///
    /// ```
    /// use wharf_plugin_sdk::{Limit, Quantity};
    ///
    /// let Ok(Quantity::Cpus(eight)) = Quantity::parse("cpus", "8") else { unreachable!() };
    /// assert_eq!(Limit::cpus("user:ana", eight).maximum, 8_000_000_000);
    /// ```
    pub fn cpus(scope: impl Into<String>, maximum: u64) -> Self {
        Self::of(scope, "cpus", maximum)
    }

    /// At most so many bytes of memory at once; further runs wait.
    ///
    /// ```
    /// use wharf_plugin_sdk::Limit;
    ///
    /// assert_eq!(Limit::memory("project:SALES", 64 << 30).counter, "memory");
    /// ```
    pub fn memory(scope: impl Into<String>, maximum: u64) -> Self {
        Self::of(scope, "memory", maximum)
    }

    /// At most so many GPUs at once; further runs wait.
    ///
    /// ```
    /// use wharf_plugin_sdk::Limit;
    ///
    /// assert_eq!(Limit::gpus("group:research", 4).counter, "gpus");
    /// ```
    pub fn gpus(scope: impl Into<String>, maximum: u64) -> Self {
        Self::of(scope, "gpus", maximum)
    }

    /// Further runs are refused instead of waiting.
    ///
    /// ```
    /// use wharf_plugin_sdk::{Limit, WhenFull};
    ///
    /// let limit = Limit::running("user:ana", 4).or_reject();
    /// assert_eq!(limit.when_full, WhenFull::Reject);
    /// ```
    #[must_use]
    pub fn or_reject(mut self) -> Self {
        self.when_full = WhenFull::Reject;
        self
    }

    fn of(scope: impl Into<String>, counter: &str, maximum: u64) -> Self {
        Self { scope: scope.into(), counter: counter.to_owned(), maximum, when_full: WhenFull::Wait }
    }
}

impl KeyValue {
    /// A name and its value.
    ///
    /// ```
    /// use wharf_plugin_sdk::KeyValue;
    ///
    /// let variable = KeyValue::new("TZ", "Europe/Paris");
    /// assert_eq!(variable.key, "TZ");
    /// ```
    pub fn new(key: impl Into<String>, value: impl Into<String>) -> Self {
        Self { key: key.into(), value: value.into() }
    }
}

impl Plan {
    /// A resource restriction, by the engine's name for it.
    ///
    /// ```
    /// use wharf_plugin_sdk::{Plan, Quantity};
    ///
    /// fn has_more_than_a_gibibyte(plan: &Plan) -> bool {
    ///     matches!(plan.resource("memory"), Some(Quantity::Bytes(bytes)) if *bytes > 1 << 30)
    /// }
    /// ```
    #[must_use]
    pub fn resource(&self, key: &str) -> Option<&Quantity> {
        self.resources.iter().find(|resource| resource.key == key).map(|resource| &resource.value)
    }

    /// How many GPUs it asks for, in the words of either engine; [`ALL_GPUS`] for all that the machine has.
    ///
    /// ```
    /// use wharf_plugin_sdk::Plan;
    ///
    /// fn needs_a_gpu(plan: &Plan) -> bool {
    ///     plan.gpus() > 0
    /// }
    /// ```
    #[must_use]
    pub fn gpus(&self) -> u64 {
        let asked = self
            .resources
            .iter()
            .filter_map(|resource| wharf_model::quantity::gpus(&resource.key, &HostQuantity::from(&resource.value)));
        asked.fold(0, u64::saturating_add).min(ALL_GPUS)
    }

    /// A variable of the recipe's environment; one that gets a secret isn't among them.
    ///
    /// ```
    /// use wharf_plugin_sdk::Plan;
    ///
    /// fn uses_the_proxy(plan: &Plan) -> bool {
    ///     plan.env("HTTPS_PROXY").is_some()
    /// }
    /// ```
    #[must_use]
    pub fn env(&self, key: &str) -> Option<&str> {
        lookup(&self.env, key)
    }

    /// The name of the secret that a variable gets.
    ///
    /// ```
    /// use wharf_plugin_sdk::Plan;
    ///
    /// fn gets_the_database(plan: &Plan) -> bool {
    ///     plan.secret("DB_PASSWORD") == Some("sales-db")
    /// }
    /// ```
    #[must_use]
    pub fn secret(&self, variable: &str) -> Option<&str> {
        lookup(&self.secrets, variable)
    }

    /// A label.
    ///
    /// ```
    /// use wharf_plugin_sdk::Plan;
    ///
    /// fn names_its_team(plan: &Plan) -> bool {
    ///     plan.label("team").is_some_and(|team| !team.is_empty())
    /// }
    /// ```
    #[must_use]
    pub fn label(&self, key: &str) -> Option<&str> {
        lookup(&self.labels, key)
    }

    /// A parameter of the recipe.
    ///
    /// ```
    /// use wharf_plugin_sdk::Plan;
    ///
    /// fn asks_for_more_than_a_sample(plan: &Plan) -> bool {
    ///     plan.parameter("rows").and_then(|rows| rows.as_u64()).is_some_and(|rows| rows > 10_000)
    /// }
    /// ```
    #[must_use]
    pub fn parameter(&self, key: &str) -> Option<serde_json::Value> {
        let mut all: serde_json::Map<String, serde_json::Value> = serde_json::from_str(&self.parameters).ok()?;
        all.remove(key)
    }
}

impl Request {
    /// A resource that the activity asks for.
    ///
    /// ```
    /// use wharf_plugin_sdk::Request;
    ///
    /// fn asks_for_gpus(request: &Request) -> bool {
    ///     request.resource("gpus").is_some()
    /// }
    /// ```
    #[must_use]
    pub fn resource(&self, key: &str) -> Option<&Quantity> {
        self.requested_resources.iter().find(|resource| resource.key == key).map(|resource| &resource.value)
    }

    /// The name of the secret that a variable would get.
    ///
    /// ```
    /// use wharf_plugin_sdk::Request;
    ///
    /// fn asks_for_the_database(request: &Request) -> bool {
    ///     request.secret("DB_PASSWORD").is_some()
    /// }
    /// ```
    #[must_use]
    pub fn secret(&self, variable: &str) -> Option<&str> {
        lookup(&self.secrets, variable)
    }

    /// A label that the activity asks for.
    ///
    /// ```
    /// use wharf_plugin_sdk::Request;
    ///
    /// fn is_nightly(request: &Request) -> bool {
    ///     request.label("schedule") == Some("nightly")
    /// }
    /// ```
    #[must_use]
    pub fn label(&self, key: &str) -> Option<&str> {
        lookup(&self.labels, key)
    }
}

impl Identity {
    /// Whether the user is in one of these groups; `*` is every group.
    ///
    /// ```
    /// use wharf_plugin_sdk::Identity;
    ///
    /// let ana = Identity { user: "ana".to_owned(), groups: vec!["analysts".to_owned()] };
    /// assert!(ana.is_in_any(&["admins".to_owned(), "analysts".to_owned()]));
    /// assert!(!ana.is_in_any(&[]));
    /// ```
    #[must_use]
    pub fn is_in_any(&self, groups: &[String]) -> bool {
        groups.iter().any(|group| group == "*" || self.groups.contains(group))
    }
}

impl Quantity {
    /// Reads an amount of a Docker resource key exactly as the host does: `memory` takes `512m`, `cpus` takes `1.5`.
    ///
    /// ```
    /// use wharf_plugin_sdk::Quantity;
    ///
    /// assert_eq!(Quantity::parse("memory", "512m"), Ok(Quantity::Bytes(512 << 20)));
    /// assert_eq!(Quantity::Cpus(1_500_000_000).to_string(), "1.5");
    /// ```
    ///
    /// # Errors
    /// One sentence: there is no such key, or what the key takes.
    pub fn parse(key: &str, text: &str) -> Result<Self, String> {
        match HostQuantity::parse_docker(key, text) {
            Ok(HostQuantity::Bytes(bytes)) => Ok(Self::Bytes(bytes)),
            Ok(HostQuantity::Cpus(nanos)) => Ok(Self::Cpus(nanos)),
            Ok(HostQuantity::Count(count)) => Ok(Self::Count(count)),
            Ok(HostQuantity::Text(text)) => Ok(Self::Text(text)),
            Ok(HostQuantity::Texts(texts)) => Ok(Self::Texts(texts)),
            Err(error) => Err(error.to_string()),
        }
    }
}

impl fmt::Display for Quantity {
    /// As Docker would take it back: `4g`, `1.5`, `512`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        HostQuantity::from(self).fmt(f)
    }
}

impl From<&Quantity> for HostQuantity {
    fn from(quantity: &Quantity) -> Self {
        match quantity {
            Quantity::Bytes(bytes) => Self::Bytes(*bytes),
            Quantity::Cpus(nanos) => Self::Cpus(*nanos),
            Quantity::Count(count) => Self::Count(*count),
            Quantity::Text(text) => Self::Text(text.clone()),
            Quantity::Texts(texts) => Self::Texts(texts.clone()),
        }
    }
}

fn lookup<'a>(pairs: &'a [KeyValue], key: &str) -> Option<&'a str> {
    pairs.iter().find(|pair| pair.key == key).map(|pair| pair.value.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_are_read_and_written_as_the_host_does() {
        for (key, text) in [("memory", "4g"), ("cpus", "1.5"), ("pids-limit", "-1"), ("ulimit", "nofile=1:2")] {
            assert_eq!(Quantity::parse(key, text).unwrap().to_string(), text);
        }
        assert_eq!(
            Quantity::parse("memory", "lots").unwrap_err(),
            "\"lots\" isn't an amount of bytes such as \"512m\" or \"4g\""
        );
    }

    #[test]
    fn a_star_is_every_group_and_none_is_nobody() {
        let ana = Identity { user: "ana".into(), groups: vec![] };
        assert!(ana.is_in_any(&["*".into()]));
        assert!(!ana.is_in_any(&["analysts".into()]));
        assert!(!ana.is_in_any(&[]));
    }
}
