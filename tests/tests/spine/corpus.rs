//! The corpus of ends, from the side of a real daemon: an end is recorded, or is as it was recorded.

use std::path::Path;

use serde_json::{Value, json};
use wharf_model::Outcome;
use wharf_tests::Home;

/// Checks that an end is the one in the corpus. Only what doesn't depend on the moment is compared. `WHARF_UPDATE_ENDS=1`
/// records it instead.
pub(crate) fn is_recorded(home: &Home, name: &str, what: &str, end: &Outcome) {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("../host/wharf/tests/ends/{name}.json"));
    if std::env::var_os("WHARF_UPDATE_ENDS").is_some() {
        let version = home.daemon().must("GET", "/version", None);
        let info = home.daemon().must("GET", "/info", None);
        let text = |value: &Value| value.as_str().unwrap_or("unknown").to_owned();
        let recorded = format!(
            "Docker {}, API {}, cgroup {}",
            text(&version["Version"]).split('+').next().unwrap_or_default(),
            text(&version["ApiVersion"]),
            text(&info["CgroupVersion"])
        );
        let end = json!({ "what": what, "recorded": recorded, "outcome": end });
        std::fs::write(&file, format!("{end:#}\n")).expect("the end can be written");
    }
    let text = std::fs::read_to_string(&file)
        .unwrap_or_else(|error| panic!("{}: {error}; record it with WHARF_UPDATE_ENDS=1", file.display()));
    let recorded: Value = serde_json::from_str(&text).expect("an end is JSON");
    let now = serde_json::to_value(end).expect("an outcome is JSON");
    for field in ["cause", "whose", "retry_helps", "advice"] {
        assert_eq!(now[field], recorded["outcome"][field], "{field} of {name}: {}", end.sentence);
    }
}
