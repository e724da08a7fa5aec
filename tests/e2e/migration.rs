//! A Backend's data on its way from SQLite to PostgreSQL, with a satellite that stays.

use std::fs;
use std::process::Output;

use serde_json::{Value, json};

use crate::fleet::Fleet;
use crate::harness::{command, eventually};
use crate::mcp::{Session, text_of};
use crate::peer::peer;
use crate::postgres::Postgres;

fn said(output: &Output) -> Value {
    serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(&output.stdout)))
}

fn rows(fleet: &Fleet, table: &str) -> u64 {
    fleet.count(table).parse().expect("a number")
}

#[tokio::test]
async fn a_satellite_goes_on_with_postgres_as_if_nothing_had_happened() {
    let mut fleet = Fleet::start("migration", &json!({"mcpServers": {"well": peer("well")}})).await;
    let source = fleet.ready()["database_url"].as_str().expect("a database").to_owned();
    let satellite = fleet.ready()["satellite_id"].as_str().expect("a satellite").to_owned();
    let credentials = fleet.state().join("backend.key.json");
    let credentials_before = fs::read(&credentials).expect("credentials are stored");
    let (server, daemon) = (fleet.pid("well").await, fleet.daemon_id());
    let admin_token = fleet.ready()["admin_token"].as_str().expect("a token").to_owned();
    let backend_url = fleet.backend_url();
    let administer = |words: Vec<String>| {
        let mut command = command(&[]);
        command.args(words).args(["--backend", &backend_url, "--json"]);
        command.env("SATELLITE_ADMIN_TOKEN", &admin_token);
        async move { said(&command.output().await.expect("the program runs")) }
    };
    let words = |text: &str| text.split(' ').map(String::from).collect::<Vec<String>>();
    let postgres = Postgres::start();
    let migrate = || async {
        let mut command = command(&["backend", "migrate-to", "--json"]);
        command.args(["--database-url", &source]).env("DATABASE_URL", &postgres.url);
        command.output().await.expect("the program runs")
    };

    let early = migrate().await;
    assert_eq!(early.status.code(), Some(2), "{early:?}");
    assert!(said(&early)["error"].as_str().is_some_and(|why| why.contains("in use")), "{early:?}");

    fleet.end_backend().await;
    let (events, beats) = (rows(&fleet, "satelliteEvents"), rows(&fleet, "satelliteHeartbeats"));
    let done = migrate().await;
    assert_eq!(done.status.code(), Some(0), "{done:?}");
    let reply = said(&done);
    let copied = |table: &str| {
        let tables = reply["tables"].as_array().expect("a list");
        tables.iter().find(|it| it["table"] == table).expect("it was copied")["rows"].as_u64()
    };
    assert_eq!(copied("satellites"), Some(1));
    assert_eq!(copied("satelliteEvents"), Some(events));
    assert_eq!(copied("satelliteHeartbeats"), Some(beats));
    let told = String::from_utf8_lossy(&done.stderr);
    assert!(told.contains("copied satellites: 1 rows"), "{told}");
    assert!(told.contains("compared satellites: 1 rows"), "{told}");

    let again = migrate().await;
    assert_eq!(again.status.code(), Some(2), "{again:?}");
    let why = said(&again)["error"].as_str().unwrap_or_default().to_owned();
    assert!(why.contains("not empty"), "{why}");

    fleet.start_backend(&postgres.url).await;
    let send = format!("command send --satellite {satellite} --type configure --wait");
    let ended = administer(words(&send)).await;
    assert_eq!(ended["data"]["command"]["status"], "completed", "{ended}");
    let all = administer(words("satellite list")).await;
    assert_eq!(all["data"]["satellites"].as_array().map(Vec::len), Some(1), "{all}");
    // What happens from here on is stored there.
    let session = fleet.session("well").await;
    assert_eq!(text_of(&session.call("pid", json!({})).await), server.to_string());
    let newest =
        format!("events --satellite {satellite} --after {}", rows(&fleet, "satelliteEvents"));
    eventually("an event in PostgreSQL", || async {
        let events = administer(words(&newest)).await;
        events["data"]["events"].as_array().is_some_and(|all| !all.is_empty()).then_some(())
    })
    .await;
    // The tokens of clients, too.
    let (url, token) = (&fleet.ready()["mcp_url"], &fleet.ready()["token"]);
    let client =
        Session::open(url.as_str().expect("a URL"), token.as_str().expect("a token")).await;
    let call = json!({"tool_path": "well:pid", "arguments": {}});
    let answer = client.call("execute_mcp_tool", call).await;
    assert_eq!(text_of(&answer), server.to_string());

    assert_eq!(fleet.daemon_id(), daemon);
    assert_eq!(fs::read(&credentials).expect("they are stored"), credentials_before);
    assert_eq!(rows(&fleet, "satelliteEvents"), events, "the source is as it was");
    fleet.stop().await;
}
