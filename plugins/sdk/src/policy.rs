//! What must a run look like? The world `policy`.

use schemars::JsonSchema;
use serde::de::DeserializeOwned;

pub use crate::bindings::policy::exports::wharf::plugin::policy_evaluation::{
    Acceptance, Change, Decision, Edit, PolicyRole,
};
use crate::types::{KeyValue, Limit, Plan, Quantity, Reason, Resource, Usage};

/// A component that judges or changes plans. Export it with [`policy!`](crate::policy!).
///
/// The crate's page has a whole one that judges. One that changes plans:
///
/// ```
/// use wharf_plugin_sdk::policy::{Changes, Decision, Policy, PolicyRole};
/// use wharf_plugin_sdk::settings::NoSettings;
/// use wharf_plugin_sdk::{Plan, Quantity, Usage};
///
/// /// Every run has a memory limit.
/// struct MemoryDefault;
///
/// impl Policy for MemoryDefault {
///     type Settings = NoSettings;
///     const ROLE: PolicyRole = PolicyRole::Mutating;
///
///     fn evaluate(_: &NoSettings, plan: &Plan, _: &Usage) -> Decision {
///         let mut changes = Changes::to(plan);
///         if plan.resource("memory").is_none() {
///             changes.set_resource("memory", &Quantity::Bytes(2 << 30), "memory-default", "Every run has a limit.");
///         }
///         changes.into_decision()
///     }
/// }
///
/// wharf_plugin_sdk::policy!(MemoryDefault);
/// ```
pub trait Policy {
    /// The component's settings; [`NoSettings`](crate::settings::NoSettings) when it takes none.
    type Settings: DeserializeOwned + JsonSchema;

    /// Whether it changes plans or judges them.
    const ROLE: PolicyRole;

    /// [`ROLE`](Self::ROLE), unless the settings decide.
    fn role(_settings: &Self::Settings) -> PolicyRole {
        Self::ROLE
    }

    /// What a type can't say: called when the component is loaded and when its TOML changes.
    ///
    /// # Errors
    /// One sentence, shown to the administrator as it is.
    fn check_settings(_settings: &Self::Settings) -> Result<(), String> {
        Ok(())
    }

    /// Called for every run. A mutating policy must change nothing when it is called again on its own result:
    /// [`Changes`] sees to that.
    fn evaluate(settings: &Self::Settings, plan: &Plan, usage: &Usage) -> Decision;
}

impl Decision {
    /// Yes, as the plan is.
    ///
    /// ```
    /// use wharf_plugin_sdk::policy::Decision;
    ///
    /// assert!(matches!(Decision::yes(), Decision::Accept(acceptance) if acceptance.changes.is_empty()));
    /// ```
    #[must_use]
    pub fn yes() -> Self {
        Self::within(Vec::new())
    }

    /// Yes, as long as these limits hold.
    ///
    /// ```
    /// use wharf_plugin_sdk::policy::Decision;
    /// use wharf_plugin_sdk::{Limit, Plan};
    ///
    /// fn evaluate(plan: &Plan) -> Decision {
    ///     Decision::within(vec![Limit::running(format!("user:{}", plan.requester.user), 4)])
    /// }
    /// ```
    #[must_use]
    pub fn within(limits: Vec<Limit>) -> Self {
        Self::Accept(Acceptance { changes: Vec::new(), limits, warnings: Vec::new() })
    }

    /// Yes when there is no reason against it.
    ///
    /// ```
    /// use wharf_plugin_sdk::policy::Decision;
    /// use wharf_plugin_sdk::{Plan, Reason};
    ///
    /// fn judge(plan: &Plan) -> Decision {
    ///     let mut reasons = Vec::new();
    ///     if plan.security.network == "host" {
    ///         reasons.push(Reason::new("host-network", "the host's network isn't for runs; take bridge"));
    ///     }
    ///     if plan.label("team").is_none() {
    ///         reasons.push(Reason::new("team", "a run has the label team").about("labels.team"));
    ///     }
    ///     Decision::unless(reasons)
    /// }
    /// ```
    #[must_use]
    pub fn unless(reasons: Vec<Reason>) -> Self {
        if reasons.is_empty() { Self::yes() } else { Self::Reject(reasons) }
    }
}

