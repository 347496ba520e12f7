//! The recipe adapter.

mod bindings {
    wit_bindgen::generate!({ path: "../../wit", world: "recipe-adapter", generate_all });
    use super::Hostile;
    export!(Hostile);
}

use bindings::exports::wharf::plugin::recipe_adaptation::{Activity, FileContents, Guest, Job, JobFile, Offer};
use bindings::wharf::plugin::settings;

struct Hostile;

crate::metadata!(bindings, Hostile);

impl Guest for Hostile {
    fn offers() -> Vec<Offer> {
        vec![Offer { kind: "python".to_owned(), label: "Python".to_owned(), description: "Hostile".to_owned() }]
    }

    fn prepare(activity: Activity) -> Result<Job, String> {
        let (path, contents) = match crate::setting(&settings::get(), "do").as_str() {
            "refuse" => return Err("there is no code in it".to_owned()),
            "escape" => ("../../etc/cron.d/x".to_owned(), FileContents::Inline(Vec::new())),
            "granted" => ("lib.py".to_owned(), FileContents::Granted("lib.py".to_owned())),
            "granted-escape" => ("lib.py".to_owned(), FileContents::Granted("../secret".to_owned())),
            _ => {
                let name = activity.code_name.unwrap_or_else(|| "recipe.py".to_owned());
                (name, FileContents::Inline(activity.code.unwrap_or_default().into_bytes()))
            }
        };
        let files = vec![JobFile { path, contents, executable: false }];
        Ok(Job { argv: vec!["python3".to_owned()], env: Vec::new(), files, languages: Vec::new() })
    }
}
