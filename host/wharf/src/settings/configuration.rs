//! `configs/NAME.toml`: execution configurations.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;
use wharf_docker::Address;
use wharf_model::configuration::{Daemon, Engine, ExchangeMode, ExchangeSettings, LogSettings, WhenFull};
use wharf_model::kubernetes::{NetworkRule, WhenQuotaFull};
use wharf_model::quantity::format_bytes;
use wharf_model::{ActivityKind, ExecutionConfiguration, Fault};

use super::byte_size::ByteSize;
use super::kubernetes::{self, NamespacePolicyTable, PatienceTable, ScratchTable};
use super::label::{check_env, check_labels};
use super::name::{is_name, not_a_name};
use super::resource::{ResourcesTable, Words, in_common_words};
use super::secret::{check_allowed, check_secrets};
use super::security::SecurityTable;
use super::source::Source;
use super::time_span::TimeSpan;

/// The smallest and the largest spool of log lines.
const SPOOL: (u64, u64) = (1 << 20, 1 << 30);

/// The permission component that a configuration is checked with when it names none.
const USUAL_CHECK: &str = "allowed-groups";

/// The shape of an execution configuration's file.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ConfigurationFile {
    /// The kind of engine. `docker` by default.
    #[serde(rename = "type", default)]
    pub engine: EngineType,
    /// The base image that its runs start from: a file in `base-images/`, without `.toml`.
    pub base_image: String,
    /// The Docker daemon: `unix://PATH`, `tcp://HOST:PORT` or `ssh://[USER@]HOST[:PORT]`. `unix:///var/run/docker.sock` by
    /// default.
    #[serde(default)]
    pub host: Option<String>,
    /// The folder of `ca.pem`, `cert.pem` and `key.pem`, as `DOCKER_CERT_PATH` has it: with it, `tcp://` is TLS. Relative to
    /// the home.
    #[serde(default)]
    pub cert_path: Option<PathBuf>,
    /// The file that `ssh` reads for `ssh://` instead of the user's own configuration. Relative to the home.
    #[serde(default)]
    pub ssh_config: Option<PathBuf>,
    /// The registry that its images go through, e.g. `registry.example.com/data`. A cluster needs one.
    #[serde(default)]
    pub registry: Option<String>,
    /// Kubernetes: the context of the kubeconfig. Its current one by default; without a kubeconfig, the cluster that the host runs
    /// in.
    #[serde(default)]
    pub context: Option<String>,
    /// Kubernetes: the kubeconfig file, relative to the home. By default where `kubectl` looks.
    #[serde(default)]
    pub kubeconfig: Option<PathBuf>,
    /// Kubernetes: the Docker daemon that makes its images, as `host`. `unix:///var/run/docker.sock` by default.
    #[serde(default)]
    pub builder: Option<String>,
    /// Kubernetes: the namespace of its runs. `${user.login}` and `${project.key}` stand for those of the run, made fit for a name.
    #[serde(default)]
    pub namespace: Option<String>,
    /// Kubernetes: labels that a node must have.
    #[serde(default)]
    pub node_selector: BTreeMap<String, String>,
    /// Kubernetes: tolerations, each as in a pod.
    #[serde(default)]
    pub tolerations: Vec<Value>,
    /// Kubernetes: the affinity, as in a pod.
    #[serde(default)]
    pub affinity: Option<Value>,
    /// Kubernetes: annotations of job and pod.
    #[serde(default)]
    pub annotations: BTreeMap<String, String>,
    /// Kubernetes: the service account of the pods. No token of it is mounted.
    #[serde(default)]
    pub service_account: Option<String>,
    /// Kubernetes: secrets that images are pulled with.
    #[serde(default)]
    pub image_pull_secrets: Vec<String>,
    /// Kubernetes: the priority class.
    #[serde(default)]
    pub priority_class: Option<String>,
    /// Kubernetes: the runtime class.
    #[serde(default)]
    pub runtime_class: Option<String>,
    /// Kubernetes: more of the pod's security context, as in a pod: `fsGroup`, `supplementalGroups`.
    #[serde(default)]
    pub security_context: Option<Value>,
    /// Kubernetes: a YAML file with a pod template that is merged into the pods, relative to the home.
    #[serde(default)]
    pub pod_template: Option<PathBuf>,
    /// Kubernetes: the local queue of Kueue. Jobs begin suspended then.
    #[serde(default)]
    pub queue: Option<String>,
    /// Kubernetes: where pods may connect to. `open` by default; `exchange-only` adds a NetworkPolicy.
    #[serde(default)]
    pub network_policy: Option<NetworkRule>,
    /// Kubernetes: how long an ended job stays, should nobody delete it. `1h` by default.
    #[serde(default)]
    pub ttl: Option<TimeSpan>,
    /// Kubernetes: what a run does that a quota keeps out. `wait` by default, or `fail`.
    #[serde(default)]
    pub when_quota_full: Option<WhenQuotaFull>,
    /// Kubernetes: how long a run waits for what may clear up by itself.
    #[serde(default)]
    pub patience: PatienceTable,
    /// Kubernetes: what is done about the namespaces.
    #[serde(default)]
    pub namespace_policy: Option<NamespacePolicyTable>,
    /// Kubernetes: the most that the pod's own folders take.
    #[serde(default)]
    pub scratch: ScratchTable,
    /// The container runtime, as `docker run --runtime` takes it.
    #[serde(default)]
    pub runtime: Option<String>,
    /// The kinds of activity that it takes. All by default.
    #[serde(default)]
    pub workload_types: Vec<ActivityKind>,
    /// The highest priority that an activity may have. 0 by default.
    #[serde(default)]
    pub max_priority: i32,
    /// How long a run may take, unless its activity says less. No limit by default.
    #[serde(default)]
    pub time_limit: Option<TimeSpan>,
    /// Resource restrictions of each run.
    #[serde(default)]
    pub resources: ResourcesTable,
    /// Who may use it.
    #[serde(default)]
    pub permissions: PermissionsTable,
    /// How runner and host find each other.
    #[serde(default)]
    pub exchange: ExchangeTable,
    /// How much is kept of what runs write, here and in their containers.
    #[serde(default)]
    pub logs: LogsTable,
    /// What the containers may do.
    #[serde(default)]
    pub security: SecurityTable,
    /// Environment variables of every run.
    #[serde(default)]
    pub env: BTreeMap<String, String>,
    /// Secrets of every run: the variable that gets it, and its name, never its value.
    #[serde(default)]
    pub secrets: BTreeMap<String, String>,
    /// Labels of every run.
    #[serde(default)]
    pub labels: BTreeMap<String, String>,
}

