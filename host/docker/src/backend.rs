//! The daemon as a launch backend.

use std::collections::HashMap;
use std::net::IpAddr;
use std::path::Path;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use bollard::models::{Ipam, SystemInfo};
use wharf_model::configuration::Daemon;
use wharf_model::launch::{Backend, BackendError, Caller, Duplex, EngineEnd, EngineInfo, Found, LaunchSpec, Launched};

use crate::address::{Address, AddressError};
use crate::client::{Client, Failure};
use crate::dialler::Way;
use crate::object;
use crate::ssh::Ssh;
use crate::tls::Certificates;

/// How long a network's gateway is believed without asking again.
const FRESH: Duration = Duration::from_secs(60);

/// A Docker daemon. Made without touching it; the first request dials.
pub struct DockerBackend {
    pub(crate) client: Client,
    gateways: Mutex<HashMap<String, (Instant, String)>>,
}

impl DockerBackend {
    /// The daemon at an address: `unix:///var/run/docker.sock`, `tcp://HOST:PORT` or `ssh://[USER@]HOST[:PORT]`.
    ///
    /// # Errors
    /// The text isn't an address that this version can use, or what goes with it is for another kind of address. Whether
    /// a daemon listens there, and whether certificates and keys are right, is found out at the first request.
    pub fn connect(daemon: &Daemon) -> Result<Self, AddressError> {
        Self::connect_by(daemon, None)
    }

    /// The same, with another program in the place of `ssh`: for tests.
    ///
    /// # Errors
    /// As for [`connect`](Self::connect).
    #[doc(hidden)]
    pub fn connect_with_ssh(daemon: &Daemon, program: &Path) -> Result<Self, AddressError> {
        Self::connect_by(daemon, Some(program))
    }

    fn connect_by(daemon: &Daemon, program: Option<&Path>) -> Result<Self, AddressError> {
        let address = Address::of(daemon)?;
        let way = match address.clone() {
            Address::Unix(socket) => Way::Unix(socket),
            Address::Tcp { host, port } => match daemon.cert_path.clone() {
                Some(folder) => Way::Tls { host, port, certificates: Certificates::new(folder) },
                None => Way::Tcp { host, port },
            },
            Address::Ssh { user, host, port } => {
                let ssh = Ssh::new(user, host, port, daemon.ssh_config.clone());
                Way::Ssh(match program {
                    Some(program) => ssh.with_program(program.to_owned()),
                    None => ssh,
                })
            }
        };
        Ok(Self { client: Client::new(address, way), gateways: Mutex::default() })
    }

    /// Where the daemon is.
    #[must_use]
    pub fn address(&self) -> &Address {
        self.client.address()
    }

    async fn gateway(&self, network: &str) -> Result<String, BackendError> {
        let operation = format!("tell the gateway of the network {network}");
        let refused = |reason: &str| BackendError::Refused { operation: operation.clone(), reason: reason.to_owned() };
        if network.is_empty() || !network.chars().all(|c| c.is_ascii_alphanumeric() || "_.-".contains(c)) {
            return Err(refused("that isn't the name of a network; name the way with `advertise` under [exchange]"));
        }
        let found = self.client.again(|docker| async move { docker.inspect_network(network, None).await }).await;
        let found = found.map_err(|failure| self.client.backend(&operation, failure))?;
        if found.driver.as_deref() == Some("null") {
            return Err(refused(
                "a container without a network has no way back to the host; use `mode = \"attach\"` under [exchange]",
            ));
        }
        gateway_of(found.ipam.as_ref()).ok_or_else(|| {
            refused("it has none; say with `advertise` under [exchange] at which address containers reach this host")
        })
    }
}

#[async_trait]
impl Backend for DockerBackend {
    fn object(&self, spec: &LaunchSpec) -> serde_json::Value {
        match object::container(spec, true).map(serde_json::to_value) {
            Ok(Ok(value)) => value,
            // What `launch` would refuse to send is shown as that.
            Ok(Err(error)) => serde_json::json!({ "error": error.to_string() }),
            Err(reason) => serde_json::json!({ "error": reason }),
        }
    }

