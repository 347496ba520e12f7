//! Three base images, two code environments, two daemons, one registry: a table of what was built, pulled, pushed and skipped.

use wharf::message::BuiltImage;
use wharf_tests::{Far, Home, Registry};

use crate::built::{Tidy, done, environment, images, log, never_before, trust};

/// The base images, each with lines of its file. Two of them start from the same packages, so that this takes a minute or two; with
/// `WHARF_TEST_LONG` there are three that have nothing in common.
fn bases() -> Vec<(&'static str, &'static str, &'static str)> {
    let jq = "post_install = '''\nRUN apt-get update && apt-get install -y --no-install-recommends jq\n'''\n";
    match std::env::var_os("WHARF_TEST_LONG") {
        Some(_) => vec![
            ("python", "", "[languages.python]\n"),
            ("python-jq", "system_packages = [\"jq\"]\n", "[languages.python]\n"),
        ],
        None => vec![("python-jq", jq, "[languages.python]\n[languages.r]\n")],
    }
}

fn configure(home: &Home, name: &str, base: &str, host: &str, registry: &str) {
    let text = format!(
        "base_image = \"{base}\"\nhost = \"{host}\"\nregistry = \"{registry}\"\n\n[permissions]\n\
         allowed_groups = [\"analysts\"]\n\n[exchange]\nmode = \"attach\"\n"
    );
    home.write(&format!("configs/{name}.toml"), text);
}

#[test]
#[ignore = "needs docker (runs containers), docker-registry and root (makes a machine)"]
fn everything_is_prepared_before_the_morning() {
    let far = Far::shared();
    let home = Tidy::new(Home::demo());
    let registry = Registry::start();
    let there = format!("{}:{}", far.machine().near_address(), registry.port());
    let source = std::fs::read_to_string(home.path().join("base-images/python-r.toml")).unwrap();
    let source: String =
        source.lines().filter(|line| !line.starts_with("[languages")).map(|line| format!("{line}\n")).collect();
    for (base, first, last) in bases() {
        home.write(&format!("base-images/{base}.toml"), format!("{first}{source}\n{last}"));
    }
    let near = home.daemon().address();
    std::fs::remove_file(home.path().join("configs/docker-local.toml")).unwrap();
    let names: Vec<&str> = ["python-r"].into_iter().chain(bases().into_iter().map(|(base, ..)| base)).collect();
    for base in &names {
        trust(&home, base);
        configure(&home, &format!("b-{base}"), base, &near, &registry.address());
        configure(&home, &format!("a-{base}"), base, &far.daemon().address(), &there);
    }
    let mark = never_before();
    environment(&home, "one", &format!("six==1.16.0\n{mark}"));
    environment(&home, "two", &format!("six==1.15.0\n{mark}"));
    home.write(
        "code-envs/two/env.toml",
        "language = \"python\"\ninstall_core_packages = false\nconfigurations = [\"b-python-r\", \"a-python-r\"]\n",
    );

    let night = images(&home.call(["--json", "env", "build", "--all"]).exits(0));
    for image in &night {
        println!("{} {:?} {}: {:?} in {} ms", image.base, image.code_env, image.engine, done(image), image.millis);
        for pushed in image.made.iter().filter(|made| made.what == "pushed") {
            println!("  {}: {:?} layers sent, {:?} there", pushed.image, pushed.sent, pushed.skipped);
        }
    }
    // Every base on two daemons, the first environment over each of them, and the second over one base.
    assert_eq!(night.len(), 4 * names.len() + 2);
    // The far daemon comes first and reaches no index of packages: it has what the near one built.
    let there = |image: &&BuiltImage| image.engine == far.daemon().address() && image.code_env.is_some();
    assert_eq!(night.iter().filter(there).filter(|image| image.built).count(), 0);
    let morning = home.call(["env", "build", "--all"]).exits(0);
    println!("{}", morning.stdout);
    let ready = images(&home.call(["--json", "env", "build", "--all"]).exits(0));
    for image in &ready {
        assert!(image.fault.is_none() && !image.built && done(image).is_empty(), "{image:?}");
    }
    println!("{}", home.call(["image", "list"]).exits(0).stdout);

    let which =
        "import six, shutil, sys\nprint(six.__version__, bool(shutil.which('jq')), bool(shutil.which('Rscript')))\n";
    for (configuration, env, expected) in [
        ("b-python-r", "two", "1.15.0 False True"),
        ("a-python-r", "one", "1.16.0 False True"),
        ("b-python-jq", "one", "1.16.0 True"),
        ("a-python-jq", "one", "1.16.0 True"),
    ] {
        let run = home.run_python(which, &["--config", configuration, "--code-env", env]).exits(0);
        assert!(log(&run).iter().any(|line| line.starts_with(expected)), "{configuration} {env}: {run}");
        assert!(crate::built::progress(&run.events()).is_empty(), "{run}");
    }
}
