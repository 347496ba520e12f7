//! One set of cases, on a daemon and on a cluster: each ends with the same cause, exit code and log.

use wharf_model::outcome::LogState;
use wharf_tests::Finished;

use crate::home;

struct Case {
    what: &'static str,
    code: &'static str,
    more: &'static [&'static str],
    exit: i32,
    /// In the sentence of its end.
    says: &'static str,
}

const CASES: &[Case] = &[
    Case { what: "a recipe succeeds", code: "print('done')", more: &[], exit: 0, says: "the recipe succeeded" },
    Case {
        what: "a dataset and a folder go in and out",
        code: "import dataiku\n\
               frame = dataiku.Dataset('rows').get_dataframe()\n\
               dataiku.Dataset('out').write_with_schema(frame.assign(double=frame.n * 2))\n\
               dataiku.Folder('files').upload_data('a/b.txt', b'whole')\n\
               print(len(frame), 'rows')",
        more: &["--input", "rows=data/rows.csv", "--output", "out=data/out.csv", "--output", "files=data/files/"],
        exit: 0,
        says: "the recipe succeeded",
    },
    Case {
        what: "a recipe raises an exception",
        code: "raise ValueError('no such thing')",
        more: &[],
        exit: 10,
        says: "exit code 1: ValueError: no such thing",
    },
    Case {
        what: "a recipe exits with 137",
        code: "import sys\nsys.exit(137)",
        more: &[],
        exit: 10,
        says: "exit code 137",
    },
    Case {
        what: "a recipe dies of SIGSEGV",
        code: "import ctypes\nctypes.string_at(0)",
        more: &[],
        exit: 10,
        says: "signal 11",
    },
    Case {
        what: "a recipe goes over its memory",
        code: "blocks = []\nwhile True: blocks.append(bytearray(b'x') * (4 << 20))",
        more: &["--resource", "memory=200m"],
        exit: 14,
        says: "its limit of 200 MiB",
    },
    Case {
        what: "a recipe takes too long",
        code: "import time\nprint('up')\ntime.sleep(600)",
        more: &["--timeout", "8s"],
        exit: 13,
        says: "its time limit of 8 s",
    },
    Case {
        what: "lines of 4 MiB, and many short ones",
        code: "print('x' * (4 << 20))\nfor n in range(20000): print('line', n)\nprint('y' * (4 << 20))",
        more: &[],
        exit: 0,
        says: "the recipe succeeded",
    },
    Case {
        what: "a recipe asks for its project, its variables and a secret",
        code: "import dataiku, os\n\
               print(dataiku.default_project_key(), dataiku.get_custom_variables()['late'], len(os.environ['TOKEN']))",
        more: &["--project", "FLIGHTS", "--variable", "late=15", "--secret", "TOKEN=token"],
        exit: 0,
        says: "the recipe succeeded",
    },
    Case {
        what: "a recipe isn't root and can't write to /etc",
        code: "import os\nprint(os.getuid(), os.getgid())\nopen('/etc/passwd', 'a')",
        more: &[],
        exit: 10,
        says: "Permission denied",
    },
    Case {
        what: "more memory than the ceiling allows",
        code: "print(1)",
        more: &["--resource", "memory=64g"],
        exit: 12,
        says: "rejected",
    },
    Case {
        what: "somebody outside of the group",
        code: "print(1)",
        more: &["--user", "eve", "--group", "guests"],
        exit: 11,
        says: "refused",
    },
    Case {
        what: "an output without a dataset's rows",
        code: "print('nothing written')",
        more: &["--output", "out=data/out.csv"],
        exit: 0,
        says: "the recipe succeeded",
    },
];

/// Whether two runs wrote the same lines, and both logs are whole or neither is.
fn same_log(one: &Finished, other: &Finished) -> bool {
    let whole = |run: &Finished| match run.outcome().log {
        Some(LogState::Complete { lines, bytes }) => Some((lines, bytes)),
        _ => None,
    };
    one.log() == other.log() && whole(one) == whole(other)
}

/// Compares the table with that of the documents, or writes it there, with `WHARF_UPDATE`.
fn is_documented(table: &str) {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/conformance.md");
    let text = format!(
        "# The same on Docker and on Kubernetes\n\n\
         One set of cases, run on a daemon and on a cluster: each ends with the same exit code, cause and whose doing it was, and\n\
         with the same log. A test runs them and writes this table (`WHARF_UPDATE=1`, `--test kubernetes`).\n\n{table}\n"
    );
    if std::env::var_os("WHARF_UPDATE").is_some() {
        std::fs::write(path, text).expect("the document can be written");
    } else {
        let known = std::fs::read_to_string(path).unwrap_or_default();
        assert_eq!(known, text, "docs/conformance.md isn't what the cases say: WHARF_UPDATE=1 writes it");
    }
}

#[test]
#[ignore = "needs kubernetes (runs pods)"]
fn every_case_ends_alike_on_a_daemon_and_on_a_cluster() {
    let (cluster, home) = home();
    home.write_data("rows.csv", "n\n1\n2\n3\n");
    home.write_secret("token", "abc123");
    for configuration in ["docker-local", "k8s-local"] {
        let file = format!("configs/{configuration}.toml");
        home.replace(
            &file,
            "allowed_groups = [\"analysts\"]",
            "allowed_groups = [\"analysts\"]\nsecrets = [\"token\"]",
        );
    }
    let mut table = vec![
        "| case | exit code | cause on Docker | cause on Kubernetes |".to_owned(),
        "| --- | --- | --- | --- |".to_owned(),
    ];
    for case in CASES {
        let run = |configuration: &str| {
            let more = [&["--config", configuration], case.more].concat();
            let run = home.run_python(case.code, &more);
            assert_eq!(run.code, Some(case.exit), "{} on {configuration}: {run}", case.what);
            let end = run.outcome();
            assert!(end.sentence.contains(case.says), "{} on {configuration}: {}", case.what, end.sentence);
            run
        };
        let (docker, kubernetes) = (run("docker-local"), run("k8s-local"));
        let (here, there) = (docker.outcome(), kubernetes.outcome());
        assert_eq!(
            (here.cause, here.exit_code, here.whose),
            (there.cause, there.exit_code, there.whose),
            "{}",
            case.what
        );
        // How far a recipe comes before it is killed, or its time is over, depends on the moment.
        if ![13, 14].contains(&case.exit) {
            assert!(same_log(&docker, &kubernetes), "{}: other lines", case.what);
        }
        table.push(format!("| {} | {} | {:?} | {:?} |", case.what, case.exit, here.cause, there.cause));
    }
    is_documented(&table.join("\n"));
    cluster.nothing_left(&home);
}
