//! A run as it goes on: its events for a person or for a program.

use std::io;
use std::time::{Duration, Instant};

use wharf_model::decision::Judgement;
use wharf_model::outcome::{LogState, Whose};
use wharf_model::protocol::{Advance, Stream};
use wharf_model::quantity::describe_bytes;
use wharf_model::{Binding, Cause, Decision, Event, EventKind, Outcome, Phase};

use crate::console::{Channel, Console, Tone, for_terminal};
use crate::text::{self, counted, duration, usage};

/// How many places a bar has.
const BAR: usize = 20;
/// After how much silence of the recipe the moving line comes back.
const SILENCE: Duration = Duration::from_secs(1);

/// A run as it goes on.
pub(crate) struct RunView {
    /// What it writes, for the summary.
    outputs: Vec<Binding>,
    submitted_at: u64,
    phase: Option<Phase>,
    phase_began: Instant,
    /// What components said in this phase.
    notes: Vec<String>,
    /// Where the moving line stands, if it is there.
    waiting: bool,
    last_line: Option<Instant>,
    /// What the moving line says while the recipe says how far it has come.
    advance: Option<String>,
}

impl RunView {
    /// A view of a run that writes these.
    pub(crate) fn new(outputs: &[Binding]) -> Self {
        Self {
            outputs: outputs.to_vec(),
            submitted_at: 0,
            phase: None,
            phase_began: Instant::now(),
            notes: Vec::new(),
            waiting: false,
            last_line: None,
            advance: None,
        }
    }

    /// Shows what happened.
    ///
    /// # Errors
    /// Standard output takes nothing any more.
    pub(crate) fn show(&mut self, event: &Event, console: &mut Console) -> io::Result<()> {
        if console.is_json() {
            return console.json_line(event);
        }
        let err = console.err();
        match &event.kind {
            EventKind::Submitted { kind, user, configuration } => {
                self.submitted_at = event.at;
                console.note(&format!("run {}: {kind} for {user} under {configuration}", event.run));
            }
            EventKind::Recovered => console.note("  taken over from a process that is gone"),
            EventKind::PhaseStarted { phase } => {
                self.phase = Some(*phase);
                self.phase_began = Instant::now();
                self.notes.clear();
                self.wait(console, phase_word(*phase));
            }
            EventKind::Decision(decision) => self.notes.push(decision_note(decision)),
            EventKind::PhaseEnded { phase, millis } => {
                self.rest(console);
                self.advance = None;
                let line = phase_line(err, true, *phase, &self.notes, Some(*millis));
                console.note(&line);
                self.phase = None;
                self.notes.clear();
            }
            EventKind::Progress { phase, text } => {
                let text = for_terminal(text);
                if err.is_terminal() {
                    console.spinner().say(&format!("{}: {text}", phase_word(*phase)));
                } else {
                    console.note(&format!("  {}: {text}", phase_word(*phase)));
                }
            }
            EventKind::Advanced(advance) => {
                // In a file the recipe's own lines say it.
                let line = advance_line(advance);
                if err.is_terminal() {
                    if self.waiting {
                        console.spinner().say(&line);
                    } else {
                        self.wait(console, &line);
                    }
                }
                self.advance = Some(line);
            }
            EventKind::Queued { why, position } => {
                let why = &match position {
                    Some(position) => format!("number {position} in the queue, {why}"),
                    None => why.clone(),
                };
                if err.is_terminal() {
                    console.spinner().say(&format!("waiting: {why}"));
                } else {
                    console.note(&format!("  waiting: {why}"));
                }
            }
            EventKind::Log { stream, text, continues, .. } => return self.log(*stream, text, *continues, console),
            EventKind::LogGap { missing, why, .. } => {
                let text = format!("... {} missing here: {}", are(*missing, "line"), for_terminal(why));
                console.note(&err.paint(Tone::Doubtful, &text));
            }
            // How far it has come says more.
            EventKind::Usage(_) if self.advance.is_some() => {}
            EventKind::Usage(now) => console.spinner().say(&format!("{}: {}", phase_word(Phase::Run), usage(now))),
            EventKind::StopRequested { by } => {
                console.note(&format!("stop requested by {by}"));
                console.spinner().say("stopping");
            }
            EventKind::Ended(outcome) => {
                self.rest(console);
                if let Some(phase) = self.phase.take().filter(|_| outcome.cause != Cause::Succeeded) {
                    console.note(&phase_line(err, false, phase, &self.notes, None));
                }
                let took = event.at.checked_sub(self.submitted_at).filter(|_| self.submitted_at != 0);
                for line in summary(err, &event.run, outcome, took, &self.outputs) {
                    console.note(&line);
                }
                if !blames_itself(outcome) {
                    for line in facts(outcome) {
                        console.note(&line);
                    }
                }
                if outcome.cause != Cause::Succeeded {
                    console.note(&fact(
                        "more",
                        &format!("wharf error {}, wharf explain {}", cause_word(outcome.cause), event.run),
                    ));
                }
            }
        }
        Ok(())
    }

