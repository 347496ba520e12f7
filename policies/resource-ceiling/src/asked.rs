//! How much of each key a plan asks for.

use serde_json::Value;
use wharf_plugin_sdk::settings::Amount;
use wharf_plugin_sdk::{ALL_GPUS, Plan, Quantity};

/// Resources that have an order, so that a ceiling means something.
const RESOURCES: [&str; 7] =
    ["cpu-shares", "cpus", "memory", "memory-reservation", "memory-swap", "pids-limit", "shm-size"];
const GPUS: &str = "gpus";
const TIME_LIMIT: &str = "time-limit";
/// Processes of a training.
const ML_JOBS: &str = "ml-jobs";
/// Models that a training tries.
const ML_MODELS: &str = "ml-models";

/// The period of `cpu-quota` that Docker takes when `cpu-period` isn't there, in microseconds.
const DEFAULT_CPU_PERIOD: i64 = 100_000;

/// The most that one run may have of a key.
#[derive(Debug)]
pub(crate) struct Ceiling {
    /// In the key's unit.
    pub(crate) size: i128,
    /// As a sentence says it.
    pub(crate) shown: String,
}

impl Ceiling {
    pub(crate) fn parse(key: &str, amount: &Amount) -> Result<Self, String> {
        let text = amount.as_str();
        let (size, shown) = match key {
            GPUS | ML_JOBS | ML_MODELS => {
                let number: i64 = text
                    .trim()
                    .parse()
                    .map_err(|_| format!("the ceiling of {key}: \"{text}\" isn't a whole number"))?;
                (i128::from(number), number.to_string())
            }
            TIME_LIMIT => {
                let seconds = seconds(text).ok_or_else(|| {
                    format!("the ceiling of {key}: \"{text}\" isn't a time such as 3600, \"90m\", \"2h\" or \"1d\"")
                })?;
                (i128::from(seconds), describe_seconds(seconds))
            }
            key if RESOURCES.contains(&key) => {
                let ceiling = Quantity::parse(key, text).map_err(|error| format!("the ceiling of {key}: {error}"))?;
                (size(&ceiling).unwrap_or_default(), ceiling.to_string())
            }
            _ => {
                let keys = [&RESOURCES[..], &[GPUS, TIME_LIMIT, ML_JOBS, ML_MODELS]].concat().join(", ");
                return Err(format!("there can't be a ceiling for \"{key}\", only for {keys}"));
            }
        };
        if size < 0 || size == 0 && key != GPUS {
            return Err(format!("the ceiling of {key} is {shown}; it must be more than 0"));
        }
        Ok(Self { size, shown })
    }
}

/// How much of a key a run asks for, and how a sentence says it.
pub(crate) enum Asked {
    /// The key is none of this run's.
    Nothing,
    /// It could say, and doesn't: what it lacks.
    Unsaid(String),
    Unlimited(String),
    Amount(String, i128),
}

/// The field of the plan that a key is about.
pub(crate) fn field(key: &str) -> String {
    match key {
        TIME_LIMIT => "time-limit".to_owned(),
        ML_JOBS => "parameters.n_jobs".to_owned(),
        ML_MODELS => "parameters.search".to_owned(),
        key => format!("resources.{key}"),
    }
}

/// What to do about a key that is over its ceiling.
pub(crate) fn advice(key: &str, ceiling: &str) -> String {
    match key {
        TIME_LIMIT => format!("set `time_limit` of the activity or its configuration to at most {ceiling}"),
        ML_JOBS => format!("set `n_jobs` of the task to at most {ceiling}"),
        ML_MODELS => {
            format!("try at most {ceiling}: a smaller grid, or search.method = \"random\" with fewer candidates")
        }
        GPUS if ceiling == "0" => "run it without one".to_owned(),
        key => format!("ask for at most {ceiling} (--resource {key}={ceiling})"),
    }
}

pub(crate) fn asked(plan: &Plan, key: &str) -> Asked {
    match key {
        GPUS => match plan.gpus() {
            // A run without GPUs has no limit to miss.
            0 => Asked::Nothing,
            ALL_GPUS => Asked::Unlimited("gpus all".to_owned()),
            count => Asked::Amount(format!("gpus {count}"), count.into()),
        },
        TIME_LIMIT => match plan.time_limit {
            None => Asked::Unsaid("time limit".to_owned()),
            Some(seconds) => Asked::Amount(format!("a time limit of {}", describe_seconds(seconds)), seconds.into()),
        },
        ML_JOBS => jobs(plan),
        ML_MODELS => models(plan),
        key => resource(plan, key),
    }
}

