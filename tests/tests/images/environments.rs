//! Code environments on one daemon.

use serde_json::Value;
use wharf::message::CodeEnvSummary;
use wharf_model::{Cause, Event};
use wharf_tests::{Finished, Home};

use crate::built::{environment, home, images, log, never_before, progress};

const WHICH: &str = "import six, sys\nprint(six.__version__, sys.prefix)\n";

/// The wheel of six 1.16.0, as the index has it.
const HASH: &str = "8abb2f1d86890a2dfb989f9a77cfcfd3e47c2a354b01111771326f8aa26e0254";

fn lock(home: &Home, env: &str) -> toml::Table {
    let path = home.path().join(format!("code-envs/{env}/locks/python-r.toml"));
    std::fs::read_to_string(&path).unwrap().parse().unwrap()
}

#[test]
#[ignore = "needs docker (runs containers) and an index of packages"]
fn a_run_has_the_packages_of_its_environment_and_they_are_locked() {
    let home = home();
    home.write("code-envs/ml/env.toml", "language = \"python\"\ninterpreter = [\"python3.99\", \"python3\"]\n");
    home.write("code-envs/ml/requirements.txt", "six==1.16.0\n");
    home.write_data("in.csv", "n\n1\n2\n");
    let recipe = format!(
        "{WHICH}import dataiku\nframe = dataiku.Dataset('in').get_dataframe()\nframe['n'] *= 2\n\
         dataiku.Dataset('out').write_with_schema(frame)\n"
    );
    let (input, output) = (home.bind("in", "in.csv"), home.bind("out", "out.csv"));
    let more = ["--code-env", "ml", "--input", &input, "--output", &output];
    let run = home.run_python(&recipe, &more).exits(0);
    assert_eq!(log(&run), ["1.16.0 /opt/code-env"]);
    assert_eq!(home.read_data("out.csv"), "n\n2\n4\n");
    let packages = lock(&home, "ml")["packages"].to_string();
    assert!(packages.contains("\"six==1.16.0\"") && packages.contains("pandas=="), "{packages}");

    // What is there isn't built again.
    let again = home.run_python(WHICH, &["--code-env", "ml"]).exits(0);
    assert!(progress(&again.events()).iter().all(|text| !text.contains("building")), "{again}");
    let [listed]: [CodeEnvSummary; 1] = home.call(["--json", "env", "list"]).exits(0).document();
    assert_eq!((listed.fault, listed.places[0].there), (None, Some(true)));
    assert!(listed.places[0].packages.as_ref().is_some_and(|packages| packages.len() > 2));
    let mut explain = home.python(WHICH, &["--code-env", "ml"]);
    explain[1] = "explain".to_owned();
    let explained: Value = home.call(explain).exits(0).document();
    assert_eq!(explained["code_env_key"], lock(&home, "ml")["key"].as_str().unwrap());
    let containerfile = explained["code_env_containerfile"].as_str().unwrap();
    assert!(containerfile.contains("requirements.txt"), "{containerfile}");
}

#[test]
#[ignore = "needs docker (builds images) and Debian's packages"]
fn r_has_environments_too() {
    let home = home();
    home.write("code-envs/stats/env.toml", "language = \"r\"\npackages = [\"r-cran-zoo\"]\n");
    let code = "library(zoo)\ncat(as.character(zoo(1:3)[2]), Sys.getenv('R_LIBS'), '\\n')\n";
    let run = home.call(home.r(code, &["--code-env", "stats"])).exits(0);
    assert!(log(&run).iter().any(|line| line.trim() == "2 /opt/code-env/R"), "{run}");
    assert!(lock(&home, "stats")["packages"].to_string().contains("\"zoo=="));
}

