//! Why a command ended early.

use std::io;

use wharf_model::Fault;
use wharf_model::fault::Location;

use crate::console::{Console, Tone};
use crate::exit_code;

/// Why a command ended early.
#[derive(Debug)]
pub(crate) enum Failure {
    /// The library, or the arguments' own check, says why.
    Fault(Box<Fault>),
    /// Standard output takes nothing any more. A reader that has gone (`| head`) is the usual case, and no error.
    Output(io::Error),
}

impl From<Fault> for Failure {
    fn from(fault: Fault) -> Self {
        Self::Fault(Box::new(fault))
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Self::Output(error)
    }
}

impl Failure {
    /// Tells the person, or the program, and returns the exit code.
    pub(crate) fn report(&self, console: &mut Console) -> u8 {
        match self {
            Self::Fault(fault) => {
                report_fault(fault, console);
                exit_code::of_fault(fault)
            }
            Self::Output(error) if error.kind() == io::ErrorKind::BrokenPipe => exit_code::SUCCEEDED,
            Self::Output(error) => {
                console.note(&format!("error: standard output can't be written: {error}"));
                exit_code::OTHER
            }
        }
    }
}

/// Puts an error where its reader looks: as JSON on standard output, for people on standard error.
pub(crate) fn report_fault(fault: &Fault, console: &mut Console) {
    if console.is_json() {
        // There is nobody left to tell if this fails.
        let _ = console.json_line(&serde_json::json!({ "fault": fault }));
        return;
    }
    let red = console.err().paint(Tone::Bad, &format!("error[{}]", fault.code));
    for line in fault_lines(&red, fault) {
        console.note(&line);
    }
}

/// An error for people: what, where, what to do, and where more is written.
pub(crate) fn fault_lines(head: &str, fault: &Fault) -> Vec<String> {
    let mut lines = vec![format!("{head}: {}", fault.message)];
    match &fault.at {
        Some(Location { file, line: Some(line) }) => lines.push(format!("  at {}:{line}", file.display())),
        Some(Location { file, line: None }) => lines.push(format!("  at {}", file.display())),
        None => {}
    }
    if let Some(hint) = &fault.hint {
        lines.push(format!("  hint: {hint}"));
    }
    if wharf::catalogue::page(&fault.code).is_some() {
        lines.push(format!("  more: wharf error {}", fault.code));
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_says_what_where_and_what_to_do() {
        let fault =
            Fault::new("no-page-of-this-name", "unknown key `memmory`").at("/h/a.toml", Some(7)).hint("write `memory`");
        assert_eq!(
            fault_lines("error[no-page-of-this-name]", &fault),
            ["error[no-page-of-this-name]: unknown key `memmory`", "  at /h/a.toml:7", "  hint: write `memory`"]
        );
    }
}
