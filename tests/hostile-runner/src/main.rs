//! A runner that attacks its host. It is mounted over the real one, so that all else is real: the container, the network,
//! the certificate and the ticket.
//!
//! The run's variable `attack` says what it does. What the host answered comes back as the lines of the run's log, and at
//! the end it says, as an honest runner would, that the recipe succeeded.

mod data;
mod folder;
mod http2;
mod link;
mod network;
mod report;
mod session;

use std::error::Error;

use wharf_model::protocol::Task;

use crate::link::Link;
use crate::report::Report;

type Done = Result<(), Box<dyn Error + Send + Sync>>;

fn main() -> Done {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let done = runtime.block_on(attack());
    runtime.shutdown_background();
    done
}

async fn attack() -> Done {
    let link = Link::from_env()?;
    let client = link.client().await?;
    let task: Task = serde_json::from_slice(&client.get("/v1/task").await?.body)?;
    client.post("/v1/started", r#"{"version":"0.0.0-hostile","memory_limit":null}"#).await?;
    let mut report = Report::default();
    let attack = task.context.variables.get("attack").map_or("none", String::as_str);
    match attack {
        "none" => {}
        "paths" => folder::paths(&client, &mut report).await?,
        "many-files" => folder::many(&client, &mut report).await?,
        "sizes" => folder::sizes(&link, &client, &mut report).await?,
        "endless" => folder::endless(&client, &mut report).await?,
        "rows" => data::rows(&client, &mut report).await?,
        "schemas" => data::schemas(&client, &mut report).await?,
        "memory" => data::memory(&client, &mut report).await?,
        "names" => data::names(&client, &mut report).await?,
        "tickets" => session::tickets(&link, &client, &mut report).await?,
        "talk" => session::talk(&client, &mut report).await?,
        "logs" => return session::logs(&client).await,
        "log-flood" => return session::log_flood(&client).await,
        "late" => return session::late(&link, &client).await,
        "absurd-result" => return session::absurd_result(&client).await,
        "streams" => http2::streams(&link, &client, &mut report).await?,
        "frames" => http2::frames(&link, &mut report).await?,
        "connections" => network::connections(&link, &mut report).await?,
        other => return Err(format!("there is no attack {other:?}").into()),
    }
    report.send(&client).await
}
