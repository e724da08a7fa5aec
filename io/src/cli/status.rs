//! `satellite status`: what runs, what is degraded and why, as the satellite and its Backend say.

mod figures;

use std::time::Duration;

use bytes::Bytes;
use http::Request;
use http::header::AUTHORIZATION;
use satellite_core::http::HttpFailure;
use satellite_core::isolation::Part;
use satellite_core::limits::BACKEND_BODY_MAX_BYTES;
use satellite_core::secret::Secret;
use satellite_core::view::WaitsFor;
use satellite_core::wire::path::escape;
use serde_json::{Value, json};

use super::administration::admin_state;
use super::api::Api;
use super::arguments::StatusArguments;
use super::dev_file::DevFile;
use super::output;
use crate::exit::{Exit, UNREACHABLE, fault};
use crate::http_client::{ClientOptions, HttpClient, ReqwestClient, read_whole};
use crate::settings::{OutboundSettings, Sources};

const TIMEOUT: Duration = Duration::from_secs(10);

/// Asks and prints. Fails when the satellite is not ready.
pub(super) async fn run(arguments: &StatusArguments, sources: &Sources) -> Result<(), Exit> {
    let dev = match &arguments.url {
        Some(_) => None,
        None => Some(DevFile::read(&arguments.dir)?),
    };
    let base = match (&arguments.url, &dev) {
        (Some(url), _) => String::from(url.trim_end_matches('/')),
        (None, Some(dev)) => dev.satellite_url.clone(),
        (None, None) => String::new(),
    };
    let options = OutboundSettings::read(sources)?.client;
    let client = ReqwestClient::new(&options)
        .map_err(|failure| fault(format!("cannot make HTTP requests: {failure}"), ""))?;
    let (ready_status, ready) = get(&client, &format!("{base}/ready")).await?;
    let (_, link) = get(&client, &format!("{base}/api/status/backend")).await?;
    // Only `dev` leaves a token with which the Backend may be asked.
    let (satellite, installations) = match &dev {
        Some(dev) => known_to_backend(dev, &options).await,
        None => (Value::Null, Value::Null),
    };
    let token = match &dev {
        Some(dev) => Some(dev.admin_token.clone()),
        None => sources.given("SATELLITE_METRICS_TOKEN").map(Secret::new),
    };
    let figures = match token {
        Some(token) => figures::rows(&metrics(&client, &base, &token).await),
        None => Vec::new(),
    };
    let is_ready = ready_status == 200;
    if arguments.json {
        output::line(
            &json!({
                "satellite_url": base,
                "ready": is_ready,
                "satellite": ready,
                "backend": link,
                "seen_by_backend": satellite,
                "installations": installations,
                "figures": figures,
            })
            .to_string(),
        );
        return if is_ready { Ok(()) } else { Err(fault("", "")) };
    }
    output::line(&format!("satellite  {base}  {}", if is_ready { "ready" } else { "not ready" }));
    for reason in ready["reasons"].as_array().into_iter().flatten() {
        output::line(&format!("    {}", output::cell(reason)));
    }
    if let Some(counts) = counts(&ready["instances"]) {
        output::line(&format!("    instances: {counts}"));
    }
    if let Some(places) = places(&ready["places"]) {
        output::line(&format!("    places: {places}"));
    }
    if let Some(level) = isolation(&ready["isolation"]) {
        output::line(&format!("    isolation: {level}"));
    }
    let connection = link["connection_status"].as_str().unwrap_or("unknown");
    let url = link["backend_url"].as_str().unwrap_or_default();
    output::line(&format!("backend    {url}  {connection}"));
    if let Some(last) = round_trip(&ready["backend"]) {
        output::line(&format!("    {last}"));
    }
    if let Some(error) = link["error_message"].as_str() {
        output::line(&format!("    {error}"));
    }
    if let Some(seen) = seen(&satellite) {
        output::line(&format!("    {seen}"));
    }
    let rows = instances(&installations);
    if !rows.is_empty() {
        output::line(&output::table(&rows, &["server", "status", "reason"]));
    }
    if !figures.is_empty() {
        output::line(&output::table(&figures, &figures::NAMES));
    }
    if is_ready {
        return Ok(());
    }
    Err(fault("the satellite is not ready", "the lines above and the satellite's log say why"))
}

