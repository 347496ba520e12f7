//! `wharf env list`.

use wharf::message::CodeEnvSummary;

use super::{Ending, open};
use crate::arguments::GlobalArguments;
use crate::console::Console;
use crate::exit_code;
use crate::table::Table;
use crate::text::counted;

pub(super) async fn list(global: &GlobalArguments, console: &mut Console) -> Ending {
    let access = open(global).await?;
    let envs = access.code_envs().await;
    access.shutdown().await;
    let envs = envs?;
    if console.is_json() {
        console.json_line(&envs)?;
        return Ok(exit_code::SUCCEEDED);
    }
    if envs.is_empty() {
        console.note("no code environment yet: write code-envs/NAME/env.toml in the home");
        return Ok(exit_code::SUCCEEDED);
    }
    let mut table = Table::new(["NAME", "LANGUAGE", "AVAILABLE TO", "BASE", "ENGINE", "KEY", "PACKAGES", "STATE"]);
    for env in envs {
        rows(&env, &mut table);
    }
    for line in table.lines(console.out()) {
        console.line(&line)?;
    }
    Ok(exit_code::SUCCEEDED)
}

/// A line for each place where it can be used.
fn rows(env: &CodeEnvSummary, table: &mut Table) {
    let language = env.language.clone().unwrap_or_default();
    let available = match &env.configurations {
        _ if env.language.is_none() => String::new(),
        None => "all".to_owned(),
        Some(names) if names.is_empty() => "none".to_owned(),
        Some(names) => names.join(","),
    };
    if env.places.is_empty() {
        let state = match &env.fault {
            Some(fault) => format!("broken: {}", fault.message),
            None => "no configuration can use it".to_owned(),
        };
        let none = String::new;
        table.row([env.name.clone(), language, available, none(), none(), none(), none(), state]);
        return;
    }
    for place in &env.places {
        let state = match place.there {
            Some(true) => "built",
            Some(false) => "not built",
            None => "unknown",
        };
        let packages = place.packages.as_ref().map(|packages| counted(packages.len() as u64, "package"));
        table.row([
            env.name.clone(),
            language.clone(),
            available.clone(),
            place.base.clone(),
            place.engine.clone(),
            place.key.as_deref().map_or_else(String::new, |key| key.chars().take(16).collect()),
            packages.unwrap_or_default(),
            state.to_owned(),
        ]);
    }
}
