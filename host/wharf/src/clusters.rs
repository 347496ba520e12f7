//! What a cluster lets this home do, and the rights that it needs there.

use std::sync::Arc;

use wharf_images::Progress;
use wharf_kubernetes::names;
use wharf_kubernetes::role::{self, RoleRequest};
use wharf_kubernetes::{Checked, Probe};
use wharf_model::configuration::ExchangeMode;
use wharf_model::kubernetes::{KubernetesPlace, KubernetesSettings};
use wharf_model::protocol::RUNNER;
use wharf_model::{ExecutionConfiguration, Fault, LaunchSpec};

use crate::conclude::sentence_of;
use crate::host::Inner;
use crate::message::{Finding, FindingState};
use crate::settings::Site;

/// In whose name a namespace that depends on the run is looked at.
const CHECKER: &str = "wharf-check";
/// Seconds that the pod of a check gets to end.
const GRACE: u32 = 5;

/// The manifests that give a service account the rights that a configuration needs: for `kubectl apply -f -`.
///
/// Without a namespace for the account, it is that of the runs, or `wharf` where that depends on the run.
///
/// # Errors
/// The configuration isn't for Kubernetes.
pub fn cluster_role(
    configuration: &ExecutionConfiguration,
    account: &str,
    account_namespace: Option<&str>,
) -> Result<String, Fault> {
    let settings = settings_of(configuration)?;
    Ok(role::role(&request(configuration, settings, account, account_namespace)))
}

fn settings_of(configuration: &ExecutionConfiguration) -> Result<&KubernetesSettings, Fault> {
    configuration.engine.kubernetes().ok_or_else(|| {
        Fault::new("usage", format!("the execution configuration {} isn't for Kubernetes", configuration.name))
            .hint("name one of type = \"kubernetes\": `wharf config list`")
    })
}

fn request<'a>(
    configuration: &ExecutionConfiguration,
    settings: &'a KubernetesSettings,
    account: &'a str,
    account_namespace: Option<&'a str>,
) -> RoleRequest<'a> {
    let usual = if names::has_variables(&settings.namespace) { "wharf" } else { &settings.namespace };
    RoleRequest {
        account,
        account_namespace: account_namespace.unwrap_or(usual),
        namespace: &settings.namespace,
        pod: &settings.pod,
        attach: configuration.exchange.mode == ExchangeMode::Attach,
    }
}

impl Inner {
    /// Checks what a configuration needs of its cluster; with `pod`, from inside of a pod, too.
    pub(crate) async fn check_cluster(&self, name: &str, pod: bool) -> Result<Vec<Finding>, Fault> {
        let configuration = self.home().load_configuration(name)?;
        let settings = settings_of(&configuration)?;
        let site = self.home().load_site()?;
        let namespace = names::namespace(&settings.namespace, CHECKER, Some(CHECKER))
            .map_err(|problem| Fault::new("config-invalid", problem))?;
        let backend = self.engines().cluster(&settings.cluster);
        let mut findings = Vec::new();
        let mut probe = None;
        if pod && configuration.exchange.mode == ExchangeMode::Attach {
            findings.push(Finding {
                name: "a pod".to_owned(),
                state: FindingState::Ok,
                text: format!(
                    "not tried: this host comes to pods (mode `attach`); `wharf config test {name}` runs one"
                ),
                hint: None,
            });
        } else if pod {
            match self.probe(&configuration, settings, &site, &namespace).await {
                Ok(made) => probe = Some(made),
                Err(fault) => findings.push(Finding {
                    name: "a pod".to_owned(),
                    state: FindingState::Bad,
                    text: fault.to_string(),
                    hint: fault.hint,
                }),
            }
        }
        let request = request(&configuration, settings, "wharf", None);
        let checked = backend.check(&request, &namespace, probe.as_ref()).await;
        findings.splice(0..0, checked.into_iter().map(finding));
        Ok(findings)
    }

    /// A pod of the configuration that reaches for this host.
    async fn probe(
        &self,
        configuration: &ExecutionConfiguration,
        settings: &KubernetesSettings,
        site: &Site,
        namespace: &str,
    ) -> Result<Probe, Fault> {
        let engine = self
            .engines()
            .docker(&settings.builder)
            .map_err(|error| Fault::new("engine-unreachable", sentence_of(&error)))?;
        let plan = self.plan_of(&configuration.base_image, None).await?;
        let progress: Progress = Arc::new(|text| tracing::debug!(text, "an image for a check"));
        let registry = configuration.registry.as_deref();
        let image = self
            .supply(&engine, &settings.builder, registry, &plan, &progress)
            .await
            .map_err(|error| Fault::new("image-missing", sentence_of(&error)))?;
        let image = image.digest.ok_or_else(|| {
            Fault::new("registry-unusable", format!("{} isn't in its registry", image.tag))
                .hint("see whether the registry answers and lets this host push: `wharf base build`")
        })?;
        let address = self.advertised(site, configuration).ok_or_else(|| {
            Fault::new("exchange-unavailable", "pods have no address of this host")
                .hint("set `advertise` under [exchange] to one that they reach, or `mode = \"attach\"`")
        })?;
        let resources = wharf_kubernetes::resources::in_kubernetes_words(&configuration.resources)
            .map_err(|problem| Fault::new("config-invalid", problem))?;
        let spec = LaunchSpec {
            host: self.id().to_owned(),
            run: uuid::Uuid::new_v4().simple().to_string(),
            attempt: 1,
            image,
            argv: [RUNNER, "reach", &address].map(str::to_owned).to_vec(),
            env: [].into(),
            secret_env: [].into(),
            resources,
            security: configuration.security.clone(),
            labels: configuration.labels.clone(),
            runtime: None,
            grace_seconds: GRACE,
            deadline_seconds: Some(600),
            kubernetes: Some(Box::new(KubernetesPlace {
                cluster: settings.cluster.clone(),
                namespace: namespace.to_owned(),
                pod: settings.pod.clone(),
                template: settings.pod_template.clone(),
            })),
        };
        Ok(Probe { spec, address })
    }
}

fn finding(checked: Checked) -> Finding {
    let state = if checked.ok { FindingState::Ok } else { FindingState::Bad };
    Finding { name: checked.what, state, text: checked.said, hint: checked.advice }
}
