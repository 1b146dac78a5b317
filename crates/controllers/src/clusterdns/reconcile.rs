//! The slice that there has to be.

use std::net::Ipv4Addr;

use decapod_client::PatchType;
use k8s_openapi::api::core::v1::Node;
use k8s_openapi::api::discovery::v1::{
    Endpoint, EndpointConditions, EndpointHints, EndpointPort, EndpointSlice, ForNode,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use serde_json::json;

use super::{LABEL, NAME, NAMESPACE};
use crate::runtime::{Plan, Write};

/// What is known.
#[derive(Clone, Debug)]
pub struct State {
    /// All nodes.
    pub nodes: Vec<Node>,
    /// The slice that is there.
    pub slice: Option<EndpointSlice>,
}

pub(super) fn reconcile(state: &State) -> Plan {
    let mut endpoints: Vec<Endpoint> = state.nodes.iter().filter_map(endpoint).collect();
    endpoints.sort_by(|a, b| a.node_name.cmp(&b.node_name));
    let write = match &state.slice {
        None if endpoints.is_empty() => return Plan::nothing(),
        None => Write::create(&slice(endpoints)).tolerating(&["AlreadyExists"]),
        Some(there) if there.endpoints.as_ref() == Some(&endpoints) => return Plan::nothing(),
        Some(_) => {
            let patch = json!({"endpoints": endpoints});
            let resource = <EndpointSlice as decapod_client::Kind>::resource();
            Write::patch_resource(resource, NAMESPACE, NAME, "", PatchType::Merge, &patch)
        }
    };
    Plan::of(vec![write.into()])
}

fn endpoint(node: &Node) -> Option<Endpoint> {
    let name = node.metadata.name.clone()?;
    if node.metadata.labels.as_ref()?.get(LABEL)? != "true" {
        return None;
    }
    let cidr = node.spec.as_ref()?.pod_cidr.as_ref()?;
    let network: Ipv4Addr = cidr.split('/').next()?.parse().ok()?;
    let address = Ipv4Addr::from(u32::from(network) + 1);
    let conditions = node.status.as_ref().and_then(|status| status.conditions.as_ref());
    let is_ready =
        conditions.is_some_and(|all| all.iter().any(|one| one.type_ == "Ready" && one.status == "True"));
    Some(Endpoint {
        addresses: vec![address.to_string()],
        conditions: Some(EndpointConditions { ready: Some(is_ready), ..EndpointConditions::default() }),
        hints: Some(EndpointHints {
            for_nodes: Some(vec![ForNode { name: name.clone() }]),
            ..EndpointHints::default()
        }),
        node_name: Some(name),
        ..Endpoint::default()
    })
}

fn slice(endpoints: Vec<Endpoint>) -> EndpointSlice {
    let port = |name: &str, protocol: &str| EndpointPort {
        name: Some(name.to_owned()),
        port: Some(53),
        protocol: Some(protocol.to_owned()),
        ..EndpointPort::default()
    };
    let labels = [
        ("kubernetes.io/service-name", NAME),
        ("endpointslice.kubernetes.io/managed-by", "cluster-dns-controller.decapod.io"),
    ];
    EndpointSlice {
        metadata: ObjectMeta {
            name: Some(NAME.to_owned()),
            namespace: Some(NAMESPACE.to_owned()),
            labels: Some(labels.into_iter().map(|(key, value)| (key.to_owned(), value.to_owned())).collect()),
            ..ObjectMeta::default()
        },
        address_type: "IPv4".to_owned(),
        endpoints: Some(endpoints),
        ports: Some(vec![port("dns", "UDP"), port("dns-tcp", "TCP")]),
    }
}
