//! Query parameters.

use decapod_api::{Cause, Status, Value};
use decapod_client::{Options, PatchType};

/// The pairs of a query, decoded, in order.
#[derive(Clone, Debug, Default)]
pub struct Query(Vec<(String, String)>);

impl Query {
    /// From what follows the `?`.
    pub fn parse(text: &str) -> Query {
        let pair = |pair: &str| {
            let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
            (percent_decode(key, true), percent_decode(value, true))
        };
        Query(text.split('&').filter(|part| !part.is_empty()).map(pair).collect())
    }

    /// The first value of `key`.
    pub fn get(&self, key: &str) -> Option<&str> {
        self.0.iter().find(|(k, _)| k == key).map(|(_, value)| value.as_str())
    }

    /// Whether `key` is there and says yes, as Go's booleans in queries do.
    pub fn flag(&self, key: &str) -> bool {
        self.get(key).is_some_and(|value| !matches!(value, "false" | "0"))
    }

    /// All pairs.
    pub fn pairs(&self) -> &[(String, String)] {
        &self.0
    }

    /// The options of a resource request; 400 for values that cannot be read.
    pub fn options(&self) -> Result<Options, Status> {
        let text = |key: &str| self.get(key).unwrap_or_default().to_owned();
        // A number below zero says nothing.
        let number = |key: &str| match self.get(key).filter(|value| !value.is_empty()) {
            None => Ok(None),
            Some(value) => value.parse::<i64>().map(|number| u64::try_from(number).ok()).map_err(|_| {
                Status::bad_request(format!("strconv.ParseInt: parsing {value:?}: invalid syntax"))
            }),
        };
        Ok(Options {
            label_selector: text("labelSelector"),
            field_selector: text("fieldSelector"),
            resource_version: self.get("resourceVersion").map(str::to_owned),
            resource_version_match: self.get("resourceVersionMatch").map(str::to_owned),
            limit: number("limit")?.unwrap_or(0),
            continue_token: text("continue"),
            timeout_seconds: number("timeoutSeconds")?,
            allow_watch_bookmarks: self.flag("allowWatchBookmarks"),
            send_initial_events: self.get("sendInitialEvents").map(|_| self.flag("sendInitialEvents")),
            dry_run: self.get("dryRun") == Some("All"),
            field_manager: text("fieldManager"),
            force: self.flag("force"),
            field_validation: text("fieldValidation"),
        })
    }
}

/// What is wrong with the options of a write of this kind, such as `CreateOptions`
/// (k8s.io/apimachinery/pkg/apis/meta/v1/validation).
pub fn check_write(query: &Query, kind: &str) -> Result<(), Status> {
    settle(kind, faults(query, kind))
}

/// The same of a patch of this form: an apply says who applies, and only an apply is forced.
pub fn check_patch(query: &Query, form: PatchType) -> Result<(), Status> {
    let mut causes = Vec::new();
    if form == PatchType::Apply {
        if query.get("fieldManager").unwrap_or_default().is_empty() {
            causes.push(Cause::required("fieldManager", "is required for apply patch"));
        }
    } else if query.get("force").is_some() {
        causes.push(Cause::forbidden("force", "may not be specified for non-apply patch"));
    }
    causes.extend(faults(query, "PatchOptions"));
    settle("PatchOptions", causes)
}

fn settle(kind: &str, causes: Vec<Cause>) -> Result<(), Status> {
    if causes.is_empty() { Ok(()) } else { Err(Status::invalid_options(kind, causes)) }
}

fn faults(query: &Query, kind: &str) -> Vec<Cause> {
    let mut causes = Vec::new();
    if kind != "DeleteOptions" {
        causes.extend(check_manager(query.get("fieldManager").unwrap_or_default()));
    }
    let stages: Vec<&str> =
        query.0.iter().filter(|(key, _)| key == "dryRun").map(|(_, v)| v.as_str()).collect();
    if stages.iter().any(|stage| !matches!(*stage, "" | "All")) {
        let stages: Vec<Value> = stages.into_iter().map(Value::from).collect();
        causes.push(Cause::not_supported_value("dryRun", &stages.into(), &["All"]));
    }
    let validation = query.get("fieldValidation").unwrap_or_default();
    if kind != "DeleteOptions" && !matches!(validation, "" | "Ignore" | "Strict" | "Warn") {
        let allowed = ["", "Ignore", "Strict", "Warn"];
        causes.push(Cause::not_supported("fieldValidation", validation, &allowed));
    }
    causes
}

/// A manager's name is short and can be printed.
fn check_manager(name: &str) -> Vec<Cause> {
    const BYTES_MAX: usize = 128;
    let mut causes = Vec::new();
    if name.len() > BYTES_MAX {
        causes.push(Cause::too_long("fieldManager", BYTES_MAX));
    }
    for (at, c) in name.char_indices().filter(|(_, c)| c.is_control()) {
        let why = format!("invalid character U+{:04X} (at position {at})", u32::from(c));
        causes.push(Cause::invalid("fieldManager", &name.into(), &why));
    }
    causes
}

/// Undoes percent encoding; bytes that make no UTF-8 become replacement characters. `plus` is whether `+` is a space.
pub fn percent_decode(text: &str, plus: bool) -> String {
    if !text.contains(['%', '+']) {
        return text.to_owned();
    }
    let bytes = text.as_bytes();
    let (mut out, mut i) = (Vec::with_capacity(bytes.len()), 0);
    while i < bytes.len() {
        let hex = |at: usize| bytes.get(at).and_then(|b| char::from(*b).to_digit(16));
        match (bytes[i], hex(i + 1), hex(i + 2)) {
            (b'%', Some(high), Some(low)) => {
                out.push((high * 16 + low) as u8);
                i += 2;
            }
            (b'+', _, _) if plus => out.push(b' '),
            (byte, _, _) => out.push(byte),
        }
        i += 1;
    }
    String::from_utf8_lossy(&out).into_owned()
}