    /// Brings the moving line back when the recipe has been silent for a while. Called now and then.
    pub(crate) fn tick(&mut self, console: &Console) {
        if let Some(phase) = self.phase.filter(|_| !self.waiting)
            && self.last_line.is_none_or(|at| at.elapsed() >= SILENCE)
        {
            let advance = self.advance.clone().filter(|_| phase == Phase::Run);
            self.wait(console, advance.as_deref().unwrap_or(phase_word(phase)));
        }
    }

    fn log(&mut self, stream: Stream, text: &str, continues: bool, console: &mut Console) -> io::Result<()> {
        let channel = if stream == Stream::Stdout { console.out() } else { console.err() };
        if channel.is_terminal() && console.err().is_terminal() {
            // A line that moves between lines that scroll only flickers.
            self.rest(console);
            self.last_line = Some(Instant::now());
        }
        let text = if channel.is_terminal() { for_terminal(text) } else { text.to_owned() };
        match stream {
            Stream::Stdout if continues => console.piece(&text)?,
            Stream::Stdout => console.line(&text)?,
            Stream::Stderr => console.note(&text),
            Stream::Runner => console.note(&channel.paint(Tone::Quiet, &text)),
        }
        Ok(())
    }

    fn wait(&mut self, console: &Console, text: &str) {
        console.spinner().resume(text, self.phase_began.elapsed());
        self.waiting = true;
    }

    fn rest(&mut self, console: &Console) {
        if self.waiting {
            console.spinner().clear();
            self.waiting = false;
        }
    }
}

/// One line for a log line of a run, without any other event: what `wharf logs` shows.
pub(crate) fn show_log(event: &Event, console: &mut Console) -> io::Result<()> {
    if console.is_json() {
        return console.json_line(event);
    }
    let (EventKind::Log { .. } | EventKind::LogGap { .. }) = &event.kind else { return Ok(()) };
    RunView::new(&[]).show(event, console)
}

/// `run: [#####-----] 6/12 forest, depth 5`.
fn advance_line(advance: &Advance) -> String {
    let text = for_terminal(&advance.text);
    let done = text::grouped(advance.done);
    let word = phase_word(Phase::Run);
    match advance.total.filter(|total| *total > 0) {
        Some(total) => {
            let share = u128::from(advance.done.min(total)) * BAR as u128 / u128::from(total);
            let full = usize::try_from(share).unwrap_or(BAR);
            let (full, rest) = ("#".repeat(full), "-".repeat(BAR - full));
            format!("{word}: [{full}{rest}] {done}/{} {text}", text::grouped(total))
        }
        None => format!("{word}: {done} {text}"),
    }
}

fn phase_word(phase: Phase) -> &'static str {
    match phase {
        Phase::Permission => "permission",
        Phase::Adapter => "adapter",
        Phase::Policies => "policies",
        Phase::Admission => "admission",
        Phase::Image => "image",
        Phase::Launch => "launch",
        Phase::Run => "run",
        Phase::Commit => "commit",
    }
}

/// `✓ permission  allowed-groups: allowed  (1 ms)`.
fn phase_line(channel: Channel, well: bool, phase: Phase, notes: &[String], millis: Option<u64>) -> String {
    let mark = mark(channel, well);
    let mut line = format!("{mark} {}", phase_word(phase));
    if !notes.is_empty() {
        let pad = 10usize.saturating_sub(phase_word(phase).len());
        line.push_str(&" ".repeat(pad));
        line.push_str("  ");
        line.push_str(&notes.join("; "));
    }
    if let Some(millis) = millis {
        line.push_str("  ");
        line.push_str(&channel.paint(Tone::Quiet, &format!("({})", duration(millis))));
    }
    line
}