    async fn info(&self) -> Result<EngineInfo, BackendError> {
        let say = |failure| self.client.backend("say what it is", failure);
        let info = self.client.again(|docker| async move { docker.info().await }).await.map_err(say)?;
        let version = self.client.docker().await.map_err(say)?.client_version();
        Ok(engine_info(info, &version.to_string()))
    }

    async fn way_back(&self, network: &str) -> Result<String, BackendError> {
        let address = self.client.address();
        if !address.is_local() {
            return Err(BackendError::Refused {
                operation: "tell how its containers reach this host".to_owned(),
                reason: format!(
                    "the daemon at {address} is on another machine, so no address of its own leads here; set `advertise` \
                     under [exchange] to an address of this host that containers there reach, or `mode = \"attach\"`, \
                     which needs no way back"
                ),
            });
        }
        if network == "host" {
            return Ok("127.0.0.1".to_owned());
        }
        let lock = || self.gateways.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((asked, gateway)) = lock().get(network)
            && asked.elapsed() < FRESH
        {
            return Ok(gateway.clone());
        }
        let gateway = self.gateway(network).await?;
        lock().insert(network.to_owned(), (Instant::now(), gateway.clone()));
        Ok(gateway)
    }

    async fn launch(&self, spec: &LaunchSpec, _: &dyn Caller) -> Result<Launched, BackendError> {
        self.client.launch(spec).await
    }

    async fn dial(&self, id: &str, argv: &[&str], hidden: &[&str]) -> Result<Box<dyn Duplex>, BackendError> {
        self.client.exec(id, argv, hidden).await
    }

    async fn wait(&self, id: &str, _: &dyn Caller) -> Result<EngineEnd, BackendError> {
        self.client.wait(id).await
    }

    async fn stop(&self, id: &str, grace: Duration) -> Result<(), BackendError> {
        self.client.stop(id, grace).await
    }

    async fn log_tail(&self, id: &str, limit: usize) -> Result<Vec<u8>, BackendError> {
        self.client.log_tail(id, limit).await
    }

    async fn remove(&self, id: &str) -> Result<(), BackendError> {
        match self.client.remove(id).await {
            Ok(()) | Err(Failure::Said(404, _)) => Ok(()),
            Err(failure) => Err(self.client.backend(&format!("remove the container {id}"), failure)),
        }
    }

    async fn find(&self, host: &str) -> Result<Vec<Found>, BackendError> {
        self.client.find(host).await
    }
}

/// What the daemon says of itself, in our words.
fn engine_info(info: SystemInfo, api: &str) -> EngineInfo {
    let text = |text: Option<String>| text.unwrap_or_else(|| "unknown".to_owned());
    let amount = |number: Option<i64>| number.and_then(|number| u64::try_from(number).ok()).unwrap_or_default();
    let mut runtimes: Vec<String> = info.runtimes.unwrap_or_default().into_keys().collect();
    runtimes.sort_unstable();
    EngineInfo {
        version: format!("Docker {}, API {api}", text(info.server_version)),
        platform: platform(info.os_type.as_deref(), info.architecture.as_deref()),
        cpus: amount(info.ncpu),
        memory: amount(info.mem_total),
        runtimes,
        // Docker before 20.10 doesn't say, and knows only the first.
        cgroup_version: info.cgroup_version.map_or_else(|| "1".to_owned(), |version| version.to_string()),
    }
}

/// `linux/amd64`, from the kernel's or Go's name of an architecture.
pub(crate) fn platform(system: Option<&str>, architecture: Option<&str>) -> String {
    let architecture = match architecture.unwrap_or("amd64") {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        "armv7l" => "arm",
        "i686" | "i386" => "386",
        other => other,
    };
    format!("{}/{architecture}", system.unwrap_or("linux"))
}

