//! Logs: every line once, in order, however much there is and however the recipe ends.

use wharf_model::outcome::LogState;
use wharf_model::protocol::Stream;
use wharf_model::{EventKind, Outcome};
use wharf_tests::Home;

fn complete(outcome: &Outcome) -> u64 {
    match &outcome.log {
        Some(LogState::Complete { lines, .. }) => *lines,
        other => panic!("the log is {other:?}: {}", outcome.sentence),
    }
}

/// Checks that these are `line 0` to `line COUNT-1`, numbered without a gap.
fn assert_counted(log: &[(u64, String)], count: usize) {
    assert_eq!(log.len(), count);
    for (at, (number, text)) in log.iter().enumerate() {
        assert_eq!((*number, text.as_str()), (at as u64, format!("line {at}").as_str()));
    }
}

#[test]
#[ignore = "needs docker (runs containers)"]
fn three_hundred_thousand_lines_and_an_instant_exit() {
    const LINES: usize = 300_000;
    let home = Home::demo();
    // One write as large as it can be, and out without any ado.
    let code = format!(
        "import os, sys\n\
         sys.stdout.write(''.join(f'line {{n}}\\n' for n in range({LINES})))\n\
         sys.stdout.flush()\n\
         os._exit(0)\n"
    );
    let run = home.run_python(&code, &[]).exits(0);
    assert_counted(&run.log(), LINES);
    assert_eq!(complete(&run.outcome()), LINES as u64);
    // The record has the same.
    let kept = home.call(["--json", "logs", &run.run()]).exits(0);
    assert_counted(&kept.log(), LINES);
    let shown = home.call(["logs", &run.run()]).exits(0);
    assert_eq!(shown.stdout.lines().count(), LINES);
    home.left_only(&[]);
}

#[test]
#[ignore = "needs docker (runs containers)"]
fn the_last_words_of_a_recipe_that_is_killed() {
    const LINES: usize = 20_000;
    let home = Home::demo();
    let code = format!(
        "import os, sys\n\
         sys.stdout.write(''.join(f'line {{n}}\\n' for n in range({LINES})))\n\
         sys.stdout.flush()\n\
         os.kill(os.getpid(), 9)\n"
    );
    let run = home.run_python(&code, &[]).exits(10);
    assert_counted(&run.log(), LINES);
    assert_eq!(complete(&run.outcome()), LINES as u64);
}

#[test]
#[ignore = "needs docker (runs containers)"]
fn lines_of_any_shape() {
    let home = Home::demo();
    let code = "import sys\n\
                out = sys.stdout.buffer\n\
                out.write('ü'.encode() * 600_000 + b'\\n')\n\
                out.write(b'\\n')\n\
                out.write(b'\\xff\\xfe not text\\r\\n')\n\
                out.write(b'no newline at the end')\n\
                out.flush()\n\
                sys.stderr.write('to the other side\\n')\n";
    let run = home.run_python(code, &[]).exits(0);
    let log: Vec<(Stream, String)> = run
        .events()
        .into_iter()
        .filter_map(|event| match event.kind {
            EventKind::Log { stream, text, .. } => Some((stream, text)),
            _ => None,
        })
        .collect();
    let out: Vec<&str> = log.iter().filter(|line| line.0 == Stream::Stdout).map(|line| line.1.as_str()).collect();
    assert_eq!(out.len(), 4, "{} lines", out.len());
    assert_eq!(out[0], "ü".repeat(600_000));
    assert_eq!(out[1], "");
    assert!(out[2].ends_with(" not text") || out[2].ends_with(" not text\r"), "{:?}", out[2]);
    assert_eq!(out[3], "no newline at the end");
    assert!(log.contains(&(Stream::Stderr, "to the other side".to_owned())));
    complete(&run.outcome());
}

#[test]
#[ignore = "needs docker (runs containers)"]
fn for_people_standard_output_is_the_recipes_alone() {
    let home = Home::demo();
    let mut arguments = home.python("import sys\nprint('one')\nprint('two', file=sys.stderr)\nprint('three')", &[]);
    arguments.remove(0);
    let run = home.call(&arguments).exits(0);
    assert_eq!(run.stdout, "one\nthree\n");
    assert!(run.stderr.contains("two\n") && run.stderr.contains("the recipe succeeded"), "{run}");
    // Not a terminal: no control characters.
    assert!(!run.stderr.contains('\x1b') && !run.stderr.contains('\r'), "{run}");
}
