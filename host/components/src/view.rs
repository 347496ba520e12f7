//! The host's types as components see them.

use std::collections::BTreeMap;

use wharf_model::image::{CONSTRAINTS, CodeEnvironment, ImageSpec, Language, REQUIREMENTS};
use wharf_model::{
    Activity, Binding, BindingKind, ExecutionConfiguration, Identity, Plan, Quantity, Resources, Security, UsageEntry,
};

use crate::bindings::{recipe_adaptation, types};
use crate::request::Request;

pub(crate) fn request(request: &Request<'_>) -> types::Request {
    types::Request {
        run_id: request.run.to_owned(),
        kind: request.kind.as_str().to_owned(),
        requester: identity(request.requester),
        project: request.project.map(str::to_owned),
        execution_configuration: configuration(request.configuration),
        code_environment: request.code_env.map(str::to_owned),
        requested_resources: resources(request.resources),
        secrets: pairs(&request.secrets()),
        inputs: bindings(request.inputs),
        outputs: bindings(request.outputs),
        labels: pairs(request.labels),
    }
}

pub(crate) fn plan(plan: &Plan, engine_object: Option<&str>) -> types::Plan {
    types::Plan {
        run_id: plan.run.clone(),
        kind: plan.kind.as_str().to_owned(),
        requester: identity(&plan.requester),
        project: plan.project.clone(),
        execution_configuration: configuration(&plan.configuration),
        argv: plan.job.argv.clone(),
        env: pairs(&plan.env),
        secrets: pairs(&plan.secrets),
        image: image_spec(&plan.image),
        code_environment: plan.code_env.as_ref().map(code_environment),
        image_key: plan.image_key.as_ref().map(ToString::to_string),
        resources: resources(&plan.resources),
        security: security(&plan.security),
        labels: pairs(&plan.labels),
        time_limit: plan.time_limit,
        parameters: serde_json::Value::Object(plan.parameters.clone()).to_string(),
        inputs: bindings(&plan.inputs),
        outputs: bindings(&plan.outputs),
        engine_object: engine_object.map(str::to_owned),
    }
}

pub(crate) fn usage(entries: &[UsageEntry]) -> types::Usage {
    let entries = entries
        .iter()
        .map(|entry| types::UsageEntry {
            user: entry.user.clone(),
            execution_configuration: entry.configuration.clone(),
            running: entry.running,
            cpus: entry.cpus,
            memory: entry.memory,
        })
        .collect();
    types::Usage { entries }
}

pub(crate) fn image_spec(spec: &ImageSpec) -> types::ImageSpec {
    types::ImageSpec {
        base_image: spec.name.clone(),
        origin: spec.origin.to_string(),
        languages: spec.languages.iter().map(language).collect(),
        cuda: spec.cuda.clone(),
        system_packages: spec.system_packages.clone(),
        mirrors: types::Mirrors {
            apt: spec.mirrors.apt.clone(),
            pip: spec.mirrors.pip.clone(),
            cran: spec.mirrors.cran.clone(),
        },
        extra_ca: spec.extra_ca.iter().map(|file| file.name.clone()).collect(),
        labels: pairs(&spec.labels),
    }
}

pub(crate) fn code_environment(environment: &CodeEnvironment) -> types::CodeEnvironment {
    let has_requirements = environment.requirements.is_some();
    types::CodeEnvironment {
        name: environment.name.clone(),
        language: environment.language.clone(),
        interpreters: environment.interpreters.clone(),
        packages: environment.packages.clone(),
        requirements: has_requirements.then(|| REQUIREMENTS.to_owned()),
        constraints: (environment.language == "python").then(|| CONSTRAINTS.to_owned()),
    }
}

pub(crate) fn activity(activity: &Activity) -> recipe_adaptation::Activity {
    recipe_adaptation::Activity {
        kind: activity.kind.as_str().to_owned(),
        code: activity.code.clone(),
        code_name: activity.code_name.clone(),
        plugin: activity.plugin.clone(),
        recipe: activity.recipe.clone(),
        parameters: serde_json::Value::Object(activity.parameters.clone()).to_string(),
        project: activity.project.clone(),
        requester: identity(&activity.requester),
        inputs: bindings(&activity.inputs),
        outputs: bindings(&activity.outputs),
        variables: pairs(&activity.variables),
    }
}

fn identity(identity: &Identity) -> types::Identity {
    types::Identity { user: identity.user.clone(), groups: identity.groups.clone() }
}

fn configuration(configuration: &ExecutionConfiguration) -> types::ExecutionConfiguration {
    types::ExecutionConfiguration {
        name: configuration.name.clone(),
        backend: configuration.engine.kind().to_owned(),
        base_image: configuration.base_image.clone(),
        allowed_groups: configuration.allowed_groups.clone(),
        workload_types: configuration.workload_types.iter().map(|kind| kind.as_str().to_owned()).collect(),
        registry: configuration.registry.clone(),
    }
}

fn security(security: &Security) -> types::Security {
    types::Security {
        user: security.user.clone(),
        privileged: security.privileged,
        no_new_privileges: security.no_new_privileges,
        read_only_root: security.read_only_root,
        drop_capabilities: security.drop_capabilities.clone(),
        add_capabilities: security.add_capabilities.clone(),
        host_mounts: security.host_mounts.clone(),
        network: security.network.clone(),
    }
}

fn resources(resources: &Resources) -> Vec<types::Resource> {
    resources.iter().map(|(key, value)| types::Resource { key: key.clone(), value: quantity(value) }).collect()
}

fn quantity(quantity: &Quantity) -> types::Quantity {
    match quantity {
        Quantity::Bytes(bytes) => types::Quantity::Bytes(*bytes),
        Quantity::Cpus(cpus) => types::Quantity::Cpus(*cpus),
        Quantity::Count(count) => types::Quantity::Count(*count),
        Quantity::Text(text) => types::Quantity::Text(text.clone()),
        Quantity::Texts(texts) => types::Quantity::Texts(texts.clone()),
    }
}

/// Without the places: where data is on the host's machine is no business of a component.
fn bindings(bindings: &[Binding]) -> Vec<types::Binding> {
    bindings
        .iter()
        .map(|binding| types::Binding {
            name: binding.name.clone(),
            role: binding.role.clone(),
            kind: match binding.kind {
                BindingKind::Dataset => types::BindingKind::Dataset,
                BindingKind::Folder => types::BindingKind::Folder,
            },
        })
        .collect()
}

fn language(language: &Language) -> types::Language {
    types::Language {
        name: language.name.clone(),
        version: language.version.clone(),
        packages: language.packages.clone(),
    }
}

fn pairs(map: &BTreeMap<String, String>) -> Vec<types::KeyValue> {
    map.iter().map(|(key, value)| types::KeyValue { key: key.clone(), value: value.clone() }).collect()
}
