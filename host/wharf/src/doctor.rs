//! `wharf doctor`: looks at everything that can be wrong.

use std::collections::BTreeMap;
use std::path::Path;

use wharf_model::Mode;
use wharf_model::configuration::{EngineAddress, ExchangeMode};
use wharf_model::image::Origin;
use wharf_model::quantity::describe_bytes;

use crate::conclude::sentence_of;
use crate::host::Inner;
use crate::message::{ComponentSummary, Finding, FindingState};

impl Inner {
    /// What is well and what isn't.
    pub(crate) async fn diagnose(&self) -> Vec<Finding> {
        let mut findings = Vec::new();
        self.look_at_files(&mut findings);
        self.look_at_records(&mut findings);
        self.look_at_components(&mut findings).await;
        self.look_at_engines(&mut findings).await;
        self.look_at_secrets(&mut findings).await;
        self.look_at_images(&mut findings).await;
        self.look_at_place(&mut findings);
        findings
    }

    fn look_at_files(&self, findings: &mut Vec<Finding>) {
        let faults = self.home().check();
        if faults.is_empty() {
            let count = self.home().configuration_names().unwrap_or_default().len();
            findings.push(ok(
                "home",
                format!("{}: its files are right; execution configurations: {count}", self.home().root().display()),
            ));
        }
        for fault in faults {
            findings.push(bad("home", fault.to_string(), fault.hint));
        }
        for name in self.home().configuration_names().unwrap_or_default() {
            for fault in self.home().security_warnings(&name).unwrap_or_default() {
                findings.push(warning("security", fault.to_string(), fault.hint));
            }
        }
    }

    /// Whether the secrets that configurations name are there: those that every run gets, and those that activities may ask for.
    async fn look_at_secrets(&self, findings: &mut Vec<Finding>) {
        let mut named: BTreeMap<String, BTreeMap<String, FindingState>> = BTreeMap::new();
        for (name, configuration) in self.home().load_configurations().unwrap_or_default() {
            let Ok(configuration) = configuration else { continue };
            for secret in configuration.allowed_secrets {
                named.entry(secret).or_default().insert(name.clone(), FindingState::Warning);
            }
            for secret in configuration.secrets.into_values() {
                named.entry(secret).or_default().insert(name.clone(), FindingState::Bad);
            }
        }
        let (mut there, all) = (0, named.len());
        for (secret, users) in named {
            let Err(error) = self.secrets().check(&secret).await else {
                there += 1;
                continue;
            };
            let hint = error.advice().map(str::to_owned);
            for (configuration, state) in users {
                let text = format!("{} ({configuration} names it)", sentence_of(&error));
                findings.push(Finding { name: "secrets".to_owned(), state, text, hint: hint.clone() });
            }
        }
        if there > 0 {
            findings.push(ok("secrets", format!("{there} of the {all} that configurations name are there")));
        }
    }

    async fn look_at_components(&self, findings: &mut Vec<Finding>) {
        let report = match self.component_report().await {
            Ok(report) => report,
            // Said already: the site's file can't be read.
            Err(_) => return,
        };
        findings.extend(crate::distribution::findings(self.home(), &*self.set().await));
        findings.push(ok("components", format!("{} loaded", report.loaded.len())));
        if let Some(held) = report.held_back {
            let files: Vec<String> =
                held.changes.iter().map(|change| format!("{} ({})", change.file.display(), change.change)).collect();
            findings.push(bad(
                "components",
                format!(
                    "changes on disk aren't taken, since some can't be loaded; the components of before work on: {}",
                    files.join(", ")
                ),
                Some("mend what the next lines name, or put the files back".to_owned()),
            ));
        }
        for failure in report.failed {
            let text = if failure.older_works {
                format!("{} (the version before it goes on working)", failure.fault)
            } else {
                failure.fault.to_string()
            };
            findings.push(bad("components", text, failure.fault.hint));
        }
        for name in report.missing {
            findings.push(bad(
                "components",
                format!("the required policy {name} isn't loaded, so nothing may run"),
                Some("put it back, or take it out of `required_policies` in wharf.toml".to_owned()),
            ));
        }
        for closed in report.closed {
            findings.push(bad("components", closed.reason, Some(closed.advice)));
        }
        self.look_at_conditions(&report.loaded, findings).await;
        let loaded: Vec<&str> = report.loaded.iter().map(|component| component.name.as_str()).collect();
        for (name, configuration) in self.home().load_configurations().unwrap_or_default() {
            let Ok(configuration) = configuration else { continue };
            for check in configuration.checks.iter().filter(|check| !loaded.contains(&check.as_str())) {
                findings.push(bad(
                    "components",
                    format!("the permission check {check} of {name} isn't loaded, so nobody may use it"),
                    Some(format!("put {check}.wasm into policies/, or name another check")),
                ));
            }
        }
    }

