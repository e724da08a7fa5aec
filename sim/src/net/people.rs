//! Who uses the Backend and the satellite in a run: an administrator and a client, each asking over
//! the simulated network as anybody would.

use std::time::Duration;

use bytes::Bytes;
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE};
use http::{Method, Request};
use satellite_io::http_client::{HttpClient, read_whole};
use serde_json::{Value, json};
use tokio::time::{sleep, timeout};

use super::http::SimHttp;
use super::seen::Call;
use super::{ADMIN_TOKEN, BACKEND_URL, SATELLITE_URL, World};

const SESSION: &str = "mcp-session-id";
/// Beyond every time-out that the satellite has for a call.
const PATIENCE: Duration = Duration::from_secs(90);

/// What a request ends with that nobody answered.
const SILENCE: &str = "no answer";
/// For how long the administrator waits for the Backend.
const FILING: Duration = Duration::from_secs(10);

/// What a client needs to reach one instance.
#[derive(Clone, Debug, Default)]
pub(super) struct Address {
    path: String,
    token: String,
}

/// What the administrator reads at the end.
#[derive(Clone, Debug, Default)]
pub(super) struct Records {
    pub(super) satellites: Vec<Value>,
    pub(super) heartbeats: Vec<Value>,
    pub(super) events: Vec<Value>,
    pub(super) commands: Vec<Value>,
}

struct Answer {
    status: u16,
    session: String,
    text: String,
}

async fn ask(request: Request<Bytes>) -> Result<Answer, String> {
    let whole = async {
        let response = SimHttp::default().send(request).await.map_err(|error| error.to_string())?;
        let (head, mut body) = response.into_parts();
        let bytes = read_whole(&mut body, 1 << 24).await.map_err(|error| error.to_string())?;
        let session = head.headers.get(SESSION).and_then(|value| value.to_str().ok());
        Ok(Answer {
            status: head.status.as_u16(),
            session: session.unwrap_or_default().to_string(),
            text: String::from_utf8_lossy(&bytes).into_owned(),
        })
    };
    timeout(PATIENCE, whole).await.map_err(|_| String::from(SILENCE))?
}

/// Asks the Backend as its administrator; gives the answer's `data`.
async fn administer(method: Method, path: &str, body: &Value) -> Result<Value, String> {
    let request = Request::builder()
        .method(method)
        .uri(format!("{BACKEND_URL}{path}"))
        .header(AUTHORIZATION, format!("Bearer {ADMIN_TOKEN}"))
        .header(CONTENT_TYPE, "application/json")
        .body(if body.is_null() { Bytes::new() } else { Bytes::from(body.to_string()) })
        .map_err(|error| error.to_string())?;
    let answer = ask(request).await?;
    let mut reply: Value = serde_json::from_str(&answer.text).unwrap_or_default();
    if (200..300).contains(&answer.status) {
        Ok(reply["data"].take())
    } else {
        Err(format!("{path}: {} {}", answer.status, answer.text))
    }
}

async fn post(path: &str, body: &Value) -> Result<Value, String> {
    administer(Method::POST, path, body).await
}

async fn get(path: &str) -> Result<Value, String> {
    administer(Method::GET, path, &Value::Null).await
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_string()
}

fn list(value: &mut Value) -> Vec<Value> {
    value.as_array_mut().map(std::mem::take).unwrap_or_default()
}

/// Makes a team, a user and an installation for each behaviour, and a registration token.
pub(super) async fn prepare(world: &World, behaviours: &[&str]) -> Result<(), String> {
    let team = post("/api/teams", &json!({"name": "Acme"})).await?;
    let team = text(&team["team"]["id"]);
    let user = post("/api/users", &json!({"username": "ada", "team_id": team})).await?;
    let user = text(&user["user"]["id"]);
    let installations = format!("/api/teams/{team}/mcp/installations");
    for behaviour in behaviours {
        let server = json!({"name": behaviour, "transport_type": "stdio",
            "packages": [{"transport": {"command": "node"}}],
            "template_args": [{"value": behaviour}]});
        let server = post("/api/servers", &server).await?;
        let body = json!({"server_id": server["server"]["id"], "installation_name": behaviour});
        let made = post(&installations, &body).await?;
        let installation = text(&made["installation"]["id"]);
        let path = format!("{installations}/{installation}/users/{user}/token");
        let issued = post(&path, &json!({})).await?;
        let issued = &issued["instance_token"];
        let address =
            Address { path: text(&issued["instance_path"]), token: text(&issued["token"]) };
        let mut inner = world.lock();
        inner.addresses.insert((*behaviour).to_string(), address);
        inner.installations.insert((*behaviour).to_string(), installation);
    }
    let issued = post("/api/satellites/global/registration-tokens", &json!({})).await?;
    world.lock().registration_token = text(&issued["token"]["token"]);
    Ok(())
}

