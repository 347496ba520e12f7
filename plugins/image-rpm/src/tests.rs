//! The scripts, as far as a shell without the distribution can run them.

use std::io::Write as _;
use std::process::{Command, Stdio};

use wharf_plugin_sdk::image::Step;
use wharf_plugin_sdk::{KeyValue, Language, Mirrors};

use super::*;

fn language(name: &str, version: &str, packages: &[&str]) -> Language {
    let packages = packages.iter().map(|&package| package.to_owned()).collect();
    Language { name: name.to_owned(), version: Some(version.to_owned()), packages }
}

fn spec() -> ImageSpec {
    ImageSpec {
        base_image: "python-r".to_owned(),
        origin: "from:almalinux:9".to_owned(),
        languages: vec![
            language("python", "3.11", &["polars", "duckdb>=1"]),
            language("r", "4", &["forecast", "R-Rcpp"]),
        ],
        cuda: Some("12.4".to_owned()),
        system_packages: vec!["git".to_owned(), "gdal-libs".to_owned()],
        mirrors: Mirrors {
            apt: Some("https://mirror.example.org/almalinux/".to_owned()),
            pip: Some("http://mirror.example.org:8080/simple".to_owned()),
            cran: None,
        },
        extra_ca: vec!["b.pem".to_owned(), "a.crt".to_owned()],
        labels: vec![KeyValue::new("b", "1"), KeyValue::new("a", "2")],
    }
}

fn settings() -> Settings {
    Settings {
        epel_mirror: Some("https://mirror.example.org/epel".to_owned()),
        cuda_mirror: Some("https://mirror.example.org/cuda".to_owned()),
    }
}

fn runs(recipe: &ImageRecipe) -> Vec<(&str, &str)> {
    let mut runs = Vec::new();
    for step in &recipe.steps {
        if let Step::Run(run) = step {
            runs.push((run.title.as_str(), run.script.as_str()));
        }
    }
    runs
}

