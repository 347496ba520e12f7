//! The first process of a run's container: it gets the task from the host, starts the recipe, and says how it went.
//!
//! `wharf-runner run` carries a run; `wharf-runner call METHOD PATH` is how recipes without an HTTP client of their own ask
//! it for data; `wharf-runner attach` is what a host starts beside it to reach it through the engine; `wharf-runner reach` tries
//! the way to the host.

mod attach;
mod call;
mod cgroup;
mod lines;
mod link;
mod mask;
mod proxy;
mod reach;
mod recipe;
mod run;
mod settings;
mod spool;
mod work_folder;

use std::io::Write;
use std::process::ExitCode;

const USAGE: &str = "usage: wharf-runner run
       wharf-runner call METHOD PATH [--body-stdin]
       wharf-runner attach
       wharf-runner reach HOST:PORT
       wharf-runner --version";

/// The exit code for a host that can't be reached.
const UNREACHABLE: u8 = 113;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            complain(&format!("cannot start: {error}"));
            return ExitCode::from(UNREACHABLE);
        }
    };
    let code = match arguments.as_slice() {
        ["run"] => runtime.block_on(run::run()),
        ["call", method, path] => runtime.block_on(call::call(method, path, false)),
        ["call", method, path, "--body-stdin"] => runtime.block_on(call::call(method, path, true)),
        ["attach"] => attach::attach(),
        ["reach", address] => runtime.block_on(reach::reach(address)),
        ["--version"] => {
            let _ = writeln!(std::io::stdout(), "wharf-runner {}", env!("CARGO_PKG_VERSION"));
            0
        }
        _ => {
            complain(USAGE);
            2
        }
    };
    // Not waited for: a read of stdin can't be cancelled.
    runtime.shutdown_background();
    ExitCode::from(code)
}

/// Says something in the engine's own log of the container, where a person looks when the host knows nothing.
fn complain(text: &str) {
    let _ = writeln!(std::io::stderr(), "wharf-runner: {text}");
}
