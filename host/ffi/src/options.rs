//! How a host is opened.

use std::path::PathBuf;

use serde::Deserialize;
use wharf::model::Fault;

/// The options of `wharf_host_open`: there, each is described.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Options {
    pub(crate) threads: usize,
    pub(crate) log_level: LogLevel,
    pub(crate) docker_config: Option<PathBuf>,
    pub(crate) signals_based_traps: bool,
    pub(crate) datasets: Datasets,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            threads: 2,
            log_level: LogLevel::Warn,
            docker_config: None,
            signals_based_traps: false,
            datasets: Datasets::Files,
        }
    }
}

/// Where datasets and folders are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Datasets {
    Files,
    Caller,
}

#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum LogLevel {
    Error,
    Warn,
    Info,
    Debug,
    Trace,
}

impl Options {
    pub(crate) fn parse(text: &str) -> Result<Self, Fault> {
        let wrong = |message: String| Fault::new("usage", format!("the options can't be used: {message}"));
        let options: Self = serde_json::from_str(text).map_err(|error| wrong(error.to_string()))?;
        if !(1..=256).contains(&options.threads) {
            return Err(wrong(format!("`threads` is {}, and must be from 1 to 256", options.threads)));
        }
        Ok(options)
    }
}

impl From<LogLevel> for tracing::Level {
    fn from(level: LogLevel) -> Self {
        match level {
            LogLevel::Error => Self::ERROR,
            LogLevel::Warn => Self::WARN,
            LogLevel::Info => Self::INFO,
            LogLevel::Debug => Self::DEBUG,
            LogLevel::Trace => Self::TRACE,
        }
    }
}
