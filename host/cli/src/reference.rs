//! The reference of the command line, in Markdown, from the definition of the arguments.

use std::fmt::Write as _;

use clap::{Arg, Command};

use crate::exit_code;

const FRONT: &str = "# The command `wharf`

<!-- Generated from the definition of the arguments: `WHARF_UPDATE=1 cargo test --release -p wharf-cli` writes it. -->
";

const STREAMS: &str = "
## Output

The answer is on standard output, everything beside it on standard error. On a terminal there are colours and a line that
moves while one waits; elsewhere there are plain lines. `NO_COLOR` turns colours off. `wharf run` writes what the recipe writes:
its standard output to standard output, its standard error to standard error, the runner's own words to standard error.

With `--json` there is only JSON on standard output, one document a line. `run`, `config test` and `logs` write one event
a line; the last event of a run is `ended`. `base build` writes its progress, then `done`. Other commands write one document.
An error is a document with the single key `fault`, which has `code`, `message`, and where known `at` and `hint`.

## Interruption

Ctrl-C, SIGTERM and SIGHUP stop a run that `wharf run` or `wharf config test` waits for: the recipe is asked to end, after a grace time it is
ended by force, the container is removed, and the exit code is 13. A second Ctrl-C says what is still being waited for. When the reader
of standard output goes away (`| head`), the run is stopped in the same way.
";

/// The whole page.
pub(crate) fn render(command: &Command) -> String {
    let mut command = command.clone();
    command.build();
    let mut page = FRONT.to_owned();
    if let Some(about) = command.get_about() {
        paragraph(&mut page, &about.to_string());
    }
    page.push_str("\n## Arguments of every command\n");
    let global = |argument: &&Arg| argument.is_global_set();
    list(&mut page, command.get_arguments().filter(global));
    let mut commands = Vec::new();
    collect(&command, "wharf", &mut commands);
    page.push_str("\n## Commands\n\n| Command | What it does |\n| --- | --- |\n");
    for (name, command) in &commands {
        let about = command.get_about().map(ToString::to_string).unwrap_or_default();
        // Writing to a string can't fail.
        let _ = writeln!(page, "| [`{name}`](#{}) | {about} |", name.replace(' ', "-"));
    }
    for (name, command) in &commands {
        section(&mut page, name, command);
    }
    page.push_str("\n## Exit codes\n\n| Code | Meaning |\n| --- | --- |\n");
    for (code, meaning) in exit_code::TABLE {
        let _ = writeln!(page, "| {code} | {meaning} |");
    }
    page.push_str(STREAMS);
    page
}

/// The commands that do something, in the order of the definition.
fn collect<'a>(command: &'a Command, name: &str, found: &mut Vec<(String, &'a Command)>) {
    for command in command.get_subcommands().filter(|command| !command.is_hide_set() && command.get_name() != "help") {
        let name = format!("{name} {}", command.get_name());
        if command.has_subcommands() {
            collect(command, &name, found);
        } else {
            found.push((name, command));
        }
    }
}

fn section(page: &mut String, name: &str, command: &Command) {
    let _ = write!(page, "\n### {name}\n");
    if let Some(about) = command.get_long_about().or(command.get_about()) {
        paragraph(page, &about.to_string());
    }
    let usage = command.clone().render_usage().to_string();
    let _ = write!(page, "\n```\n{}\n```\n", usage.trim_start_matches("Usage: "));
    let own = |argument: &&Arg| !argument.is_global_set() && !argument.is_hide_set();
    list(page, command.get_arguments().filter(own).filter(|argument| argument.is_positional()));
    list(page, command.get_arguments().filter(own).filter(|argument| !argument.is_positional()));
}

fn list<'a>(page: &mut String, arguments: impl Iterator<Item = &'a Arg>) {
    let mut first = true;
    for argument in arguments.filter(|argument| !["help", "version"].contains(&argument.get_id().as_str())) {
        if first {
            page.push('\n');
            first = false;
        }
        let help = argument.get_long_help().or(argument.get_help()).map(ToString::to_string).unwrap_or_default();
        let _ = write!(page, "- `{}`: {}", spelling(argument), help.replace("\n\n", "\n\n  "));
        if let [default] = argument.get_default_values()
            && argument.get_action().takes_values()
        {
            let _ = write!(page, " Default: `{}`.", default.to_string_lossy());
        }
        page.push('\n');
    }
}

fn spelling(argument: &Arg) -> String {
    let value = argument
        .get_value_names()
        .filter(|_| argument.get_action().takes_values())
        .map(|names| names.iter().map(ToString::to_string).collect::<Vec<_>>().join(" "));
    let long = argument.get_long().map(|long| format!("--{long}"));
    let short = argument.get_short().map(|short| format!("-{short}"));
    let flags: Vec<String> = short.into_iter().chain(long).collect();
    match (flags.is_empty(), value) {
        (true, value) => value.unwrap_or_default(),
        (false, None) => flags.join(", "),
        (false, Some(value)) => format!("{} {value}", flags.join(", ")),
    }
}

fn paragraph(page: &mut String, text: &str) {
    let _ = write!(page, "\n{}\n", text.trim());
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::arguments::Arguments;
    use clap::CommandFactory;

    #[test]
    fn docs_cli_md_is_what_the_arguments_say() {
        let file = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/cli.md");
        let page = render(&Arguments::command());
        if std::env::var_os("WHARF_UPDATE").is_some() {
            std::fs::write(&file, &page).unwrap();
        }
        let written = std::fs::read_to_string(&file).unwrap_or_default();
        assert!(
            written == page,
            "docs/cli.md isn't up to date: WHARF_UPDATE=1 cargo test --release -p wharf-cli writes it"
        );
    }

    #[test]
    fn every_command_and_code_is_there() {
        let page = render(&Arguments::command());
        for heading in
            ["### wharf run", "### wharf config test", "### wharf component check", "## Exit codes", "| 14 | killed"]
        {
            assert!(page.contains(heading), "{heading}");
        }
        assert!(!page.contains("wharf docs"), "hidden commands are in the reference");
    }
}
