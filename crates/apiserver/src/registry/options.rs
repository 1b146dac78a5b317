//! A write's options as webhooks see them: objects of `meta.k8s.io/v1`.

use decapod_api::Value;
use decapod_client::Options;

/// The options of a create or a change, as `kind`.
pub(super) fn write(kind: &str, options: &Options) -> Value {
    let mut value = Value::map();
    if options.dry_run {
        value.set_at(&["dryRun"], vec![Value::from("All")]);
    }
    for (field, text) in
        [("fieldManager", &options.field_manager), ("fieldValidation", &options.field_validation)]
    {
        if !text.is_empty() {
            value.set_at(&[field], text.as_str());
        }
    }
    name(&mut value, kind);
    value
}

/// Says that `options` are of `kind`.
pub(super) fn name(options: &mut Value, kind: &str) {
    options.set_at(&["kind"], kind);
    options.set_at(&["apiVersion"], "meta.k8s.io/v1");
}
