//! Fields of a plan that a rule can change.

use serde_json::Value;
use wharf_plugin_sdk::policy::{Changes, Edit};
use wharf_plugin_sdk::{KeyValue, Quantity, Resource};

use crate::schema::Type;

/// A field, by the name that decisions have for it.
#[derive(Debug)]
pub(crate) enum Field {
    Resource(String),
    Env(String),
    Label(String),
    Parameter(String),
    TimeLimit,
    User,
    Network,
    BaseImage,
    Configuration,
    Privileged,
    NoNewPrivileges,
    ReadOnlyRoot,
    DropCapabilities,
    AddCapabilities,
    HostMounts,
}

const NAMES: &str = "resources.KEY, env.NAME, labels.KEY, parameters.NAME, time-limit, security.user, security.network, \
                     security.privileged, security.no-new-privileges, security.read-only-root, \
                     security.drop-capabilities, security.add-capabilities, security.host-mounts, image.base-image, \
                     execution-configuration";

/// What a list of texts is made of.
const TEXT: Type = Type::String;

impl Field {
    pub(crate) fn parse(name: &str) -> Result<Self, String> {
        let unknown = || format!("\"{name}\" can't be changed; these can: {NAMES}");
        if let Some((kind, key)) = name.split_once('.')
            && ["resources", "env", "labels", "parameters"].contains(&kind)
        {
            let key = key.to_owned();
            return match kind {
                _ if key.is_empty() => Err(unknown()),
                "resources" => check_resource(&key).map(|()| Self::Resource(key)),
                "env" if key.starts_with("WHARF_") => Err("WHARF_* are the host's own".to_owned()),
                "env" => Ok(Self::Env(key)),
                "labels" if key.starts_with("wharf.") => Err("wharf.* are the host's own".to_owned()),
                "labels" => Ok(Self::Label(key)),
                _ => Ok(Self::Parameter(key)),
            };
        }
        Ok(match name {
            "time-limit" => Self::TimeLimit,
            "security.user" => Self::User,
            "security.network" => Self::Network,
            "security.privileged" => Self::Privileged,
            "security.no-new-privileges" => Self::NoNewPrivileges,
            "security.read-only-root" => Self::ReadOnlyRoot,
            "security.drop-capabilities" => Self::DropCapabilities,
            "security.add-capabilities" => Self::AddCapabilities,
            "security.host-mounts" => Self::HostMounts,
            "image.base-image" => Self::BaseImage,
            "execution-configuration" => Self::Configuration,
            _ => return Err(unknown()),
        })
    }

    /// What its value may be.
    pub(crate) fn takes(&self) -> Type {
        match self {
            Self::Resource(_) => Type::OneOf(&[Type::String, Type::Int, Type::Null]),
            Self::Env(_) | Self::Label(_) => Type::OneOf(&[Type::String, Type::Null]),
            Self::Parameter(_) => Type::Dyn,
            Self::TimeLimit => Type::OneOf(&[Type::Int, Type::Null]),
            Self::User | Self::Network | Self::BaseImage | Self::Configuration => TEXT,
            Self::Privileged | Self::NoNewPrivileges | Self::ReadOnlyRoot => Type::Bool,
            Self::DropCapabilities | Self::AddCapabilities | Self::HostMounts => Type::list(TEXT),
        }
    }

