//! What an execution configuration of `type = "kubernetes"` has besides.

use std::collections::BTreeMap;
use std::path::Path;

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;
use wharf_kubernetes::{names, object, template};
use wharf_model::configuration::{Daemon, ExchangeMode};
use wharf_model::kubernetes::{
    Cluster, KubernetesSettings, NamespacePolicy, NetworkRule, Patience, PodSettings, ScratchLimits, SecretSource,
    WhenQuotaFull,
};
use wharf_model::{Fault, Resources, Security};

use super::byte_size::ByteSize;
use super::configuration::ConfigurationFile;
use super::source::{Source, unreadable};
use super::time_span::TimeSpan;

/// The keys that only a cluster has anything for.
const KEYS: [&str; 21] = [
    "context",
    "kubeconfig",
    "builder",
    "namespace",
    "node_selector",
    "tolerations",
    "affinity",
    "annotations",
    "service_account",
    "image_pull_secrets",
    "priority_class",
    "runtime_class",
    "security_context",
    "pod_template",
    "queue",
    "network_policy",
    "ttl",
    "when_quota_full",
    "patience",
    "namespace_policy",
    "scratch",
];

/// How long a run waits for what may clear up by itself.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct PatienceTable {
    /// For a node that takes the pod. `10m` by default.
    pub unschedulable: Option<TimeSpan>,
    /// For an image that can't be pulled. `2m` by default.
    pub image_pull: Option<TimeSpan>,
    /// For an API server that doesn't answer. `5m` by default.
    pub api: Option<TimeSpan>,
    /// For a quota that is full, where `when_quota_full` is `wait`. `1h` by default.
    pub quota: Option<TimeSpan>,
}

/// What is done about the namespaces of the runs.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct NamespacePolicyTable {
    /// A namespace that isn't there is created. Not by default.
    pub create: bool,
    /// Labels that it gets.
    pub labels: BTreeMap<String, String>,
    /// What all its pods may take together: `hard` of a ResourceQuota, such as `"limits.memory" = "64Gi"`.
    pub resource_quota: BTreeMap<String, String>,
    /// What each may take, and takes when it doesn't say: `limits` of a LimitRange.
    pub limit_range: Vec<Value>,
    /// A secret for pulling images that is copied into it: `NAMESPACE/NAME`.
    pub pull_secret: Option<String>,
}

/// The most that the folders take that a pod has of its own.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ScratchTable {
    /// The working folder.
    pub work: Option<ByteSize>,
    /// `/tmp`.
    pub tmp: Option<ByteSize>,
    /// The home folder.
    pub home: Option<ByteSize>,
    /// `/dev/shm`, which is memory.
    pub shm: Option<ByteSize>,
}

/// A Docker configuration has none of these keys.
pub(super) fn check_absent(source: &Source<'_>) -> Result<(), Fault> {
    let table: toml::Table = toml::from_str(&source.text).unwrap_or_default();
    match KEYS.into_iter().find(|key| table.contains_key(*key)) {
        Some(key) => Err(source
            .fault(&[key], format!("`{key}` is for type = \"kubernetes\" alone"))
            .hint("write type = \"kubernetes\", or take the key out")),
        None => Ok(()),
    }
}

/// A Kubernetes configuration has none of Docker's keys.
fn check_no_docker(source: &Source<'_>, file: &ConfigurationFile) -> Result<(), Fault> {
    if file.host.is_some() {
        return Err(source
            .fault(&["host"], "`host` is a Docker daemon, and this configuration is for Kubernetes")
            .hint("`context` says which cluster; `builder` which Docker daemon makes its images"));
    }
    if file.runtime.is_some() {
        return Err(source
            .fault(&["runtime"], "`runtime` is Docker's, and this configuration is for Kubernetes")
            .hint("`runtime_class` names one of the cluster's RuntimeClasses"));
    }
    if file.registry.is_none() {
        return Err(source
            .fault(&["registry"], "`registry` is missing: a cluster's nodes pull images from one")
            .hint("write registry = \"HOST:PORT/PATH\": the host pushes there, the nodes pull from there"));
    }
    Ok(())
}

