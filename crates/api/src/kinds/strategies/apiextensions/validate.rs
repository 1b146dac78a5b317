//! Faults of CustomResourceDefinitions, besides those of their schemas
//! (k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/validation).

use super::names::{self, label};
use super::schema as schemas;
use crate::kinds::strategies::admissionregistration::client;
use crate::kinds::strategies::rules::{Causes, Place, Seen, before};
use crate::value::Value;

const SELECTABLE_MAX: usize = 8;
const COLUMN_TYPES: [&str; 5] = ["boolean", "date", "integer", "number", "string"];
const COLUMN_FORMATS: [&str; 8] =
    ["byte", "date", "date-time", "double", "float", "int32", "int64", "password"];
const NEEDED_NAMES: [&str; 4] = ["plural", "singular", "kind", "listKind"];
const APPROVED: &str = "api-approved.kubernetes.io";

/// A definition, new or changed.
pub fn check(definition: &Place, old: Option<&Value>, out: &mut Causes) {
    let spec = definition.field("spec");
    own_name(definition, &spec, out);
    group(&spec.field("group"), out);
    spec.field("scope").need_one_of(&["Cluster", "Namespaced"], out);
    let versions = spec.field("versions");
    versions_of(&spec, &versions, out);
    let wanted = spec.field("names");
    for name in NEEDED_NAMES {
        wanted.field(name).need(out);
    }
    names::check(&wanted, out);
    conversion(&spec.field("conversion"), out);
    let preserves = spec.field("preserveUnknownFields");
    let did = before(old, &["spec", "preserveUnknownFields"]) == Some(&Value::Bool(true));
    let converts = spec.field("conversion");
    let strategy = converts.field("strategy");
    if preserves.is_true()
        && versions.items().any(|version| has_default(version.field("schema").field("openAPIV3Schema").value))
    {
        out.push(preserves.invalid("must be false in order to use defaults in the schema"));
    }
    if preserves.is_true() && strategy.text() == "Webhook" {
        out.push(strategy.invalid("must be None if spec.preserveUnknownFields is true"));
    }
    if preserves.is_true() && !did {
        out.push(preserves.invalid(
            "cannot set to true, set x-kubernetes-preserve-unknown-fields to true in spec.versions[*].schema instead",
        ));
    }
    let status = definition.field("status");
    names::check(&status.field("acceptedNames"), out);
    stored(&status.field("storedVersions"), &versions, out);
    approval(definition, &spec, old, out);
    if let Some(old) = old {
        unchanged(&spec, old, out);
    }
}

/// Whether a schema fills in anything.
fn has_default(schema: &Value) -> bool {
    let below = |field: &str| schema.get(field).is_some_and(has_default);
    let properties = schema.get("properties").and_then(Value::as_map).into_iter().flat_map(|map| map.iter());
    schema.get("default").is_some_and(|default| !default.is_null())
        || below("items")
        || below("additionalProperties")
        || properties.map(|(_, of)| of).any(has_default)
}

/// The status of a definition.
pub fn status(definition: &Place, out: &mut Causes) {
    let status = definition.field("status");
    names::check(&status.field("acceptedNames"), out);
}

fn own_name(definition: &Place, spec: &Place, out: &mut Causes) {
    let metadata = definition.field("metadata");
    let name = metadata.field("name");
    let text = |path: &[&str]| spec.value.str_at(path).unwrap_or_default();
    if name.text() != format!("{}.{}", text(&["names", "plural"]), text(&["group"])) {
        out.push(name.invalid_as(name.text(), "must be spec.names.plural+\".\"+spec.group"));
    }
}

fn group(group: &Place, out: &mut Causes) {
    if !group.need(out) {
        return;
    }
    let reasons = crate::names::subdomain(group.text());
    if !reasons.is_empty() {
        out.push(group.invalid(&reasons.join(",")));
    } else if !group.text().contains('.') {
        out.push(group.invalid("should be a domain with at least one dot"));
    }
}

