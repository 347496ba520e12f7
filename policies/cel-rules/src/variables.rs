//! What expressions see of a run.

use cel::{Context, Value as CelValue};
use serde_json::{Map, Value, json};
use wharf_plugin_sdk::{Binding, BindingKind, KeyValue, Plan, Quantity, Usage, UsageEntry};

/// The values of `plan`, `usage` and `used`, with the functions besides CEL's own.
pub(crate) struct Variables {
    pub(crate) context: Context<'static, 'static>,
}

impl Variables {
    pub(crate) fn of(plan: &Plan, usage: &Usage) -> Self {
        let mut context = context();
        context.add_variable_from_value("plan", cel_value(&plan_value(plan)));
        let entries: Vec<Value> = usage.entries.iter().map(entry).collect();
        context.add_variable_from_value("usage", cel_value(&Value::Array(entries)));
        context.add_variable_from_value("used", cel_value(&used(plan, usage)));
        Self { context }
    }
}

/// The functions, without variables.
pub(crate) fn context() -> Context<'static, 'static> {
    let mut context = Context::default();
    // Both fail only for names that CEL has itself.
    let _ = context.add_function("amount", |text: std::sync::Arc<String>| {
        wharf_plugin_sdk::Quantity::parse("memory", &text)
            .map_err(|error| cel::ExecutionError::function_error("amount", error))
            .and_then(|quantity| match quantity {
                Quantity::Bytes(bytes) => i64::try_from(bytes).map_err(|_| too_much()),
                _ => Err(too_much()),
            })
    });
    let _ = context.add_function("glob", |pattern: std::sync::Arc<String>, text: std::sync::Arc<String>| {
        wharf_plugin_sdk::pattern::matches(&pattern, &text)
    });
    context
}

fn too_much() -> cel::ExecutionError {
    cel::ExecutionError::function_error("amount", "it is more than anybody has")
}

/// Whole numbers become ints, where CEL's own conversion would make uints of them, which can't be added to ints.
fn cel_value(value: &Value) -> CelValue {
    match value {
        Value::Null => CelValue::Null,
        Value::Bool(truth) => CelValue::Bool(*truth),
        Value::Number(number) => match (number.as_i64(), number.as_u64(), number.as_f64()) {
            (Some(number), ..) => CelValue::Int(number),
            (None, Some(number), _) => CelValue::UInt(number),
            (None, None, number) => CelValue::Float(number.unwrap_or(f64::NAN)),
        },
        Value::String(text) => CelValue::from(text.as_str()),
        Value::Array(values) => CelValue::from(values.iter().map(cel_value).collect::<Vec<_>>()),
        Value::Object(map) => {
            let map: std::collections::HashMap<String, CelValue> =
                map.iter().map(|(key, value)| (key.clone(), cel_value(value))).collect();
            CelValue::from(map)
        }
    }
}