/// Checks the keys of a cluster. What the pod template says of security, resources and labels moves into those.
pub(super) fn resolve(
    source: &Source<'_>,
    home: &Path,
    file: &ConfigurationFile,
    builder: Daemon,
    (security, resources, labels): (&mut Security, &mut Resources, &mut BTreeMap<String, String>),
) -> Result<KubernetesSettings, Fault> {
    check_no_docker(source, file)?;
    let filled = |key: &str, text: &Option<String>| match text {
        Some(text) if text.trim().is_empty() => Err(source.fault(&[key], format!("`{key}` is empty"))),
        _ => Ok(()),
    };
    for (key, text) in [
        ("context", &file.context),
        ("service_account", &file.service_account),
        ("priority_class", &file.priority_class),
        ("runtime_class", &file.runtime_class),
        ("queue", &file.queue),
    ] {
        filled(key, text)?;
    }
    let Some(namespace) = file.namespace.clone() else {
        return Err(source
            .fault(&["namespace"], "`namespace` is missing: it says where on the cluster its runs go")
            .hint("write namespace = \"data\", or one for each user: \"data-${user.login}\""));
    };
    names::check_namespace(&namespace)
        .map_err(|problem| source.fault(&["namespace"], format!("`namespace` is \"{namespace}\": {problem}")))?;
    let pod_template = match &file.pod_template {
        Some(path) => Some(pod_template(source, home, path, security, resources, labels)?),
        None => None,
    };
    if file.exchange.mode == ExchangeMode::Attach && security.network == "host" {
        return Err(source
            .fault(
                &["exchange", "mode"],
                "`mode` in [exchange] is \"attach\" and the pods have their node's network, where others would reach the runner's port",
            )
            .hint("leave one of the two out"));
    }
    Ok(KubernetesSettings {
        cluster: Cluster {
            kubeconfig: file.kubeconfig.as_ref().map(|path| home.join(path)),
            context: file.context.clone(),
        },
        builder,
        namespace,
        pod: checked(source, pod(source, file)?)?,
        pod_template,
    })
}

/// Kubernetes' own objects in it are what Kubernetes would take.
fn checked(source: &Source<'_>, pod: PodSettings) -> Result<PodSettings, Fault> {
    match object::check_settings(&pod) {
        Ok(()) => Ok(pod),
        Err((setting, problem)) => Err(source.fault(&[setting], problem)),
    }
}

fn pod_template(
    source: &Source<'_>,
    home: &Path,
    path: &Path,
    security: &mut Security,
    resources: &mut Resources,
    labels: &mut BTreeMap<String, String>,
) -> Result<Value, Fault> {
    let path = home.join(path);
    let yaml = std::fs::read_to_string(&path).map_err(|error| {
        source.fault(&["pod_template"], format!("the file of `pod_template`, {}", unreadable(&path, &error)))
    })?;
    let shown = path.strip_prefix(home).unwrap_or(&path).display().to_string();
    let invalid = |problem: String| source.fault(&["pod_template"], problem);
    let parsed = template::parse(&shown, &yaml).map_err(invalid)?;
    template::absorb(&parsed, security, resources, labels).map_err(|problem| invalid(format!("{shown}: {problem}")))
}