/// The kind of engine that a configuration is for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum EngineType {
    /// A Docker daemon.
    #[default]
    Docker,
    /// A Kubernetes cluster.
    Kubernetes,
}

/// Who may use a configuration.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct PermissionsTable {
    /// The groups whose members may use it; `["*"]` is everybody. Nobody by default.
    pub allowed_groups: Vec<String>,
    /// The permission components that must all allow. `["allowed-groups"]` by default.
    pub checks: Option<Vec<String>>,
    /// The secrets that activities may name, each in full. None by default.
    pub secrets: Vec<String>,
}

/// How runner and host find each other.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ExchangeTable {
    /// `dial-back`: the runner connects to the host. `attach`: the host reaches into the container through the daemon.
    pub mode: ExchangeMode,
    /// The address at which containers reach the host, `HOST` or `HOST:PORT`. By default what `wharf.toml` says, else the
    /// gateway of the container's network.
    pub advertise: Option<String>,
    /// The most that a run may have staged at once, over all its outputs: `"50g"`. A run that writes more fails. No limit by
    /// default; however little a disk has left, the last GiB of it isn't given to a run.
    pub output_limit: Option<ByteSize>,
}

/// How much is kept of what runs write.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct LogsTable {
    /// The most that the host keeps of one run's log: `"100m"`. Lines beyond are counted and not kept, and the outcome says so.
    /// 1 GiB by default.
    pub limit: Option<ByteSize>,
    /// How many bytes of lines that the host doesn't have yet a container keeps, from `1m` to `1g`: `16m` by default. They
    /// count towards its memory.
    pub spool: Option<ByteSize>,
    /// What happens when that is full. `wait`: the recipe waits at its next line. `drop`: the oldest lines are dropped and
    /// counted, and the recipe goes on.
    pub when_full: WhenFull,
}