/// What all versions have in common is said of the whole.
fn versions_of(spec: &Place, versions: &Place, out: &mut Causes) {
    let mut seen = Seen::default();
    let mut is_unique = true;
    for (at, version) in versions.items().enumerate() {
        version.field("name").check(label, out);
        is_unique &= !seen.again(version.value.str_at(&["name"]).unwrap_or_default());
        deprecation(&version, out);
        let schema = version.field("schema").field("openAPIV3Schema").value;
        if schema.is_null() {
            out.push(version.field("schema").field("openAPIV3Schema").required(""));
        }
        let is_common = |field: &str| {
            let first = versions.list().first().and_then(|first| first.get(field));
            versions.list().iter().all(|other| other.get(field) == first)
        };
        let mut parts =
            |field: &'static str, check: &mut dyn FnMut(&Place, &mut Causes)| match is_common(field) {
                false => check(&version.field(field), out),
                true if at == 0 => {
                    let name = if field == "schema" { "validation" } else { field };
                    let mut place = spec.field(name);
                    place.value = version.field(field).value;
                    check(&place, out);
                }
                true => {}
            };
        let has_status = version.field("subresources").field("status").is_set();
        parts("schema", &mut |holder, out| {
            let of = holder.field("openAPIV3Schema");
            if of.is_set() {
                schemas::check(&of, has_status, out);
            }
        });
        parts("subresources", &mut subresources);
        parts("additionalPrinterColumns", &mut |columns, out| {
            columns.items().for_each(|column| printed(&column, out));
        });
        let is_elsewhere = is_common("schema") && !is_common("selectableFields");
        parts("selectableFields", &mut |fields, out| match is_elsewhere && !fields.is_empty() {
            true => out.push(
                fields
                    .invalid_as("", "may only be set when `version.schema.openAPIV3Schema` is not included"),
            ),
            false => selectable(fields, schema, out),
        });
    }
    if let [only] = versions.list() {
        let mut name = spec.field("version");
        let text = only.get("name").cloned().unwrap_or_default();
        name.value = &text;
        name.check_if_set(label, out);
    }
    if !is_unique {
        out.push(versions.invalid("must contain unique version names"));
    }
    let stored = versions.items().filter(|version| version.field("storage").is_true()).count();
    if stored != 1 {
        out.push(versions.invalid("must have exactly one version marked as storage version"));
    }
}

fn deprecation(version: &Place, out: &mut Causes) {
    let warning = version.field("deprecationWarning");
    if !warning.is_set() {
        return;
    }
    let text = warning.text();
    let mut refuse = |bad: bool, detail: &str| {
        if bad {
            out.push(warning.invalid(detail));
        }
    };
    if !version.field("deprecated").is_true() {
        return refuse(true, "can only be set for deprecated versions");
    }
    refuse(text.len() > 256, "must be <= 256 characters long");
    refuse(text.is_empty(), "must not be an empty string");
    if let Some((at, _)) = text.char_indices().find(|(_, c)| c.is_control()) {
        let detail = format!(
            "must only contain printable UTF-8 characters; non-printable character found at index {at}"
        );
        refuse(true, &detail);
    }
}

fn subresources(subresources: &Place, out: &mut Causes) {
    let scale = subresources.field("scale");
    if !scale.is_set() {
        return;
    }
    for (field, needed, roots, detail) in [
        ("specReplicasPath", true, &[".spec."][..], "should be a json path under .spec"),
        ("statusReplicasPath", true, &[".status."][..], "should be a json path under .status"),
        (
            "labelSelectorPath",
            false,
            &[".spec.", ".status."][..],
            "should be a json path under either .spec or .status",
        ),
    ] {
        let path = scale.field(field);
        let text = path.text();
        if text.is_empty() {
            if needed {
                out.push(path.required(""));
            }
        } else if !text.starts_with('.') {
            out.push(path.invalid("must be a simple json path starting with ."));
        } else if !roots.iter().any(|root| text.starts_with(root)) {
            out.push(path.invalid(detail));
        }
    }
}

fn printed(column: &Place, out: &mut Causes) {
    column.field("name").need(out);
    let (kind, format) = (column.field("type"), column.field("format"));
    let one_of = |allowed: &[&str]| format!("must be one of {}", allowed.join(","));
    if kind.text().is_empty() {
        out.push(kind.required(&one_of(&COLUMN_TYPES)));
    } else if !COLUMN_TYPES.contains(&kind.text()) {
        out.push(kind.invalid(&one_of(&COLUMN_TYPES)));
    }
    if !format.text().is_empty() && !COLUMN_FORMATS.contains(&format.text()) {
        out.push(format.invalid(&one_of(&COLUMN_FORMATS)));
    }
    let mut path = column.field("JSONPath");
    path.value = column.field("jsonPath").value;
    if path.need(out) && !path.text().starts_with('.') {
        out.push(path.invalid("must be a simple json path starting with ."));
    }
}

fn selectable(fields: &Place, schema: &Value, out: &mut Causes) {
    let mut seen = Seen::default();
    for field in fields.items() {
        let path = field.field("jsonPath");
        if !path.need(out) {
            continue;
        }
        let steps: Vec<&str> = path.text().split('.').skip(1).collect();
        let found = steps.iter().try_fold(schema, |schema, name| schema.get("properties")?.get(name));
        let Some(found) = found.filter(|_| path.text().starts_with('.') && !steps.is_empty()) else {
            out.push(path.invalid("is an invalid path: does not refer to a valid field"));
            continue;
        };
        if steps.first() == Some(&"metadata") {
            out.push(path.invalid("must not point to fields in metadata"));
        }
        if !matches!(found.str_at(&["type"]), Some("string" | "boolean" | "integer")) {
            out.push(path.invalid(
                "must point to a field of type string, boolean or integer. Enum string fields and strings with formats are allowed.",
            ));
        }
        if seen.again(path.text()) {
            out.push(path.duplicate());
        }
    }
    if fields.list().len() > SELECTABLE_MAX {
        out.push(fields.too_many(SELECTABLE_MAX));
    }
}

