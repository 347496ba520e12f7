//! Parameters that are passwords: references go in, values reach the recipe, and nothing else ever sees them.

use std::fs;
use std::path::Path;

use sha2::{Digest, Sha256};
use wharf_model::Cause;
use wharf_tests::{Finished, Home};

use crate::kitchen::{self, recipe};

const PASSWORD: &str = "wT5nR8xQ1zLk and more";

fn sha256(value: &str) -> String {
    Sha256::digest(value).iter().map(|byte| format!("{byte:02x}")).collect()
}

fn home() -> Home {
    let home = kitchen::home();
    home.replace("configs/docker-local.toml", "[permissions]\n", "[permissions]\nsecrets = [\"kitchen\", \"scale\"]\n");
    home.write_secret("kitchen", &format!("{PASSWORD}\n"));
    home.write_secret("scale", &format!("{PASSWORD} too\n"));
    home
}

/// Whether a value is in any file below a folder.
fn is_below(folder: &Path, value: &str) -> bool {
    fs::read_dir(folder).unwrap().flatten().any(|entry| {
        let path = entry.path();
        let about = path.symlink_metadata().unwrap();
        if about.is_dir() {
            return path.file_name().unwrap() != "secrets" && is_below(&path, value);
        }
        let contents = if about.is_file() { fs::read(&path).unwrap() } else { Vec::new() };
        contents.windows(value.len()).any(|window| window == value.as_bytes())
    })
}

fn lines(run: &Finished) -> Vec<String> {
    run.log().into_iter().map(|(_, text)| text).collect()
}

#[test]
#[ignore = "needs docker (runs containers)"]
fn a_password_is_given_by_reference_and_its_value_is_nowhere_else() {
    let home = home();
    let toml = home.path().join("plugins/dss-plugin.toml");
    let text = fs::read_to_string(&toml).unwrap();
    let preset = "[settings.presets.kitchen.scale.fine]\nfactor = 0.5\ntoken = { secret = \"scale\" }\n";
    fs::write(&toml, format!("{text}\n{preset}")).unwrap();
    let more = [
        "--param",
        "password={\"secret\": \"kitchen\"}",
        "--param",
        "scale={\"mode\": \"PRESET\", \"name\": \"fine\"}",
    ];
    let run = home.call(recipe("secretive", &more)).exits(0);
    let expected = [
        format!("password {}", sha256(PASSWORD)),
        format!("token {}", sha256(&format!("{PASSWORD} too"))),
        "told ***".to_owned(),
    ];
    assert_eq!(lines(&run), expected);
    let mut explain = recipe("secretive", &more);
    explain[1] = "explain".to_owned();
    let explained = home.call(explain).exits(0);
    assert!(!explained.stdout.contains(PASSWORD) && explained.stdout.contains("kitchen"), "{explained}");
    assert!(!is_below(&home.path(), PASSWORD));
}

#[test]
#[ignore = "needs docker (a run is asked for)"]
fn a_password_in_plain_text_is_refused_and_not_written_down() {
    let home = home();
    let run = home.call(recipe("secretive", &["--param", &format!("password={PASSWORD}")]));
    let end = run.outcome();
    assert_eq!(end.cause, Cause::NotPrepared);
    assert!(end.sentence.contains("password") && end.sentence.contains("secret"), "{}", end.sentence);
    assert!(!run.stdout.contains(PASSWORD) && !run.stderr.contains(PASSWORD), "{run}");
    assert!(!is_below(&home.path(), PASSWORD));
}

#[test]
#[ignore = "needs docker (a run is asked for)"]
fn a_secret_that_the_configuration_does_not_name_is_refused() {
    let home = home();
    home.write_secret("other", "x");
    let end = home.call(recipe("secretive", &["--param", "password={\"secret\": \"other\"}"])).outcome();
    assert_eq!(end.cause, Cause::Refused, "{}", end.sentence);
    assert!(end.sentence.contains("may not use the secret \"other\""), "{}", end.sentence);
}