impl LogsTable {
    fn check(&self, source: &Source<'_>) -> Result<LogSettings, Fault> {
        let usual = LogSettings::default();
        let spool = self.spool.map_or(usual.spool, ByteSize::bytes);
        if !(SPOOL.0..=SPOOL.1).contains(&spool) {
            let [written, least, most] = [spool, SPOOL.0, SPOOL.1].map(format_bytes);
            return Err(source.fault(
                &["logs", "spool"],
                format!("`spool` in [logs] is {written}; expected at least {least} and at most {most}"),
            ));
        }
        Ok(LogSettings { limit: self.limit.map_or(usual.limit, ByteSize::bytes), spool, when_full: self.when_full })
    }
}

/// Checks a parsed file. Whether its base image exists is for the caller to see.
pub(super) fn resolve(
    source: &Source<'_>,
    home: &Path,
    name: &str,
    file: ConfigurationFile,
) -> Result<ExecutionConfiguration, Fault> {
    if !is_name(&file.base_image) {
        return Err(source.fault(&["base_image"], not_a_name("a base image", &file.base_image)));
    }
    let (key, address) = match file.engine {
        EngineType::Docker => ("host", file.host.clone()),
        EngineType::Kubernetes => ("builder", file.builder.clone()),
    };
    let daemon = daemon(source, home, (key, address), file.cert_path.clone(), file.ssh_config.clone())?;
    if let Some(registry) = &file.registry {
        check_registry(source, registry)?;
    }
    if file.runtime.as_deref().is_some_and(|runtime| runtime.trim().is_empty()) {
        return Err(
            source.fault(&["runtime"], "`runtime` is empty; expected a runtime of the daemon, such as \"runc\"")
        );
    }
    for (at, kind) in file.workload_types.iter().enumerate() {
        if file.workload_types[..at].contains(kind) {
            return Err(
                source.fault(&["workload_types", &at.to_string()], format!("`workload_types` names \"{kind}\" twice"))
            );
        }
    }
    let checks = check_permissions(source, &file.permissions)?;
    let mut security = file.security.clone().check(source)?;
    check_exchange(source, &file.exchange, &security.network)?;
    check_env(source, &file.env)?;
    check_secrets(source, &file.secrets, &file.env)?;
    check_allowed(source, &file.permissions.secrets)?;
    check_labels(source, &file.labels)?;
    let mut labels = file.labels.clone();
    let (resources, engine) = match file.engine {
        EngineType::Docker => {
            kubernetes::check_absent(source)?;
            let resources = file.resources.check(source, Words::Docker)?;
            (resources, Engine::Docker { daemon, runtime: file.runtime })
        }
        EngineType::Kubernetes => {
            let mut resources = file.resources.check(source, Words::Kubernetes)?;
            let parts = (&mut security, &mut resources, &mut labels);
            let settings = kubernetes::resolve(source, home, &file, daemon, parts)?;
            (resources, Engine::Kubernetes(Box::new(settings)))
        }
    };
    Ok(ExecutionConfiguration {
        name: name.to_owned(),
        base_image: file.base_image,
        registry: file.registry,
        resources: in_common_words(resources),
        allowed_groups: file.permissions.allowed_groups,
        checks,
        allowed_secrets: file.permissions.secrets,
        workload_types: file.workload_types,
        security,
        exchange: ExchangeSettings {
            mode: file.exchange.mode,
            advertise: file.exchange.advertise,
            output_limit: file.exchange.output_limit.map(ByteSize::bytes),
        },
        logs: file.logs.check(source)?,
        env: file.env,
        secrets: file.secrets,
        labels,
        max_priority: file.max_priority,
        time_limit: file.time_limit.map(TimeSpan::seconds),
        engine,
    })
}

