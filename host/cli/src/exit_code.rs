//! Exit codes: what scripts branch on.

use std::fmt::Write as _;

use wharf_model::{Cause, Fault};

/// It went well.
pub(crate) const SUCCEEDED: u8 = 0;
/// Any error that has no code of its own.
pub(crate) const OTHER: u8 = 1;
/// The arguments make no sense.
pub(crate) const USAGE: u8 = 2;
/// A file of the home, or of an activity, is wrong or missing.
pub(crate) const CONFIGURATION: u8 = 3;
/// Somebody stopped the run, or it took too long.
pub(crate) const STOPPED: u8 = 13;

/// All of them, in order, as `--help` and the reference show them.
pub(crate) const TABLE: [(u8, &str); 17] = [
    (SUCCEEDED, "succeeded"),
    (OTHER, "another error"),
    (USAGE, "the arguments make no sense"),
    (CONFIGURATION, "a file of the home or of the activity is wrong or missing"),
    (10, "the recipe failed, or one of its inputs or outputs did"),
    (11, "refused by a permission component"),
    (12, "rejected by a policy component or by a limit"),
    (STOPPED, "stopped, or over its time limit"),
    (14, "killed for memory"),
    (15, "the recipe adapter could make no job of the activity"),
    (16, "a secret isn't there, or can't be used"),
    (20, "the engine can't be reached"),
    (21, "the image is missing, or its build failed"),
    (22, "the runner never came up, or was lost"),
    (23, "the engine refused what was to be created"),
    (24, "the cluster had no room for it, or its node put it out"),
    (70, "a fault of the host itself"),
];

/// The exit code of a run's end.
pub(crate) fn of_cause(cause: Cause) -> u8 {
    match cause {
        Cause::Succeeded => SUCCEEDED,
        Cause::RecipeFailed | Cause::OutputFailed | Cause::InputFailed => 10,
        Cause::Refused => 11,
        Cause::Rejected => 12,
        Cause::Stopped | Cause::TimeLimit => STOPPED,
        Cause::OutOfMemory => 14,
        Cause::NotPrepared => 15,
        Cause::SecretUnavailable => 16,
        Cause::EngineUnreachable => 20,
        Cause::ImageMissing | Cause::ImageBuildFailed => 21,
        Cause::RunnerNeverCameUp | Cause::Lost | Cause::NodeLost => 22,
        Cause::EngineRefused | Cause::Forbidden => 23,
        Cause::QuotaExceeded | Cause::Unschedulable | Cause::Evicted | Cause::Preempted => 24,
        Cause::HostFault => 70,
    }
}

/// The exit code of an error.
pub(crate) fn of_fault(fault: &Fault) -> u8 {
    // Errors that are also ends of runs have the exit code of the end.
    if let Ok(cause) = serde_json::from_value::<Cause>(fault.code.as_str().into()) {
        return of_cause(cause);
    }
    match fault.code.as_str() {
        "usage" => USAGE,
        // Written on the command line they are about an argument, in a file about the file.
        "binding-name-invalid" | "input-missing" | "input-format-unknown" | "output-format-unknown"
            if fault.at.is_none() =>
        {
            USAGE
        }
        "engine-conflict" => 23,
        "image-bootstrap-missing-tool" => 21,
        "home-not-found" | "home-exists" => CONFIGURATION,
        code => {
            const FILES: [&str; 10] = [
                "config-",
                "site-",
                "base-image-",
                "activity-",
                "file-",
                "component-",
                "case-",
                "binding-",
                "input-",
                "output-",
            ];
            if FILES.iter().any(|prefix| code.starts_with(prefix)) { CONFIGURATION } else { OTHER }
        }
    }
}

/// The part of `--help` that lists them.
pub(crate) fn help() -> String {
    let mut text = String::from("Exit codes:\n");
    for (code, meaning) in TABLE {
        // Writing to a string can't fail.
        let _ = writeln!(text, "  {code:>2}  {meaning}");
    }
    text.push_str("\nDocumentation of an error: wharf error CODE");
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    const CAUSES: [Cause; 24] = [
        Cause::Succeeded,
        Cause::RecipeFailed,
        Cause::OutOfMemory,
        Cause::TimeLimit,
        Cause::Stopped,
        Cause::Refused,
        Cause::Rejected,
        Cause::NotPrepared,
        Cause::SecretUnavailable,
        Cause::ImageMissing,
        Cause::ImageBuildFailed,
        Cause::EngineUnreachable,
        Cause::EngineRefused,
        Cause::Forbidden,
        Cause::QuotaExceeded,
        Cause::Unschedulable,
        Cause::Evicted,
        Cause::Preempted,
        Cause::NodeLost,
        Cause::RunnerNeverCameUp,
        Cause::Lost,
        Cause::OutputFailed,
        Cause::InputFailed,
        Cause::HostFault,
    ];

    #[test]
    fn every_end_has_a_documented_code() {
        for cause in CAUSES {
            let code = of_cause(cause);
            assert!(TABLE.iter().any(|(listed, _)| *listed == code), "{cause:?} has {code}");
            assert_eq!(code == SUCCEEDED, cause == Cause::Succeeded, "{cause:?}");
        }
    }

    #[test]
    fn the_page_of_every_end_has_its_code() {
        for cause in CAUSES {
            let name = crate::run_view::cause_word(cause);
            let page = wharf::catalogue::page(&name).unwrap_or_default().replace('\n', " ");
            let said = format!("Exit code {}.", of_cause(cause));
            assert!(page.contains(&said), "docs/errors.md doesn't say of {name}: {said}");
        }
    }

    #[test]
    fn scripts_can_rely_on_these() {
        let pairs = [
            (Cause::RecipeFailed, 10),
            (Cause::Refused, 11),
            (Cause::Rejected, 12),
            (Cause::Stopped, 13),
            (Cause::TimeLimit, 13),
            (Cause::OutOfMemory, 14),
            (Cause::EngineUnreachable, 20),
        ];
        for (cause, code) in pairs {
            assert_eq!(of_cause(cause), code, "{cause:?}");
        }
    }

    #[test]
    fn errors_and_ends_of_one_name_have_one_code() {
        let of = |code: &str| of_fault(&Fault::new(code, ""));
        assert_eq!(of("engine-unreachable"), 20);
        assert_eq!(of("image-missing"), 21);
        assert_eq!(of("config-invalid"), CONFIGURATION);
        assert_eq!(of("component-required-missing"), CONFIGURATION);
        assert_eq!(of("no-such-run"), OTHER);
        assert_eq!(of("usage"), USAGE);
        assert_eq!(of("input-missing"), USAGE);
        assert_eq!(of_fault(&Fault::new("input-missing", "").at("a.toml", Some(1))), CONFIGURATION);
    }

    #[test]
    fn the_table_is_in_order_and_without_twins() {
        assert!(TABLE.windows(2).all(|pair| pair[0].0 < pair[1].0));
    }
}
