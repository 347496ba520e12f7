//! Runs a recipe and follows its log, stops another, and is killed while a third goes on: `cargo run --example follow_and_stop HOME`.
//!
//! Started again, with `HOME again`, it finds that one.

#![expect(clippy::print_stdout, reason = "an example's output is for people")]

use std::error::Error;
use std::path::Path;

use futures_util::StreamExt;
use rustix::process::{Signal, getpid, kill_process};
use serde_json::json;
use wharf::model::{Activity, EventKind, Fault};
use wharf::{Access, HostOptions};

fn recipe(code: &str) -> Result<Activity, serde_json::Error> {
    serde_json::from_value(json!({
        "kind": "python",
        "requester": { "user": "ana", "groups": ["analysts"] },
        "configuration": "docker-local",
        "code": code,
    }))
}

/// Prints a run's log, to its end or up to a number of lines.
async fn follow(access: &Access, run: &str, lines: usize) -> Result<(), Fault> {
    let mut events = access.follow(run, 0, true);
    let mut left = lines;
    while left > 0
        && let Some(event) = events.next().await
    {
        if let EventKind::Log { text, .. } = event?.kind {
            println!("{text}");
            left -= 1;
        }
    }
    Ok(())
}

async fn first_process(access: &Access) -> Result<(), Box<dyn Error>> {
    let first = access.submit(recipe("print('hello from a container')")?).await?;
    follow(access, &first, usize::MAX).await?;
    println!("the first: {}", access.wait(&first).await?.sentence);

    let endless = access.submit(recipe("import time\nprint('up', flush=True)\nwhile True: time.sleep(1)")?).await?;
    follow(access, &endless, 1).await?;
    access.stop(&endless, "ana").await?;
    println!("the second: {}", access.wait(&endless).await?.sentence);

    let slow = "import time\nfor i in range(50): print(i, flush=True); time.sleep(0.1)";
    let third = access.submit(recipe(slow)?).await?;
    follow(access, &third, 3).await?;
    // Nothing of this process has a say in it.
    kill_process(getpid(), Signal::KILL)?;
    Ok(())
}

async fn second_process(access: &Access) -> Result<(), Box<dyn Error>> {
    // Every run of a home is in its record; the newest is the one that went on.
    let runs = access.runs(1).await?;
    let newest = runs.first().ok_or("the first process has left no run")?;
    follow(access, &newest.run, usize::MAX).await?;
    println!("found again: {}", access.wait(&newest.run).await?.sentence);
    Ok(())
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let home = arguments.next().ok_or("usage: follow_and_stop HOME [again]")?;
    let access = Access::open(Path::new(&home), HostOptions::default()).await?;
    if arguments.next().is_some() {
        second_process(&access).await?;
    } else {
        first_process(&access).await?;
    }
    access.shutdown().await;
    Ok(())
}
