//! What a server answers, in its own JSON, as canonical [`Object`]s: compact, without type meta, metadata first.

use std::borrow::Cow;

use decapod_api::{Object, Revision, Status, raw};
use serde::de::IgnoredAny;

use crate::request::{List, Reply, Verb, WatchEvent};

/// Marks the bookmark after the objects that were there at the start of a watch.
const INITIAL_EVENTS_END: &str = "k8s.io/initial-events-end";

/// The answer to `verb`.
pub(super) fn reply(verb: Verb, body: &[u8]) -> Result<Reply, Status> {
    let json = compact(body)?;
    let kind = text(&json, &["kind"]);
    let is_list = raw::find(&json, &["items"]).is_some();
    match verb {
        Verb::List => list(&json).map(Reply::List),
        Verb::DeleteCollection if is_list => list(&json).map(Reply::List),
        _ if kind == "Status" => match status(&json) {
            Some(status) if status.status == "Failure" => Err(status),
            Some(status) => Ok(Reply::Status(status)),
            None => Err(Status::internal("the server sent a Status that is none")),
        },
        _ => Ok(Reply::Object(object(&json))),
    }
}

/// The `Status` in `body`, if it is one.
pub(super) fn status(body: &[u8]) -> Option<Status> {
    let json = compact(body).ok()?;
    if text(&json, &["kind"]) != "Status" {
        return None;
    }
    serde_json::from_slice(&json).ok()
}

/// One line of a watch.
pub(super) fn frame(line: &[u8]) -> Result<WatchEvent, Status> {
    let json = compact(line)?;
    let body =
        raw::find(&json, &["object"]).ok_or_else(|| Status::internal("a watch event without an object"))?;
    Ok(match &*text(&json, &["type"]) {
        "ADDED" => WatchEvent::Added(object(body)),
        "MODIFIED" => WatchEvent::Modified(object(body)),
        "DELETED" => WatchEvent::Deleted(object(body)),
        "BOOKMARK" => WatchEvent::Bookmark {
            revision: revision(body),
            initial_events_end: text(body, &["metadata", "annotations", INITIAL_EVENTS_END]) == "true",
        },
        "ERROR" => WatchEvent::Error(status(body).unwrap_or_else(|| Status::internal("the watch failed"))),
        other => return Err(Status::internal(format!("a watch event of unknown type {other:?}"))),
    })
}

fn list(json: &[u8]) -> Result<List, Status> {
    let items = match raw::find(json, &["items"]) {
        None | Some(b"null") => Vec::new(),
        Some(items) => raw::items(items)
            .ok_or_else(|| Status::internal("the items of a list are no list"))?
            .map(object)
            .collect(),
    };
    Ok(List {
        items,
        revision: revision(json),
        continue_token: text(json, &["metadata", "continue"]).into_owned(),
        remaining: raw::find(json, &["metadata", "remainingItemCount"])
            .and_then(|count| serde_json::from_slice(count).ok()),
    })
}

/// The canonical form of compact JSON.
fn object(json: &[u8]) -> Object {
    let mut body = Vec::with_capacity(json.len());
    body.push(b'{');
    let metadata = raw::fields(json).into_iter().flatten().filter(|(key, _)| *key == b"\"metadata\"");
    let typed: [&[u8]; 3] = [b"\"metadata\"", b"\"apiVersion\"", b"\"kind\""];
    let rest = raw::fields(json).into_iter().flatten().filter(|(key, _)| !typed.contains(key));
    for (key, value) in metadata.chain(rest) {
        if body.len() > 1 {
            body.push(b',');
        }
        body.extend_from_slice(key);
        body.push(b':');
        body.extend_from_slice(value);
    }
    body.push(b'}');
    Object::new(body.into(), revision(json))
}

/// `metadata.resourceVersion`; 0 for what is not stored, such as a review.
fn revision(json: &[u8]) -> Revision {
    text(json, &["metadata", "resourceVersion"]).parse().unwrap_or_default()
}

