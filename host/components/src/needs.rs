//! What a component can do beyond its settings and the log: its imports, in a person's words.

use wasmtime::component::Component;

use crate::call_error::cut;
use crate::engine::Engine;
use crate::settings_file::Grants;
use crate::world::InterfaceName;

/// All imports of a compiled component.
pub(crate) fn imports_of(engine: &Engine, component: &Component) -> Vec<String> {
    component.component_type().imports(engine.wasmtime()).map(|(name, _)| cut(name)).collect()
}

/// The interfaces of `wharf:plugin` that an import list asks for and that need a grant, sorted.
#[must_use]
pub fn needs_of(imports: &[String]) -> Vec<String> {
    let ours = imports.iter().map(|import| InterfaceName::of(import)).filter(InterfaceName::is_ours);
    let mut needs: Vec<String> = ours
        .filter(|name| !matches!(name.interface, "types" | "log" | "settings"))
        .map(|name| name.interface.to_owned())
        .collect();
    needs.sort();
    needs.dedup();
    needs
}

/// What one need means, as the end of a sentence that begins with "it".
#[must_use]
pub fn need_words(need: &str) -> String {
    match need {
        "clock" => "reads the real time".to_owned(),
        "random" => "gets real random numbers".to_owned(),
        "folder" => "reads one folder".to_owned(),
        "http" => "talks to listed hosts over HTTP".to_owned(),
        other => format!("uses wharf:plugin/{other}"),
    }
}

/// What a component is allowed by its grants, a sentence each: "reads the folder reference-data".
#[must_use]
pub fn plain_words(grants: &Grants) -> Vec<String> {
    let mut words = Vec::new();
    for (key, value) in granted(grants) {
        words.push(match (key.as_str(), &value) {
            ("digest", _) => continue,
            ("folder", toml::Value::String(path)) => format!("reads the folder {path}"),
            ("http", toml::Value::Array(hosts)) => {
                let hosts: Vec<&str> = hosts.iter().filter_map(toml::Value::as_str).collect();
                format!("talks to these hosts over HTTP: {}", hosts.join(", "))
            }
            (need, toml::Value::Boolean(_)) => need_words(need),
            (need, value) => format!("{}: {value}", need_words(need)),
        });
    }
    words
}

/// The grants that give something, by key.
pub(crate) fn granted(grants: &Grants) -> toml::Table {
    let mut table = toml::Table::try_from(grants).unwrap_or_default();
    table.retain(|_, value| match value {
        toml::Value::Boolean(on) => *on,
        toml::Value::Array(list) => !list.is_empty(),
        toml::Value::String(text) => !text.is_empty(),
        _ => true,
    });
    table
}

impl Grants {
    /// Both together; where both say something of one key, this one holds.
    #[must_use]
    pub fn or(&self, other: &Self) -> Self {
        let mut table = granted(other);
        table.extend(granted(self));
        table.try_into().unwrap_or_else(|_| self.clone())
    }

    /// What of these an import list has a use for.
    #[must_use]
    pub fn only(&self, needs: &[String]) -> Self {
        let mut table = granted(self);
        table.retain(|key, _| needs.iter().any(|need| need == key));
        table.try_into().unwrap_or_default()
    }

    /// Whether these give what an interface needs.
    #[must_use]
    pub fn give(&self, need: &str) -> bool {
        granted(self).contains_key(need)
    }

    /// Reads grants as a command line has them: `clock`, `folder=PATH`, `http=HOST:PORT`. A key that takes a list can be repeated.
    ///
    /// # Errors
    /// One of them isn't one; in words.
    pub fn of_arguments<'a>(arguments: impl IntoIterator<Item = &'a str>) -> Result<Self, String> {
        let mut grants = Self::default();
        for argument in arguments {
            let (key, value) = argument.split_once('=').map_or((argument, None), |(key, value)| (key, Some(value)));
            let text = value.map(|value| toml::Value::String(value.to_owned()));
            let list = text.clone().map(|text| {
                let mut all = granted(&grants).get(key).and_then(toml::Value::as_array).cloned().unwrap_or_default();
                all.push(text);
                toml::Value::Array(all)
            });
            let candidates = match text {
                Some(text) => vec![Some(text), list],
                None => vec![Some(toml::Value::Boolean(true))],
            };
            let fits = candidates.into_iter().flatten().find_map(|value| {
                let mut table = granted(&grants);
                table.insert(key.to_owned(), value);
                table.try_into::<Self>().ok()
            });
            grants = match fits {
                Some(fits) if key != "digest" => fits,
                _ => return Err(not_a_grant(argument)),
            };
        }
        Ok(grants)
    }
}

fn not_a_grant(argument: &str) -> String {
    format!(
        "\"{}\" isn't a grant; grants are `clock`, `random`, `folder=PATH` and what else [grants] takes",
        cut(argument)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn needs_are_what_a_grant_is_for() {
        let imports = [
            "wasi:cli/stdout@0.2.6",
            "wharf:plugin/log@0.1.0",
            "wharf:plugin/folder@0.1.0",
            "wharf:plugin/clock@0.1.0",
        ];
        assert_eq!(needs_of(&imports.map(str::to_owned)), ["clock", "folder"]);
        assert_eq!(needs_of(&["wharf:plugin/http@0.1.2".to_owned(), "wharf:plugin/http@0.9.0".to_owned()]), ["http"]);
    }

    #[test]
    fn grants_have_plain_words() {
        let grants = Grants::of_arguments(["clock", "folder=reference-data"]).unwrap();
        assert!(grants.clock && !grants.random && grants.give("folder") && !grants.give("random"));
        assert_eq!(plain_words(&grants), ["reads the real time", "reads the folder reference-data"]);
        assert_eq!(plain_words(&Grants::default()), [""; 0]);
        for bad in ["sockets", "clock=yes", "folder", "digest=sha256:00", ""] {
            assert!(Grants::of_arguments([bad]).unwrap_err().contains("isn't a grant"), "{bad}");
        }
    }

    #[test]
    fn a_grant_that_is_not_imported_gives_nothing() {
        let grants = Grants::of_arguments(["clock", "folder=a"]).unwrap();
        assert_eq!(plain_words(&grants.only(&["clock".to_owned()])), ["reads the real time"]);
        assert_eq!(grants.only(&[]), Grants::default());
    }

    #[test]
    fn grants_add_up_and_the_first_holds() {
        let one = Grants { folder: Some("a".into()), ..Grants::default() };
        let both = one.or(&Grants { clock: true, folder: Some("b".into()), ..Grants::default() });
        assert_eq!(both, Grants { clock: true, folder: Some("a".into()), ..Grants::default() });
    }
}
