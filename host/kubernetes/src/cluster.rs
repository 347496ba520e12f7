//! The way to a cluster: all of kubectl's ways in.

use std::error::Error as StdError;
use std::time::Duration;

use kube::client::ClientBuilder;
use kube::config::{AuthInfo, ExecInteractiveMode, KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};
use wharf_model::kubernetes::Cluster;

/// How long a connection may take to be made.
const CONNECT: Duration = Duration::from_secs(10);
/// How long a request may take to go out.
const WRITE: Duration = Duration::from_secs(30);
/// How long a program that fetches credentials may take.
const CREDENTIALS: Duration = Duration::from_secs(60);

/// A client, and the server that it goes to.
pub(crate) struct Way {
    pub(crate) client: Client,
    pub(crate) server: String,
}

/// Reads what leads to a cluster, and makes a client of it, without a request yet. The error is a sentence.
///
/// Repeats nothing by itself, since what is created must not be created twice, and knows no time limit for answers, since
/// some of them go on.
pub(crate) async fn connect(cluster: &Cluster) -> Result<Way, String> {
    let mut config = config(cluster).await?;
    config.default_retry = false;
    config.connect_timeout = Some(CONNECT);
    config.read_timeout = None;
    config.write_timeout = Some(WRITE);
    unattended(&mut config.auth_info);
    let server = config.cluster_url.to_string().trim_end_matches('/').to_owned();
    // Runs a program, where the credentials come from one.
    let built = tokio::task::spawn_blocking(move || ClientBuilder::try_from(config).map(ClientBuilder::build));
    let client = match tokio::time::timeout(CREDENTIALS, built).await {
        Ok(Ok(Ok(client))) => client,
        Ok(Ok(Err(error))) => return Err(format!("{cluster} can't be used: {}", sentence(&error))),
        Ok(Err(_)) => return Err(format!("{cluster} can't be used: its client could not be made")),
        Err(_) => {
            let seconds = CREDENTIALS.as_secs();
            return Err(format!("the program that fetches the credentials of {cluster} took longer than {seconds} s"));
        }
    };
    Ok(Way { client, server })
}

async fn config(cluster: &Cluster) -> Result<Config, String> {
    if cluster.is_own() {
        return Config::incluster().map_err(|error| {
            format!(
                "neither `context` nor `kubeconfig` is set, and the host doesn't run in a cluster: {}",
                sentence(&error)
            )
        });
    }
    let read = match &cluster.kubeconfig {
        Some(file) => Kubeconfig::read_from(file),
        None => Kubeconfig::read(),
    };
    let read = read.map_err(|error| format!("the kubeconfig of {cluster} can't be read: {}", sentence(&error)))?;
    let names: Vec<String> = read.contexts.iter().map(|context| context.name.clone()).collect();
    if let Some(context) = &cluster.context
        && !names.contains(context)
    {
        let there = if names.is_empty() { "none".to_owned() } else { names.join(", ") };
        return Err(format!("there is no such thing as {cluster}: the file has the contexts {there}"));
    }
    let options = KubeConfigOptions { context: cluster.context.clone(), ..KubeConfigOptions::default() };
    Config::from_custom_kubeconfig(read, &options)
        .await
        .map_err(|error| format!("{cluster} can't be used: {}", sentence(&error)))
}

/// Nobody sits before this process to answer what a program asks.
fn unattended(auth: &mut AuthInfo) {
    if let Some(exec) = &mut auth.exec
        && exec.interactive_mode != Some(ExecInteractiveMode::Always)
    {
        exec.interactive_mode = Some(ExecInteractiveMode::Never);
    }
}

/// An error and its sources in one sentence; what one repeats of its source is left out.
pub(crate) fn sentence(error: &(dyn StdError + 'static)) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let words = cause.to_string();
        if !text.contains(&words) {
            text = format!("{text}: {words}");
        }
        source = cause.source();
    }
    text
}
