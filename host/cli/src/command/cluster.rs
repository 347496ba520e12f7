//! `wharf cluster`.

use super::{Ending, doctor, open};
use crate::arguments::GlobalArguments;
use crate::console::Console;
use crate::exit_code;
use crate::failure::Failure;
use crate::resolved;

pub(super) async fn check(global: &GlobalArguments, name: &str, pod: bool, console: &mut Console) -> Ending {
    console.spinner().start(if pod { "asking the cluster, and running a pod there" } else { "asking the cluster" });
    let access = open(global).await?;
    let findings = access.check_cluster(name, pod).await;
    access.shutdown().await;
    console.spinner().clear();
    doctor::show(&findings.map_err(Failure::from)?, console)
}

pub(super) fn role(
    global: &GlobalArguments,
    name: &str,
    account: &str,
    namespace: Option<&str>,
    console: &mut Console,
) -> Ending {
    let home = resolved::existing_home(global.home.as_deref())?;
    let manifests = wharf::cluster_role(&home.load_configuration(name)?, account, namespace)?;
    if console.is_json() {
        console.json_line(&serde_json::json!({ "manifests": manifests }))?;
    } else {
        for line in manifests.lines() {
            console.line(line)?;
        }
    }
    Ok(exit_code::SUCCEEDED)
}
