//! The network policy of pods that may reach the exchange alone.

use std::net::IpAddr;

use k8s_openapi::api::networking::v1::{
    IPBlock, NetworkPolicy, NetworkPolicyEgressRule, NetworkPolicyPeer, NetworkPolicyPort, NetworkPolicySpec,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, ObjectMeta};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use wharf_model::LABEL_HOST;
use wharf_model::kubernetes::NetworkRule;
use wharf_model::launch::LaunchSpec;
use wharf_model::protocol::{ATTACH, ATTACH_BY_PORT, variables};

use crate::names;
use crate::object::place;

/// The label by which a network policy knows its pods.
pub const LABEL_NETWORK: &str = "wharf.network";

/// Where the exchange is, as a pod sees it.
enum Exchange {
    /// Nowhere: the host comes to the pod, through its node.
    Inside,
    /// At an address.
    At(IpAddr, u16),
}

/// The value of [`LABEL_NETWORK`] on a pod; none on one that a network policy isn't for.
pub(crate) fn label(spec: &LaunchSpec) -> Result<Option<String>, String> {
    Ok(match place(spec)?.pod.network_policy {
        NetworkRule::Open => None,
        NetworkRule::ExchangeOnly => Some(names::short_hash(&[&spec.host, address(spec)])),
    })
}

fn address(spec: &LaunchSpec) -> &str {
    let text = spec.env.get(variables::EXCHANGE).map(String::as_str).unwrap_or_default();
    // All of them are the same to a network policy.
    if text.starts_with(ATTACH) || text.starts_with(ATTACH_BY_PORT) { ATTACH } else { text }
}

fn exchange(address: &str) -> Result<Exchange, String> {
    if address == ATTACH {
        return Ok(Exchange::Inside);
    }
    let read = || {
        let (host, port) = address.rsplit_once(':')?;
        Some((host.trim_start_matches('[').trim_end_matches(']').parse().ok()?, port.parse().ok()?))
    };
    read().map(|(host, port)| Exchange::At(host, port)).ok_or_else(|| {
        format!(
            "the exchange is at \"{address}\", and a network policy takes addresses, not names: say `advertise` in [exchange] \
             with an IP address, or leave `network_policy` out"
        )
    })
}

/// The network policy that a specification needs; none where it says of none.
///
/// It is one for all pods of a home and a namespace that reach the exchange at the same address, so it is applied and not
/// created, before the first of them.
///
/// # Errors
/// One sentence: the exchange's address is a name.
pub fn policy(spec: &LaunchSpec) -> Result<Option<NetworkPolicy>, String> {
    let Some(label) = label(spec)? else { return Ok(None) };
    let egress = match exchange(address(spec))? {
        Exchange::Inside => Vec::new(),
        Exchange::At(host, port) => {
            let bits = if host.is_ipv4() { 32 } else { 128 };
            vec![NetworkPolicyEgressRule {
                to: Some(vec![NetworkPolicyPeer {
                    ip_block: Some(IPBlock { cidr: format!("{host}/{bits}"), except: None }),
                    ..NetworkPolicyPeer::default()
                }]),
                ports: Some(vec![NetworkPolicyPort {
                    port: Some(IntOrString::Int(i32::from(port))),
                    protocol: Some("TCP".to_owned()),
                    ..NetworkPolicyPort::default()
                }]),
            }]
        }
    };
    let labels = [(LABEL_HOST.to_owned(), spec.host.clone()), (LABEL_NETWORK.to_owned(), label.clone())];
    Ok(Some(NetworkPolicy {
        metadata: ObjectMeta {
            name: Some(format!("wharf-exchange-only-{label}")),
            namespace: Some(place(spec)?.namespace.clone()),
            labels: Some([(LABEL_HOST.to_owned(), spec.host.clone())].into()),
            ..ObjectMeta::default()
        },
        spec: Some(NetworkPolicySpec {
            pod_selector: Some(LabelSelector { match_labels: Some(labels.into()), ..LabelSelector::default() }),
            policy_types: Some(vec!["Ingress".to_owned(), "Egress".to_owned()]),
            ingress: Some(Vec::new()),
            egress: Some(egress),
        }),
    }))
}