/// The satellite's page of metrics; empty where it does not give it.
async fn metrics(client: &ReqwestClient, base: &str, token: &Secret) -> String {
    let request = Request::get(format!("{base}/metrics"))
        .header(AUTHORIZATION, format!("Bearer {}", token.expose()))
        .body(Bytes::new());
    let Ok(request) = request else { return String::new() };
    match exchange(client, request).await {
        Ok((200, page)) => String::from_utf8_lossy(&page).into_owned(),
        _ => String::new(),
    }
}

async fn exchange(
    client: &ReqwestClient,
    request: Request<Bytes>,
) -> Result<(u16, Vec<u8>), HttpFailure> {
    let exchange = async {
        let (head, mut body) = client.send(request).await?.into_parts();
        Ok((head.status.as_u16(), read_whole(&mut body, BACKEND_BODY_MAX_BYTES).await?))
    };
    tokio::time::timeout(TIMEOUT, exchange).await.unwrap_or(Err(HttpFailure::TimedOut))
}

async fn get(client: &ReqwestClient, url: &str) -> Result<(u16, Value), Exit> {
    let unreachable = |failure: HttpFailure| Exit {
        code: UNREACHABLE,
        error: format!("cannot reach the satellite at {url}: {failure}"),
        hint: String::from("start it with `satellite dev` or `satellite run`"),
    };
    let request = Request::get(url)
        .body(Bytes::new())
        .map_err(|_| fault(format!("{url} is no URL"), "write --url http://127.0.0.1:3001"))?;
    let (status, body) = exchange(client, request).await.map_err(unreachable)?;
    let body = serde_json::from_slice(&body).map_err(|_| {
        fault(format!("{url} answered {status} without JSON"), "is it a satellite?")
    })?;
    Ok((status, body))
}

/// The satellite and the installations as the Backend knows them; null where it does not answer,
/// for what the satellite itself said stands without it.
async fn known_to_backend(dev: &DevFile, options: &ClientOptions) -> (Value, Value) {
    let Ok(api) = Api::new(dev.backend_url.clone(), dev.admin_token.clone(), options) else {
        return (Value::Null, Value::Null);
    };
    let satellite = format!("/api/satellites/manage/{}", escape(dev.satellite_id.as_str()));
    let installations =
        format!("/api/teams/{}/mcp/installations?limit=1000", escape(dev.team_id.as_str()));
    let satellite: Value = api.get(&satellite).await.unwrap_or_default();
    let installations: Value = api.get(&installations).await.unwrap_or_default();
    (satellite["data"]["satellite"].clone(), installations["data"]["installations"].clone())
}

fn instances(installations: &Value) -> Vec<Value> {
    let installations = installations.as_array().map(Vec::as_slice).unwrap_or_default();
    let rows = installations.iter().flat_map(|installation| {
        let instances = installation["instances"].as_array().map(Vec::as_slice).unwrap_or_default();
        instances.iter().map(|instance| {
            json!({
                "server": installation["installation_name"],
                "status": instance["status"],
                "reason": instance["status_message"],
            })
        })
    });
    rows.collect()
}

/// The instances by status, e.g. `2 online, 1 error`.
fn counts(instances: &Value) -> Option<String> {
    let by_status = instances.as_object()?.iter();
    let counts: Vec<String> =
        by_status.map(|(status, count)| format!("{} {status}", output::cell(count))).collect();
    Some(if counts.is_empty() { String::from("none") } else { counts.join(", ") })
}

/// The places for processes, e.g. `50 of 50 taken, 3 starting, 7 waiting (5 for a place, 2 for one
/// of their team)`.
fn places(places: &Value) -> Option<String> {
    let count = |name: &str| places[name].as_u64();
    let (taken, of, starting) = (count("taken")?, count("of")?, count("starting")?);
    Some(match count("waiting")? {
        0 => format!("{taken} of {of} taken, {starting} starting"),
        waiting => {
            let what = waiting_for(&places["waiting_for"]);
            format!("{taken} of {of} taken, {starting} starting, {waiting} waiting{what}")
        }
    })
}

/// What starts wait for, as far as a satellite tells.
fn waiting_for(counts: &Value) -> String {
    let reasons = [
        (WaitsFor::Place, "for a place"),
        (WaitsFor::TeamPlace, "for one of their team"),
        (WaitsFor::OtherStarts, "for other starts"),
    ];
    let reasons = reasons.iter().filter_map(|(what, text)| {
        let count = counts[what.as_str()].as_u64().filter(|count| *count > 0)?;
        Some(format!("{count} {text}"))
    });
    match reasons.collect::<Vec<String>>().join(", ") {
        none if none.is_empty() => none,
        reasons => format!(" ({reasons})"),
    }
}

