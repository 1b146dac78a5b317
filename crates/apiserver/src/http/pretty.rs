//! JSON with line ends and indentation, for people: for curl, Wget and browsers, and where `?pretty=true` asks
//! (k8s.io/apiserver/pkg/endpoints/handlers/negotiation, isPrettyPrint).

use decapod_api::Status;
use http::HeaderMap;
use http::header::{CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, USER_AGENT};
use http_body_util::BodyExt;

use super::query::Query;
use super::{Response, respond};
use crate::registry::Media;

const STEP: &str = "  ";

/// Whether a person will read the answer.
pub fn wanted(headers: &HeaderMap, query: &Query) -> bool {
    if query.get("pretty").is_some_and(|value| !value.is_empty()) {
        return query.flag("pretty");
    }
    let agent = headers.get(USER_AGENT).and_then(|value| value.to_str().ok()).unwrap_or_default();
    ["curl", "Wget", "Mozilla/5.0"].iter().any(|tool| agent.starts_with(tool))
}

/// The same answer indented, if it is plain JSON. Not for watches, which do not end.
pub async fn indented(response: Response) -> Response {
    let headers = response.headers();
    let json = headers.get(CONTENT_TYPE).is_some_and(|value| value == "application/json");
    if !json || headers.contains_key(CONTENT_ENCODING) {
        return response;
    }
    let (mut parts, body) = response.into_parts();
    let bytes = match body.collect().await {
        Ok(body) => body.to_bytes(),
        Err(error) => return respond::status(&Status::internal(error), Media::Json),
    };
    parts.headers.remove(CONTENT_LENGTH);
    Response::from_parts(parts, respond::whole(indent(&bytes)))
}

/// JSON as Go's `MarshalIndent` writes it.
fn indent(json: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(json.len() * 2);
    let (mut depth, mut in_string, mut escaped) = (0usize, false, false);
    let line = |out: &mut Vec<u8>, depth: usize| {
        out.push(b'\n');
        out.extend(STEP.repeat(depth).bytes());
    };
    let mut bytes = json.trim_ascii_end().iter().copied().peekable();
    while let Some(byte) = bytes.next() {
        if in_string {
            out.push(byte);
            in_string = escaped || byte != b'"';
            escaped = !escaped && byte == b'\\';
            continue;
        }
        match byte {
            b'{' | b'[' => {
                out.push(byte);
                match bytes.peek() {
                    Some(b'}' | b']') => out.extend(bytes.next()),
                    _ => {
                        depth += 1;
                        line(&mut out, depth);
                    }
                }
            }
            b'}' | b']' => {
                depth = depth.saturating_sub(1);
                line(&mut out, depth);
                out.push(byte);
            }
            b',' => {
                out.push(byte);
                line(&mut out, depth);
            }
            b':' => out.extend(b": "),
            b' ' | b'\n' | b'\t' | b'\r' => {}
            other => {
                in_string = other == b'"';
                out.push(other);
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_is_indented_outside_of_texts() {
        let json = br#"{"a":{},"b":[1,"x,\"{:\\"],"c":[]}"#;
        let expected = "{\n  \"a\": {},\n  \"b\": [\n    1,\n    \"x,\\\"{:\\\\\"\n  ],\n  \"c\": []\n}";
        assert_eq!(String::from_utf8_lossy(&indent(json)), expected);
    }

    #[test]
    fn people_get_it_and_programs_do_not() {
        let table = [
            ("curl/8", "", true),
            ("kubectl/v1", "", false),
            ("curl/8", "pretty=false", false),
            ("x", "pretty=1", true),
        ];
        for (agent, query, expected) in table {
            let mut headers = HeaderMap::new();
            headers.insert(USER_AGENT, http::HeaderValue::from_static(agent));
            assert_eq!(wanted(&headers, &Query::parse(query)), expected, "{agent} {query}");
        }
    }
}