fn pod(source: &Source<'_>, file: &ConfigurationFile) -> Result<PodSettings, Fault> {
    let usual = PodSettings::default();
    let seconds = |span: Option<TimeSpan>, usual: u64| span.map_or(usual, TimeSpan::seconds);
    let ttl = seconds(file.ttl, usual.ttl_seconds.into());
    Ok(PodSettings {
        node_selector: file.node_selector.clone(),
        tolerations: file.tolerations.clone(),
        affinity: file.affinity.clone(),
        annotations: file.annotations.clone(),
        service_account: file.service_account.clone(),
        image_pull_secrets: file.image_pull_secrets.clone(),
        priority_class: file.priority_class.clone(),
        runtime_class: file.runtime_class.clone(),
        security_context: file.security_context.clone(),
        queue: file.queue.clone(),
        network_policy: file.network_policy.unwrap_or(NetworkRule::Open),
        ttl_seconds: u32::try_from(ttl).map_err(|_| source.fault(&["ttl"], "`ttl` is more than 136 years"))?,
        patience: Patience {
            unschedulable: seconds(file.patience.unschedulable, usual.patience.unschedulable),
            image_pull: seconds(file.patience.image_pull, usual.patience.image_pull),
            api: seconds(file.patience.api, usual.patience.api),
            quota: seconds(file.patience.quota, usual.patience.quota),
        },
        when_quota_full: file.when_quota_full.unwrap_or(WhenQuotaFull::Wait),
        namespace_policy: file.namespace_policy.as_ref().map(|table| namespace_policy(source, table)).transpose()?,
        scratch: ScratchLimits {
            work: file.scratch.work.map(ByteSize::bytes),
            tmp: file.scratch.tmp.map(ByteSize::bytes),
            home: file.scratch.home.map(ByteSize::bytes),
            shm: file.scratch.shm.map(ByteSize::bytes),
        },
    })
}

