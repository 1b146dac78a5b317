//! Requests of callers in this process for what aggregated servers serve.

use std::time::Duration;

use decapod_api::Status;
use decapod_client::{Reply, Request, Verb, wire};

use super::headers;
use super::registered::Registered;
use super::remote::Remote;
use crate::http::respond;
use crate::identity::User;
use crate::server::Server;

/// How long an answer may take, watches aside.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(60);

/// Asks for `user`, who may.
pub async fn call(
    server: &Server,
    registered: &Registered,
    remote: &Remote,
    user: &User,
    request: Request,
) -> Result<Reply, Status> {
    if !registered.service.is_available() {
        return Err(Status::unavailable("service unavailable"));
    }
    let unreachable = |why: String| Status::unavailable(format!("error trying to reach service: {why}"));
    let verb = request.verb;
    let exchange = async {
        let addresses = remote.backend.addresses(server).await.map_err(unreachable)?;
        let address = addresses.first().ok_or_else(|| unreachable("no addresses".to_owned()))?;
        let http = wire::builder(&request, "").body(respond::whole(request.body.clone()));
        let mut http = http.map_err(|error| Status::bad_request(error.to_string()))?;
        headers::stamp(http.headers_mut(), user);
        let answer = remote.backend.send(server, *address, http).await.map_err(unreachable)?;
        wire::reply(verb, answer, |error| unreachable(error.to_string())).await
    };
    match verb {
        Verb::Watch => exchange.await,
        _ => {
            let answered = tokio::time::timeout(ANSWER_TIMEOUT, exchange).await;
            answered.unwrap_or_else(|_| Err(Status::timeout("no answer from an aggregated API server")))
        }
    }
}