/// Upstream calls the parts of `webhook` as if they were those of the conversion.
fn conversion(conversion: &Place, out: &mut Causes) {
    let strategy = conversion.field("strategy");
    strategy.need_one_of(&["None", "Webhook"], out);
    let webhook = conversion.field("webhook");
    let mut config = conversion.field("webhookClientConfig");
    config.value = webhook.field("clientConfig").value;
    let mut versions = conversion.field("conversionReviewVersions");
    versions.value = webhook.field("conversionReviewVersions").value;
    if strategy.text() == "Webhook" {
        if config.is_set() {
            client(&config, out);
        } else {
            out.push(config.required("required when strategy is set to Webhook"));
        }
        review_versions(&versions, out);
    } else {
        const DETAIL: &str = "should not be set when strategy is not set to Webhook";
        if config.is_set() {
            out.push(config.forbidden(DETAIL));
        }
        if !versions.list().is_empty() {
            out.push(versions.forbidden(DETAIL));
        }
    }
}

fn review_versions(versions: &Place, out: &mut Causes) {
    if versions.list().is_empty() {
        return out.push(versions.required(""));
    }
    let mut seen = Seen::default();
    for version in versions.items() {
        if seen.again(version.value.as_str().unwrap_or_default()) {
            out.push(version.invalid("duplicate version"));
        } else {
            version.check(crate::names::label_1035, out);
        }
    }
    if !["v1", "v1beta1"].iter().any(|known| seen.has(known)) {
        out.push(versions.invalid("must include at least one of v1, v1beta1"));
    }
}

/// What is stored in a version can only be read as long as there is that version.
fn stored(stored: &Place, versions: &Place, out: &mut Causes) {
    if stored.list().is_empty() {
        return out.push(stored.invalid("must have at least one stored version"));
    }
    let name_of = |version: &Place| version.field("name").value.clone();
    for version in versions.items().filter(|version| version.field("storage").is_true()) {
        let name = name_of(&version);
        if !stored.list().contains(&name) {
            let name = name.as_str().unwrap_or_default();
            out.push(stored.invalid(&format!("must have the storage version {name}")));
        }
    }
    for item in stored.items().filter(|item| !versions.items().any(|v| name_of(&v) == *item.value)) {
        let name = item.text();
        out.push(item.invalid(&format!(
            "missing from spec.versions; {name} was previously a storage version, and must remain in spec.versions until a storage migration ensures no data remains persisted in {name} and removes {name} from status.storedVersions"
        )));
    }
}

/// How groups of the project are marked as reviewed.
#[derive(PartialEq)]
enum Approval {
    Missing,
    Given,
    Invalid,
}

fn approval_of(definition: &Value) -> Approval {
    match definition.str_at(&["metadata", "annotations", APPROVED]).unwrap_or_default() {
        "" => Approval::Missing,
        text if text.starts_with("unapproved") => Approval::Given,
        text if text
            .split_once("://")
            .is_some_and(|(_, rest)| !rest.starts_with('/') && rest.contains('/')) =>
        {
            Approval::Given
        }
        _ => Approval::Invalid,
    }
}

/// The project's own groups (KEP-1111).
fn approval(definition: &Place, spec: &Place, old: Option<&Value>, out: &mut Causes) {
    const KEP: &str = "https://github.com/kubernetes/enhancements/pull/1111";
    let group = spec.field("group").text();
    let is_protected =
        ["k8s.io", "kubernetes.io"].iter().any(|own| group == *own || group.ends_with(&format!(".{own}")));
    let now = approval_of(definition.value);
    if !is_protected || old.is_some_and(|old| approval_of(old) == now) {
        return;
    }
    let metadata = definition.field("metadata");
    let annotations = metadata.field("annotations");
    let annotation = annotations.key(APPROVED);
    match now {
        Approval::Given => {}
        Approval::Missing => out.push(annotation.required(&format!(
            "protected groups must have approval annotation \"{APPROVED}\", see {KEP}"
        ))),
        Approval::Invalid => out.push(annotation.invalid(&format!(
            "protected groups must have approval annotation \"{APPROVED}\" with either a URL or a reason starting with \"unapproved\", see {KEP}"
        ))),
    }
}

/// Whether a definition's resource is served.
fn is_established(definition: &Value) -> bool {
    let conditions = definition.list_at(&["status", "conditions"]).iter();
    let mut established = conditions.filter(|c| c.str_at(&["type"]) == Some("Established"));
    established.any(|c| c.str_at(&["status"]) == Some("True"))
}

fn unchanged(spec: &Place, old: &Value, out: &mut Causes) {
    let names = spec.field("names");
    let mut fixed = |place: Place, path: &[&str]| place.immutable(before(Some(old), path), out);
    if is_established(old) {
        fixed(spec.field("scope"), &["spec", "scope"]);
        fixed(names.field("kind"), &["spec", "names", "kind"]);
    }
    fixed(spec.field("group"), &["spec", "group"]);
    fixed(names.field("plural"), &["spec", "names", "plural"]);
}
