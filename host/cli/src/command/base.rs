//! `wharf base`.

use wharf::message::BaseSummary;

use super::{Ending, open};
use crate::arguments::GlobalArguments;
use crate::console::Console;
use crate::exit_code;
use crate::table::Table;

pub(super) async fn list(global: &GlobalArguments, console: &mut Console) -> Ending {
    let access = open(global).await?;
    let bases = access.bases().await;
    access.shutdown().await;
    let bases = bases?;
    if console.is_json() {
        console.json_line(&bases)?;
        return Ok(exit_code::SUCCEEDED);
    }
    if bases.is_empty() {
        console.note("no base image yet: write base-images/NAME.toml in the home");
        return Ok(exit_code::SUCCEEDED);
    }
    let mut table = Table::new(["NAME", "ORIGIN", "MADE BY", "KEY", "STATE", "USED BY"]);
    for base in bases {
        let state = state(&base);
        let key = base.key.as_deref().map_or_else(String::new, |key| key.chars().take(16).collect());
        table.row([
            base.name,
            base.origin.unwrap_or_default(),
            base.made_by.unwrap_or_default(),
            key,
            state,
            base.used_by.join(","),
        ]);
    }
    for line in table.lines(console.out()) {
        console.line(&line)?;
    }
    Ok(exit_code::SUCCEEDED)
}

fn state(base: &BaseSummary) -> String {
    match (&base.fault, base.there) {
        (Some(fault), _) => format!("broken: {}", fault.message),
        (None, Some(true)) => "built".to_owned(),
        (None, Some(false)) => "not built".to_owned(),
        (None, None) => "unknown".to_owned(),
    }
}
