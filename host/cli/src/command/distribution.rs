//! `wharf component install`, `upgrade`, `grant`, `rollback`, `remove` and `push`.

use std::io::{IsTerminal as _, Write as _};
use std::path::Path;

use wharf::distribution::{Distribution, Fetched, Grants, Installed, Review};
use wharf_model::Fault;
use wharf_model::quantity::describe_bytes;

use super::Ending;
use crate::arguments::{GlobalArguments, GrantArguments, InstallArguments, UpgradeArguments};
use crate::console::{Console, Tone, for_terminal};
use crate::exit_code;
use crate::failure::Failure;
use crate::interruption::Interruptions;
use crate::resolved;

pub(super) async fn install(global: &GlobalArguments, arguments: &InstallArguments, console: &mut Console) -> Ending {
    let distribution = open(global)?;
    let grants = grants(&arguments.grant.grant)?;
    let fetch = distribution.fetch(&arguments.source, arguments.name.as_deref(), arguments.digest.as_deref());
    let fetched = interruptible(fetch).await?;
    let review = distribution.review(&fetched, &grants)?;
    // Said before anybody is asked.
    agree(&review, "Install it?", arguments.grant.yes, console).await?;
    let installed = distribution.put(&fetched, &review, false)?;
    tell(&installed, "installed", console)
}

pub(super) async fn upgrade(global: &GlobalArguments, arguments: &UpgradeArguments, console: &mut Console) -> Ending {
    let distribution = open(global)?;
    let grants = grants(&arguments.grant.grant)?;
    let source = match &arguments.source {
        Some(source) => source.clone(),
        None => distribution.source_of(&arguments.name)?,
    };
    let name = arguments.name.rsplit('/').next().unwrap_or(&arguments.name);
    let fetched = interruptible(distribution.fetch(&source, Some(name), arguments.digest.as_deref())).await?;
    replace(&distribution, &fetched, &grants, arguments.grant.yes, "Put it in the place of the one before?", console)
        .await
}

pub(super) async fn rollback(
    global: &GlobalArguments,
    name: &str,
    to: Option<&str>,
    yes: bool,
    console: &mut Console,
) -> Ending {
    let distribution = open(global)?;
    let fetched = distribution.fetch_kept(name, to)?;
    replace(&distribution, &fetched, &Grants::default(), yes, "Go back to it?", console).await
}

async fn replace(
    distribution: &Distribution,
    fetched: &Fetched,
    grants: &Grants,
    yes: bool,
    question: &str,
    console: &mut Console,
) -> Ending {
    let review = distribution.review(fetched, grants)?;
    agree(&review, question, yes, console).await?;
    let installed = distribution.put(fetched, &review, true)?;
    tell(&installed, "installed", console)
}

pub(super) async fn grant(
    global: &GlobalArguments,
    name: &str,
    arguments: &GrantArguments,
    console: &mut Console,
) -> Ending {
    let distribution = open(global)?;
    let review = distribution.review_grant(name, &grants(&arguments.grant)?)?;
    agree(&review, "Grant it to this file?", arguments.yes, console).await?;
    let installed = distribution.grant(&review)?;
    tell(&installed, "granted", console)
}

pub(super) fn release(global: &GlobalArguments, name: &str, console: &mut Console) -> Ending {
    let file = open(global)?.release(name)?;
    if console.is_json() {
        console.json_line(&file)?;
    } else {
        console.note(&format!("{} comes into force with the next run", file.display()));
    }
    Ok(exit_code::SUCCEEDED)
}

pub(super) fn remove(global: &GlobalArguments, name: &str, console: &mut Console) -> Ending {
    let file = open(global)?.remove(name)?;
    if console.is_json() {
        console.json_line(&file)?;
        return Ok(exit_code::SUCCEEDED);
    }
    console.note(&format!("removed {}", file.display()));
    let toml = file.with_extension("toml");
    if toml.is_file() {
        console.note(&format!("{} is left: it counts again when a component of that name comes back", toml.display()));
    }
    Ok(exit_code::SUCCEEDED)
}