fn text<'a>(json: &'a [u8], path: &[&str]) -> Cow<'a, str> {
    raw::find(json, path).and_then(raw::text).unwrap_or_default()
}

/// `json`, checked, without white space between its tokens.
fn compact(json: &[u8]) -> Result<Cow<'_, [u8]>, Status> {
    serde_json::from_slice::<IgnoredAny>(json)
        .map_err(|error| Status::internal(format!("the answer: {error}")))?;
    let json = json.trim_ascii();
    let mut compacted: Option<Vec<u8>> = None;
    let (mut at, mut copied) = (0, 0);
    while at < json.len() {
        match json[at] {
            b'"' => at = string_end(json, at),
            byte if byte.is_ascii_whitespace() => {
                let out = compacted.get_or_insert_with(|| Vec::with_capacity(json.len()));
                out.extend_from_slice(&json[copied..at]);
                at += 1;
                copied = at;
            }
            _ => at += 1,
        }
    }
    Ok(match compacted {
        None => Cow::Borrowed(json),
        Some(mut out) => {
            out.extend_from_slice(&json[copied..]);
            Cow::Owned(out)
        }
    })
}

/// Where the string that begins at `at` ends, past its closing quote.
fn string_end(json: &[u8], at: usize) -> usize {
    let mut at = at + 1;
    while at < json.len() {
        match json[at] {
            b'"' => return at + 1,
            b'\\' => at += 2,
            _ => at += 1,
        }
    }
    json.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn body(object: &Object) -> &str {
        std::str::from_utf8(object.body()).unwrap()
    }

    #[test]
    fn any_servers_json_becomes_canonical() {
        let pretty = "{\n  \"kind\": \"Pod\",\n  \"apiVersion\": \"v1\",\n  \"spec\": {\"a\": [1, 2 ], \"b\": \"x \\\" y\"},\n\
                      \"metadata\": {\"name\": \"a\", \"resourceVersion\": \"12\"}\n}\n";
        let Ok(Reply::Object(object)) = reply(Verb::Get, pretty.as_bytes()) else { panic!("no object") };
        assert_eq!(
            body(&object),
            r#"{"metadata":{"name":"a","resourceVersion":"12"},"spec":{"a":[1,2],"b":"x \" y"}}"#
        );
        assert_eq!(object.revision(), 12);
    }

    #[test]
    fn lists_statuses_and_frames_are_read() {
        let json = r#"{"kind":"PodList","apiVersion":"v1","metadata":{"resourceVersion":"9","continue":"t","remainingItemCount":3},
            "items":[{"kind":"Pod","metadata":{"name":"a","resourceVersion":"7"}}]}"#;
        let Ok(Reply::List(list)) = reply(Verb::List, json.as_bytes()) else { panic!("no list") };
        assert_eq!((list.revision, list.continue_token.as_str(), list.remaining), (9, "t", Some(3)));
        assert_eq!(body(&list.items[0]), r#"{"metadata":{"name":"a","resourceVersion":"7"}}"#);

        let gone = r#"{"type":"ERROR","object":{"kind":"Status","apiVersion":"v1","metadata":{},"status":"Failure","reason":"Expired","code":410}}"#;
        assert!(matches!(frame(gone.as_bytes()), Ok(WatchEvent::Error(status)) if status.is_expired()));
        let mark = r#"{"type":"BOOKMARK","object":{"kind":"Pod","metadata":{"resourceVersion":"8","annotations":{"k8s.io/initial-events-end":"true"}}}}"#;
        let mark = frame(mark.as_bytes());
        assert!(matches!(mark, Ok(WatchEvent::Bookmark { revision: 8, initial_events_end: true })));
        assert!(frame(b"{\"type\":\"ADDED\",\"obj").is_err());
        assert!(reply(Verb::Get, b"no JSON").is_err());
    }
}
