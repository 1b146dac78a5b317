//! Whether a namespace's copy is as it should be.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::ConfigMap;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use crate::runtime::{Plan, Write};

/// The name of the ConfigMap.
pub(super) const NAME: &str = "kube-root-ca.crt";
const KEY: &str = "ca.crt";
const DESCRIPTION: &str = "kubernetes.io/description";
const DESCRIPTION_TEXT: &str = "Holds the certificates by which the API server is verified, as seen from inside the \
     cluster through its Service. Other hosts need not present certificates signed by them.";

/// What is known of an active namespace.
#[derive(Clone, Debug)]
pub struct State {
    /// Its copy.
    pub map: Option<ConfigMap>,
}

pub(super) fn reconcile(namespace: &str, state: &State, root_ca_pem: &str) -> Plan {
    let mut plan = Plan::nothing();
    let data = BTreeMap::from([(KEY.to_owned(), root_ca_pem.to_owned())]);
    let mut map = state.map.clone().unwrap_or_default();
    let described =
        map.metadata.annotations.as_ref().is_some_and(|annotations| annotations.contains_key(DESCRIPTION));
    if described && map.data.as_ref() == Some(&data) {
        return plan;
    }
    let annotations = map.metadata.annotations.get_or_insert_default();
    annotations.insert(DESCRIPTION.to_owned(), DESCRIPTION_TEXT.to_owned());
    map.data = Some(data);
    if state.map.is_some() {
        plan.write(Write::update(&map));
    } else {
        let (name, namespace) = (Some(NAME.to_owned()), Some(namespace.to_owned()));
        map.metadata = ObjectMeta { name, namespace, ..map.metadata };
        plan.write(Write::create(&map).tolerating(&["AlreadyExists", "NotFound"]));
    }
    plan
}