    /// Puts the change to a plan, unless it changes nothing.
    pub(crate) fn set(self, value: &Value, changes: &mut Changes<'_>, rule: &str, reason: &str) -> Result<(), String> {
        let plan = changes.plan();
        let security = &plan.security;
        let edit = match self {
            Self::Resource(key) if value.is_null() => {
                plan.resource(&key).is_some().then_some(Edit::RemoveResource(key))
            }
            Self::Resource(key) => {
                let value = resource(&key, value)?;
                (plan.resource(&key) != Some(&value)).then_some(Edit::SetResource(Resource { key, value }))
            }
            Self::Env(key) if value.is_null() => {
                (plan.env(&key).is_some() || plan.secret(&key).is_some()).then_some(Edit::RemoveEnv(key))
            }
            Self::Env(key) => {
                let value = text(value)?;
                (plan.env(&key) != Some(&value)).then_some(Edit::SetEnv(KeyValue { key, value }))
            }
            Self::Label(key) if value.is_null() => plan.label(&key).is_some().then_some(Edit::RemoveLabel(key)),
            Self::Label(key) => {
                let value = text(value)?;
                (plan.label(&key) != Some(&value)).then_some(Edit::SetLabel(KeyValue { key, value }))
            }
            Self::Parameter(key) if value.is_null() => {
                plan.parameter(&key).is_some().then_some(Edit::RemoveParameter(key))
            }
            Self::Parameter(key) => (plan.parameter(&key).as_ref() != Some(value))
                .then(|| Edit::SetParameter(KeyValue::new(key, value.to_string()))),
            Self::TimeLimit => {
                let seconds = match value {
                    Value::Null => None,
                    value => Some(whole(value).filter(|seconds| *seconds > 0).ok_or_else(|| {
                        format!("the time limit would be {value}; it is a whole number of seconds, more than 0")
                    })?),
                };
                (plan.time_limit != seconds).then_some(Edit::SetTimeLimit(seconds))
            }
            Self::User => changed(&security.user, text(value)?, Edit::SetUser),
            Self::Network => changed(&security.network, text(value)?, Edit::SetNetwork),
            Self::BaseImage => changed(&plan.image.base_image, text(value)?, Edit::SetBaseImage),
            Self::Configuration => {
                changed(&plan.execution_configuration.name, text(value)?, Edit::SetExecutionConfiguration)
            }
            Self::Privileged => changed(&security.privileged, truth(value)?, Edit::SetPrivileged),
            Self::NoNewPrivileges => changed(&security.no_new_privileges, truth(value)?, Edit::SetNoNewPrivileges),
            Self::ReadOnlyRoot => changed(&security.read_only_root, truth(value)?, Edit::SetReadOnlyRoot),
            Self::DropCapabilities => changed(&security.drop_capabilities, texts(value)?, Edit::SetDropCapabilities),
            Self::AddCapabilities => changed(&security.add_capabilities, texts(value)?, Edit::SetAddCapabilities),
            Self::HostMounts => changed(&security.host_mounts, texts(value)?, Edit::SetHostMounts),
        };
        if let Some(edit) = edit {
            changes.push(edit, rule, reason);
        }
        Ok(())
    }
}

/// A node's own resources, such as `limits.nvidia.com/gpu`, have any name. All others have Docker's.
fn is_of_nodes(key: &str) -> bool {
    key.starts_with("limits.") && key.contains('/')
}

fn check_resource(key: &str) -> Result<(), String> {
    if is_of_nodes(key) {
        return Ok(());
    }
    // Of an amount that no key takes, only an unknown key is complained of first.
    match Quantity::parse(key, "") {
        Err(error) if error.starts_with("no resource key") => Err(error),
        _ => Ok(()),
    }
}

fn resource(key: &str, value: &Value) -> Result<Quantity, String> {
    let text = match value {
        Value::String(text) => text.clone(),
        // Docker's units are what a plain number means.
        Value::Number(number) => number.to_string(),
        other => return Err(format!("{key} would be {other}, which isn't an amount")),
    };
    if is_of_nodes(key) {
        let count = text.parse().map_err(|_| format!("{key} would be {text}, and rules set whole numbers of it"))?;
        return Ok(Quantity::Count(count));
    }
    Quantity::parse(key, &text)
}

fn changed<T: PartialEq>(has: &T, value: T, edit: impl Fn(T) -> Edit) -> Option<Edit> {
    (*has != value).then(|| edit(value))
}

fn whole(value: &Value) -> Option<u64> {
    value.as_u64()
}

fn text(value: &Value) -> Result<String, String> {
    value.as_str().map(str::to_owned).ok_or_else(|| format!("the value would be {value}, and it takes a text"))
}

fn truth(value: &Value) -> Result<bool, String> {
    value.as_bool().ok_or_else(|| format!("the value would be {value}, and it takes true or false"))
}

fn texts(value: &Value) -> Result<Vec<String>, String> {
    let texts = value.as_array().and_then(|values| values.iter().map(|v| v.as_str().map(str::to_owned)).collect());
    texts.ok_or_else(|| format!("the value would be {value}, and it takes a list of texts"))
}