fn resource(plan: &Plan, key: &str) -> Asked {
    if let Some(quantity) = plan.resource(key) {
        let shown = format!("{key} {quantity}");
        return match size(quantity) {
            Some(size) if size > 0 => Asked::Amount(shown, size),
            // To Docker, 0 means the default of these, and "no limit" of the others.
            Some(0) if key == "shm-size" || key == "memory-reservation" || key == "cpu-shares" => {
                Asked::Amount(shown, 0)
            }
            _ => Asked::Unlimited(shown),
        };
    }
    // The older way to write `cpus`.
    let count = |key| match plan.resource(key) {
        Some(Quantity::Count(count)) => Some(*count),
        _ => None,
    };
    let Some(quota) = count("cpu-quota").filter(|_| key == "cpus") else {
        return Asked::Unsaid(format!("limit for {key}"));
    };
    let period = count("cpu-period").filter(|period| *period > 0).unwrap_or(DEFAULT_CPU_PERIOD);
    let shown = format!("cpu-quota {quota} with a cpu-period of {period}");
    if quota > 0 {
        Asked::Amount(shown, i128::from(quota) * 1_000_000_000 / i128::from(period))
    } else {
        Asked::Unlimited(shown)
    }
}

/// The processes of a training. What isn't a number is left to whoever reads the task and refuses it.
fn jobs(plan: &Plan) -> Asked {
    if !plan.kind.starts_with("ml-") {
        return Asked::Nothing;
    }
    match plan.parameter("n_jobs") {
        None | Some(Value::Null) => Asked::Unsaid("n_jobs, which means all CPUs of its container".to_owned()),
        Some(Value::Number(jobs)) => match jobs.as_i64() {
            Some(jobs) if jobs > 0 => Asked::Amount(format!("n_jobs {jobs}"), jobs.into()),
            // scikit-learn's way to say all of them.
            _ => Asked::Unlimited(format!("n_jobs {jobs}")),
        },
        Some(_) => Asked::Nothing,
    }
}

/// How many models a training tries: every combination of the parameters, or what a random search draws.
fn models(plan: &Plan) -> Asked {
    if plan.kind != "ml-train" {
        return Asked::Nothing;
    }
    let Some(Value::Array(algorithms)) = plan.parameter("algorithms") else {
        return Asked::Unsaid("list of algorithms to count models from".to_owned());
    };
    let search = plan.parameter("search").unwrap_or_default();
    let candidates = match search.get("candidates") {
        None => DEFAULT_CANDIDATES,
        Some(number) => match number.as_i64() {
            Some(number) => i128::from(number),
            None => return Asked::Unlimited("a number of candidates that can't be read".to_owned()),
        },
    };
    let is_random = search.get("method").is_some_and(|method| method == "random");
    let models = algorithms.iter().fold(0i128, |sum, algorithm| {
        let mut every = 1i128;
        let mut has_range = false;
        for values in algorithm.get("parameters").and_then(Value::as_object).into_iter().flat_map(|map| map.values()) {
            match values {
                Value::Array(values) => {
                    every = every.saturating_mul(i128::try_from(values.len()).unwrap_or(i128::MAX));
                }
                Value::Object(_) => has_range = true,
                _ => {}
            }
        }
        let tried = if has_range {
            candidates
        } else if is_random {
            every.min(candidates)
        } else {
            every
        };
        sum.saturating_add(tried)
    });
    Asked::Amount(format!("a search over {models} models"), models)
}

/// What `search.candidates` is when the task doesn't say.
const DEFAULT_CANDIDATES: i128 = 10;

/// How a run would get at GPUs, and the field that says so; none when it wouldn't.
pub(crate) fn way_to_gpus(plan: &Plan) -> Option<(String, String)> {
    match plan.gpus() {
        0 => {}
        ALL_GPUS => return Some(("it asks for all of them".to_owned(), "resources.gpus".to_owned())),
        count => return Some((format!("it asks for {count}"), "resources.gpus".to_owned())),
    }
    // NVIDIA's own runtime gives all GPUs to a container whose image or environment says so.
    let object: Value = plan.engine_object.as_deref().and_then(|text| serde_json::from_str(text).ok())?;
    let runtime = object.pointer("/HostConfig/Runtime").and_then(Value::as_str)?;
    runtime
        .contains("nvidia")
        .then(|| ("its configuration has the runtime nvidia".to_owned(), "execution-configuration".to_owned()))
}

/// An amount as a number of its unit.
fn size(quantity: &Quantity) -> Option<i128> {
    match quantity {
        Quantity::Bytes(amount) | Quantity::Cpus(amount) => Some(i128::from(*amount)),
        Quantity::Count(count) => Some(i128::from(*count)),
        Quantity::Text(_) | Quantity::Texts(_) => None,
    }
}

/// Reads `3600`, `90m`, `2h`, `1d`.
fn seconds(text: &str) -> Option<u64> {
    let text = text.trim();
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let unit = match unit {
        "" | "s" => 1,
        "m" => 60,
        "h" => 3_600,
        "d" => 86_400,
        _ => return None,
    };
    number.parse::<u64>().ok()?.checked_mul(unit)
}

/// `2 h`, `90 min`, `45 s`.
fn describe_seconds(seconds: u64) -> String {
    match seconds {
        0 => "0 s".to_owned(),
        s if s.is_multiple_of(86_400) => format!("{} d", s / 86_400),
        s if s.is_multiple_of(3_600) => format!("{} h", s / 3_600),
        s if s.is_multiple_of(60) => format!("{} min", s / 60),
        s => format!("{s} s"),
    }
}
