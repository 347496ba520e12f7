//! The variables that expressions see, and their types.

use std::fmt;

/// The type of an expression, as far as it is known before there is a run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Type {
    /// Known at run time alone.
    Dyn,
    Null,
    Bool,
    Int,
    Double,
    String,
    Bytes,
    List(Box<Type>),
    /// By names.
    Map(Box<Type>),
    Record(Record),
    /// One of these, for what a field of the plan takes.
    OneOf(&'static [Type]),
}

/// What has fields.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Record {
    Plan,
    Requester,
    Configuration,
    Image,
    Language,
    Mirrors,
    CodeEnvironment,
    Security,
    Input,
    Output,
    UsageEntry,
    Used,
    Sum,
}

/// The variables.
pub(crate) const VARIABLES: [&str; 3] = ["plan", "usage", "used"];

pub(crate) fn variable(name: &str) -> Option<Type> {
    Some(match name {
        "plan" => Type::Record(Record::Plan),
        "usage" => Type::list(Type::Record(Record::UsageEntry)),
        "used" => Type::Record(Record::Used),
        _ => return None,
    })
}

impl Type {
    pub(crate) fn list(of: Type) -> Self {
        Self::List(Box::new(of))
    }

    pub(crate) fn map(of: Type) -> Self {
        Self::Map(Box::new(of))
    }

    pub(crate) fn is_number(&self) -> bool {
        matches!(self, Self::Int | Self::Double)
    }

    /// Whether a value of this type may be one of the other.
    pub(crate) fn may_be(&self, other: &Type) -> bool {
        match (self, other) {
            (Self::Dyn, _) | (_, Self::Dyn) => true,
            (mine, Self::OneOf(types)) => types.iter().any(|one| mine.may_be(one)),
            (mine, theirs) if mine.is_number() && theirs.is_number() => true,
            (Self::List(mine), Self::List(theirs)) | (Self::Map(mine), Self::Map(theirs)) => mine.may_be(theirs),
            (Self::Record(_), Self::Map(_)) | (Self::Map(_), Self::Record(_)) => true,
            (mine, theirs) => mine == theirs,
        }
    }

    /// What both are.
    pub(crate) fn join(self, other: &Type) -> Type {
        if self == *other { self } else { Type::Dyn }
    }
}

impl fmt::Display for Type {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Dyn => "a value",
            Self::Null => "null",
            Self::Bool => "a bool",
            Self::Int => "an int",
            Self::Double => "a double",
            Self::String => "a string",
            Self::Bytes => "bytes",
            Self::List(_) => "a list",
            Self::Map(_) => "a map",
            Self::Record(record) => record.title(),
            Self::OneOf(types) => {
                for (at, one) in types.iter().enumerate() {
                    write!(f, "{}{one}", if at == 0 { "" } else { " or " })?;
                }
                return Ok(());
            }
        })
    }
}

impl Record {
    pub(crate) fn title(self) -> &'static str {
        match self {
            Self::Plan => "plan",
            Self::Requester => "plan.requester",
            Self::Configuration => "plan.execution_configuration",
            Self::Image => "plan.image",
            Self::Language => "a language",
            Self::Mirrors => "plan.image.mirrors",
            Self::CodeEnvironment => "plan.code_environment",
            Self::Security => "plan.security",
            Self::Input => "an input",
            Self::Output => "an output",
            Self::UsageEntry => "an entry of usage",
            Self::Used => "used",
            Self::Sum => "a sum of usage",
        }
    }

    pub(crate) fn field(self, name: &str) -> Option<Type> {
        self.fields().into_iter().find(|(field, _)| *field == name).map(|(_, ty)| ty)
    }

    /// All fields, by name.
    pub(crate) fn fields(self) -> Vec<(&'static str, Type)> {
        use Type::{Bool, Double, Dyn, Int, String};
        let strings = || Type::list(String);
        match self {
            Self::Plan => vec![
                ("argv", strings()),
                ("code_environment", Type::Record(Self::CodeEnvironment)),
                ("env", Type::map(String)),
                ("execution_configuration", Type::Record(Self::Configuration)),
                ("gpus", Int),
                ("image", Type::Record(Self::Image)),
                ("image_key", String),
                ("inputs", Type::list(Type::Record(Self::Input))),
                ("kind", String),
                ("labels", Type::map(String)),
                ("object", Dyn),
                ("outputs", Type::list(Type::Record(Self::Output))),
                ("parameters", Dyn),
                ("project", String),
                ("requester", Type::Record(Self::Requester)),
                ("resources", Type::map(Dyn)),
                ("run_id", String),
                ("secrets", Type::map(String)),
                ("security", Type::Record(Self::Security)),
                ("time_limit", Int),
            ],
            Self::Requester => vec![("groups", strings()), ("user", String)],
            Self::Configuration => vec![
                ("allowed_groups", strings()),
                ("backend", String),
                ("base_image", String),
                ("name", String),
                ("registry", String),
                ("workload_types", strings()),
            ],
            Self::Image => vec![
                ("base_image", String),
                ("cuda", String),
                ("extra_ca", strings()),
                ("labels", Type::map(String)),
                ("languages", Type::list(Type::Record(Self::Language))),
                ("mirrors", Type::Record(Self::Mirrors)),
                ("origin", String),
                ("system_packages", strings()),
            ],
            Self::Language => vec![("name", String), ("packages", strings()), ("version", String)],
            Self::Mirrors => vec![("apt", String), ("cran", String), ("pip", String)],
            Self::CodeEnvironment => {
                vec![("interpreters", strings()), ("language", String), ("name", String), ("packages", strings())]
            }
            Self::Security => vec![
                ("add_capabilities", strings()),
                ("drop_capabilities", strings()),
                ("host_mounts", strings()),
                ("network", String),
                ("no_new_privileges", Bool),
                ("privileged", Bool),
                ("read_only_root", Bool),
                ("user", String),
            ],
            Self::Input | Self::Output => vec![("kind", String), ("name", String), ("role", String)],
            Self::UsageEntry => vec![
                ("cpus", Double),
                ("execution_configuration", String),
                ("memory", Int),
                ("running", Int),
                ("user", String),
            ],
            Self::Used => vec![
                ("all", Type::Record(Self::Sum)),
                ("configuration", Type::Record(Self::Sum)),
                ("user", Type::Record(Self::Sum)),
            ],
            Self::Sum => vec![("cpus", Double), ("memory", Int), ("running", Int)],
        }
    }
}
