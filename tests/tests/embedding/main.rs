//! The host inside of other processes: C, Python and Java, over the library and over the socket.
//!
//! These need a Docker daemon, a C compiler, Python, Maven and a JDK.

#[cfg(test)]
mod rust;
mod table_store;

use std::env;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use wharf_tests::Home;

/// `host/ffi` of the workspace.
fn ffi() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../host/ffi")
}

/// The library, which lies beside the command.
fn library() -> PathBuf {
    let library = Path::new(env!("CARGO_TARGET_TMPDIR")).with_file_name("release").join("libwharf_ffi.so");
    assert!(library.exists(), "{} isn't there: build the workspace first", library.display());
    library
}

/// Runs it, shows what it says, and sees that it went well.
fn run(command: &mut Command) {
    let status = command.status().unwrap_or_else(|error| panic!("{command:?} can't be started: {error}"));
    assert!(status.success(), "{command:?} ended with {status}");
}

/// What of Java this machine has: a JDK of version 22 or later beside the one that Maven uses.
fn newer_jdk() -> Option<PathBuf> {
    if let Some(home) = env::var_os("JDK22_HOME") {
        return Some(home.into());
    }
    let version = |home: &Path| -> Option<u32> {
        let release = std::fs::read_to_string(home.join("release")).ok()?;
        let version = release.lines().find_map(|line| line.strip_prefix("JAVA_VERSION=\""))?;
        version.split(['.', '"', '-', '+']).next()?.parse().ok()
    };
    let homes = std::fs::read_dir("/usr/lib/jvm").ok()?.flatten().map(|entry| entry.path());
    homes.filter(|home| version(home).is_some_and(|version| version >= 22)).max()
}

#[test]
fn the_header_is_that_of_the_library() {
    let config = cbindgen::Config::from_file(ffi().join("cbindgen.toml")).unwrap();
    let mut header = Vec::new();
    cbindgen::Builder::new()
        .with_config(config)
        .with_src(ffi().join("src/lib.rs"))
        .generate()
        .unwrap()
        .write(&mut header);
    let header = String::from_utf8(header).unwrap();
    let file = ffi().join("include/wharf.h");
    if env::var_os("WHARF_UPDATE").is_some() {
        std::fs::write(&file, &header).unwrap();
    }
    assert_eq!(std::fs::read_to_string(&file).unwrap_or_default(), header, "WHARF_UPDATE=1 writes {}", file.display());
}

/// Compiles the C program, with the library that it is to be run with.
fn c_program(home: &Home) -> Command {
    let program = home.data("embed");
    let here = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/embedding/embed.c");
    let library = library();
    run(Command::new("cc")
        .args(["-std=c11", "-g", "-Wall", "-Wextra", "-Werror", "-D_GNU_SOURCE", "-I"])
        .arg(ffi().join("include"))
        .arg("-o")
        .arg(&program)
        .arg(here)
        .arg(&library)
        .arg(format!("-Wl,-rpath,{}", library.parent().expect("it is in a folder").display())));
    Command::new(program)
}

#[test]
#[ignore = "needs docker (runs containers)"]
fn a_c_program_embeds_a_host() {
    let home = Home::demo();
    run(c_program(&home).arg(home.path()));
}

/// The same program under valgrind: no byte is read or written that isn't its own, and none is lost.
#[test]
#[ignore = "needs docker (runs containers)"]
fn valgrind_finds_nothing_in_a_c_program_with_a_host() {
    if env::var_os("WHARF_TEST_LONG").is_none() {
        println!("skipped: it takes minutes; WHARF_TEST_LONG runs it");
        return;
    }
    if Command::new("valgrind").arg("--version").output().is_err() {
        println!("skipped: valgrind isn't installed");
        return;
    }
    let home = Home::demo();
    // Compiled before, so that it is loaded and not compiled under valgrind, which is fifty times slower.
    let program = c_program(&home).get_program().to_owned();
    run(Command::new(&program).arg(home.path()));
    run(Command::new("valgrind")
        .args([
            "--error-exitcode=9",
            // The WebAssembly parser reads words whose unused bits nobody wrote.
            "--undef-value-errors=no",
            "--leak-check=full",
            "--show-leak-kinds=definite",
            "--errors-for-leak-kinds=definite",
        ])
        .args(["--quiet", "--fair-sched=yes", "--num-callers=30"])
        .arg(format!(
            "--suppressions={}",
            Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/embedding/valgrind.supp").display()
        ))
        .arg(program)
        .arg(home.path()));
}

#[test]
#[ignore = "needs docker (runs containers)"]
fn a_rust_process_embeds_a_host() {
    let home = Home::demo();
    let example = library().with_file_name("examples").join("follow_and_stop");
    let killed =
        Command::new(&example).arg(home.path()).status().unwrap_or_else(|error| panic!("{example:?}: {error}"));
    assert_eq!(killed.signal(), Some(9), "{killed}");
    let again = Command::new(&example).arg(home.path()).arg("again").output().expect("it was started before");
    let said = String::from_utf8_lossy(&again.stdout);
    assert!(again.status.success() && said.contains("found again: the recipe succeeded"), "{again:?}");
    assert!((0..50).all(|line| said.lines().any(|said| said == line.to_string())), "{said}");
}

#[test]
#[ignore = "needs docker (runs containers)"]
fn a_python_process_embeds_a_host() {
    let home = Home::demo();
    run(Command::new(ffi().join("python/run-tests"))
        .arg(library())
        .arg(home.path())
        .env("PYTHON", env::var("WHARF_TEST_PYTHON").unwrap_or_else(|_| "python3".to_owned())));
}

#[test]
#[ignore = "needs docker (runs containers)"]
fn a_java_process_embeds_a_host() {
    let (home, other) = (Home::demo(), Home::demo());
    home.drop_policy("trap", env!("WHARF_HOSTILE_PERMISSION"), "[settings]\ndo = \"unreachable\"\n");
    let config = std::fs::read_to_string(home.path().join("configs/docker-local.toml")).unwrap();
    home.write("configs/traps.toml", config.replace("[permissions]\n", "[permissions]\nchecks = [\"trap\"]\n"));
    let mut tests = Command::new(ffi().join("java/run-tests"));
    tests.arg(library()).arg(home.path()).arg(other.path());
    match newer_jdk() {
        Some(jdk) => tests.env("JDK22_HOME", jdk),
        None => tests.env_remove("JDK22_HOME"),
    };
    run(&mut tests);
}
