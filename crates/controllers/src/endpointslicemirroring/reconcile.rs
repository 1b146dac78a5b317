//! Which slices to write.

use decapod_client::reference;
use k8s_openapi::api::core::v1::Endpoints;
use k8s_openapi::api::discovery::v1::{EndpointPort, EndpointSlice};

use super::slices::{self, ADDRESSES_MAX};
use crate::objects::Meta;
use crate::objects::status::same;
use crate::runtime::{Note, Plan, Write};

/// Marks Endpoints that are not to be mirrored.
const SKIP: &str = "endpointslice.kubernetes.io/skip-mirror";
/// Marks Endpoints that leaders are elected by.
const LEADER: &str = "control-plane.alpha.kubernetes.io/leader";

/// What is known of Endpoints.
#[derive(Clone, Debug)]
pub struct State {
    /// Themselves, if there is a Service of the same name without a selector.
    pub endpoints: Option<Endpoints>,
    /// The slices that mirror them.
    pub slices: Vec<EndpointSlice>,
}

pub(super) fn reconcile(state: &State) -> Plan {
    let mut plan = Plan::nothing();
    let Some(endpoints) = state.endpoints.as_ref().filter(|endpoints| is_mirrored(endpoints)) else {
        state.slices.iter().for_each(|slice| plan.write(delete(slice)));
        return plan;
    };
    let wanted = slices::wanted(endpoints);
    if wanted.invalid > 0 {
        let count = wanted.invalid;
        let message = format!("Skipped {count} invalid IP addresses when mirroring to EndpointSlices");
        plan.note(Note::warning(reference(endpoints), "InvalidIPAddress", message));
    }
    if wanted.skipped > wanted.invalid {
        let count = wanted.skipped;
        let message = format!(
            "A max of {ADDRESSES_MAX} addresses can be mirrored to EndpointSlices per Endpoints subset. {count} addresses were skipped"
        );
        plan.note(Note::warning(reference(endpoints), "TooManyAddressesToMirror", message));
    }
    let mut left = state.slices.clone();
    let mut missing = Vec::new();
    for wanted in wanted.slices {
        match left.iter().position(|slice| is_for(slice, &wanted)) {
            Some(at) => {
                let old = left.remove(at);
                if differs(&old, &wanted) {
                    plan.write(Write::update(&replaced(&old, wanted)));
                }
            }
            None => missing.push(wanted),
        }
    }
    for wanted in missing {
        // One that is not needed any more is as good as a new one.
        match left.iter().position(|slice| slice.address_type == wanted.address_type) {
            Some(at) => plan.write(Write::update(&replaced(&left.remove(at), wanted))),
            None if endpoints.metadata.deletion_timestamp.is_none() => plan.write(Write::create(&wanted)),
            None => {}
        }
    }
    left.iter().for_each(|slice| plan.write(delete(slice)));
    plan
}

fn is_mirrored(endpoints: &Endpoints) -> bool {
    let meta = Meta::from(&endpoints.metadata);
    meta.labels.get(SKIP).is_none_or(|skip| skip != "true") && !meta.annotations.contains_key(LEADER)
}

fn delete(slice: &EndpointSlice) -> Write {
    let meta = Meta::from(&slice.metadata);
    Write::delete::<EndpointSlice>(&meta.namespace, &meta.name, &meta.uid)
}

/// Whether `slice` is for the same ports and kind of address.
fn is_for(slice: &EndpointSlice, wanted: &EndpointSlice) -> bool {
    let ports = |slice: &EndpointSlice| {
        let mut ports: Vec<EndpointPort> = slice.ports.clone().unwrap_or_default();
        ports.sort_by(|a, b| (&a.name, a.port, &a.protocol).cmp(&(&b.name, b.port, &b.protocol)));
        ports
    };
    slice.address_type == wanted.address_type && same(&ports(slice), &ports(wanted))
}

fn differs(old: &EndpointSlice, wanted: &EndpointSlice) -> bool {
    let parts = |slice: &EndpointSlice| {
        let mut endpoints = slice.endpoints.clone().unwrap_or_default();
        endpoints.sort_by(|a, b| a.addresses.cmp(&b.addresses));
        let meta = &slice.metadata;
        let owner =
            meta.owner_references.as_ref().and_then(|owners| owners.first()).map(|owner| owner.uid.clone());
        (endpoints, meta.labels.clone(), meta.annotations.clone(), owner)
    };
    !same(&parts(old), &parts(wanted))
}

/// `old` with what `wanted` says.
fn replaced(old: &EndpointSlice, wanted: EndpointSlice) -> EndpointSlice {
    let mut metadata = wanted.metadata;
    metadata.generate_name = old.metadata.generate_name.clone();
    metadata.name = old.metadata.name.clone();
    metadata.resource_version = old.metadata.resource_version.clone();
    EndpointSlice { metadata, ..wanted }
}
