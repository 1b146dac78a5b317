//! Content negotiation: what the client sends and what it wants back.

use decapod_api::Status;
use http::HeaderMap;
use http::header::{ACCEPT, ACCEPT_ENCODING, CONTENT_TYPE};

use crate::registry::Media;

/// What a client sends.
pub const READABLE: &str = "application/json, application/yaml, application/vnd.kubernetes.protobuf";
/// In what a watch is written: frames of YAML cannot be told apart.
pub const STREAMED: &str = "application/json;stream=watch, application/vnd.kubernetes.protobuf;stream=watch";

/// How an answer is written.
#[derive(Clone, Debug, PartialEq)]
pub struct Accepted {
    /// The encoding.
    pub media: Media,
    /// As what: the object itself, or a form derived from it.
    pub form: Form,
    /// Whether it may be compressed.
    pub gzip: bool,
}

/// As what an object is shown.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Form {
    /// As itself.
    #[default]
    Object,
    /// As a `Table` of this version of `meta.k8s.io`.
    Table(String),
    /// As its metadata alone, in this version of `meta.k8s.io`.
    PartialObject(String),
}

impl Accepted {
    /// From the `Accept` header: the first form that we can write; 406 when there is none.
    pub fn parse(headers: &HeaderMap) -> Result<Accepted, Status> {
        Accepted::negotiate(headers, true)
    }

    /// The same for what has no other form than itself: objects that are answered and not kept.
    pub fn plain(headers: &HeaderMap) -> Result<Accepted, Status> {
        Accepted::negotiate(headers, false)
    }

    fn negotiate(headers: &HeaderMap, transforms: bool) -> Result<Accepted, Status> {
        let gzip = gzip(headers);
        let accept = headers.get(ACCEPT).and_then(|value| value.to_str().ok()).unwrap_or("*/*");
        let plain = |media| Accepted { media, form: Form::Object, gzip };
        for range in accept.split(',') {
            let mut parts = range.split(';').map(str::trim);
            let media = match parts.next().unwrap_or_default() {
                "application/json" | "*/*" | "application/*" | "" => Media::Json,
                "application/yaml" => Media::Yaml,
                "application/vnd.kubernetes.protobuf" => Media::Protobuf,
                _ => continue,
            };
            let (mut kind, mut group, mut version) = ("", "", "");
            for part in parts {
                match part.split_once('=') {
                    Some(("as", value)) => kind = value,
                    Some(("g", value)) => group = value,
                    Some(("v", value)) => version = value,
                    _ => {}
                }
            }
            let known = group == "meta.k8s.io" && matches!(version, "v1" | "v1beta1");
            let form = match kind {
                "" => return Ok(plain(media)),
                _ if !transforms => continue,
                "Table" if known && media != Media::Protobuf => Form::Table(version.to_owned()),
                "PartialObjectMetadata" | "PartialObjectMetadataList" if known => {
                    Form::PartialObject(version.to_owned())
                }
                _ => continue,
            };
            return Ok(Accepted { media, form, gzip });
        }
        Err(Status::not_acceptable(READABLE))
    }
}

/// Whether an answer may be compressed, from `Accept-Encoding`.
pub fn gzip(headers: &HeaderMap) -> bool {
    let says = |text: &str| text.split(',').any(|part| part.trim().split(';').next() == Some("gzip"));
    headers.get_all(ACCEPT_ENCODING).iter().any(|value| value.to_str().is_ok_and(says))
}

/// The encoding of a request's body; 415 for what we cannot read. `patch` takes the patches' media types for JSON.
pub fn content(headers: &HeaderMap) -> Result<Media, Status> {
    let value = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    match value.split(';').next().unwrap_or_default().trim() {
        "" | "application/json" | "text/plain" | "*/*" | "application/octet-stream" => Ok(Media::Json),
        patch if patch.ends_with("-patch+json") => Ok(Media::Json),
        "application/yaml" | "application/apply-patch+yaml" => Ok(Media::Yaml),
        "application/vnd.kubernetes.protobuf" => Ok(Media::Protobuf),
        _ => Err(Status::unsupported_media_type(READABLE)),
    }
}

/// The media type that names `media`.
pub fn media_type(media: Media) -> &'static str {
    match media {
        Media::Json => "application/json",
        Media::Yaml => "application/yaml",
        Media::Protobuf => "application/vnd.kubernetes.protobuf",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_kept_has_no_form_but_its_own() {
        let table = "application/json;as=Table;g=meta.k8s.io;v=v1";
        let both = format!("{table},application/json");
        for (accept, parsed, plain) in [
            ("application/json", Ok(Form::Object), Ok(Form::Object)),
            (both.as_str(), Ok(Form::Table("v1".into())), Ok(Form::Object)),
            (table, Ok(Form::Table("v1".into())), Err(406)),
            ("text/html", Err(406), Err(406)),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(ACCEPT, accept.parse().expect("header"));
            let form = |accepted: Result<Accepted, Status>| {
                accepted.map(|accepted| accepted.form).map_err(|status| status.code)
            };
            assert_eq!(form(Accepted::parse(&headers)), parsed, "{accept}");
            assert_eq!(form(Accepted::plain(&headers)), plain, "{accept}");
        }
    }
}