#[test]
#[ignore = "needs docker (a run is asked for)"]
fn what_is_not_available_is_refused_before_anything_is_built() {
    let home = home();
    environment(&home, "ml", &never_before());
    home.write("code-envs/ml/env.toml", "language = \"python\"\nconfigurations = [\"large\", \"gpu\"]\n");
    let refused = |run: &Finished, expected: &str| {
        let end = run.outcome();
        assert_eq!(end.cause, Cause::NotPrepared, "{run}");
        assert!(end.sentence.contains(expected), "{}", end.sentence);
        assert!(progress(&run.events()).is_empty(), "{run}");
    };
    let run = home.run_python(WHICH, &["--code-env", "ml"]);
    refused(&run, "ml isn't available to the execution configuration docker-local; it is to: large, gpu");
    assert!(run.outcome().advice.unwrap().contains("code-envs/ml/env.toml"));
    let run = home.run_python(WHICH, &["--code-env", "mll"]);
    refused(&run, "there is no code environment \"mll\"; did you mean \"ml\"?");
    home.write("code-envs/stats/env.toml", "language = \"r\"\n");
    let run = home.run_python(WHICH, &["--code-env", "stats"]);
    refused(&run, "stats is of the language r, and the recipe needs python");
    home.left_only(&[]);
}

#[test]
#[ignore = "needs docker (builds images) and an index of packages"]
fn hashes_are_honoured_and_a_wrong_one_is_named_with_its_line() {
    let home = home();
    environment(&home, "right", &format!("six==1.16.0 \\\n    --hash=sha256:{HASH}\n"));
    let run = home.run_python(WHICH, &["--code-env", "right"]).exits(0);
    assert_eq!(log(&run), ["1.16.0 /opt/code-env"]);
    environment(&home, "wrong", &format!("# hashes\nsix==1.16.0 --hash=sha256:{}\n", "0".repeat(64)));
    let run = home.run_python(WHICH, &["--code-env", "wrong"]);
    let end = run.outcome();
    println!("{}", end.sentence);
    assert_eq!(end.cause, Cause::ImageBuildFailed);
    assert!(end.sentence.contains("code-envs/wrong/requirements.txt:2: "), "{}", end.sentence);
    environment(&home, "missing", "six\n\nno-such-package-of-anybodys==9.9\n");
    let run = home.run_python(WHICH, &["--code-env", "missing"]);
    let end = run.outcome();
    println!("{}", end.sentence);
    assert!(end.sentence.contains("code-envs/missing/requirements.txt:3: "), "{}", end.sentence);
    assert!(!end.error_tail.is_empty());
}

#[test]
#[ignore = "needs docker (builds images) and an index of packages"]
fn twenty_runs_that_need_one_image_build_it_once() {
    let home = home();
    environment(&home, "many", &format!("six==1.16.0\n{}", never_before()));
    let arguments = home.python(WHICH, &["--code-env", "many"]);
    let runs: Vec<_> = (0..20).map(|_| home.start(&arguments)).collect();
    let runs: Vec<Finished> = runs.into_iter().map(|run| run.finish().exits(0)).collect();
    for run in &runs {
        assert_eq!(log(run), ["1.16.0 /opt/code-env"]);
    }
    // Whoever built it says so; the others heard of it.
    let built =
        |events: &[Event]| progress(events).iter().filter(|text| text.starts_with("built wharf-env/many:")).count();
    let builds: usize = runs.iter().map(|run| built(&run.events())).sum();
    assert_eq!(builds, 1);
    let heard = runs.iter().filter(|run| progress(&run.events()).iter().any(|text| text.contains("install packages")));
    println!("{} of 20 runs heard of the build", heard.count());
}

#[test]
#[ignore = "needs docker (builds images) and an index of packages"]
fn unpinned_packages_are_looked_at_again_when_it_is_time() {
    let home = home();
    environment(&home, "fresh", &format!("six\n{}", never_before()));
    home.write(
        "code-envs/fresh/env.toml",
        "language = \"python\"\ninstall_core_packages = false\nrefresh_after = \"3s\"\n",
    );
    let build = || images(&home.call(["--json", "env", "build", "fresh"]).exits(0)).pop().unwrap();
    let first = build();
    assert_eq!(lock(&home, "fresh")["generation"].as_integer(), Some(0));
    std::thread::sleep(std::time::Duration::from_secs(3));
    let second = build();
    assert!(second.built && second.key != first.key, "{second:?}");
    assert_eq!(lock(&home, "fresh")["generation"].as_integer(), Some(1));
    assert_eq!(lock(&home, "fresh")["key"].as_str(), second.key.as_deref());
}
