//! `wharf image`.

use std::time::{SystemTime, UNIX_EPOCH};

use wharf::message::{ImageDifference, ImageSummary, Prune};
use wharf_model::Fault;
use wharf_model::quantity::describe_bytes;

use super::{Ending, open};
use crate::arguments::GlobalArguments;
use crate::console::{Console, Tone, for_terminal};
use crate::exit_code;
use crate::failure::Failure;
use crate::run_view::mark;
use crate::table::Table;
use crate::text::{age, counted};

pub(super) async fn list(global: &GlobalArguments, console: &mut Console) -> Ending {
    let access = open(global).await?;
    let list = access.images().await;
    access.shutdown().await;
    let list = list?;
    if console.is_json() {
        console.json_line(&list)?;
        return Ok(exit_code::SUCCEEDED);
    }
    unreachable_engines(&list.unreachable, console);
    if list.images.is_empty() {
        console.note("no image yet: a run makes them, or `wharf env build --all`");
        return Ok(exit_code::SUCCEEDED);
    }
    table(&list.images, console)?;
    Ok(exit_code::SUCCEEDED)
}

pub(super) async fn why(global: &GlobalArguments, name: &str, with: Option<&str>, console: &mut Console) -> Ending {
    let access = open(global).await?;
    let differences = access.compare_images(name, with).await;
    access.shutdown().await;
    let differences = differences?;
    if console.is_json() {
        console.json_line(&differences)?;
        return Ok(exit_code::SUCCEEDED);
    }
    for difference in &differences {
        show(difference, console)?;
    }
    Ok(exit_code::SUCCEEDED)
}

pub(super) async fn prune(global: &GlobalArguments, prune: Prune, console: &mut Console) -> Ending {
    let access = open(global).await?;
    let report = access.prune_images(prune).await;
    access.shutdown().await;
    let report = report?;
    if console.is_json() {
        console.json_line(&report)?;
    } else {
        unreachable_engines(&report.unreachable, console);
        if !report.removed.is_empty() {
            table(&report.removed, console)?;
        }
        let removed = counted(report.removed.len() as u64, "image");
        let verb = if prune.dry_run { "would be removed" } else { "removed" };
        let mark = mark(console.out(), report.refused.is_empty());
        console.line(&format!("{mark} {removed} {verb}, {} kept", report.kept))?;
        for (image, fault) in &report.refused {
            console.note(&format!("  {} stays: {}", name_of(image), for_terminal(&fault.message)));
        }
    }
    // What an engine doesn't let go isn't lost: it goes another time.
    Ok(exit_code::SUCCEEDED)
}

fn unreachable_engines(faults: &[Fault], console: &mut Console) {
    for fault in faults {
        console.note(&for_terminal(&fault.message));
    }
}

fn name_of(image: &ImageSummary) -> String {
    image.tags.first().cloned().unwrap_or_else(|| image.id.chars().take(19).collect())
}

fn table(images: &[ImageSummary], console: &mut Console) -> Result<(), Failure> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).ok().and_then(|now| u64::try_from(now.as_millis()).ok());
    let ago = |then: u64| age(now.unwrap_or(then).saturating_sub(then));
    let mut table = Table::new(["KIND", "NAME", "KEY", "SIZE", "AGE", "LAST USED", "ENGINE", "USED BY"]);
    for image in images {
        table.row([
            image.kind.clone(),
            image.name.clone(),
            image.key.chars().take(16).collect(),
            describe_bytes(image.size),
            ago(image.created_at),
            image.last_used.map_or_else(|| "never here".to_owned(), ago),
            image.engine.clone(),
            image.used_by.join(","),
        ]);
    }
    for line in table.lines(console.out()) {
        console.line(&line)?;
    }
    Ok(())
}

fn show(difference: &ImageDifference, console: &mut Console) -> Result<(), Failure> {
    let short = |key: &str| key.chars().take(16).collect::<String>();
    let ImageDifference { kind, name, before, after, lines } = difference;
    let title = match before {
        Some(before) => format!("{kind} {name}: {} -> {}", short(before), short(after)),
        None => format!("{kind} {name}: {}, and none before it", short(after)),
    };
    let title = console.out().paint(Tone::Title, &title);
    console.line(&title)?;
    for line in lines {
        console.line(&format!("  {}", for_terminal(line)))?;
    }
    Ok(())
}
