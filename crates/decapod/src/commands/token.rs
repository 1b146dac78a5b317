//! `decapod token`: the tokens that nodes join with.

use decapod_cli::token::{JoinToken, RANDOM_BYTES, SECRET_PREFIX, SECRET_TYPE};
use decapod_client::{Client, Options, Pin, Remote, RemoteConfig, decode, kubeconfig};
use decapod_sys::Env;
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::Secret;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::DeleteOptions;

use super::Error;
use crate::args::{Token, TokenAction, Whose};

/// Makes, lists or deletes.
pub async fn run(args: Token) -> Result<(), Error> {
    let env = Env::system();
    match args.action {
        TokenAction::Create { of, ttl, description, print_join_command } => {
            let (config, client) = reach(&env, &of)?;
            let pin = Pin::of_pem(&config.ca_pem).map(|pin| pin.to_string()).unwrap_or_default();
            let mut random = [0; RANDOM_BYTES];
            env.fill(&mut random);
            let token = JoinToken::new(&random, &pin);
            let lasts = SignedDuration::try_from(ttl).unwrap_or(SignedDuration::MAX);
            let until = env.now().checked_add(lasts).unwrap_or(Timestamp::MAX);
            let until = if ttl.is_zero() { String::new() } else { second(until).to_string() };
            let secret: Secret = serde_json::from_value(token.to_secret(&until, &description))
                .map_err(|error| Error::Ask(error.to_string()))?;
            client.create(&secret).await.map_err(ask)?;
            match print_join_command {
                true => println!(
                    "decapod agent --server {} --token {token}",
                    join_address(&client, &config).await
                ),
                false => println!("{token}"),
            }
        }
        TokenAction::List { of } => list(&reach(&env, &of)?.1, env.now()).await?,
        TokenAction::Delete { of, token } => {
            let id = token.split(['.', '@']).next().unwrap_or_default();
            let name = format!("{SECRET_PREFIX}{id}");
            let (_, client) = reach(&env, &of)?;
            match client.delete::<Secret>("kube-system", &name, &DeleteOptions::default()).await {
                Err(status) if status.is_not_found() => return Err(Error::NoSuchToken(id.to_owned())),
                result => result.map_err(ask)?,
            }
            println!("deleted {id}");
        }
    }
    Ok(())
}

async fn list(client: &Client, now: Timestamp) -> Result<(), Error> {
    let selector = Options { field_selector: format!("type={SECRET_TYPE}"), ..Options::default() };
    let secrets = client.list::<Secret>("kube-system", selector).await.map_err(ask)?;
    println!("{:<8} {:<8} {:<21} DESCRIPTION", "TOKEN", "TTL", "EXPIRES");
    for secret in secrets.items.iter().filter_map(|object| decode::<Secret>(object).ok()) {
        let data = secret.data.unwrap_or_default();
        let text = |key: &str| data.get(key).map(|value| String::from_utf8_lossy(&value.0).into_owned());
        let expires = text("expiration").unwrap_or_default();
        println!(
            "{:<8} {:<8} {:<21} {}",
            text("token-id").unwrap_or_default(),
            left(&expires, now),
            if expires.is_empty() { "<never>" } else { &expires },
            text("description").unwrap_or_default()
        );
    }
    Ok(())
}

/// How long it is until a time, in its largest unit.
fn left(expires: &str, now: Timestamp) -> String {
    if expires.is_empty() {
        return "<ever>".to_owned();
    }
    let seconds = expires.parse::<Timestamp>().map_or(0, |at| at.duration_since(now).as_secs());
    match seconds {
        ..=0 => "expired".to_owned(),
        1..120 => format!("{seconds}s"),
        120..7200 => format!("{}m", seconds / 60),
        _ => format!("{}h", seconds / 3600),
    }
}

fn reach(env: &Env, of: &Whose) -> Result<(RemoteConfig, Client), Error> {
    let path = of.kubeconfig.clone().unwrap_or_else(|| of.folder.path().join("admin.kubeconfig"));
    if of.kubeconfig.is_none() && !path.exists() {
        return Err(Error::NotUp(of.folder.path()));
    }
    let failed = |error: &dyn std::fmt::Display| Error::Ask(error.to_string());
    let config = kubeconfig::load(&path, None).map_err(|error| failed(&error))?;
    let client = Client::new(Remote::new(env, config.clone()).map_err(|error| failed(&error))?);
    Ok((config, client))
}

/// Where other machines reach the API server: as the cluster tells everybody.
async fn join_address(client: &Client, config: &RemoteConfig) -> String {
    use k8s_openapi::api::core::v1::ConfigMap;
    let info = client.get::<ConfigMap>("kube-public", "cluster-info").await.ok();
    let text = info.and_then(|info| info.data?.remove("kubeconfig"));
    let told = text.and_then(|text| decapod_cli::kubeconfig::server(&text));
    told.unwrap_or_else(|| config.server.clone())
}

fn second(at: Timestamp) -> Timestamp {
    Timestamp::from_second(at.as_second()).unwrap_or(at)
}

fn ask(status: decapod_api::Status) -> Error {
    Error::Ask(status.to_string())
}
