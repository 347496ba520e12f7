//! `wharf base`.

use futures_util::StreamExt;
use wharf::message::{BaseProgress, BaseSummary};
use wharf_model::quantity::describe_bytes;

use super::{Ending, open};
use crate::arguments::GlobalArguments;
use crate::console::{Console, for_terminal};
use crate::exit_code;
use crate::run_view::mark;
use crate::table::Table;
use crate::text::duration;

pub(super) async fn build(global: &GlobalArguments, name: &str, console: &mut Console) -> Ending {
    let access = open(global).await?;
    let mut steps = access.build_base(name);
    let spinner = console.spinner();
    spinner.start(&format!("base image {name}"));
    let mut result = Ok(());
    while let Some(step) = steps.next().await {
        let step = match step {
            Ok(step) => step,
            Err(fault) => {
                result = Err(fault);
                break;
            }
        };
        if console.is_json() {
            console.json_line(&step)?;
            continue;
        }
        match step {
            BaseProgress::Progress(text) => {
                let text = for_terminal(&text);
                if console.err().is_terminal() && !global.verbose {
                    spinner.say(&format!("base image {name}: {text}"));
                } else {
                    console.note(&format!("  {text}"));
                }
            }
            BaseProgress::Done(report) => {
                spinner.clear();
                let mark = mark(console.out(), true);
                let took = duration(report.millis);
                let how = if report.built { format!("built in {took}") } else { format!("was there already ({took})") };
                console.line(&format!("{mark} base image {} {how}", report.name))?;
                console.line(&format!("  key    {}", report.key))?;
                console.line(&format!("  image  {} ({})", report.image, describe_bytes(report.size)))?;
            }
        }
    }
    spinner.clear();
    drop(steps);
    access.shutdown().await;
    result?;
    Ok(exit_code::SUCCEEDED)
}

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