    /// A rule for a configuration that isn't there is a misspelt rule, most often.
    async fn look_at_conditions(&self, loaded: &[ComponentSummary], findings: &mut Vec<Finding>) {
        let there = self.home().configuration_names().unwrap_or_default();
        let set = self.set().await;
        for info in set.components() {
            let mut named = info.application.configurations();
            named.extend(info.settings_for.iter().cloned());
            for name in named.iter().filter(|name| !there.contains(name)) {
                findings.push(warning(
                    "components",
                    format!("{} has a rule for the execution configuration {name}, and there is none", info.name),
                    Some(format!("see `when`, `mode_for` and `settings_for` in {}.toml", info.name)),
                ));
            }
        }
        for component in loaded.iter().filter(|component| component.mode != Mode::Enforce) {
            let exceptions = if component.mode_for.is_empty() {
                String::new()
            } else {
                format!("; {}", component.mode_for.join("; "))
            };
            findings.push(ok(
                "components",
                format!("{} doesn't enforce: its mode is {}{exceptions}", component.name, component.mode.as_str()),
            ));
        }
    }

    async fn look_at_engines(&self, findings: &mut Vec<Finding>) {
        let advertised = self.home().load_site().is_ok_and(|site| site.exchange.advertise.is_some());
        // By the engine: all configurations, and those of each way between runner and host.
        let mut engines: BTreeMap<EngineAddress, Users> = BTreeMap::new();
        for (name, configuration) in self.home().load_configurations().unwrap_or_default() {
            let Ok(configuration) = configuration else { continue };
            let users = engines.entry(configuration.engine.address()).or_default();
            let exchange = &configuration.exchange;
            match exchange.mode {
                ExchangeMode::Attach => users.attach.push(name.clone()),
                // Those whose runners dial the engine's own idea of where this host is.
                ExchangeMode::DialBack if exchange.advertise.is_none() && !advertised => {
                    users.dial_back.push(name.clone());
                }
                ExchangeMode::DialBack => {}
            }
            users.all.push(name);
        }
        for (address, users) in engines {
            let what = format!("engine of {}", users.all.join(", "));
            let backend = match self.engines().backend(&address) {
                Ok(backend) => backend,
                Err(error) => {
                    findings.push(bad(&what, sentence_of(&error), None));
                    continue;
                }
            };
            match backend.info().await {
                Ok(info) => {
                    findings.push(ok(
                        &what,
                        format!(
                            "{} on {}: {} CPUs, {}, cgroup v{}",
                            info.version,
                            info.platform,
                            info.cpus,
                            describe_bytes(info.memory),
                            info.cgroup_version
                        ),
                    ));
                    if wharf_bundle::runner(&info.platform).is_none() {
                        findings.push(bad(
                            &what,
                            format!("this build of wharf carries no runner for {}", info.platform),
                            Some("build wharf on a machine of that platform".to_owned()),
                        ));
                    }
                }
                Err(error) => findings.push(bad(
                    &what,
                    sentence_of(&error),
                    Some(match address {
                        EngineAddress::Docker(_) => {
                            "start the daemon, or correct `host` in the configuration".to_owned()
                        }
                        EngineAddress::Kubernetes(_) => {
                            "correct `context` and `kubeconfig` in the configuration; `wharf cluster check` says more"
                                .to_owned()
                        }
                    }),
                )),
            }
            if let EngineAddress::Docker(daemon) = &address
                && daemon.is_unprotected()
            {
                findings.push(warning(
                    &what,
                    format!(
                        "{} is neither encrypted nor protected: whoever reaches that port owns the machine",
                        daemon.host
                    ),
                    Some("set `cert_path` and start the daemon with --tlsverify, or use ssh://".to_owned()),
                ));
            }
            if !users.attach.is_empty() {
                findings.push(ok(
                    "way in",
                    format!(
                        "this host reaches into containers of {} through the engine (mode `attach`); `wharf config test` proves it",
                        users.attach.join(", ")
                    ),
                ));
            }
            if users.dial_back.is_empty() {
                continue;
            }
            match backend.way_back("bridge").await {
                Ok(host) => findings.push(ok(
                    "way back",
                    format!(
                        "containers of {} reach this host at {host}:{} (mode `dial-back`); `wharf config test` proves it",
                        users.dial_back.join(", "),
                        self.exchange_port()
                    ),
                )),
                Err(error) => findings.push(warning(
                    "way back",
                    format!("{}: {}", users.dial_back.join(", "), sentence_of(&error)),
                    Some("set `advertise` under [exchange], or `mode = \"attach\"`".to_owned()),
                )),
            }
        }
    }