/// Collects the changes of a mutating policy, and leaves out those that would change nothing.
///
/// ```
/// use wharf_plugin_sdk::Plan;
/// use wharf_plugin_sdk::policy::{Changes, Decision};
///
/// fn name_the_team(plan: &Plan) -> Decision {
///     let mut changes = Changes::to(plan);
///     changes.set_label("team", "analysts", "team-label", "Every run names its team.");
///     changes.into_decision()
/// }
/// ```
#[derive(Clone, Debug)]
pub struct Changes<'a> {
    plan: &'a Plan,
    changes: Vec<Change>,
}

impl<'a> Changes<'a> {
    /// No changes yet.
    ///
    /// ```
    /// use wharf_plugin_sdk::Plan;
    /// use wharf_plugin_sdk::policy::{Changes, Decision};
    ///
    /// fn evaluate(plan: &Plan) -> Decision {
    ///     let mut changes = Changes::to(plan);
    ///     changes.set_time_limit(3_600, "an-hour", "Runs end after an hour.");
    ///     changes.into_decision()
    /// }
    /// ```
    #[must_use]
    pub fn to(plan: &'a Plan) -> Self {
        Self { plan, changes: Vec::new() }
    }

    /// The plan that they change.
    ///
    /// ```
    /// use wharf_plugin_sdk::policy::Changes;
    ///
    /// fn set_team(changes: &mut Changes<'_>) {
    ///     let team = changes.plan().project.clone().unwrap_or_else(|| "none".to_owned());
    ///     changes.set_label("team", &team, "team-label", "Every run names its team.");
    /// }
    /// ```
    #[must_use]
    pub fn plan(&self) -> &'a Plan {
        self.plan
    }

    /// Sets a resource restriction.
    ///
    /// ```
    /// use wharf_plugin_sdk::Quantity;
    /// use wharf_plugin_sdk::policy::Changes;
    ///
    /// fn cap(changes: &mut Changes<'_>) {
    ///     changes.set_resource("memory", &Quantity::Bytes(4 << 30), "ceiling", "Runs have at most 4g.");
    /// }
    /// ```
    pub fn set_resource(&mut self, key: &str, value: &Quantity, rule: &str, reason: impl Into<String>) {
        if self.plan.resource(key) != Some(value) {
            self.push(Edit::SetResource(Resource { key: key.to_owned(), value: value.clone() }), rule, reason);
        }
    }

    /// Sets a label.
    ///
    /// ```
    /// use wharf_plugin_sdk::policy::Changes;
    ///
    /// fn change(changes: &mut Changes<'_>) {
    ///     changes.set_label("cost-centre", "42", "cost-centre", "Runs are charged to a cost centre.");
    /// }
    /// ```
    pub fn set_label(&mut self, key: &str, value: &str, rule: &str, reason: impl Into<String>) {
        if self.plan.label(key) != Some(value) {
            self.push(Edit::SetLabel(KeyValue::new(key, value)), rule, reason);
        }
    }

    /// Sets a variable; one that was to get a secret doesn't get it.
    ///
    /// ```
    /// use wharf_plugin_sdk::policy::Changes;
    ///
    /// fn change(changes: &mut Changes<'_>) {
    ///     changes.set_env("HTTPS_PROXY", "http://proxy.example.com:3128", "proxy", "The site has a proxy.");
    /// }
    /// ```
    pub fn set_env(&mut self, key: &str, value: &str, rule: &str, reason: impl Into<String>) {
        if self.plan.env(key) != Some(value) {
            self.push(Edit::SetEnv(KeyValue::new(key, value)), rule, reason);
        }
    }

    /// Takes a variable away, whether it has a value or was to get a secret.
    ///
    /// ```
    /// use wharf_plugin_sdk::policy::Changes;
    ///
    /// fn change(changes: &mut Changes<'_>) {
    ///     changes.remove_env("LD_PRELOAD", "no-preload", "Nothing is loaded before a recipe.");
    /// }
    /// ```
    pub fn remove_env(&mut self, key: &str, rule: &str, reason: impl Into<String>) {
        if self.plan.env(key).is_some() || self.plan.secret(key).is_some() {
            self.push(Edit::RemoveEnv(key.to_owned()), rule, reason);
        }
    }

    /// Sets a parameter of the recipe.
    ///
    /// ```
    /// use wharf_plugin_sdk::policy::Changes;
    ///
    /// fn change(changes: &mut Changes<'_>) {
    ///     changes.set_parameter("sample", &serde_json::json!(10_000), "sample", "Trials read a sample.");
    /// }
    /// ```
    pub fn set_parameter(&mut self, key: &str, value: &serde_json::Value, rule: &str, reason: impl Into<String>) {
        if self.plan.parameter(key).as_ref() != Some(value) {
            self.push(Edit::SetParameter(KeyValue::new(key, value.to_string())), rule, reason);
        }
    }

    /// Sets after how many seconds the run is ended.
    ///
    /// ```
    /// use wharf_plugin_sdk::policy::Changes;
    ///
    /// fn change(changes: &mut Changes<'_>) {
    ///     changes.set_time_limit(3_600, "an-hour", "Runs end after an hour.");
    /// }
    /// ```
    pub fn set_time_limit(&mut self, seconds: u64, rule: &str, reason: impl Into<String>) {
        if self.plan.time_limit != Some(seconds) {
            self.push(Edit::SetTimeLimit(Some(seconds)), rule, reason);
        }
    }

    /// Any other edit; whether it changes anything is for the caller to know.
    ///
    /// ```
    /// use wharf_plugin_sdk::policy::{Changes, Edit};
    ///
    /// fn change(changes: &mut Changes<'_>) {
    ///     if changes.plan().security.privileged {
    ///         changes.push(Edit::SetPrivileged(false), "no-privileged", "Nothing here is privileged.");
    ///     }
    /// }
    /// ```
    pub fn push(&mut self, edit: Edit, rule: &str, reason: impl Into<String>) {
        self.changes.push(Change { edit, rule: rule.to_owned(), reason: reason.into() });
    }

    /// Yes, with these changes.
    ///
    /// ```
    /// use wharf_plugin_sdk::Plan;
    /// use wharf_plugin_sdk::policy::{Changes, Decision};
    ///
    /// fn evaluate(plan: &Plan) -> Decision {
    ///     let mut changes = Changes::to(plan);
    ///     changes.set_label("site", "paris", "site-label", "Every run names its site.");
    ///     changes.into_decision()
    /// }
    /// ```
    #[must_use]
    pub fn into_decision(self) -> Decision {
        Decision::Accept(Acceptance { changes: self.changes, limits: Vec::new(), warnings: Vec::new() })
    }
}

