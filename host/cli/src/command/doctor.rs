//! `wharf doctor`.

use wharf::message::{Finding, FindingState};
use wharf_model::Fault;

use super::{Ending, open};
use crate::arguments::{DoctorArguments, GlobalArguments};
use crate::console::{Channel, Console, Tone};
use crate::exit_code;
use crate::failure::Failure;

pub(super) async fn execute(global: &GlobalArguments, arguments: &DoctorArguments, console: &mut Console) -> Ending {
    console.spinner().start("looking");
    let findings = match open(global).await {
        Ok(access) => {
            let mut findings = access.diagnose().await;
            if arguments.deep
                && let Ok(all) = &mut findings
            {
                match access.check_records().await {
                    Ok(more) => all.extend(more),
                    Err(fault) => all.push(closed(&fault)),
                }
            }
            access.shutdown().await;
            findings.map_err(Failure::from)
        }
        // That a home can't be opened is what a doctor is asked about.
        Err(Failure::Fault(fault)) => Ok(vec![closed(&fault)]),
        Err(failure) => Err(failure),
    };
    console.spinner().clear();
    show(&findings?, console)
}

/// Shows what was found; it is a failure when something is bad.
pub(super) fn show(findings: &[Finding], console: &mut Console) -> Ending {
    let bad = findings.iter().any(|finding| finding.state == FindingState::Bad);
    if console.is_json() {
        console.json_line(&findings)?;
    } else {
        let width = findings.iter().map(|finding| finding.name.chars().count()).max().unwrap_or_default();
        for finding in findings {
            for line in lines(finding, width, console.out()) {
                console.line(&line)?;
            }
        }
    }
    Ok(if bad { exit_code::OTHER } else { exit_code::SUCCEEDED })
}

fn closed(fault: &Fault) -> Finding {
    Finding {
        name: "home".to_owned(),
        state: FindingState::Bad,
        text: fault.to_string(),
        hint: fault.hint.clone().or_else(|| Some(format!("wharf error {}", fault.code))),
    }
}

/// `width` is the longest name's.
fn lines(finding: &Finding, width: usize, channel: Channel) -> Vec<String> {
    let (tone, word) = match finding.state {
        FindingState::Ok => (Tone::Good, "ok     "),
        FindingState::Warning => (Tone::Doubtful, "warning"),
        FindingState::Bad => (Tone::Bad, "bad    "),
    };
    let mut lines = vec![format!("{}  {:<width$}  {}", channel.paint(tone, word), finding.name, finding.text)];
    lines.extend(finding.hint.as_ref().map(|hint| format!("         hint: {hint}")));
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_home_that_cannot_be_opened_is_a_finding() {
        let finding = closed(&Fault::new("store-damaged", "the record store is damaged").hint("put it aside"));
        assert_eq!(
            lines(&finding, 6, Channel::PLAIN),
            ["bad      home    the record store is damaged", "         hint: put it aside"]
        );
    }
}
