//! The `wharf` command: thin over the library, and the only part of it that knows arguments, environment and terminal.

mod arguments;
mod command;
mod console;
mod exit_code;
mod explanation;
mod failure;
mod identity;
mod interruption;
mod junit;
mod reference;
mod resolved;
mod run_view;
mod spinner;
mod table;
mod text;

use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;
use tracing_subscriber::EnvFilter;

use crate::arguments::Arguments;
use crate::console::Console;
use crate::failure::Failure;

fn main() -> ExitCode {
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) => {
            // Help for a reader that has gone is nobody's loss.
            let _ = error.print();
            return ExitCode::from(if error.use_stderr() { exit_code::USAGE } else { exit_code::SUCCEEDED });
        }
    };
    let mut console = Console::open(arguments.global.json);
    start_tracing(&console, arguments.global.verbose);
    let result = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| {
            Failure::from(wharf_model::Fault::new("host-fault", format!("no threads can be started: {error}")))
        })
        .and_then(|runtime| {
            let result = runtime.block_on(command::execute(arguments, &mut console));
            // What is still going on then has no effect outside of this process.
            runtime.shutdown_timeout(Duration::from_secs(1));
            result
        });
    ExitCode::from(result.unwrap_or_else(|failure| failure.report(&mut console)))
}

/// The library's own words go to standard error: warnings, with `--verbose` more, with `RUST_LOG` what it says.
fn start_tracing(console: &Console, verbose: bool) {
    let default = if verbose { "warn,wharf=debug" } else { "warn" };
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(default));
    let spinner = console.spinner();
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(console.err().has_colour())
        .with_target(verbose)
        .without_time()
        .with_writer(move || spinner.clone())
        .init();
}
