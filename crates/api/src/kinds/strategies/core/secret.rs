//! Secret: data that few may read (k8s.io/kubernetes/pkg/registry/core/secret).

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::config_map::{decoded, frozen, secret_data};
use crate::Cause;
use crate::codec;
use crate::kinds::strategies::fill::fill;
use crate::kinds::strategies::rules::{Causes, Place};
use crate::kinds::strategy::{Strategy, Verb};
use crate::value::Value;

/// Secret: data that few may read.
pub struct Secret;

impl Strategy for Secret {
    /// `stringData` is how a client may write `data`; it is never kept (upstream's conversion of `Secret`).
    fn default(&self, draft: &mut Value) {
        fill(draft, "type", "Opaque");
        if let Some(Value::Map(texts)) = draft.remove_at(&["stringData"]) {
            for (key, text) in texts {
                let text = text.as_str().unwrap_or_default();
                draft.set_at(&["data", &key], STANDARD.encode(text));
            }
        }
    }

    fn validate(&self, new: &Value, old: Option<&Value>, _verb: Verb) -> Vec<Cause> {
        let (secret, mut out) = (Place::root(new), Vec::new());
        if let Some(old) = old {
            secret.field("type").immutable(old.get("type"), &mut out);
            frozen(&secret, old, &["data"], &mut out);
        }
        let data = secret.field("data");
        secret_data(&data, &mut out);
        let mut need = |keys: &[&str]| {
            out.extend(
                keys.iter().filter(|key| !data.key(key).is_set()).map(|key| data.key(key).required("")),
            );
        };
        match secret.field("type").text() {
            "kubernetes.io/service-account-token" => {
                let metadata = secret.field("metadata");
                let annotations = metadata.field("annotations");
                let account = annotations.key("kubernetes.io/service-account.name");
                if account.text().is_empty() {
                    out.push(account.required(""));
                }
            }
            "kubernetes.io/dockercfg" => json(&data.key(".dockercfg"), &mut out),
            "kubernetes.io/dockerconfigjson" => json(&data.key(".dockerconfigjson"), &mut out),
            "kubernetes.io/basic-auth"
                if !["username", "password"].iter().any(|key| data.key(key).is_set()) =>
            {
                need(&["username", "password"]);
            }
            "kubernetes.io/ssh-auth" => need(&["ssh-privatekey"]),
            "kubernetes.io/tls" => need(&["tls.crt", "tls.key"]),
            _ => {}
        }
        out
    }
}

fn json(value: &Place, out: &mut Causes) {
    if !value.is_set() {
        return out.push(value.required(""));
    }
    let text = decoded(value);
    if let Err(error) = codec::json::check(&String::from_utf8_lossy(&text)) {
        return out.push(value.invalid_as("<secret contents redacted>", &error.to_string()));
    }
    let parsed = serde_json::from_slice::<serde_json::Map<String, serde_json::Value>>(&text);
    if let Err(error) = parsed {
        out.push(value.invalid_as("<secret contents redacted>", &error.to_string()));
    }
}
