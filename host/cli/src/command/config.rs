//! `wharf config`.

use serde::Serialize;
use wharf::settings::Home;
use wharf_model::configuration::EngineAddress;
use wharf_model::{ExecutionConfiguration, Fault};

use super::{Ending, run};
use crate::arguments::GlobalArguments;
use crate::console::{Console, Tone};
use crate::exit_code;
use crate::failure::fault_lines;
use crate::resolved;
use crate::table::Table;
use crate::text;

/// One configuration of a list, for programs.
#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
enum Listed {
    Configuration(Box<ExecutionConfiguration>),
    Broken { name: String, fault: Fault },
}

/// What a check found, for programs.
#[derive(Serialize)]
struct Checked {
    faults: Vec<Fault>,
    warnings: Vec<Fault>,
}

pub(super) fn list(global: &GlobalArguments, console: &mut Console) -> Ending {
    let home = resolved::existing_home(global.home.as_deref())?;
    let configurations = home.load_configurations()?;
    if console.is_json() {
        let listed: Vec<Listed> = configurations
            .into_iter()
            .map(|(name, loaded)| match loaded {
                Ok(configuration) => Listed::Configuration(Box::new(configuration)),
                Err(fault) => Listed::Broken { name, fault },
            })
            .collect();
        console.json_line(&listed)?;
        return Ok(exit_code::SUCCEEDED);
    }
    if configurations.is_empty() {
        console.note(&format!("no execution configuration yet: write {}/NAME.toml", home.configs_dir().display()));
        return Ok(exit_code::SUCCEEDED);
    }
    let mut table = Table::new(["NAME", "ENGINE", "BASE IMAGE", "GROUPS", "RESOURCES", "STATE"]);
    for (name, loaded) in &configurations {
        match loaded {
            Ok(configuration) => {
                let resources: Vec<String> =
                    configuration.resources.iter().map(|(key, amount)| format!("{key}={amount}")).collect();
                table.row([
                    name.clone(),
                    configuration.engine.address().to_string(),
                    configuration.base_image.clone(),
                    configuration.allowed_groups.join(","),
                    resources.join(" "),
                    "ok".to_owned(),
                ]);
            }
            Err(fault) => table.row([
                name.clone(),
                String::new(),
                String::new(),
                String::new(),
                String::new(),
                format!("broken: {}", fault.message),
            ]),
        }
    }
    for line in table.lines(console.out()) {
        console.line(&line)?;
    }
    Ok(exit_code::SUCCEEDED)
}

pub(super) fn check(global: &GlobalArguments, name: Option<&str>, console: &mut Console) -> Ending {
    let home = resolved::existing_home(global.home.as_deref())?;
    let faults = match name {
        None => home.check(),
        Some(name) => home
            .load_configuration(name)
            .and_then(|configuration| home.load_base_image(&configuration.base_image))
            .err()
            .into_iter()
            .collect(),
    };
    let code = if faults.is_empty() { exit_code::SUCCEEDED } else { exit_code::CONFIGURATION };
    let names = name.map_or_else(|| home.configuration_names().unwrap_or_default(), |name| vec![name.to_owned()]);
    let warnings: Vec<Fault> = names.iter().flat_map(|name| warnings(&home, name)).collect();
    if console.is_json() {
        console.json_line(&Checked { faults, warnings })?;
        return Ok(code);
    }
    for fault in &faults {
        let head = console.out().paint(Tone::Bad, &format!("error[{}]", fault.code));
        for line in fault_lines(&head, fault) {
            console.line(&line)?;
        }
    }
    warn(&warnings, console);
    if faults.is_empty() {
        let what = name.unwrap_or("every file of the home");
        let ok = console.out().paint(Tone::Good, "ok");
        console.line(&format!("{ok}: {what}"))?;
    }
    Ok(code)
}

/// What opens the containers of a configuration wide. It is allowed, and somebody should have meant it. That a configuration
/// can't be read is told as its fault.
fn warnings(home: &Home, name: &str) -> Vec<Fault> {
    home.security_warnings(name).unwrap_or_default()
}

fn warn(warnings: &[Fault], console: &mut Console) {
    for warning in warnings {
        let head = console.err().paint(Tone::Doubtful, &format!("warning[{}]", warning.code));
        console.note(&format!("{head}: {warning}"));
    }
}

pub(super) async fn test(
    global: &GlobalArguments,
    name: &str,
    user: Option<&str>,
    groups: &[String],
    console: &mut Console,
) -> Ending {
    let home = resolved::existing_home(global.home.as_deref())?;
    let configuration = home.load_configuration(name)?;
    warn(&warnings(&home, name), console);
    if let EngineAddress::Docker(daemon) = configuration.engine.address()
        && daemon.is_unprotected()
    {
        console.note(&format!(
            "warning: {} is neither encrypted nor protected; set `cert_path`, or use ssh://",
            daemon.host
        ));
    }
    if !console.is_json() {
        console.note(&format!("exchange: {}", text::exchange(configuration.exchange.mode)));
    }
    // The test is about the configuration, so the one who makes it is let in unless groups are named.
    let allowed: Vec<String> = configuration.allowed_groups.into_iter().filter(|group| group != "*").collect();
    let requester = resolved::requester(user, if groups.is_empty() { &allowed } else { groups })?;
    run::to_the_end(home.root(), resolved::test_activity(name, requester), None, console).await
}
