//! `wharf init`.

use serde::Serialize;
use wharf::init::{DemoCluster, DemoOptions, ImageSource, init};

use super::Ending;
use crate::arguments::{GlobalArguments, InitArguments};
use crate::console::{Console, Tone};
use crate::exit_code;
use crate::resolved;

/// What the demo's base image is made from when nobody says.
const DEMO_IMAGE: &str = "debian:bookworm-slim";

/// What was made, for programs.
#[derive(Serialize)]
struct Made<'a> {
    home: &'a std::path::Path,
    files: &'a [std::path::PathBuf],
}

pub(super) fn execute(global: &GlobalArguments, arguments: &InitArguments, console: &mut Console) -> Ending {
    let home = resolved::new_home(global.home.as_deref())?;
    let demo = arguments.demo.then(|| DemoOptions {
        image_source: match &arguments.from {
            _ if arguments.bootstrap => ImageSource::Bootstrap,
            Some(image) => ImageSource::From(image.clone()),
            None => ImageSource::From(DEMO_IMAGE.to_owned()),
        },
        extra_ca: arguments.extra_ca.clone(),
        docker_host: arguments.docker_host.clone(),
        cluster: (arguments.kubeconfig.is_some() || arguments.context.is_some()).then(|| DemoCluster {
            kubeconfig: arguments.kubeconfig.clone(),
            context: arguments.context.clone(),
            namespace: arguments.namespace.clone(),
            registry: arguments.registry.clone(),
            advertise: arguments.advertise.clone(),
        }),
    });
    let report = init(home.root(), demo.as_ref())?;
    if console.is_json() {
        console.json_line(&Made { home: &report.home, files: &report.files })?;
        return Ok(exit_code::SUCCEEDED);
    }
    let made = console.out().paint(Tone::Good, "made");
    console.line(&format!("{made} the home {}", report.home.display()))?;
    for file in &report.files {
        console.line(&format!("  {}", file.display()))?;
    }
    let home = report.home.display();
    console.line("next:")?;
    if demo.is_some() {
        console.line(&format!("  wharf --home {home} base build python-r"))?;
        console.line(&format!("  put a table at {home}/data/flights.csv"))?;
        console.line(&format!(
            "  wharf --home {home} run {home}/activities/flights-python.toml --user ana --group analysts"
        ))?;
    } else {
        console.line(&format!("  write a base image: {home}/base-images/NAME.toml"))?;
        console.line(&format!("  write an execution configuration: {home}/configs/NAME.toml"))?;
        console.line(&format!("  wharf --home {home} config check"))?;
    }
    Ok(exit_code::SUCCEEDED)
}
