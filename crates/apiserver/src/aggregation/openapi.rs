//! What an aggregated server's OpenAPI says (k8s.io/kube-aggregator/pkg/controllers/openapi and openapiv3).

use std::collections::BTreeMap;
use std::sync::Arc;

use http::StatusCode;
use serde_json::Value as Json;

use super::api_service::ApiService;
use super::fetch::{self, Answer, Question};
use super::remote::{Documents, Remote, Tagged};
use crate::identity::User;
use crate::openapi::{convert, merge, tag};
use crate::server::Server;

const JSON: &str = "application/json";

/// Asks for both versions; what cannot be had stays as it was.
pub async fn refresh(server: &Server, service: &ApiService, remote: &Remote, documents: &mut Documents) {
    match index(server, remote).await {
        Ok(found) => documents.openapi_v3 = found,
        Err(why) => tracing::debug!(service = service.name, why, "OpenAPI 3 of an aggregated API server"),
    }
    match v2(server, service, remote, documents.openapi_v2.as_ref()).await {
        Ok(found) => documents.openapi_v2 = found,
        Err(why) => tracing::debug!(service = service.name, why, "OpenAPI 2 of an aggregated API server"),
    }
    documents.converted = match (&documents.openapi_v2, &documents.converted) {
        (Some(v2), Some(made)) if made.etag == v2.etag => Some(made.clone()),
        (Some(v2), _) if documents.openapi_v3.is_empty() => {
            Some(Tagged { json: Arc::new(convert::to_v3(&v2.json)), etag: v2.etag.clone() })
        }
        _ => None,
    };
}

async fn get(server: &Server, remote: &Remote, path: &str, etag: &str) -> Result<Answer, String> {
    let user = User { name: "system:aggregator".to_owned(), ..User::default() };
    fetch::ask(server, remote, &Question { path, accept: JSON, etag, user: &user }).await
}

/// The documents of version 3; none, if the server is too old for them.
async fn index(server: &Server, remote: &Remote) -> Result<BTreeMap<String, Json>, String> {
    let answer = get(server, remote, "/openapi/v3", "").await?;
    match answer.code {
        StatusCode::OK => {
            let index: Json = serde_json::from_slice(&answer.body).map_err(|error| error.to_string())?;
            let paths = index["paths"].as_object().into_iter().flatten();
            Ok(paths.map(|(name, place)| (name.clone(), place.clone())).collect())
        }
        StatusCode::NOT_FOUND => Ok(BTreeMap::new()),
        code => Err(format!("it answered with {code}")),
    }
}

/// What version 2 says of the group and version of `service`; nothing, if the server has none.
async fn v2(
    server: &Server,
    service: &ApiService,
    remote: &Remote,
    known: Option<&Tagged>,
) -> Result<Option<Tagged>, String> {
    let answer = get(server, remote, "/openapi/v2", known.map_or("", |known| known.etag.as_str())).await?;
    match (answer.code, known) {
        (StatusCode::NOT_MODIFIED, Some(known)) => Ok(Some(known.clone())),
        (StatusCode::OK, _) => {
            let whole: Json = serde_json::from_slice(&answer.body).map_err(|error| error.to_string())?;
            let prefix = format!("{}/", fetch::discovery_path(&service.group, &service.version));
            let json = Arc::new(merge::filtered(&whole, &prefix));
            let etag = if answer.etag.is_empty() { tag(&answer.body) } else { answer.etag };
            Ok(Some(Tagged { json, etag }))
        }
        (StatusCode::NOT_FOUND, _) => Ok(None),
        (code, _) => Err(format!("it answered with {code}")),
    }
}