/// A tick or a cross, which files get as words.
pub(crate) fn mark(channel: Channel, well: bool) -> String {
    match (channel.is_terminal(), well) {
        (true, true) => channel.paint(Tone::Good, "✓"),
        (true, false) => channel.paint(Tone::Bad, "✗"),
        (false, true) => "ok    ".to_owned(),
        (false, false) => "failed".to_owned(),
    }
}

/// `allowed-groups: allowed`.
fn decision_note(decision: &Decision) -> String {
    format!("{}: {}", decision.component, verdict(decision))
}

/// What a component answered, in a few words; for one that isn't enforced, what it would have done.
pub(crate) fn verdict(decision: &Decision) -> String {
    let answer = answer(decision);
    if decision.is_enforced() { answer } else { format!("{} only, not enforced: {answer}", decision.mode.as_str()) }
}

fn answer(decision: &Decision) -> String {
    match &decision.judgement {
        Judgement::Accept { changes, warnings, .. } => {
            let mut text = match (decision.step.as_str(), changes.len()) {
                ("permission", _) => "allowed".to_owned(),
                ("policy", 0) => "accepted".to_owned(),
                ("policy", count) => format!("accepted with {}", counted(count as u64, "change")),
                _ => "done".to_owned(),
            };
            for warning in warnings {
                text.push_str(&format!(", warning: {}", for_terminal(warning)));
            }
            text
        }
        Judgement::Reject { reasons } => {
            let word = if decision.step == "permission" { "refused" } else { "rejected" };
            let reasons: Vec<String> = reasons.iter().map(|reason| for_terminal(&reason.message)).collect();
            format!("{word}: {}", reasons.join("; "))
        }
        Judgement::Error { message, ignored } => {
            let rest = if *ignored && decision.is_enforced() { " (ignored, as its on_error says)" } else { "" };
            format!("failed: {}{rest}", for_terminal(message))
        }
    }
}

/// The end of a run, in a few lines.
pub(crate) fn summary(
    channel: Channel,
    run: &str,
    outcome: &Outcome,
    took: Option<u64>,
    outputs: &[Binding],
) -> Vec<String> {
    let well = outcome.cause == Cause::Succeeded;
    let tone = if well { Tone::Good } else { Tone::Bad };
    let after = took.map_or_else(String::new, |millis| format!(" after {}", duration(millis)));
    let head = channel.paint(tone, &format!("{}{after}", cause_word(outcome.cause)));
    let mut lines = vec![format!("{} {head}: {}", mark(channel, well), for_terminal(&outcome.sentence))];
    let mut fact = |name: &str, text: &str| lines.push(fact(name, text));
    fact("run", run);
    if !well {
        fact("whose", whose(outcome.whose));
    }
    if well {
        for output in outputs {
            fact("output", &text::binding(output));
        }
    }
    match &outcome.log {
        Some(LogState::Complete { lines, .. }) => fact("log", &format!("complete, {}", counted(*lines, "line"))),
        Some(LogState::Incomplete { missing, dropped, from, to }) => {
            fact("log", &format!("incomplete: {}", gaps(*missing, *dropped, *from, *to)));
        }
        Some(LogState::Limited { lines, left_out, .. }) => fact(
            "log",
            &format!("{}; {} beyond its limit were not kept", counted(*lines, "line"), counted(*left_out, "line")),
        ),
        Some(LogState::Engine) => fact("log", "the engine's own: the runner sent none"),
        None => {}
    }
    if let Some(usage) = outcome.usage.as_ref().filter(|usage| usage.memory_peak > 0) {
        fact(
            "used",
            &format!("memory {} at the most, CPU {:.1} s", describe_bytes(usage.memory_peak), usage.cpu_seconds),
        );
    }
    if let Some(advice) = &outcome.advice {
        fact("advice", &for_terminal(advice));
    }
    if outcome.retry_helps {
        fact("again", "trying again, unchanged, can help");
    }
    lines
}

