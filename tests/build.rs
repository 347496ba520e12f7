//! Builds the hostile guests and the hostile runner, and tells the tests where they are.

use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;

const GUEST_TARGET: &str = "wasm32-wasip2";

/// The guests by their features: a world, and what it imports besides.
const GUESTS: [(&str, &str); 9] = [
    ("policy", "policy"),
    ("clock", "policy,clock"),
    ("grants", "policy,grants"),
    ("permission", "permission"),
    ("permission_clock", "permission,clock"),
    ("adapter", "adapter"),
    ("adapter_clock", "adapter,clock"),
    ("image", "image"),
    ("hook", "hook"),
];

fn main() {
    for path in [
        "hostile",
        "hostile-runner",
        "script-plugin",
        "registry-hook",
        "../plugins/sdk/src",
        "../wit",
        "../host/model/src/protocol.rs",
        "../Cargo.lock",
    ] {
        println!("cargo::rerun-if-changed={path}");
    }
    let out = PathBuf::from(env::var_os("OUT_DIR").expect("cargo sets OUT_DIR"));
    let folder = nested_target_dir(&out);
    for (name, features) in GUESTS {
        let wasm = out.join(format!("hostile-{name}.wasm"));
        let mut cargo = cargo("wharf-hostile", "guest", GUEST_TARGET, &folder);
        cargo.args(["--features", features]);
        build(cargo, GUEST_TARGET, &folder.join(GUEST_TARGET).join("guest/wharf_hostile.wasm"), &wasm);
        println!("cargo::rustc-env=WHARF_HOSTILE_{}={}", name.to_uppercase(), wasm.display());
    }
    // Once with what says which line an instruction comes from.
    let wasm = out.join("hostile-lines.wasm");
    let mut with_lines = cargo("wharf-hostile", "guest", GUEST_TARGET, &folder);
    with_lines.args(["--features", "policy"]);
    with_lines.env("CARGO_PROFILE_GUEST_DEBUG", "line-tables-only").env("CARGO_PROFILE_GUEST_STRIP", "none");
    build(with_lines, GUEST_TARGET, &folder.join(GUEST_TARGET).join("guest/wharf_hostile.wasm"), &wasm);
    println!("cargo::rustc-env=WHARF_HOSTILE_LINES={}", wasm.display());
    for (name, file, variable) in [
        ("script-plugin", "script_plugin", "WHARF_SCRIPT_PLUGIN"),
        ("registry-hook", "registry_hook", "WHARF_REGISTRY_HOOK"),
    ] {
        let wasm = out.join(format!("{name}.wasm"));
        let built = folder.join(GUEST_TARGET).join("guest").join(file).with_extension("wasm");
        build(cargo(name, "guest", GUEST_TARGET, &folder), GUEST_TARGET, &built, &wasm);
        println!("cargo::rustc-env={variable}={}", wasm.display());
    }
    let target = format!("{}-unknown-linux-musl", env::var("CARGO_CFG_TARGET_ARCH").expect("cargo sets it"));
    let runner = out.join("hostile-runner");
    let mut cargo = cargo("wharf-hostile-runner", "release", &target, &folder);
    if !["musl-gcc".to_owned(), target.replace("unknown-linux-musl", "linux-musl-gcc")].iter().any(on_path) {
        // The little C and assembly of its TLS library needs no libc: any compiler will do.
        cargo.env(format!("CC_{}", target.replace('-', "_")), "cc");
    }
    build(cargo, &target, &folder.join(&target).join("release/wharf-hostile-runner"), &runner);
    println!("cargo::rustc-env=WHARF_HOSTILE_RUNNER={}", runner.display());
}

/// One folder in the outer target folder, so that checking and building, which have each their own `OUT_DIR`, don't both compile
/// all of it. Not where the real runner is built: each would make the other's build scripts run anew.
fn nested_target_dir(out: &Path) -> PathBuf {
    let is_build = |dir: &&Path| dir.file_name().is_some_and(|name| name == "build");
    match (out.ancestors().nth(2).filter(is_build), out.ancestors().nth(4)) {
        (Some(_), Some(target)) => target.join("nested-tests"),
        _ => out.join("nested-tests"),
    }
}

/// A Cargo for another target, in a target folder of its own: the outer one holds the lock of the shared one.
fn cargo(package: &str, profile: &str, target: &str, folder: &Path) -> Command {
    let mut cargo = Command::new(env::var_os("CARGO").expect("cargo sets CARGO"));
    cargo
        .args(["build", "--locked", "--quiet", "--package", package, "--profile", profile, "--target", target])
        .env("CARGO_TARGET_DIR", folder);
    // What the outer cargo, or clippy, meant for the outer build, and for this script: the build scripts of some dependencies
    // run anew when `OUT_DIR` and the like have changed.
    for (name, _) in env::vars_os() {
        let name_text = name.to_string_lossy();
        let outer = [
            "RUSTFLAGS",
            "RUSTDOCFLAGS",
            "RUSTC",
            "RUSTC_WRAPPER",
            "RUSTC_WORKSPACE_WRAPPER",
            "CLIPPY_ARGS",
            "OUT_DIR",
            "DEBUG",
            "OPT_LEVEL",
            "PROFILE",
            "HOST",
            "TARGET",
            "CARGO_MANIFEST_DIR",
            "CARGO_MANIFEST_PATH",
        ];
        let cargos = ["CARGO_FEATURE_", "CARGO_CFG_", "CARGO_PROFILE_", "CARGO_ENCODED_", "CARGO_BUILD_", "CARGO_PKG_"];
        if outer.contains(&&*name_text) || cargos.iter().any(|prefix| name_text.starts_with(prefix)) {
            cargo.env_remove(&name);
        }
    }
    cargo
}

fn build(mut cargo: Command, target: &str, built: &Path, kept: &Path) {
    let status = cargo.status().expect("cargo starts");
    assert!(status.success(), "{cargo:?} fails; is {target} installed? `rustup target add {target}`");
    std::fs::copy(built, kept).expect("it is where cargo puts it");
}

fn on_path(program: &String) -> bool {
    env::var_os("PATH").is_some_and(|path| env::split_paths(&path).any(|folder| folder.join(program).is_file()))
}