async fn satellite() -> Result<String, String> {
    Ok(text(&get("/api/satellites/manage").await?["satellites"][0]["id"]))
}

/// Gives the satellite a command.
pub(super) async fn command(kind: &'static str, payload: Value) -> Result<(), String> {
    file(kind, payload).await.map(|_| ())
}

/// Gives the satellite a command, if the Backend answers within some seconds; its id.
pub(super) async fn file(kind: &'static str, payload: Value) -> Result<String, String> {
    let filed = async {
        let path = format!("/api/satellites/manage/{}/commands", satellite().await?);
        let body = json!({"command_type": kind, "priority": "immediate", "payload": payload,
            "expires_in": 3_600});
        let filed = post(&path, &body).await?;
        Ok(text(&filed["command"]["id"]))
    };
    timeout(FILING, filed).await.map_err(|_| String::from("no answer"))?
}

/// Reads what the Backend has stored.
pub(super) async fn read() -> Result<Records, String> {
    let mut satellites = get("/api/satellites/manage").await?;
    let manage = format!("/api/satellites/manage/{}", satellite().await?);
    let mut heartbeats = get(&format!("{manage}/heartbeats?limit=500")).await?;
    let mut commands = get(&format!("{manage}/commands?limit=1000")).await?;
    let mut events = Vec::new();
    loop {
        let after =
            events.last().map_or(0, |event: &Value| event["position"].as_u64().unwrap_or(0));
        let mut page = get(&format!("{manage}/events?limit=1000&after={after}")).await?;
        let mut page = list(&mut page["events"]);
        if page.is_empty() {
            break;
        }
        events.append(&mut page);
    }
    Ok(Records {
        satellites: list(&mut satellites["satellites"]),
        heartbeats: list(&mut heartbeats["heartbeats"]),
        events,
        commands: list(&mut commands["commands"]),
    })
}

/// Has an MCP client open a session at an instance and call its tool.
pub(super) async fn call(world: &World, server: &str) -> Result<(), String> {
    call_with(world, server, "over sockets").await
}

/// The same with a word of one's own.
pub(super) async fn call_with(world: &World, server: &str, word: &str) -> Result<(), String> {
    let address = world.lock().addresses.get(server).cloned().unwrap_or_default();
    let said = json!({"jsonrpc": "2.0", "id": 1, "method": "initialize", "params":
        {"protocolVersion": "2025-06-18", "capabilities": {},
        "clientInfo": {"name": "somebody", "version": "1"}}});
    let opened = speak(&address, "", &said).await?;
    let ready = json!({"jsonrpc": "2.0", "method": "notifications/initialized"});
    speak(&address, &opened.session, &ready).await?;
    let said = json!({"jsonrpc": "2.0", "id": 2, "method": "tools/call",
        "params": {"name": "echo", "arguments": {"word": word}}});
    world.lock().seen.calls.insert(word.to_string(), Call::default());
    let answer = speak(&address, &opened.session, &said).await;
    let is_ok = answer.as_ref().is_ok_and(|answer| answer.text.contains(word));
    let mut inner = world.lock();
    let call = inner.seen.calls.entry(word.to_string()).or_default();
    if is_ok {
        call.ok += 1
    } else {
        call.errors += 1
    }
    call.is_answered = answer.as_ref().err().is_none_or(|error| error != SILENCE);
    drop(inner);
    let answer = answer?;
    world.note("client", &format!("{server}: {} {}", answer.status, answer.text));
    if is_ok {
        Ok(())
    } else {
        Err(format!("{server} answered a call with {} {}", answer.status, answer.text))
    }
}

async fn speak(address: &Address, session: &str, body: &Value) -> Result<Answer, String> {
    let mut request = Request::post(format!("{SATELLITE_URL}/i/{}/mcp", address.path))
        .header(AUTHORIZATION, format!("Bearer {}", address.token))
        .header(ACCEPT, "application/json, text/event-stream")
        .header(CONTENT_TYPE, "application/json");
    if !session.is_empty() {
        request = request.header(SESSION, session);
    }
    let request = request.body(Bytes::from(body.to_string())).map_err(|error| error.to_string())?;
    let answer = ask(request).await?;
    if (200..300).contains(&answer.status) {
        Ok(answer)
    } else {
        Err(format!("{}: {} {}", address.path, answer.status, answer.text))
    }
}

/// Waits until the Backend listens.
pub(super) async fn until_it_listens() -> Result<(), String> {
    for _ in 0..50 {
        let health = Request::get(format!("{BACKEND_URL}/api/health"));
        let health = health.body(Bytes::new()).map_err(|error| error.to_string())?;
        if ask(health).await.is_ok_and(|answer| answer.status == 200) {
            return Ok(());
        }
        sleep(Duration::from_millis(200)).await;
    }
    Err(String::from("the Backend does not listen"))
}