/// The daemon, and what goes with its address.
fn daemon(
    source: &Source<'_>,
    home: &Path,
    (name, host): (&str, Option<String>),
    cert_path: Option<PathBuf>,
    ssh_config: Option<PathBuf>,
) -> Result<Daemon, Fault> {
    let host = host.unwrap_or_else(|| Daemon::local().host);
    let address = Address::parse(&host).map_err(|error| {
        source.fault(&[name], format!("`{name}` is \"{host}\", {}", error.problem)).hint(error.advice)
    })?;
    let paths = [
        ("cert_path", &cert_path, "tcp", matches!(address, Address::Tcp { .. })),
        ("ssh_config", &ssh_config, "ssh", matches!(address, Address::Ssh { .. })),
    ];
    for (key, path, scheme, right) in paths {
        let Some(path) = path else { continue };
        if path.as_os_str().is_empty() {
            return Err(source.fault(&[key], format!("`{key}` is empty; expected a path, or no such key")));
        }
        if !right {
            return Err(source
                .fault(&[key], format!("`{key}` is for {scheme}:// alone, and `{name}` is \"{host}\""))
                .hint(format!("take `{key}` out, or write the daemon's {scheme}:// address into `{name}`")));
        }
    }
    let from_home = |path: Option<PathBuf>| path.map(|path| home.join(path));
    Ok(Daemon { host, cert_path: from_home(cert_path), ssh_config: from_home(ssh_config) })
}

fn check_registry(source: &Source<'_>, registry: &str) -> Result<(), Fault> {
    if let Some((scheme, rest)) = registry.split_once("://") {
        return Err(source.fault(
            &["registry"],
            format!("`registry` is \"{registry}\"; leave the {scheme}:// out: did you mean \"{rest}\"?"),
        ));
    }
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"._-/:".contains(&byte);
    if !registry.bytes().all(allowed)
        || !registry.starts_with(|c: char| c.is_ascii_alphanumeric())
        || registry.ends_with('/')
    {
        return Err(source.fault(
            &["registry"],
            format!("`registry` is \"{registry}\"; expected HOST, HOST:PORT or HOST/PATH, such as \"registry.example.com/data\""),
        ));
    }
    Ok(())
}

/// The checks of a configuration. None at all would mean that nobody decides, so it isn't a way to allow everybody.
fn check_permissions(source: &Source<'_>, table: &PermissionsTable) -> Result<Vec<String>, Fault> {
    for (at, group) in table.allowed_groups.iter().enumerate() {
        if group.trim().is_empty() {
            return Err(source.fault(
                &["permissions", "allowed_groups", &at.to_string()],
                "`allowed_groups` in [permissions] has an empty name",
            ));
        }
    }
    let Some(checks) = &table.checks else { return Ok(vec![USUAL_CHECK.to_owned()]) };
    if checks.is_empty() {
        return Err(source
            .fault(
                &["permissions", "checks"],
                "`checks` in [permissions] is empty, so nobody could ever use this configuration",
            )
            .hint("to allow everybody, keep the check \"allowed-groups\" and write allowed_groups = [\"*\"]"));
    }
    for (at, check) in checks.iter().enumerate() {
        if !is_name(check) {
            return Err(
                source.fault(&["permissions", "checks", &at.to_string()], not_a_name("a permission component", check))
            );
        }
    }
    Ok(checks.clone())
}

