//! `wharf stop`.

use super::{Ending, open};
use crate::arguments::{GlobalArguments, StopArguments};
use crate::console::Console;
use crate::exit_code;
use crate::failure::Failure;
use crate::identity::login;
use crate::run_view::summary;

pub(super) async fn execute(global: &GlobalArguments, arguments: &StopArguments, console: &mut Console) -> Ending {
    let access = open(global).await?;
    let stopped = async {
        let run = access.resolve_run(&arguments.run).await?;
        access.stop(&run, &format!("{} (wharf stop)", login())).await?;
        console.spinner().start(&format!("waiting for the end of run {run}"));
        let outcome = access.wait(&run).await;
        console.spinner().clear();
        Ok::<_, Failure>((run, outcome?))
    }
    .await;
    access.shutdown().await;
    let (run, outcome) = stopped?;
    if console.is_json() {
        console.json_line(&outcome)?;
    } else {
        for line in summary(console.out(), &run, &outcome, None, &[]) {
            console.line(&line)?;
        }
    }
    Ok(exit_code::SUCCEEDED)
}