fn piped(mut command: Command, input: &str) -> String {
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{input}");
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn the_order_in_a_spec_means_nothing() {
    let one = spec();
    let mut other = one.clone();
    other.languages.reverse();
    other.languages.iter_mut().for_each(|language| language.packages.reverse());
    other.system_packages.reverse();
    other.system_packages.push("git".to_owned());
    other.extra_ca.reverse();
    other.labels.reverse();
    assert_eq!(generate(&settings(), &one), generate(&settings(), &other));
}

#[test]
fn scripts_are_shell() {
    for settings in [settings(), Settings::default()] {
        let recipe = generate(&settings, &spec()).unwrap();
        let titles: Vec<&str> = runs(&recipe).into_iter().map(|(title, _)| title).collect();
        assert_eq!(
            titles,
            [
                "trust the site's certificates",
                "use the package mirror",
                "install CUDA 12.4",
                "add EPEL",
                "install languages",
                "install system packages",
                "use Python 3.11",
                "check Python's version",
                "install pandas",
                "install Python packages",
                "check R's version",
                "install jsonlite",
                "install R packages",
            ]
        );
        for (_, script) in runs(&recipe) {
            let mut sh = Command::new("/bin/sh");
            sh.arg("-n");
            piped(sh, script);
        }
    }
}

/// Runs a script with a folder in the place of `/etc`, and returns what it says and the file of a repository.
fn with_etc(script: &str, os_release: &str, repository: &str) -> (Result<String, String>, String) {
    use std::sync::atomic::{AtomicU32, Ordering};
    static NUMBER: AtomicU32 = AtomicU32::new(0);
    let number = NUMBER.fetch_add(1, Ordering::Relaxed);
    let etc = std::env::temp_dir().join(format!("wharf-etc-{}-{number}", std::process::id()));
    std::fs::create_dir_all(etc.join("yum.repos.d")).unwrap();
    std::fs::write(etc.join("os-release"), os_release).unwrap();
    let file = etc.join("yum.repos.d/it.repo");
    std::fs::write(&file, repository).unwrap();
    let script = script.replace("/etc/", &format!("{}/", etc.display()));
    let output = Command::new("/bin/sh").args(["-ec", &script]).output().unwrap();
    let after = std::fs::read_to_string(&file).unwrap();
    std::fs::remove_dir_all(&etc).unwrap();
    let said = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap().trim().to_owned();
    (if output.status.success() { Ok(said(output.stdout)) } else { Err(said(output.stderr)) }, after)
}

#[test]
fn the_mirror_takes_the_place_of_the_distribution() {
    let Step::Run(step) = packages::mirror_step("https://mirror.example.org/x/").unwrap() else { panic!() };
    for (before, after) in [
        (
            "mirrorlist=https://mirrors.almalinux.org/mirrorlist/$releasever/baseos\n\
             # baseurl=https://repo.almalinux.org/almalinux/$releasever/BaseOS/$basearch/os/\nenabled=1\n",
            "#mirrorlist=https://mirrors.almalinux.org/mirrorlist/$releasever/baseos\n\
             baseurl=https://mirror.example.org/x/$releasever/BaseOS/$basearch/os/\nenabled=1\n",
        ),
        (
            "#baseurl=http://dl.rockylinux.org/$contentdir/$releasever/BaseOS/$basearch/os/\n",
            "baseurl=https://mirror.example.org/x/$releasever/BaseOS/$basearch/os/\n",
        ),
        (
            "#baseurl=http://download.example/pub/fedora/linux/releases/$releasever/Everything/$basearch/os/\n\
             metalink=https://mirrors.fedoraproject.org/metalink?repo=fedora-$releasever&arch=$basearch\n",
            "baseurl=https://mirror.example.org/x/releases/$releasever/Everything/$basearch/os/\n\
             #metalink=https://mirrors.fedoraproject.org/metalink?repo=fedora-$releasever&arch=$basearch\n",
        ),
    ] {
        assert_eq!(with_etc(&step.script, "", before), (Ok(String::new()), after.to_owned()));
    }
    let other =
        "baseurl = https://cdn-ubi.redhat.com/content/public/ubi/dist/ubi9/9/$basearch/baseos/os\nenabled = 1\n";
    let (said, after) = with_etc(&step.script, "", other);
    assert!(said.unwrap_err().contains("what the mirror https://mirror.example.org/x stands for isn't known"));
    assert!(after.ends_with("enabled=0\n"), "{after}");
}

#[test]
fn fedora_has_r_without_epel() {
    let Step::Run(step) = packages::epel_step(None, true).unwrap() else { panic!() };
    assert_eq!(with_etc(&step.script, "ID=fedora\nVERSION_ID=42\n", "").0, Ok(String::new()));
    let (said, _) = with_etc(&step.script, "ID=almalinux\nVERSION_ID=9.4\n", "");
    assert!(said.unwrap_err().contains("epel_mirror"));
}

#[test]
fn epel_gets_what_it_builds_on() {
    let Step::Run(step) = packages::epel_step(Some("https://mirror.example.org/epel/"), true).unwrap() else {
        panic!()
    };
    // Only what is done to files, without dnf.
    let lines: Vec<&str> = step.script.lines().filter(|line| line.starts_with("sed -E -i '")).collect();
    let before = "[baseos]\nenabled=1\n[crb]\nname=CRB\nenabled=0\n[crb-debug]\nenabled=0\n";
    let (_, after) = with_etc(&lines.join("\n"), "", before);
    assert_eq!(after, "[baseos]\nenabled=1\n[crb]\nname=CRB\nenabled=1\n[crb-debug]\nenabled=0\n");
    assert!(step.script.contains("baseurl=https://mirror.example.org/epel,"), "{}", step.script);
    assert!(
        step.script.contains("\"https://mirror.example.org/epel/epel-release-latest-${VERSION_ID%%.*}.noarch.rpm\"")
    );
    assert!(packages::epel_step(Some("http://mirror.example.org/epel"), false).unwrap_err().contains("TLS"));
}

#[test]
fn cuda_is_for_the_distribution_that_the_image_has() {
    let steps = cuda::steps(Some("12.4"), None).unwrap();
    let Step::Run(step) = &steps[0] else { panic!() };
    let found = step.script.split("case $(uname").next().unwrap().to_owned() + "echo $distribution\n";
    for (os_release, expected) in [
        ("ID=almalinux\nID_LIKE=\"rhel centos fedora\"\nVERSION_ID=9.4\n", Ok("rhel9")),
        ("ID=rocky\nID_LIKE=\"rhel centos fedora\"\nVERSION_ID=8.9\n", Ok("rhel8")),
        ("ID=rhel\nID_LIKE=fedora\nVERSION_ID=9.4\n", Ok("rhel9")),
        ("ID=centos\nID_LIKE=\"rhel fedora\"\nVERSION_ID=9\n", Ok("rhel9")),
        ("ID=fedora\nVERSION_ID=41\n", Ok("fedora41")),
        ("ID=amzn\nID_LIKE=fedora\nVERSION_ID=2023\nPRETTY_NAME=x\n", Err("NVIDIA has no CUDA for x")),
    ] {
        match (with_etc(&found, os_release, "").0, expected) {
            (Ok(said), Ok(expected)) => assert_eq!(said, expected, "{os_release}"),
            (Err(said), Err(expected)) => assert!(said.contains(expected), "{os_release}: {said}"),
            (said, _) => panic!("{os_release}: {said:?}"),
        }
    }
}

#[test]
fn what_cannot_be_made_is_a_sentence() {
    let with = |change: fn(&mut ImageSpec)| {
        let mut spec = spec();
        change(&mut spec);
        generate(&settings(), &spec).unwrap_err()
    };
    assert!(with(|spec| spec.origin = "bootstrap:bookworm".to_owned()).contains("image-debian"));
    assert!(with(|spec| spec.origin = "from:".to_owned()).contains("from:IMAGE"));
    assert!(with(|spec| spec.cuda = Some("12".to_owned())).contains("12.4"));
    assert!(with(|spec| spec.system_packages.push("a;b".to_owned())).contains("package"));
    assert!(with(|spec| spec.languages.push(language("julia", "1", &[]))).contains("julia"));
}