/// Checks that runner and host can find each other.
fn check_exchange(source: &Source<'_>, exchange: &ExchangeTable, network: &str) -> Result<(), Fault> {
    if let Some(advertise) = &exchange.advertise {
        check_advertise(source, advertise)?;
    }
    match exchange.mode {
        ExchangeMode::Attach if exchange.advertise.is_some() => Err(source
            .fault(
                &["exchange", "advertise"],
                "`advertise` in [exchange] is an address for containers that connect to the host, and with mode \"attach\" none does",
            )
            .hint("leave one of the two out")),
        ExchangeMode::DialBack if network == "none" => Err(source
            .fault(
                &["security", "network"],
                "`network` in [security] is \"none\", which cuts the container off from the host that it must reach",
            )
            .hint("with `mode = \"attach\"` in [exchange], the host reaches into the container instead")),
        _ => Ok(()),
    }
}

/// Checks `advertise` in an `[exchange]` table.
pub(super) fn check_advertise(source: &Source<'_>, advertise: &str) -> Result<(), Fault> {
    let (host, port) = match advertise.rsplit_once(':') {
        // A bare IPv6 address has colons of its own.
        Some((host, _)) if host.contains(':') && !host.ends_with(']') => (advertise, None),
        Some((host, port)) => (host, Some(port)),
        None => (advertise, None),
    };
    let host_ok =
        !host.is_empty() && host.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".-:[]_".contains(&byte));
    let port_ok = port.is_none_or(|port| port.parse::<u16>().is_ok_and(|port| port > 0));
    if host_ok && port_ok {
        return Ok(());
    }
    Err(source
        .fault(
            &["exchange", "advertise"],
            format!("`advertise` in [exchange] is \"{advertise}\"; expected HOST or HOST:PORT"),
        )
        .hint("a name or an address that containers can reach, without http:// or https://"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::fixture::Fixture;
    use wharf_model::{Quantity, Security};

    fn refusal(text: &str) -> String {
        let fixture = Fixture::new();
        fixture.write("configs/a.toml", text);
        let fault = fixture.home().load_configuration("a").expect_err(text);
        fixture.spell(&fault)
    }

    #[test]
    fn the_least_file_is_strict() {
        let fixture = Fixture::new();
        fixture.write("configs/a.toml", "base_image = \"python-r\"\n");
        let configuration = fixture.home().load_configuration("a").expect("sound");
        assert_eq!(configuration.name, "a");
        assert_eq!(configuration.engine, Engine::Docker { daemon: Daemon::local(), runtime: None });
        assert_eq!(configuration.checks, ["allowed-groups"]);
        assert!(configuration.allowed_groups.is_empty());
        assert_eq!(configuration.security, Security::default());
        assert_eq!(configuration.logs, LogSettings::default());
        assert_eq!(configuration.time_limit, None);
    }

    #[test]
    fn reads_everything() {
        let fixture = Fixture::new();
        fixture.write(
            "configs/a.toml",
            r#"
type = "docker"
base_image = "python-r"
host = "unix:///run/user/1000/docker.sock"
registry = "registry.example.com:5000/data"
runtime = "runc"
workload_types = ["python", "ml-train"]
time_limit = "1h30m"

[resources]
cpus = 1.5
memory = "4g"
memory-swap = -1
pids-limit = 512
ulimit = ["nofile=1024:2048", "core=0"]

[permissions]
allowed_groups = ["analysts"]
checks = ["allowed-groups", "office-hours"]
secrets = ["warehouse"]

[exchange]
mode = "dial-back"
advertise = "host.example.com:7000"
output_limit = "50g"

[logs]
limit = "100m"
spool = "64m"
when_full = "drop"

[security]
user = "2000:2000"
read_only_root = true
add_capabilities = ["CAP_NET_RAW"]
host_mounts = ["/data:/data:ro"]
network = "analytics"

[env]
TZ = "UTC"

[secrets]
LICENCE = "solver.licence"

[labels]
team = "data"
"#,
        );
        let configuration = fixture.home().load_configuration("a").expect("sound");
        assert_eq!(configuration.time_limit, Some(5_400));
        assert_eq!(configuration.resources["cpus"], Quantity::Cpus(1_500_000_000));
        assert_eq!(configuration.resources["memory-swap"], Quantity::Count(-1));
        assert_eq!(
            configuration.resources["ulimit"],
            Quantity::Texts(vec!["nofile=1024:2048".to_owned(), "core=0".to_owned()])
        );
        assert_eq!(configuration.workload_types, [ActivityKind::Python, ActivityKind::MlTrain]);
        assert_eq!(configuration.allowed_secrets, ["warehouse"]);
        assert_eq!(configuration.secrets["LICENCE"], "solver.licence");
        assert_eq!(configuration.security.add_capabilities, ["NET_RAW"]);
        assert_eq!(configuration.security.drop_capabilities, ["ALL"]);
        assert!(configuration.security.read_only_root && configuration.security.no_new_privileges);
        assert_eq!(configuration.exchange.advertise.as_deref(), Some("host.example.com:7000"));
        assert_eq!(configuration.exchange.output_limit, Some(50 << 30));
        assert_eq!(configuration.logs, LogSettings { limit: 100 << 20, spool: 64 << 20, when_full: WhenFull::Drop });
    }

    #[test]
    fn each_slip_has_its_line_and_its_nearest_spelling() {
        let base = "base_image = \"python-r\"\n";
        for (text, expected) in [
            ("", "configs/a.toml:1: `base_image` is missing"),
            ("base_imge = \"python-r\"\n", "configs/a.toml:1: unknown key `base_imge`; did you mean `base_image`?"),
            (
                "type = \"dokcer\"\nbase_image = \"python-r\"\n",
                "configs/a.toml:1: `type` is \"dokcer\", which isn't valid here; did you mean \"docker\"?",
            ),
            (
                "base_image = \"../x\"\n",
                "configs/a.toml:1: \"../x\" can't be the name of a base image: at most 63 letters, digits, dots, underscores and dashes, beginning with a letter or a digit",
            ),
            (
                "\nbase_image = \"python\"\n",
                "configs/a.toml:2: there is no base image \"python\"; did you mean \"python-r\"?",
            ),
        ] {
            assert_eq!(refusal(text), expected, "{text}");
        }
        for (rest, line, expected) in [
            ("[resources]\nmemmory = \"4g\"\n", 3, "unknown key `memmory` in [resources]; did you mean `memory`?"),
            (
                "[resources]\nmemory_swap = \"4g\"\n",
                3,
                "unknown key `memory_swap` in [resources]; did you mean `memory-swap`?",
            ),
            (
                "[resources]\ncpus = 1\nmemory = \"4 gigs\"\n",
                4,
                "`memory` in [resources] is \"4 gigs\"; expected an amount of bytes such as \"512m\" or \"4g\"",
            ),
            (
                "[resources]\ncpus = -1\n",
                3,
                "`cpus` in [resources] is \"-1\"; expected a number of CPUs such as 2 or 1.5",
            ),
            ("[resources.cpus]\n", 2, "`cpus` in [resources] is a table; expected one value"),
            ("[resources]\nmemory = [\"1g\"]\n", 3, "`memory` in [resources] is a list; expected one value"),
            ("[resources]\nmemory = 1024\n", 3, "`memory` is 1024 bytes, less than the 6m that Docker needs"),
            (
                "[resources]\nmemory = \"4g\"\nmemory-swap = \"2g\"\n",
                4,
                "`memory-swap` is less than `memory`: it is the sum of memory and swap, so at least as much",
            ),
            ("[resources]\npids-limit = 0\n", 3, "`pids-limit` is 0; expected 1 or more, or -1 for no limit"),
            (
                "[resources]\nulimit = \"nofile\"\n",
                3,
                "`ulimit` has \"nofile\"; expected NAME=SOFT or NAME=SOFT:HARD, for example \"nofile=1024:2048\"",
            ),
            (
                "host = \"/var/run/docker.sock\"\n",
                2,
                "`host` is \"/var/run/docker.sock\", a path; did you mean \"unix:///var/run/docker.sock\"?",
            ),
            ("host = \"tcp://10.0.0.1\"\n", 2, "`host` is \"tcp://10.0.0.1\", without a port"),
            (
                "host = \"https://build:2376\"\n",
                2,
                "`host` is \"https://build:2376\", which Docker spells tcp://; did you mean \"tcp://build:2376\"?",
            ),
            (
                "host = \"npipe:////./pipe/docker_engine\"\n",
                2,
                "`host` is \"npipe:////./pipe/docker_engine\", and npipe:// isn't supported",
            ),
            (
                "host = \"ssh://ana:secret@build\"\n",
                2,
                "`host` is \"ssh://ana:secret@build\", which isn't ssh://[USER@]HOST[:PORT]",
            ),
            (
                "cert_path = \"certs/docker\"\n",
                2,
                "`cert_path` is for tcp:// alone, and `host` is \"unix:///var/run/docker.sock\"",
            ),
            (
                "host = \"ssh://build\"\ncert_path = \"certs/docker\"\n",
                3,
                "`cert_path` is for tcp:// alone, and `host` is \"ssh://build\"",
            ),
            (
                "host = \"tcp://build:2376\"\nssh_config = \"ssh.conf\"\n",
                3,
                "`ssh_config` is for ssh:// alone, and `host` is \"tcp://build:2376\"",
            ),
            (
                "host = \"tcp://build:2376\"\ncert_path = \"\"\n",
                3,
                "`cert_path` is empty; expected a path, or no such key",
            ),
            ("host = \"docker\"\n", 2, "`host` is \"docker\", which isn't the address of a Docker daemon"),
            ("host = \"unix://docker.sock\"\n", 2, "`host` is \"unix://docker.sock\", without a whole path"),
            (
                "registry = \"https://r.example.com\"\n",
                2,
                "`registry` is \"https://r.example.com\"; leave the https:// out: did you mean \"r.example.com\"?",
            ),
            (
                "workload_types = [\"python\", \"ml-trian\"]\n",
                2,
                "`workload_types[2]` is \"ml-trian\", which isn't valid here; did you mean \"ml-train\"?",
            ),
            (
                "time_limit = \"soon\"\n",
                2,
                "`time_limit` is the text \"soon\"; expected a time such as \"90s\", \"30m\" or \"2h\", or a number of seconds",
            ),
            (
                "[permissions]\nchecks = []\n",
                3,
                "`checks` in [permissions] is empty, so nobody could ever use this configuration",
            ),
            (
                "[permissions]\nallowed_group = [\"a\"]\n",
                3,
                "unknown key `allowed_group` in [permissions]; did you mean `allowed_groups`?",
            ),
            (
                "[exchange]\nadvertise = \"http://me\"\n",
                3,
                "`advertise` in [exchange] is \"http://me\"; expected HOST or HOST:PORT",
            ),
            (
                "[exchange]\nadvertise = \"me:70000\"\n",
                3,
                "`advertise` in [exchange] is \"me:70000\"; expected HOST or HOST:PORT",
            ),
            ("[logs]\nspool = \"10k\"\n", 3, "`spool` in [logs] is 10k; expected at least 1m and at most 1g"),
            (
                "[logs]\nspool = \"much\"\n",
                3,
                "`logs.spool` is the text \"much\"; expected an amount of bytes such as \"512m\" or \"4g\"",
            ),
            (
                "[logs]\nwhen_full = \"dorp\"\n",
                3,
                "`logs.when_full` is \"dorp\", which isn't valid here; did you mean \"drop\"?",
            ),
            (
                "[exchange]\nmode = \"attach\"\nadvertise = \"host\"\n",
                4,
                "`advertise` in [exchange] is an address for containers that connect to the host, and with mode \"attach\" none does",
            ),
            (
                "[security]\nno-new-privileges = true\n",
                3,
                "unknown key `no-new-privileges` in [security]; did you mean `no_new_privileges`?",
            ),
            (
                "[security]\nuser = \"root\"\n",
                3,
                "`user` in [security] is \"root\"; expected a user's and a group's id, such as \"1000:1000\"",
            ),
            (
                "[security]\nadd_capabilities = [\n  \"NET_RAW\",\n  \"NET_ADMN\",\n]\n",
                5,
                "`add_capabilities` in [security] has \"NET_ADMN\", which isn't a capability; did you mean \"NET_ADMIN\"?",
            ),
            (
                "[security]\nhost_mounts = [\"data:/data\"]\n",
                3,
                "`host_mounts` in [security] has \"data:/data\", whose paths must both begin with /",
            ),
            (
                "[security]\nhost_mounts = [\"/x:/opt/wharf/bin\"]\n",
                3,
                "`host_mounts` in [security] has \"/x:/opt/wharf/bin\", which would cover files that the run needs",
            ),
            (
                "[security]\nnetwork = \"none\"\n",
                3,
                "`network` in [security] is \"none\", which cuts the container off from the host that it must reach",
            ),
            ("[labels]\n\"wharf.run\" = \"x\"\n", 3, "the label `wharf.run` is wharf's own"),
            ("[env]\nWHARF_TICKET = \"x\"\n", 3, "the variable `WHARF_TICKET` is wharf's own"),
            ("[secrets]\nTOKEN = \"db token!\"\n", 3, "what the variable `TOKEN` gets isn't the name of a secret"),
            (
                "[secrets]\nTOKEN = \"token\"\n[env]\nTOKEN = \"x\"\n",
                3,
                "the variable `TOKEN` is in [env] and in [secrets]",
            ),
            (
                "[permissions]\nsecrets = [\"db\", \"*\"]\n",
                3,
                "\"*\" can't be the name of a secret: at most 63 letters, digits, dots, underscores and dashes, beginning with a letter or a digit",
            ),
            ("[env]\n\"A-B\" = \"x\"\n", 3, "\"A-B\" can't be the name of an environment variable"),
        ] {
            assert_eq!(refusal(&format!("{base}{rest}")), format!("configs/a.toml:{line}: {expected}"), "{rest}");
        }
    }

    #[test]
    fn paths_of_a_daemon_are_relative_to_the_home() {
        let fixture = Fixture::new();
        let root = fixture.home().root().to_owned();
        for (keys, cert_path, ssh_config) in [
            ("host = \"tcp://build:2376\"\ncert_path = \"certs/docker\"\n", Some(root.join("certs/docker")), None),
            ("host = \"tcp://build:2376\"\ncert_path = \"/etc/docker\"\n", Some("/etc/docker".into()), None),
            ("host = \"ssh://build\"\nssh_config = \"ssh.conf\"\n", None, Some(root.join("ssh.conf"))),
            ("host = \"tcp://127.0.0.1:2375\"\n", None, None),
        ] {
            fixture.write("configs/a.toml", &format!("base_image = \"python-r\"\n{keys}"));
            let configuration = fixture.home().load_configuration("a").expect(keys);
            let daemon = configuration.engine.builder();
            assert_eq!((&daemon.cert_path, &daemon.ssh_config), (&cert_path, &ssh_config), "{keys}");
        }
    }

    #[test]
    fn advertises_names_and_addresses() {
        let fixture = Fixture::new();
        for advertise in ["host", "host:1", "10.0.0.1:65535", "::1", "[::1]:7000", "host.example.com"] {
            fixture.write(
                "configs/a.toml",
                &format!("base_image = \"python-r\"\n[exchange]\nadvertise = \"{advertise}\"\n"),
            );
            assert!(fixture.home().load_configuration("a").is_ok(), "{advertise}");
        }
    }

    #[test]
    fn a_container_without_a_network_is_reached_by_the_host() {
        let fixture = Fixture::new();
        fixture.write(
            "configs/a.toml",
            "base_image = \"python-r\"\nexchange.mode = \"attach\"\nsecurity.network = \"none\"\n",
        );
        let configuration = fixture.home().load_configuration("a").expect("sound");
        assert_eq!(configuration.exchange.mode, ExchangeMode::Attach);
        assert_eq!(configuration.security.network, "none");
    }
}