fn plan_value(plan: &Plan) -> Value {
    let configuration = &plan.execution_configuration;
    let (image, security) = (&plan.image, &plan.security);
    let languages: Vec<Value> = image
        .languages
        .iter()
        .map(|language| {
            json!({
                "name": language.name, "version": text(&language.version), "packages": language.packages,
            })
        })
        .collect();
    let parsed = |text: &str| serde_json::from_str(text).unwrap_or(Value::Null);
    let mut value = json!({
        "run_id": plan.run_id,
        "kind": plan.kind,
        "requester": { "user": plan.requester.user, "groups": plan.requester.groups },
        "project": text(&plan.project),
        "execution_configuration": {
            "name": configuration.name, "backend": configuration.backend, "base_image": configuration.base_image,
            "allowed_groups": configuration.allowed_groups, "workload_types": configuration.workload_types,
            "registry": text(&configuration.registry),
        },
        "argv": plan.argv,
        "env": pairs(&plan.env),
        "secrets": pairs(&plan.secrets),
        "image": {
            "base_image": image.base_image, "origin": image.origin, "languages": languages, "cuda": text(&image.cuda),
            "system_packages": image.system_packages, "extra_ca": image.extra_ca, "labels": pairs(&image.labels),
            "mirrors": {
                "apt": text(&image.mirrors.apt), "pip": text(&image.mirrors.pip), "cran": text(&image.mirrors.cran),
            },
        },
        "image_key": text(&plan.image_key),
        "resources": plan.resources.iter().map(|r| (r.key.clone(), amount(&r.value))).collect::<Map<_, _>>(),
        "gpus": plan.gpus(),
        "security": {
            "user": security.user, "privileged": security.privileged, "no_new_privileges": security.no_new_privileges,
            "read_only_root": security.read_only_root, "drop_capabilities": security.drop_capabilities,
            "add_capabilities": security.add_capabilities, "host_mounts": security.host_mounts, "network": security.network,
        },
        "labels": pairs(&plan.labels),
        "parameters": parsed(&plan.parameters),
        "inputs": bindings(&plan.inputs),
        "outputs": bindings(&plan.outputs),
        "object": plan.engine_object.as_deref().map(parsed).unwrap_or_default(),
    });
    if let Some(seconds) = plan.time_limit {
        value["time_limit"] = seconds.into();
    }
    if let Some(environment) = &plan.code_environment {
        value["code_environment"] = json!({
            "name": environment.name, "language": environment.language, "interpreters": environment.interpreters,
            "packages": environment.packages,
        });
    }
    value
}

/// CPUs are a number of them, and not billionths.
fn amount(quantity: &Quantity) -> Value {
    match quantity {
        Quantity::Bytes(bytes) => (*bytes).into(),
        Quantity::Cpus(nanos) => cpus(*nanos),
        Quantity::Count(count) => (*count).into(),
        Quantity::Text(text) => text.clone().into(),
        Quantity::Texts(texts) => texts.clone().into(),
    }
}

#[expect(clippy::cast_precision_loss, reason = "no machine has so many CPUs that it shows")]
fn cpus(nanos: u64) -> Value {
    json!(nanos as f64 / 1e9)
}

fn entry(entry: &UsageEntry) -> Value {
    json!({
        "user": entry.user, "execution_configuration": entry.execution_configuration, "running": entry.running,
        "cpus": cpus(entry.cpus), "memory": entry.memory,
    })
}

/// Sums of the usage: by this user, under this configuration, and of everybody.
fn used(plan: &Plan, usage: &Usage) -> Value {
    let sum = |counts: &dyn Fn(&UsageEntry) -> bool| {
        let (mut running, mut nanos, mut memory) = (0u64, 0u64, 0u64);
        for entry in usage.entries.iter().filter(|entry| counts(entry)) {
            running = running.saturating_add(entry.running.into());
            nanos = nanos.saturating_add(entry.cpus);
            memory = memory.saturating_add(entry.memory);
        }
        json!({ "running": running, "cpus": cpus(nanos), "memory": memory })
    };
    json!({
        "user": sum(&|entry| entry.user == plan.requester.user),
        "configuration": sum(&|entry| entry.execution_configuration == plan.execution_configuration.name),
        "all": sum(&|_| true),
    })
}

fn pairs(pairs: &[KeyValue]) -> Map<String, Value> {
    pairs.iter().map(|pair| (pair.key.clone(), pair.value.clone().into())).collect()
}

fn bindings(bindings: &[Binding]) -> Vec<Value> {
    let kind = |kind| match kind {
        BindingKind::Dataset => "dataset",
        BindingKind::Folder => "folder",
    };
    bindings.iter().map(|b| json!({ "name": b.name, "role": b.role, "kind": kind(b.kind) })).collect()
}