    async fn look_at_images(&self, findings: &mut Vec<Finding>) {
        let mut bootstraps = false;
        for base in self.bases().await.unwrap_or_default() {
            let what = format!("base image {}", base.name);
            bootstraps |= base.origin.as_deref().is_some_and(|origin| origin.starts_with("bootstrap"));
            match (base.fault, base.there) {
                (Some(fault), _) => findings.push(bad(&what, fault.to_string(), fault.hint)),
                (None, Some(true)) => findings.push(ok(&what, "it is built".to_owned())),
                (None, _) => findings.push(warning(
                    &what,
                    "it isn't built yet: the first run that needs it will wait".to_owned(),
                    Some(format!("wharf base build {}", base.name)),
                )),
            }
        }
        let program = "/usr/bin/mmdebstrap";
        let needs = bootstraps
            && self.home().base_image_names().unwrap_or_default().iter().any(|name| {
                self.home().load_base_image(name).is_ok_and(|spec| matches!(spec.origin, Origin::Bootstrap { .. }))
            });
        if needs && !Path::new(program).exists() {
            findings.push(warning(
                "bootstrap",
                "mmdebstrap isn't there, which base images with `[bootstrap]` are made with".to_owned(),
                Some("apt-get install mmdebstrap".to_owned()),
            ));
        }
    }

    /// A host that is in a container itself can't be reached at the daemon's gateway.
    fn look_at_place(&self, findings: &mut Vec<Finding>) {
        let place = if Path::new("/var/run/secrets/kubernetes.io/serviceaccount").exists() {
            Some("a pod")
        } else if Path::new("/.dockerenv").exists() || Path::new("/run/.containerenv").exists() {
            Some("a container")
        } else {
            None
        };
        let port = self.exchange_port();
        match place {
            None => findings.push(ok("place", format!("the host runs on the machine itself; the exchange listens on port {port}"))),
            Some(place) => findings.push(warning(
                "place",
                format!("the host runs in {place}: the gateway of a daemon's network leads to the machine, not to the host"),
                Some(format!(
                    "mode `dial-back` works when `[exchange] advertise` names an address of this {} that containers reach, and `listen` has a port that is published (now {port}); mode `attach` works without",
                    place.trim_start_matches("a ")
                )),
            )),
        }
    }
}

/// The configurations that use one daemon.
#[derive(Default)]
struct Users {
    all: Vec<String>,
    dial_back: Vec<String>,
    attach: Vec<String>,
}

pub(crate) fn ok(name: &str, text: String) -> Finding {
    Finding { name: name.to_owned(), state: FindingState::Ok, text, hint: None }
}

pub(crate) fn warning(name: &str, text: String, hint: Option<String>) -> Finding {
    Finding { name: name.to_owned(), state: FindingState::Warning, text, hint }
}

pub(crate) fn bad(name: &str, text: String, hint: Option<String>) -> Finding {
    Finding { name: name.to_owned(), state: FindingState::Bad, text, hint }
}
