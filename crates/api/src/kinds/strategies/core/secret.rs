//! Secret: data that few may read (k8s.io/kubernetes/pkg/registry/core/secret).

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::kinds::strategies::fill::fill;
use crate::kinds::strategy::Strategy;
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
}