/// Whether the recipe or a person is at the bottom of it, so that its own words are all that matters.
fn blames_itself(outcome: &Outcome) -> bool {
    matches!(outcome.whose, Whose::Nobody | Whose::Recipe | Whose::User)
}

fn fact(name: &str, text: &str) -> String {
    format!("  {name:<8} {text}")
}

/// What an end was concluded from, line by line.
pub(crate) fn facts(outcome: &Outcome) -> Vec<String> {
    let mut name = "evidence";
    let mut line = |text: String| fact(std::mem::take(&mut name), &for_terminal(&text));
    let mut lines: Vec<String> = outcome.evidence.iter().map(|(key, value)| line(format!("{key} = {value}"))).collect();
    if let Some(usage) = outcome.usage.as_ref().filter(|usage| usage.oom_kills > 0) {
        lines.push(line(format!("usage.oom_kills = {}", usage.oom_kills)));
    }
    lines
}

fn whose(whose: Whose) -> &'static str {
    match whose {
        Whose::Nobody => "nobody's doing",
        Whose::Recipe => "the recipe's doing: its code or its data",
        Whose::User => "a person's doing",
        Whose::Limit => "a limit's doing: one that was set for the run",
        Whose::Configuration => "the configuration's doing: what an administrator wrote",
        Whose::Component => "a component's doing",
        Whose::Engine => "the engine's doing, or of somebody who uses it beside wharf",
        Whose::Capacity => "capacity: a machine has no more of something",
        Whose::Network => "the network's doing: between this host, the engine and its containers",
        Whose::Host => "this host's doing",
    }
}

/// What is missing of a log.
fn gaps(missing: Option<u64>, dropped: u64, from: u64, to: Option<u64>) -> String {
    let Some(missing) = missing else {
        return "it isn't what the container counted, and nobody knows which lines are missing".to_owned();
    };
    let mut text = format!("{} missing", are(missing, "line"));
    match to.and_then(|to| to.checked_sub(from)) {
        Some(first) if first == missing => text.push_str(&format!(", from line {from} on")),
        Some(first) => text.push_str(&format!(", the first {} from line {from} on", text::grouped(first))),
        None => {}
    }
    match dropped {
        0 => {}
        _ if dropped == missing => text.push_str("; the container dropped them while the host was away"),
        _ => text.push_str(&format!("; the container dropped {} of them", text::grouped(dropped))),
    }
    text
}

/// `1 line is`, `12,345 lines are`.
fn are(count: u64, noun: &str) -> String {
    if count == 1 { format!("1 {noun} is") } else { format!("{} {noun}s are", text::grouped(count)) }
}

