//! What these tests do often: a home whose builds reach the index of packages, and a look at what a build did.

use std::ops::Deref;
use std::time::Duration;

use wharf::message::{BuildProgress, BuiltImage};
use wharf_model::{Event, EventKind};
pub(crate) use wharf_tests::trust;
use wharf_tests::{Finished, Home};

/// A home whose images of code environments go with it.
pub(crate) struct Tidy(Home);

impl Tidy {
    pub(crate) fn new(home: Home) -> Self {
        Self(home)
    }
}

impl Deref for Tidy {
    type Target = Home;

    fn deref(&self) -> &Home {
        &self.0
    }
}

impl Drop for Tidy {
    fn drop(&mut self) {
        if std::thread::panicking() {
            return;
        }
        // Nothing needs them any more, and they weren't used for a second.
        let _ = std::fs::remove_dir_all(self.path().join("code-envs"));
        std::thread::sleep(Duration::from_millis(1100));
        let _ = self.call(["--json", "image", "prune", "--older-than", "1s", "--keep", "0"]).exits(0);
    }
}

/// A demo home whose base image trusts what this machine trusts: a site's own proxy may stand between.
pub(crate) fn home() -> Tidy {
    let home = Home::demo();
    trust(&home, "python-r");
    Tidy(home)
}

/// Writes a code environment of Python, without anything but what it asks for.
pub(crate) fn environment(home: &Home, name: &str, requirements: &str) {
    home.write(&format!("code-envs/{name}/env.toml"), "language = \"python\"\ninstall_core_packages = false\n");
    home.write(&format!("code-envs/{name}/requirements.txt"), requirements);
}

/// A comment that no other run of the tests has: the environment isn't there yet.
pub(crate) fn never_before() -> String {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    format!("# {} {}\n", std::process::id(), now.as_nanos())
}

/// The images that a build tells of.
pub(crate) fn images(build: &Finished) -> Vec<BuiltImage> {
    let lines = build.stdout.lines().filter_map(|line| serde_json::from_str(line).ok());
    let image = |line| if let BuildProgress::Image(image) = line { Some(*image) } else { None };
    lines.filter_map(image).collect()
}

/// What was done for an image, in order.
pub(crate) fn done(image: &BuiltImage) -> Vec<&str> {
    image.made.iter().map(|made| made.what.as_str()).collect()
}

/// The sentences of progress of a run.
pub(crate) fn progress(events: &[Event]) -> Vec<String> {
    let text =
        |event: &Event| if let EventKind::Progress { text, .. } = &event.kind { Some(text.clone()) } else { None };
    events.iter().filter_map(text).collect()
}

/// The recipe's lines.
pub(crate) fn log(run: &Finished) -> Vec<String> {
    run.log().into_iter().map(|(_, text)| text).collect()
}