fn namespace_policy(source: &Source<'_>, table: &NamespacePolicyTable) -> Result<NamespacePolicy, Fault> {
    let pull_secret = match &table.pull_secret {
        None => None,
        Some(text) => match text.split_once('/') {
            Some((namespace, name)) if names::is_dns_label(namespace) && names::is_dns_subdomain(name) => {
                Some(SecretSource { namespace: namespace.to_owned(), name: name.to_owned() })
            }
            _ => {
                return Err(source.fault(
                    &["namespace_policy", "pull_secret"],
                    format!("`pull_secret` in [namespace_policy] is \"{text}\"; expected NAMESPACE/NAME"),
                ));
            }
        },
    };
    Ok(NamespacePolicy {
        create: table.create,
        labels: table.labels.clone(),
        resource_quota: table.resource_quota.clone(),
        limit_range: table.limit_range.clone(),
        pull_secret,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::fixture::Fixture;
    use wharf_model::configuration::{Engine, EngineAddress};
    use wharf_model::{ExecutionConfiguration, Quantity};

    const LEAST: &str =
        "type = \"kubernetes\"\nbase_image = \"python-r\"\nnamespace = \"runs\"\nregistry = \"r.example.com/data\"\n";

    fn load(fixture: &Fixture, text: &str) -> Result<ExecutionConfiguration, Fault> {
        fixture.write("configs/a.toml", text);
        fixture.home().load_configuration("a")
    }

    #[test]
    fn the_least_file_is_the_cluster_that_the_host_runs_in() {
        let fixture = Fixture::new();
        let configuration = load(&fixture, LEAST).expect("sound");
        assert_eq!(configuration.engine.address(), EngineAddress::Kubernetes(Cluster::default()));
        assert_eq!(configuration.engine.builder(), &Daemon::local());
        let Engine::Kubernetes(settings) = configuration.engine else { panic!("a cluster") };
        assert_eq!((settings.namespace.as_str(), settings.pod), ("runs", PodSettings::default()));
    }

    #[test]
    fn amounts_are_in_the_words_that_policies_compare() {
        let resources = "[resources.requests]\ncpu = \"250m\"\n[resources.limits]\ncpu = 1.5\nmemory = \"2Gi\"\n\"nvidia.com/gpu\" = 1\n";
        let configuration = load(&Fixture::new(), &format!("{LEAST}{resources}")).expect("sound");
        let expected = [
            ("cpus", Quantity::Cpus(1_500_000_000)),
            ("limits.nvidia.com/gpu", Quantity::Count(1)),
            ("memory", Quantity::Bytes(2 << 30)),
            ("requests.cpu", Quantity::Cpus(250_000_000)),
        ];
        assert_eq!(configuration.resources, expected.map(|(key, amount)| (key.to_owned(), amount)).into());
    }

    #[test]
    fn what_a_template_says_of_security_is_the_configurations_own() {
        let fixture = Fixture::new();
        let template = "spec:\n  hostNetwork: true\n  dnsPolicy: Default\n  containers:\n  - name: wharf\n    \
                        securityContext: {privileged: true}\n    resources: {limits: {memory: 3Gi}}\n";
        fixture.write("pods/a.yaml", template);
        let configuration = load(&fixture, &format!("{LEAST}pod_template = \"pods/a.yaml\"\n")).expect("sound");
        assert!(configuration.security.privileged);
        assert_eq!(configuration.security.network, "host");
        assert_eq!(configuration.resources["memory"], Quantity::Bytes(3 << 30));
        let settings = configuration.engine.kubernetes().expect("a cluster");
        let rest = settings.pod_template.as_ref().expect("the rest").to_string();
        assert!(rest.contains("dnsPolicy") && !rest.contains("privileged"), "{rest}");
    }

    #[test]
    fn each_slip_says_what_where_and_what_to_do() {
        let fixture = Fixture::new();
        fixture.write("pods/bad.yaml", "spec:\n  containers:\n  - name: wharf\n    imagge: x\n");
        for (text, expected) in [
            (LEAST.replace("namespace = \"runs\"\n", ""), "`namespace` is missing"),
            (LEAST.replace("registry = \"r.example.com/data\"\n", ""), "`registry` is missing"),
            (LEAST.replace("\"runs\"", "\"Runs_1\""), "3: `namespace` is \"Runs_1\""),
            (format!("{LEAST}host = \"unix:///run/d.sock\"\n"), "5: `host` is a Docker daemon"),
            (format!("{LEAST}runtime = \"nvidia\"\n"), "5: `runtime` is Docker's"),
            (format!("{LEAST}builder = \"http://d\"\n"), "5: `builder` is \"http://d\""),
            (format!("{LEAST}queue = \" \"\n"), "5: `queue` is empty"),
            (format!("{LEAST}tolerations = [{{ kye = \"gpu\" }}]\n"), "5: "),
            (format!("{LEAST}pod_template = \"pods/none.yaml\"\n"), "5: the file of `pod_template`"),
            (format!("{LEAST}pod_template = \"pods/bad.yaml\"\n"), "imagge"),
            (
                format!("{LEAST}[resources.limits]\nmemroy = \"1Gi\"\n"),
                "6: no resource key is called \"limits.memroy\"",
            ),
            (format!("{LEAST}[resources]\npids-limit = 5\n"), "pids-limit"),
            (
                format!("{LEAST}[security]\nnetwork = \"host\"\n[exchange]\nmode = \"attach\"\n"),
                "8: `mode` in [exchange] is \"attach\"",
            ),
            (format!("{LEAST}[namespace_policy]\npull_secret = \"x\"\n"), "expected NAMESPACE/NAME"),
            (
                "base_image = \"python-r\"\nnamespace = \"runs\"\n".to_owned(),
                "2: `namespace` is for type = \"kubernetes\" alone",
            ),
            (
                "base_image = \"python-r\"\n[resources.limits]\nmemory = \"1Gi\"\n".to_owned(),
                "2: `limits` in [resources] is a table",
            ),
        ] {
            let fault = load(&fixture, &text).expect_err(&text);
            let spelt = fixture.spell(&fault);
            assert!(spelt.contains(expected), "{text}\n{spelt}\n{expected}");
            assert_eq!(fault.code, "config-invalid", "{text}");
        }
    }
}