/// A text that isn't there is empty.
fn text(text: &Option<String>) -> &str {
    text.as_deref().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use wharf_plugin_sdk::{
        CodeEnvironment, ExecutionConfiguration, Identity, ImageSpec, Language, Mirrors, Resource, Security,
    };

    use super::*;
    use crate::schema::{Record, Type};

    pub(crate) fn plan() -> Plan {
        let strings = || vec!["x".to_owned()];
        let binding = |kind| Binding { name: "n".to_owned(), role: "main".to_owned(), kind };
        Plan {
            run_id: "run-1".to_owned(),
            kind: "python".to_owned(),
            requester: Identity { user: "ana".to_owned(), groups: strings() },
            project: None,
            execution_configuration: ExecutionConfiguration {
                name: "small".to_owned(),
                backend: "docker".to_owned(),
                base_image: "python-r".to_owned(),
                allowed_groups: strings(),
                workload_types: strings(),
                registry: None,
            },
            argv: strings(),
            env: vec![KeyValue::new("A", "b")],
            secrets: vec![KeyValue::new("S", "name")],
            image: ImageSpec {
                base_image: "python-r".to_owned(),
                origin: "from:debian".to_owned(),
                languages: vec![Language { name: "python".to_owned(), version: None, packages: strings() }],
                cuda: None,
                system_packages: strings(),
                mirrors: Mirrors { apt: None, pip: None, cran: None },
                extra_ca: strings(),
                labels: vec![KeyValue::new("l", "v")],
            },
            code_environment: Some(CodeEnvironment {
                name: "e".to_owned(),
                language: "python".to_owned(),
                interpreters: strings(),
                packages: strings(),
                requirements: None,
                constraints: None,
            }),
            image_key: None,
            resources: vec![
                Resource { key: "memory".to_owned(), value: Quantity::Bytes(4 << 30) },
                Resource { key: "cpus".to_owned(), value: Quantity::Cpus(1_500_000_000) },
            ],
            security: Security {
                user: "1000:1000".to_owned(),
                privileged: false,
                no_new_privileges: true,
                read_only_root: false,
                drop_capabilities: strings(),
                add_capabilities: strings(),
                host_mounts: strings(),
                network: "bridge".to_owned(),
            },
            labels: vec![KeyValue::new("l", "v")],
            time_limit: Some(60),
            parameters: "{\"n_jobs\":2}".to_owned(),
            inputs: vec![binding(BindingKind::Dataset)],
            outputs: vec![binding(BindingKind::Folder)],
            engine_object: Some("{}".to_owned()),
        }
    }

    /// Whether a value is what the schema says, field by field, and nothing else.
    fn fits(value: &Value, ty: &Type, at: &str) {
        match ty {
            Type::Dyn => {}
            Type::String => assert!(value.is_string(), "{at}: {value}"),
            Type::Bool => assert!(value.is_boolean(), "{at}: {value}"),
            Type::Int => assert!(value.is_i64() || value.is_u64(), "{at}: {value}"),
            Type::Double => assert!(value.is_f64(), "{at}: {value}"),
            Type::List(of) => {
                let values = value.as_array().unwrap();
                assert!(!values.is_empty(), "{at} shows nothing");
                values.iter().for_each(|value| fits(value, of, at));
            }
            Type::Map(of) => value.as_object().unwrap().values().for_each(|value| fits(value, of, at)),
            Type::Record(record) => {
                let there: Vec<&String> = value.as_object().unwrap().keys().collect();
                let said: Vec<&str> = record.fields().iter().map(|(name, _)| *name).collect();
                assert_eq!(there, said, "{at}");
                for (name, ty) in record.fields() {
                    fits(&value[name], &ty, &format!("{at}.{name}"));
                }
            }
            other => panic!("{at}: {other:?}"),
        }
    }

    #[test]
    fn values_are_what_the_schema_says() {
        let usage = Usage {
            entries: vec![UsageEntry {
                user: "ana".to_owned(),
                execution_configuration: "small".to_owned(),
                running: 2,
                cpus: 3_500_000_000,
                memory: 1,
            }],
        };
        fits(&plan_value(&plan()), &Type::Record(Record::Plan), "plan");
        fits(&entry(&usage.entries[0]), &Type::Record(Record::UsageEntry), "usage[0]");
        let used = used(&plan(), &usage);
        fits(&used, &Type::Record(Record::Used), "used");
        assert_eq!((&used["user"]["running"], &used["all"]["cpus"]), (&json!(2), &json!(3.5)));
        assert_eq!(plan_value(&plan())["resources"], json!({ "memory": 4_294_967_296u64, "cpus": 1.5 }));
    }
}
