//! `wharf logs`.

use futures_util::StreamExt;

use super::{AT_ONCE, Ending, open};
use crate::arguments::{GlobalArguments, LogsArguments};
use crate::console::Console;
use crate::exit_code;
use crate::failure::Failure;
use crate::run_view::show_log;

pub(super) async fn execute(global: &GlobalArguments, arguments: &LogsArguments, console: &mut Console) -> Ending {
    let access = open(global).await?;
    let shown = async {
        let run = access.resolve_run(&arguments.run).await?;
        let mut events = access.follow(&run, 0, arguments.follow).ready_chunks(AT_ONCE);
        while let Some(ready) = events.next().await {
            console.gather();
            for event in ready {
                show_log(&event?, console)?;
            }
            console.flush()?;
        }
        Ok::<(), Failure>(())
    }
    .await;
    access.shutdown().await;
    shown?;
    Ok(exit_code::SUCCEEDED)
}
