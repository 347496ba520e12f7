//! Builds the hostile guests, and tells the tests where they are.

use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;

const TARGET: &str = "wasm32-wasip2";

/// The world of each guest, or what it has besides.
const GUESTS: [&str; 5] = ["policy", "clock", "permission", "adapter", "image"];

fn main() {
    for path in ["hostile", "../wit", "../Cargo.lock"] {
        println!("cargo::rerun-if-changed={path}");
    }
    let out = PathBuf::from(env::var_os("OUT_DIR").expect("cargo sets OUT_DIR"));
    for feature in GUESTS {
        let wasm = build(&out, feature);
        println!("cargo::rustc-env=WHARF_HOSTILE_{}={}", feature.to_uppercase(), wasm.display());
    }
}

fn build(out: &Path, feature: &str) -> PathBuf {
    // A target folder of its own: the outer cargo holds the lock of the shared one.
    let target = out.join("guests");
    let mut cargo = Command::new(env::var_os("CARGO").expect("cargo sets CARGO"));
    cargo
        .args(["build", "--locked", "--quiet", "--package", "wharf-hostile", "--profile", "guest"])
        .args(["--target", TARGET, "--features", feature])
        .env("CARGO_TARGET_DIR", &target);
    // What the outer cargo, or clippy, meant for the outer build.
    for (name, _) in env::vars_os() {
        let name_text = name.to_string_lossy();
        let outer = ["RUSTFLAGS", "RUSTDOCFLAGS", "RUSTC", "RUSTC_WRAPPER", "RUSTC_WORKSPACE_WRAPPER", "CLIPPY_ARGS"];
        let cargos = ["CARGO_FEATURE_", "CARGO_CFG_", "CARGO_PROFILE_", "CARGO_ENCODED_", "CARGO_BUILD_", "CARGO_PKG_"];
        if outer.contains(&&*name_text) || cargos.iter().any(|prefix| name_text.starts_with(prefix)) {
            cargo.env_remove(&name);
        }
    }
    let status = cargo.status().expect("cargo starts");
    assert!(
        status.success(),
        "the hostile guest `{feature}` doesn't build; is {TARGET} installed? `rustup target add {TARGET}`"
    );
    let built = target.join(TARGET).join("guest").join("wharf_hostile.wasm");
    let kept = out.join(format!("hostile-{feature}.wasm"));
    std::fs::copy(&built, &kept).expect("the guest is where cargo puts it");
    kept
}
