//! The recipe adapter.

mod bindings {
    wit_bindgen::generate!({ path: "../../wit", world: "recipe-adapter", generate_all });
    use super::Hostile;
    export!(Hostile);
}

use bindings::exports::wharf::plugin::recipe_adaptation::{
    Activity, Environment, FileContents, Guest, ImageFolder, Job, JobFile, Offer, Plugin,
};
use bindings::wharf::plugin::types::KeyValue;
use bindings::wharf::plugin::{log, settings};

use crate::misdeed;

struct Hostile;

crate::metadata!(bindings, Hostile);

/// Its lock would be written far from all others.
fn odd_environment() -> Environment {
    Environment {
        name: "../../../etc".to_owned(),
        language: "python".to_owned(),
        interpreters: Vec::new(),
        packages: Vec::new(),
        requirements: None,
        requirements_file: None,
    }
}

fn odd_folder() -> ImageFolder {
    ImageFolder { source: "../secrets".to_owned(), target: "x".to_owned() }
}

impl Guest for Hostile {
    fn offers() -> Vec<Offer> {
        vec![Offer { kind: "python".to_owned(), label: "Python".to_owned(), description: "Hostile".to_owned() }]
    }

    fn read_plugin(folder: String) -> Result<Option<Plugin>, String> {
        let _ = folder;
        Ok(None)
    }

    fn prepare(activity: Activity) -> Result<Job, Vec<String>> {
        let wanted = crate::setting(&settings::get(), "do");
        misdeed::misbehave(&wanted);
        if let Some(message) = misdeed::sentence(&wanted) {
            return Err(vec![message]);
        }
        let mut env = Vec::new();
        let mut argv = misdeed::words(&wanted).unwrap_or_else(|| vec!["python3".to_owned()]);
        let (path, contents) = match wanted.as_str() {
            "flood" => {
                for line in 0..100_000 {
                    log::log(log::Level::Info, &format!("line {line}"));
                }
                ("recipe.py".to_owned(), FileContents::Inline(Vec::new()))
            }
            "equals-sign" => {
                env.push(KeyValue { key: "A=B".to_owned(), value: String::new() });
                ("recipe.py".to_owned(), FileContents::Inline(Vec::new()))
            }
            "zero-byte" => {
                argv.push("a\0b".to_owned());
                ("recipe.py".to_owned(), FileContents::Inline(Vec::new()))
            }
            "dots" => ("a/../../etc/cron.d/x".to_owned(), FileContents::Inline(Vec::new())),
            #[cfg(feature = "clock")]
            "clock" => return Err(vec![bindings::wharf::plugin::clock::now().to_string()]),
            "no-command" => {
                argv.clear();
                ("recipe.py".to_owned(), FileContents::Inline(Vec::new()))
            }
            "refuse" => return Err(vec!["there is no code in it".to_owned()]),
            "escape" => ("../../etc/cron.d/x".to_owned(), FileContents::Inline(Vec::new())),
            "granted" => ("lib.py".to_owned(), FileContents::Granted("lib.py".to_owned())),
            "granted-escape" => ("lib.py".to_owned(), FileContents::Granted("../secret".to_owned())),
            _ => {
                let name = activity.code_name.unwrap_or_else(|| "recipe.py".to_owned());
                (name, FileContents::Inline(activity.code.unwrap_or_default().into_bytes()))
            }
        };
        let files = vec![JobFile { path, contents, executable: false }];
        Ok(Job {
            argv,
            env,
            files,
            languages: Vec::new(),
            parameters: None,
            secrets: Vec::new(),
            environment: (wanted == "odd-environment").then(odd_environment),
            folders: (wanted == "odd-folder").then(odd_folder).into_iter().collect(),
            keeps_when_stopped: false,
        })
    }
}