pub(super) async fn push(global: &GlobalArguments, file: &Path, reference: &str, console: &mut Console) -> Ending {
    let distribution = open(global)?;
    let pushed = interruptible(distribution.push(file, reference)).await?;
    if console.is_json() {
        console.json_line(&pushed)?;
        return Ok(exit_code::SUCCEEDED);
    }
    console.line(&pushed.reference)?;
    let there = if pushed.was_there { ", there already" } else { "" };
    let signature = if pushed.signature { ", with its minisign signature" } else { "" };
    console.note(&format!("pushed {} ({}{there}){signature}", pushed.digest, describe_bytes(pushed.size)));
    Ok(exit_code::SUCCEEDED)
}

fn open(global: &GlobalArguments) -> Result<Distribution, Failure> {
    let home = resolved::existing_home(global.home.as_deref())?;
    Ok(Distribution::open(home.root(), wharf::docker_config())?)
}

fn grants(arguments: &[String]) -> Result<Grants, Failure> {
    Ok(Grants::of_arguments(arguments.iter().map(String::as_str))
        .map_err(|why| Fault::new("usage", format!("--grant: {why}")).hint("wharf component install --help"))?)
}

/// Waits for something that leaves nothing behind when it is dropped, unless somebody doesn't want to wait any more.
async fn interruptible<T>(work: impl Future<Output = Result<T, Fault>>) -> Result<T, Failure> {
    let mut interruptions = Interruptions::listen()?;
    tokio::select! {
        done = work => Ok(done?),
        what = interruptions.next() => {
            Err(Fault::new("component-interrupted", format!("{what}: nothing was changed")).into())
        }
    }
}

/// Shows what is about to happen, and asks whether it may.
async fn agree(review: &Review, question: &str, yes: bool, console: &mut Console) -> Result<(), Failure> {
    if !console.is_json() {
        for line in lines(review, console) {
            console.line(&line)?;
        }
    }
    if yes {
        return Ok(());
    }
    if console.is_json() || !std::io::stdin().is_terminal() {
        return Err(Fault::new("usage", "nobody is there to be asked").hint("`--yes` agrees").into());
    }
    write!(std::io::stderr(), "{question} [y/N] ")?;
    let read = async {
        let line = tokio::task::spawn_blocking(|| std::io::stdin().lines().next()).await;
        Ok(line.ok().flatten().and_then(Result::ok).unwrap_or_default())
    };
    let answer = interruptible(read).await?;
    if matches!(answer.trim(), "y" | "Y" | "yes") {
        Ok(())
    } else {
        Err(Fault::new("component-interrupted", "not agreed to: nothing was changed").into())
    }
}

fn lines(review: &Review, console: &Console) -> Vec<String> {
    let out = console.out();
    let version = review.version.as_deref().map(|version| format!(" {version}")).unwrap_or_default();
    let mut lines = vec![format!("{}{}", out.paint(Tone::Title, &review.component), for_terminal(&version))];
    let mut line = |what: &str, text: &str| lines.push(format!("  {what:<8} {}", for_terminal(text)));
    line("world", review.world.as_str());
    line("from", &review.source);
    line("digest", &format!("{} ({})", review.digest, describe_bytes(review.size)));
    line("signed", review.signed_by.as_deref().unwrap_or("nobody's signature was asked for"));
    if let Some(before) = &review.before {
        line("before", &format!("{} ({})", before.version, before.digest));
    }
    for words in &review.may {
        line("may", words);
    }
    if review.may.is_empty() {
        line("may", "nothing beyond its settings and the log");
    }
    for (need, words) in review.more.iter().zip(review.more_words()) {
        line("+ import", &format!("{need}: {words}; the version before didn't"));
    }
    for need in &review.less {
        line("- import", &format!("{need}: the version before has it, this one hasn't"));
    }
    if review.held_back {
        lines.push(
            out.paint(Tone::Bad, "  it will be held back until that is granted: the version before stays in force"),
        );
    }
    lines
}

fn tell(installed: &Installed, done: &str, console: &mut Console) -> Ending {
    let code = if installed.held_back { exit_code::CONFIGURATION } else { exit_code::SUCCEEDED };
    if console.is_json() {
        console.json_line(installed)?;
        return Ok(code);
    }
    if installed.held_back {
        let name = installed.review.component.rsplit('/').next().unwrap_or_default();
        console.note(&format!(
            "{} is there and held back: `wharf component grant {name} {}` lets it in, `wharf component rollback {name}` takes it away",
            installed.file.display(),
            installed.review.more.join(" ")
        ));
    } else {
        console.note(&format!("{done}: {}; in force from the next run on", installed.file.display()));
    }
    Ok(code)
}
