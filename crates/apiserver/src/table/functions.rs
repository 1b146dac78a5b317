//! The functions that `columns.txt` names: those for any kind here, the others with their families.

use super::cell::{Cell, Function, Row};
use super::duration;
use super::json::Json;
use super::path::Path;
use super::{cluster, network, nodes, pods, storage, workloads};

/// The function of this name.
pub fn named(name: &str) -> Option<Function> {
    let general: Function = match name {
        "age" => age,
        "count" => count,
        "duration" => lasting,
        "flag" => flag,
        "join" => join,
        "labels" => labels,
        "selector" => selector,
        "text" => text,
        _ => {
            let families = [
                pods::function,
                nodes::function,
                workloads::function,
                network::function,
                storage::function,
                cluster::function,
            ];
            return families.into_iter().find_map(|family| family(name));
        }
    };
    Some(general)
}

fn first<'a>(row: &Row<'a>, paths: &[Path]) -> Json<'a> {
    paths.first().map_or(Json::new(None), |path| path.first(row))
}

/// The time since a time.
fn age<'a>(row: &Row<'a>, paths: &[Path]) -> Option<Cell<'a>> {
    first(row, paths).text().map(|then| Cell::text(duration::since(&then, row.now)))
}

/// A number of seconds as a duration.
fn lasting<'a>(row: &Row<'a>, paths: &[Path]) -> Option<Cell<'a>> {
    first(row, paths).int().map(|seconds| Cell::text(duration::human(seconds)))
}

/// How many items or keys there are, in all the values together.
fn count<'a>(row: &Row<'a>, paths: &[Path]) -> Option<Cell<'a>> {
    let entries = |json: Json| json.items().count() + json.fields().count();
    let sum: usize = paths.iter().map(|path| entries(path.first(row))).sum();
    Some(Cell::Int(i64::try_from(sum).unwrap_or(i64::MAX)))
}

/// A flag as upstream's `printBool` writes it.
fn flag<'a>(row: &Row<'a>, paths: &[Path]) -> Option<Cell<'a>> {
    let flag = first(row, paths);
    flag.exists().then(|| Cell::text(if flag.is_true() { "True" } else { "False" }))
}

/// Values, or the items of lists, joined by commas.
fn join<'a>(row: &Row<'a>, paths: &[Path]) -> Option<Cell<'a>> {
    let found = paths.iter().flat_map(|path| path.all(row));
    let texts: Vec<_> = found
        .flat_map(|json| match json.text() {
            Some(text) => vec![text],
            None => json.items().map(Json::str).collect(),
        })
        .collect();
    (!texts.is_empty()).then(|| Cell::text(texts.join(",")))
}

/// A value as a text, whatever it is.
fn text<'a>(row: &Row<'a>, paths: &[Path]) -> Option<Cell<'a>> {
    first(row, paths).shown().map(Cell::Text)
}

/// A map of texts, sorted by its keys (k8s.io/apimachinery/pkg/labels, `FormatLabels`).
fn labels<'a>(row: &Row<'a>, paths: &[Path]) -> Option<Cell<'a>> {
    let mut pairs: Vec<String> =
        first(row, paths).fields().map(|(key, value)| format!("{key}={}", value.str())).collect();
    pairs.sort();
    Some(if pairs.is_empty() { Cell::text("<none>") } else { Cell::text(pairs.join(",")) })
}

/// A label selector in the text form (k8s.io/apimachinery/pkg/apis/meta/v1, `FormatLabelSelector`).
fn selector<'a>(row: &Row<'a>, paths: &[Path]) -> Option<Cell<'a>> {
    let selector = first(row, paths);
    let mut requirements: Vec<(String, String)> = Vec::new();
    for (key, value) in selector.key("matchLabels").fields() {
        requirements.push((key.to_string(), format!("{key}={}", value.str())));
    }
    for expression in selector.key("matchExpressions").items() {
        let key = expression.key("key").str().into_owned();
        let mut values: Vec<_> = expression.key("values").items().map(Json::str).collect();
        values.sort();
        let text = match expression.key("operator").str().as_ref() {
            "In" => format!("{key} in ({})", values.join(",")),
            "NotIn" => format!("{key} notin ({})", values.join(",")),
            "Exists" => key.clone(),
            "DoesNotExist" => format!("!{key}"),
            _ => return Some(Cell::text("<error>")),
        };
        requirements.push((key, text));
    }
    requirements.sort_by(|a, b| a.0.cmp(&b.0));
    let texts: Vec<String> = requirements.into_iter().map(|(_, text)| text).collect();
    Some(if texts.is_empty() { Cell::text("<none>") } else { Cell::text(texts.join(",")) })
}