/// The gateway that a network's addresses have; where the daemon doesn't say, the first address of its subnet, which is
/// what Docker takes. An IPv4 one before an IPv6 one.
fn gateway_of(ipam: Option<&Ipam>) -> Option<String> {
    let configs = ipam?.config.as_deref().unwrap_or_default();
    let mut found: Vec<IpAddr> = configs
        .iter()
        .filter_map(|config| {
            let said = config.gateway.as_deref().and_then(|text| text.split('/').next()?.parse().ok());
            said.or_else(|| first_address(config.subnet.as_deref()?))
        })
        .collect();
    found.sort_by_key(IpAddr::is_ipv6);
    found.first().map(IpAddr::to_string)
}

fn first_address(subnet: &str) -> Option<IpAddr> {
    match subnet.split('/').next()?.parse().ok()? {
        IpAddr::V4(address) => Some(IpAddr::V4(u32::from(address).checked_add(1)?.into())),
        IpAddr::V6(address) => Some(IpAddr::V6(u128::from(address).checked_add(1)?.into())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bollard::models::IpamConfig;

    fn ipam(configs: &[(Option<&str>, Option<&str>)]) -> Ipam {
        let config = configs.iter().map(|(subnet, gateway)| IpamConfig {
            subnet: subnet.map(str::to_owned),
            gateway: gateway.map(str::to_owned),
            ..IpamConfig::default()
        });
        Ipam { config: Some(config.collect()), ..Ipam::default() }
    }

    #[test]
    fn a_networks_gateway_is_found() {
        let gateway = |configs: &[_]| gateway_of(Some(&ipam(configs)));
        assert_eq!(gateway(&[(Some("172.17.0.0/16"), Some("172.17.0.1"))]).as_deref(), Some("172.17.0.1"));
        assert_eq!(gateway(&[(Some("172.18.0.0/16"), None)]).as_deref(), Some("172.18.0.1"));
        let both = [(Some("fd00::/64"), Some("fd00::1")), (Some("10.1.0.0/24"), Some("10.1.0.254"))];
        assert_eq!(gateway(&both).as_deref(), Some("10.1.0.254"));
        assert_eq!(gateway(&[]), None);
        assert_eq!(gateway_of(None), None);
    }

    #[test]
    fn an_architecture_has_one_name() {
        assert_eq!(platform(Some("linux"), Some("x86_64")), "linux/amd64");
        assert_eq!(platform(Some("linux"), Some("amd64")), "linux/amd64");
        assert_eq!(platform(None, Some("aarch64")), "linux/arm64");
    }

    #[tokio::test]
    async fn another_machine_has_no_way_back_of_its_own() {
        for host in ["tcp://10.255.255.1:2376", "ssh://build"] {
            let backend = DockerBackend::connect(&Daemon::at(host)).unwrap();
            for network in ["bridge", "host"] {
                let error = backend.way_back(network).await.unwrap_err().to_string();
                assert!(error.contains(host) && error.contains("`advertise`") && error.contains("attach"), "{error}");
            }
        }
    }

    #[test]
    fn what_cannot_be_sent_is_shown_as_that() {
        let backend = DockerBackend::connect(&Daemon::at("unix:///run/d.sock")).unwrap();
        let mut spec: LaunchSpec = serde_json::from_value(serde_json::json!({
            "host": "h", "run": "r", "attempt": 1, "image": "i", "argv": [], "env": {}, "secret_env": {},
            "resources": {}, "security": {}, "labels": {}, "runtime": null, "grace_seconds": 1
        }))
        .unwrap();
        assert_eq!(backend.object(&spec)["Image"], "i");
        spec.resources.insert("memmory".to_owned(), wharf_model::Quantity::Bytes(1));
        assert!(backend.object(&spec)["error"].as_str().unwrap().contains("memmory"));
    }
}