/// The cause as errors and records spell it.
pub(crate) fn cause_word(cause: Cause) -> String {
    // A unit variant is always a string; its debug form is as good as any if that ever changes.
    serde_json::to_value(cause)
        .ok()
        .and_then(|value| value.as_str().map(str::to_owned))
        .unwrap_or_else(|| format!("{cause:?}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use wharf_model::BindingKind;
    use wharf_model::Mode;
    use wharf_model::Reason;
    use wharf_model::protocol::Usage;

    fn decision(step: &str, judgement: Judgement) -> Decision {
        Decision {
            step: step.to_owned(),
            component: "judge".to_owned(),
            version: "1.0.0".to_owned(),
            digest: String::new(),
            settings_digest: String::new(),
            mode: Mode::Enforce,
            votes: None,
            micros: 12,
            judgement,
        }
    }

    fn end(cause: Cause, sentence: &str) -> Outcome {
        Outcome {
            cause,
            sentence: sentence.to_owned(),
            whose: Whose::Nobody,
            retry_helps: false,
            advice: None,
            evidence: Default::default(),
            exit_code: None,
            error_tail: Vec::new(),
            log: None,
            usage: None,
        }
    }

    #[test]
    fn a_phase_is_one_line() {
        let notes = ["judge: allowed".to_owned()];
        assert_eq!(
            phase_line(Channel::TERMINAL, true, Phase::Permission, &notes, Some(1)),
            "✓ permission  judge: allowed  (1 ms)"
        );
        assert_eq!(
            phase_line(Channel::PLAIN, true, Phase::Image, &notes, Some(1_500)),
            "ok     image       judge: allowed  (1.5 s)"
        );
        assert_eq!(phase_line(Channel::PLAIN, false, Phase::Run, &[], None), "failed run");
    }

    #[test]
    fn how_far_it_has_come_is_a_bar_where_the_end_is_known() {
        let line = |done, total, text: &str| advance_line(&Advance { text: text.to_owned(), done, total });
        assert_eq!(line(3, Some(12), "forest"), "run: [#####---------------] 3/12 forest");
        assert_eq!(
            line(u64::MAX, Some(1), "\x1b[2J"),
            format!("run: [{}] 18,446,744,073,709,551,615/1 ^[[2J", "#".repeat(20))
        );
        assert_eq!(line(1_200_000, None, "rows"), "run: 1,200,000 rows");
        assert_eq!(line(0, Some(0), "nothing"), "run: 0 nothing");
    }

    #[test]
    fn verdicts_are_words() {
        let accept =
            Judgement::Accept { changes: Vec::new(), limits: Vec::new(), warnings: vec!["\x1b[2Jx".to_owned()] };
        assert_eq!(verdict(&decision("permission", accept)), "allowed, warning: ^[[2Jx");
        let reason = Reason { rule: "r".to_owned(), message: "too much".to_owned(), field: None };
        let reject = Judgement::Reject { reasons: vec![reason] };
        assert_eq!(verdict(&decision("permission", reject.clone())), "refused: too much");
        let audited = Decision { mode: Mode::Audit, ..decision("policy", reject.clone()) };
        assert_eq!(verdict(&audited), "audit only, not enforced: rejected: too much");
        assert_eq!(verdict(&decision("policy", reject)), "rejected: too much");
        let error = Judgement::Error { message: "it trapped".to_owned(), ignored: true };
        assert_eq!(verdict(&decision("policy", error)), "failed: it trapped (ignored, as its on_error says)");
    }

    #[test]
    fn an_end_is_a_sentence_and_its_facts() {
        let output = Binding {
            name: "report".to_owned(),
            role: "main".to_owned(),
            kind: BindingKind::Folder,
            place: wharf_model::Place { path: "/d/report/".into() },
        };
        let good = Outcome {
            log: Some(LogState::Complete { lines: 1, bytes: 4 }),
            usage: Some(Usage { memory_peak: 3 << 20, cpu_seconds: 0.25, ..Usage::default() }),
            ..end(Cause::Succeeded, "the recipe succeeded")
        };
        assert_eq!(
            summary(Channel::TERMINAL, "r1", &good, Some(2_300), std::slice::from_ref(&output)),
            [
                "✓ succeeded after 2.3 s: the recipe succeeded",
                "  run      r1",
                "  output   report: /d/report/",
                "  log      complete, 1 line",
                "  used     memory 3 MiB at the most, CPU 0.2 s",
            ]
        );
        let dropped = LogState::Incomplete { missing: Some(12_345), dropped: 12_345, from: 7, to: Some(9) };
        let gap = Outcome { log: Some(dropped), ..end(Cause::Succeeded, "the recipe succeeded") };
        assert_eq!(
            summary(Channel::TERMINAL, "r1", &gap, None, &[])[2],
            "  log      incomplete: 12,345 lines are missing, the first 2 from line 7 on; the container dropped them while \
             the host was away"
        );
        assert_eq!(gaps(Some(1), 0, 7, Some(8)), "1 line is missing, from line 7 on");
        assert_eq!(
            gaps(Some(5), 3, 7, Some(12)),
            "5 lines are missing, from line 7 on; the container dropped 3 of them"
        );
        let bad = Outcome {
            whose: Whose::Limit,
            advice: Some("do less".to_owned()),
            evidence: [("engine.exit_code", 137.into()), ("engine.oom_killed", true.into())]
                .map(|(key, value)| (key.to_owned(), value))
                .into(),
            ..end(Cause::OutOfMemory, "killed for memory")
        };
        assert_eq!(
            summary(Channel::TERMINAL, "r1", &bad, None, &[output]),
            [
                "✗ out-of-memory: killed for memory",
                "  run      r1",
                "  whose    a limit's doing: one that was set for the run",
                "  advice   do less",
            ]
        );
        assert_eq!(facts(&bad), ["  evidence engine.exit_code = 137", "           engine.oom_killed = true"]);
    }
}
