//! The issuer of service-account tokens, as OpenID Connect discovery shows it.

use crate::http::{Response, respond};
use crate::server::Server;

/// The public keys.
pub fn key_set(server: &Server) -> Response {
    let body = server.tokens.key_set().to_string();
    respond::bytes(http::StatusCode::OK, "application/jwk-set+json", body)
}

/// The discovery document.
pub fn configuration(server: &Server) -> Response {
    let config = server.config();
    respond::json(&serde_json::json!({
        "issuer": server.tokens.issuer(),
        "jwks_uri": format!("https://{}:{}/openid/v1/jwks", config.advertise, config.listen.port()),
        "response_types_supported": ["id_token"],
        "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": ["ES256"],
    }))
}
