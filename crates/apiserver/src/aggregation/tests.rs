//! What is said of a service, and what the server registers of itself.

use decapod_api::value;

use super::api_service::{ApiService, Reference};
use super::availability::of_service;
use super::registered::{Known, Registered};
use super::remote::Remote;

fn reference() -> Reference {
    Reference {
        namespace: "n".to_owned(),
        name: "s".to_owned(),
        port: 443,
        ca_bundle: vec![],
        is_insecure: true,
    }
}

#[test]
fn a_service_has_to_lead_somewhere() {
    let service = |port| value!({"spec": {"type": "ClusterIP", "ports": [{"name": "https", "port": port}]}});
    let slice = |ready: bool, port| {
        value!({"endpoints": [{"addresses": ["10.0.0.1"], "conditions": {"ready": ready}}],
            "ports": [{"name": port, "port": 8443}]})
    };
    let named = value!({"spec": {"type": "ExternalName", "externalName": "x"}});
    for (service, slices, wanted) in [
        (None, vec![], "ServiceNotFound: service/s in \"n\" is not present"),
        (Some(service(80)), vec![], "ServicePortError: service/s in \"n\" is not listening on port 443"),
        (Some(service(443)), vec![], "EndpointsNotFound: cannot find endpointslices for service/s in \"n\""),
        (
            Some(service(443)),
            vec![slice(false, "https"), slice(true, "http")],
            "MissingEndpoints: endpointslices for service/s in \"n\" have no addresses with port name \"https\"",
        ),
        (Some(service(443)), vec![slice(false, "https"), slice(true, "https")], ""),
        (Some(named), vec![], ""),
    ] {
        let said = of_service(&reference(), service.as_ref(), &slices);
        let said = said.map(|said| format!("{}: {}", said.reason, said.message)).unwrap_or_default();
        assert_eq!(said, wanted);
    }
}

#[test]
fn a_path_belongs_to_who_registered_its_group_and_version() {
    let identity = crate::pki::Pki::simulated(&decapod_sys::Env::simulated(1)).expect("keys");
    let identity =
        identity.front_proxy_identity(&super::FRONT_PROXY, jiff::Timestamp::UNIX_EPOCH).expect("identity");
    let mut known = Known::default();
    for (name, group, is_remote) in [("v1.ducks", "ducks", true), ("v1.apps", "apps", false)] {
        let object = value!({"metadata": {"name": name}, "spec": {"group": group, "version": "v1"}});
        let remote = is_remote.then(|| Remote::new(reference(), &identity).into());
        known.put(Registered { service: ApiService::read(&object), remote }.into());
    }
    for (path, wanted) in [
        ("/apis/ducks/v1", Some("v1.ducks")),
        ("/apis/ducks/v1/namespaces/a/ducks//x", Some("v1.ducks")),
        ("/apis/duck%73%2Fv1/ducks", Some("v1.ducks")),
        ("/apis/ducks/v2", None),
        ("/apis/ducks", None),
        ("/apis/apps/v1/deployments", None),
        ("/api/v1/pods", None),
        ("/openapi/v3/apis/ducks/v1", None),
        ("/", None),
    ] {
        let found = known.serving(path).map(|(registered, _)| registered.service.name.as_str());
        assert_eq!(found, wanted, "{path}");
    }
}