/// How far servers are isolated, e.g. `best-effort, without memory_limit, but memory_by_process`.
fn isolation(level: &Value) -> Option<String> {
    let asked = level["asked"].as_str()?;
    let names =
        |list: &'static str| level[list].as_array().into_iter().flatten().filter_map(Value::as_str);
    let missing: Vec<&str> = names("missing").collect();
    let stand_ins = [Part::MemoryByProcess, Part::ProcessesByUser].map(Part::as_str);
    let instead: Vec<&str> = names("in_force").filter(|part| stand_ins.contains(part)).collect();
    let mut text = String::from(asked);
    for (word, parts) in [(", without ", missing), (", but ", instead)] {
        if !parts.is_empty() {
            text += word;
            text += &parts.join(", ");
        }
    }
    Some(text)
}

/// How the Backend sees the satellite, and what an administrator has decided about it.
fn seen(satellite: &Value) -> Option<String> {
    let status = satellite["status"].as_str()?;
    let heartbeat = satellite["last_heartbeat"].as_str().unwrap_or("never");
    let decided = match admin_state(&satellite["admin_state"]) {
        Some(decided) if decided != "enabled" => format!(" (an administrator's word: {decided})"),
        _ => String::new(),
    };
    Some(format!("sees this satellite as {status}{decided}, last heartbeat {heartbeat}"))
}

/// The last round trip to the Backend, in words.
fn round_trip(backend: &Value) -> Option<String> {
    let (age, took) = (backend["age_ms"].as_u64()?, backend["round_trip_ms"].as_u64()?);
    Some(format!("last answer {} s ago, after {took} ms", age / 1_000))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_instance_of_every_installation_is_a_row() {
        let rows = instances(&json!([
            {"installation_name": "files", "instances": [{"status": "online"}]},
            {"installation_name": "docs", "instances": []},
        ]));
        assert_eq!(rows, [json!({"server": "files", "status": "online", "reason": null})]);
        assert!(instances(&Value::Null).is_empty());
    }

    #[test]
    fn what_the_satellite_says_of_itself_is_put_in_words() {
        assert_eq!(counts(&json!({"error": 1, "online": 2})).as_deref(), Some("1 error, 2 online"));
        assert_eq!(counts(&json!({})).as_deref(), Some("none"));
        assert_eq!(counts(&Value::Null), None);
        let full = json!({"taken": 50, "of": 50, "starting": 3, "waiting": 7});
        assert_eq!(places(&full).as_deref(), Some("50 of 50 taken, 3 starting, 7 waiting"));
        let mut told = full.clone();
        told["waiting_for"] = json!({"place": 5, "team_place": 2, "other_starts": 0});
        assert_eq!(
            places(&told).as_deref(),
            Some("50 of 50 taken, 3 starting, 7 waiting (5 for a place, 2 for one of their team)")
        );
        assert_eq!(places(&Value::Null), None);
        let answered = json!({"age_ms": 2_500, "round_trip_ms": 3, "state": "polling"});
        assert_eq!(round_trip(&answered).as_deref(), Some("last answer 2 s ago, after 3 ms"));
        assert_eq!(round_trip(&json!({"age_ms": null})), None);
        let level = json!({"asked": "best-effort", "missing": ["cpu_limit", "memory_limit"]});
        let told = "best-effort, without cpu_limit, memory_limit";
        assert_eq!(isolation(&level).as_deref(), Some(told));
        let mut level = level;
        level["in_force"] = json!(["jail", "memory_by_process"]);
        let told = format!("{told}, but memory_by_process");
        assert_eq!(isolation(&level), Some(told));
        assert_eq!(isolation(&json!({"asked": "off"})).as_deref(), Some("off"));
        assert_eq!(isolation(&Value::Null), None);
        let satellite = json!({"status": "inactive", "admin_state": {"state": "disabled"}});
        let told = "sees this satellite as inactive (an administrator's word: disabled), last \
                    heartbeat never";
        assert_eq!(seen(&satellite).as_deref(), Some(told));
    }
}
