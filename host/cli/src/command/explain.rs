//! `wharf explain`.

use std::path::Path;

use wharf::message::FieldHistory;
use wharf_model::Fault;

use super::{Ending, open_at};
use crate::arguments::{ExplainArguments, GlobalArguments};
use crate::console::Console;
use crate::exit_code;
use crate::explanation;
use crate::resolved;

/// What `explain` is asked about.
#[derive(Debug, PartialEq, Eq)]
enum Target<'a> {
    Activity(Option<&'a Path>),
    Run(&'a str),
}

pub(super) async fn execute(global: &GlobalArguments, arguments: &ExplainArguments, console: &mut Console) -> Ending {
    let home = resolved::existing_home(global.home.as_deref())?;
    let flags = &arguments.activity;
    let (explanation, ended) = match target(arguments.target.as_deref()) {
        Target::Run(run) => {
            if flags.python.is_some() || flags.r.is_some() || flags.config.is_some() {
                return Err(Fault::new(
                    "usage",
                    format!("\"{run}\" is taken for a run, which can't be changed any more"),
                )
                .hint("an activity file's name ends in .toml")
                .into());
            }
            let access = open_at(home.root()).await?;
            let run = access.resolve_run(run).await?;
            if let Some(field) = &arguments.field {
                let history = access.explain_field(&run, field).await;
                access.shutdown().await;
                return show_field(&history?, console);
            }
            let explanation = access.explain_run(&run).await;
            access.shutdown().await;
            (explanation?, true)
        }
        Target::Activity(_) if arguments.field.is_some() => {
            return Err(Fault::new("usage", "a field is explained of a run, not of an activity")
                .hint("name a run: `wharf explain last memory`; an activity's explanation has all fields")
                .into());
        }
        Target::Activity(file) => {
            let activity = resolved::activity(&home, file, flags)?;
            let access = open_at(home.root()).await?;
            let explanation = access.explain(activity).await;
            access.shutdown().await;
            (explanation?, false)
        }
    };
    if console.is_json() {
        console.json_line(&explanation)?;
    } else {
        for line in explanation::lines(&explanation, console.out(), global.verbose) {
            console.line(&line)?;
        }
    }
    // How a run of the past ended is an answer, not an end of this command.
    Ok(match explanation.outcome {
        Some(outcome) if !ended => exit_code::of_cause(outcome.cause),
        _ => exit_code::SUCCEEDED,
    })
}

fn show_field(history: &FieldHistory, console: &mut Console) -> Ending {
    if console.is_json() {
        console.json_line(history)?;
    } else {
        for line in explanation::field_lines(history) {
            console.line(&line)?;
        }
    }
    Ok(exit_code::SUCCEEDED)
}

/// A file is an activity; whatever else was typed is a run.
fn target(typed: Option<&str>) -> Target<'_> {
    match typed {
        None => Target::Activity(None),
        Some(text) if text.ends_with(".toml") || text.contains('/') || Path::new(text).is_file() => {
            Target::Activity(Some(Path::new(text)))
        }
        Some(text) => Target::Run(text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_and_runs_are_told_apart() {
        assert_eq!(target(None), Target::Activity(None));
        assert_eq!(target(Some("last")), Target::Run("last"));
        assert_eq!(target(Some("0198f3c2")), Target::Run("0198f3c2"));
        assert_eq!(target(Some("missing.toml")), Target::Activity(Some(Path::new("missing.toml"))));
        assert_eq!(target(Some("./activity")), Target::Activity(Some(Path::new("./activity"))));
    }
}
