//! Where the built-in groups stand among others (upstream's `DefaultGenericAPIServicePriorities`, and those that
//! k8s.io/kubernetes/cmd/kube-apiserver adds).

use super::api_service::Priority;

/// Group, version, and their priorities; the group of APIServices itself is before all.
const BUILT_IN: [(&str, &str, i64, i64); 22] = [
    ("apiregistration.k8s.io", "v1", 20001, 0),
    ("", "v1", 18000, 1),
    ("apps", "v1", 17800, 15),
    ("events.k8s.io", "v1", 17750, 15),
    ("authentication.k8s.io", "v1", 17700, 15),
    ("authorization.k8s.io", "v1", 17600, 15),
    ("autoscaling", "v2", 17500, 30),
    ("autoscaling", "v1", 17500, 15),
    ("batch", "v1", 17400, 15),
    ("certificates.k8s.io", "v1", 17300, 15),
    ("networking.k8s.io", "v1", 17200, 15),
    ("policy", "v1", 17100, 15),
    ("rbac.authorization.k8s.io", "v1", 17000, 15),
    ("storage.k8s.io", "v1", 16800, 15),
    ("admissionregistration.k8s.io", "v1", 16700, 15),
    ("apiextensions.k8s.io", "v1", 16700, 15),
    ("scheduling.k8s.io", "v1", 16600, 15),
    ("coordination.k8s.io", "v1", 16500, 15),
    ("node.k8s.io", "v1", 16300, 15),
    ("discovery.k8s.io", "v1", 16200, 15),
    ("resource.k8s.io", "v1", 16200, 21),
    ("flowcontrol.apiserver.k8s.io", "v1", 16100, 21),
];

/// The group of APIServices, which has none itself.
pub const OWN: &str = "apiregistration.k8s.io";

/// What custom resources have (upstream's pkg/controlplane/controller/crdregistration).
pub const CUSTOM: Priority = Priority { group: 1000, version: 100 };

/// Where a built-in group and version stand.
pub fn built_in(group: &str, version: &str) -> Option<Priority> {
    let found = BUILT_IN.iter().find(|row| (row.0, row.1) == (group, version));
    found.map(|&(_, _, group, version)| Priority { group, version })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_built_in_group_has_its_place_and_rows_are_in_that_order() {
        let rows = decapod_api::kinds::BUILT_IN.iter().filter(|row| !row.group.is_empty());
        let mut last = i64::MAX;
        for row in rows {
            for version in &row.versions {
                let priority = built_in(&row.group, &version.name);
                let priority = priority.unwrap_or_else(|| panic!("{}/{}", row.group, version.name));
                assert!(priority.group <= last, "{}", row.group);
                last = priority.group;
            }
        }
    }
}