/// Exports a type that implements [`Policy`] as this crate's component.
#[macro_export]
macro_rules! policy {
    ($component:ty) => {
        $crate::__metadata!($component, $crate::policy::Policy);
        const _: () = {
            struct Exported;
            impl $crate::bindings::policy::exports::wharf::plugin::policy_evaluation::Guest for Exported {
                fn role() -> $crate::policy::PolicyRole {
                    type Settings = <$component as $crate::policy::Policy>::Settings;
                    // Asked before the settings are checked: what can't be read is for that check to say.
                    match $crate::guest::readable_settings::<Settings>() {
                        Some(settings) => <$component as $crate::policy::Policy>::role(&settings),
                        None => <$component as $crate::policy::Policy>::ROLE,
                    }
                }
                fn evaluate(plan: $crate::Plan, usage: $crate::Usage) -> $crate::policy::Decision {
                    let settings = $crate::guest::settings();
                    <$component as $crate::policy::Policy>::evaluate(&settings, &plan, &usage)
                }
            }
            #[cfg(target_family = "wasm")]
            $crate::bindings::policy::export!(Exported);
            // Elsewhere nothing calls them, and the compiler would take the whole component for dead.
            #[cfg(not(target_family = "wasm"))]
            const _: fn() = || {
                use $crate::bindings::policy::exports::wharf::plugin::policy_evaluation::Guest;
                let _ = <Exported as Guest>::role;
                let _ = <Exported as Guest>::evaluate;
            };
        };
    };
}
