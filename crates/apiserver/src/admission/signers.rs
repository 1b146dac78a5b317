//! CertificateApproval, CertificateSigning and ClusterTrustBundleAttest: who speaks for a signer may do so
//! (k8s.io/kubernetes/plugin/pkg/admission/certificates and pkg/certauthorization).

use std::sync::Arc;

use decapod_api::{Status, Value};

use super::{Attributes, Operation, Plugin};
use crate::authz::{Authorizer, Decision, Question, What};
use crate::registry::Lookup;

/// One of the three.
pub struct Signers {
    act: &'static Act,
    authorizer: Arc<dyn Authorizer>,
}

/// Something that is done in a signer's name.
pub struct Act {
    name: &'static str,
    plural: &'static str,
    subresource: &'static str,
    /// What its right is called, on `signers` of that name.
    verb: &'static str,
    refusal: &'static str,
    /// Whether a request does it, by the object before (null if there is none) and after.
    done: fn(&Value, &Value) -> bool,
}

const GROUP: &str = "certificates.k8s.io";

/// A request is approved or denied.
pub const APPROVAL: Act = Act {
    name: "CertificateApproval",
    plural: "certificatesigningrequests",
    subresource: "approval",
    verb: "approve",
    refusal: "user not permitted to approve requests with signerName",
    done: |old, _| !old.is_null(),
};

/// A certificate is issued, or that fails.
pub const SIGNING: Act = Act {
    name: "CertificateSigning",
    plural: "certificatesigningrequests",
    subresource: "status",
    verb: "sign",
    refusal: "user not permitted to sign requests with signerName",
    done: |old, new| {
        let certificate = |object: &Value| object.str_at(&["status", "certificate"]).map(str::to_owned);
        let conditions = |object: &Value| object.list_at(&["status", "conditions"]).to_vec();
        !old.is_null() && (certificate(old) != certificate(new) || conditions(old) != conditions(new))
    },
};

/// Certificates are vouched for.
pub const ATTEST: Act = Act {
    name: "ClusterTrustBundleAttest",
    plural: "clustertrustbundles",
    subresource: "",
    verb: "attest",
    refusal: "user not permitted to attest for signerName",
    done: |old, new| old.is_null() || without_keeping(old) != without_keeping(new),
};

// === impl Signers ===

impl Signers {
    /// The plugin that guards `act`.
    pub fn new(act: &'static Act, authorizer: Arc<dyn Authorizer>) -> Signers {
        Signers { act, authorizer }
    }

    /// Whether the user speaks for `signer`, or for all signers of its domain.
    fn may(&self, attributes: &Attributes, lookup: &dyn Lookup, signer: &str) -> bool {
        let domain = signer.split('/').next().unwrap_or_default();
        [signer, &format!("{domain}/*")].iter().any(|name| {
            let what = What::Resource {
                verb: self.act.verb,
                group: GROUP,
                resource: "signers",
                subresource: "",
                namespace: "",
                name,
            };
            let question = Question { user: attributes.user, what };
            matches!(self.authorizer.authorize(&question, lookup), Decision::Allow(_))
        })
    }
}

impl Plugin for Signers {
    fn name(&self) -> &'static str {
        self.act.name
    }

    fn handles(&self, attributes: &Attributes) -> bool {
        matches!(attributes.operation, Operation::Create | Operation::Update)
            && attributes.is(GROUP, self.act.plural)
            && attributes.subresource == self.act.subresource
    }

    fn validate(&self, attributes: &Attributes, lookup: &dyn Lookup) -> Result<(), Status> {
        let old = attributes.old.unwrap_or(&Value::Null);
        if !(self.act.done)(old, &attributes.object) {
            return Ok(());
        }
        // What the object is about does not change by this; the old one is what it was made for.
        let named = if old.is_null() { &attributes.object } else { old };
        let signer = named.str_at(&["spec", "signerName"]).unwrap_or_default();
        let needs_none = signer.is_empty() && self.act.subresource.is_empty();
        if needs_none || self.may(attributes, lookup, signer) {
            return Ok(());
        }
        Err(attributes.forbid(&format!("{} {signer:?}", self.act.refusal)))
    }
}

/// The object without what the garbage collector and storage migration change.
fn without_keeping(object: &Value) -> Value {
    let mut object = object.clone();
    for field in ["ownerReferences", "finalizers", "managedFields", "resourceVersion"] {
        object.remove_at(&["metadata", field]);
    }
    object
}
