//! `wharf base build` and `wharf env build`.

use futures_util::StreamExt;
use wharf::message::{BuildProgress, BuildTarget, BuiltImage, MadeImage};
use wharf_model::quantity::describe_bytes;

use super::{Ending, open};
use crate::arguments::GlobalArguments;
use crate::console::{Console, for_terminal};
use crate::exit_code;
use crate::run_view::mark;
use crate::spinner::Spinner;
use crate::table::Table;
use crate::text::{counted, duration};

pub(super) async fn execute(global: &GlobalArguments, target: BuildTarget, console: &mut Console) -> Ending {
    let access = open(global).await?;
    let what = match &target {
        BuildTarget::Base(name) => format!("base image {name}"),
        BuildTarget::CodeEnv(name) => format!("code environment {name}"),
        BuildTarget::All => "all images".to_owned(),
    };
    let mut steps = access.build(target);
    let spinner = console.spinner();
    spinner.start(&what);
    let mut images: Vec<BuiltImage> = Vec::new();
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
        }
        match step {
            BuildProgress::Progress(text) => progress(&what, &text, global, &spinner, console),
            BuildProgress::Image(image) => images.push(*image),
            BuildProgress::Done(_) => {}
        }
    }
    spinner.clear();
    drop(steps);
    access.shutdown().await;
    result?;
    if !console.is_json() {
        match images.as_slice() {
            [] => console
                .note("there is nothing to build: no execution configuration may use it, or none has its language"),
            [image] => show(image, console)?,
            _ => table(&images, console)?,
        }
    }
    // Those that were made are shown, and the first that was not is why this failed.
    match images.into_iter().find_map(|image| image.fault) {
        Some(fault) => Err(fault.into()),
        None => Ok(exit_code::SUCCEEDED),
    }
}

fn progress(what: &str, text: &str, global: &GlobalArguments, spinner: &Spinner, console: &mut Console) {
    if console.is_json() {
        return;
    }
    let text = for_terminal(text);
    if console.err().is_terminal() && !global.verbose {
        spinner.say(&format!("{what}: {text}"));
    } else {
        console.note(&format!("  {text}"));
    }
}

/// One image, in full.
fn show(image: &BuiltImage, console: &mut Console) -> Result<(), crate::failure::Failure> {
    let Some(tag) = &image.image else { return Ok(()) };
    let took = duration(image.millis);
    let how = match (image.built, image.made.is_empty()) {
        (true, _) => format!("built in {took}"),
        (false, true) => format!("was there already ({took})"),
        (false, false) => format!("ready in {took}"),
    };
    let what = match &image.code_env {
        Some(name) => format!("code environment {name}"),
        None => format!("base image {}", image.base),
    };
    let mark = mark(console.out(), image.fault.is_none());
    console.line(&format!("{mark} {what} {how}"))?;
    console.line(&format!("  key    {}", image.key.as_deref().unwrap_or_default()))?;
    console.line(&format!("  image  {tag} ({})", image.size.map(describe_bytes).unwrap_or_default()))?;
    for made in &image.made {
        console.line(&format!("  {}", made_line(made)))?;
    }
    Ok(())
}

/// `pushed wharf-env/ml:0123: 2 layers sent, 5 there already (1.2 s)`
fn made_line(made: &MadeImage) -> String {
    let MadeImage { image, what, detail, sent, skipped, millis, .. } = made;
    let took = duration(*millis);
    match (what.as_str(), detail, sent, skipped) {
        ("not-in-registry", _, _, _) => format!("{image} isn't in its registry"),
        (_, Some(from), _, _) => format!("{what} {image} from {from} ({took})"),
        (_, _, Some(sent), Some(skipped)) => {
            let sent = counted(u64::from(*sent), "layer");
            format!("{what} {image}: {sent} sent, {skipped} there already ({took})")
        }
        _ => format!("{what} {image} ({took})"),
    }
}

/// Many images, a line each.
fn table(images: &[BuiltImage], console: &mut Console) -> Result<(), crate::failure::Failure> {
    let mut table = Table::new(["CODE ENV", "BASE", "ENGINE", "BUILT", "GOT", "PUSHED", "SKIPPED", "TIME", "STATE"]);
    for image in images {
        let count = |what: &str| image.made.iter().filter(|made| made.what == what).count();
        let number = |count: usize| if count == 0 { String::new() } else { count.to_string() };
        let skipped: u32 = image.made.iter().filter_map(|made| made.skipped).sum();
        let state = match &image.fault {
            Some(fault) => format!("failed: {}", fault.message),
            None => "ready".to_owned(),
        };
        table.row([
            image.code_env.clone().unwrap_or_default(),
            image.base.clone(),
            image.engine.clone(),
            number(count("built")),
            number(count("pulled") + count("copied")),
            number(count("pushed")),
            if count("pushed") == 0 { String::new() } else { counted(u64::from(skipped), "layer") },
            duration(image.millis),
            state,
        ]);
    }
    for line in table.lines(console.out()) {
        console.line(&line)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn made(what: &str) -> MadeImage {
        MadeImage {
            image: "wharf-env/ml:0123".to_owned(),
            what: what.to_owned(),
            detail: None,
            sent: None,
            skipped: None,
            digest: None,
            millis: 1_200,
        }
    }

    #[test]
    fn what_was_done_is_a_line() {
        assert_eq!(made_line(&made("built")), "built wharf-env/ml:0123 (1.2 s)");
        let pushed = MadeImage { sent: Some(1), skipped: Some(5), ..made("pushed") };
        assert_eq!(made_line(&pushed), "pushed wharf-env/ml:0123: 1 layer sent, 5 there already (1.2 s)");
        let copied = MadeImage { detail: Some("ssh://far".to_owned()), ..made("copied") };
        assert_eq!(made_line(&copied), "copied wharf-env/ml:0123 from ssh://far (1.2 s)");
        let not = MadeImage { detail: Some("it is down".to_owned()), ..made("not-in-registry") };
        assert_eq!(made_line(&not), "wharf-env/ml:0123 isn't in its registry");
    }
}
