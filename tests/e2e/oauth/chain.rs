//! The whole chain: a user's client, the satellite, the remote, its authorisation server, the Backend,
//! and the user's browser.

use std::collections::BTreeMap;
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use satellite_tests::root;
use serde_json::{Value, json};
use tokio::process::Child;
use tokio::task::JoinSet;

use super::LIFE;
use super::scene::{Scene, text};
use crate::fleet::free_port;
use crate::harness::{command, eventually, state, tail};
use crate::mcp::{Session, initialize, text_of};

/// Calls of both users together, and how many are under way at a time.
const CALLS: usize = 10_000;
const AT_ONCE: usize = 64;
/// Calls of one user at the moment that the token ends.
const WAVE: usize = 50;

/// What a user has at the satellite.
#[derive(Clone)]
struct User {
    id: String,
    account: &'static str,
    url: String,
    token: String,
    /// For the address of all servers.
    access: String,
}

/// A scene with a satellite in it.
struct Chain {
    scene: Scene,
    daemon: Child,
    satellite: String,
    ada: User,
    bob: User,
    /// A server that is no remote.
    other: User,
}

impl Chain {
    async fn start() -> Chain {
        let scene = Scene::start("chain", LIFE).await;
        let peer = root().join("tests/e2e/peer.py").display().to_string();
        let server = json!({"name": "Peer", "transport_type": "stdio",
            "packages": [{"transport": {"command": "python3"}}],
            "template_args": [{"value": peer}, {"value": "well"}]});
        let peer = scene.install(server).await;
        let port = free_port().to_string();
        let own = format!("http://127.0.0.1:{port}");
        let log = std::fs::File::create(scene.scratch.0.join("daemon.log")).expect("a log");
        let daemon = command(&["run", "--state-dir"])
            .env("SATELLITE_SERVER_JAIL", "false")
            .arg(scene.scratch.0.join("state"))
            .env("DEPLOYSTACK_BACKEND_URL", &scene.url)
            .env("DEPLOYSTACK_SATELLITE_NAME", "edge-satellite-01")
            .env("DEPLOYSTACK_REGISTRATION_TOKEN", scene.registration_token().await)
            .env("DEPLOYSTACK_SATELLITE_URL", &own)
            .env("SATELLITE_EGRESS_ALLOW", "127.0.0.1")
            .env("SATELLITE_EGRESS_ALLOW_HTTP", "true")
            .env("HOST", "127.0.0.1")
            .env("PORT", &port)
            .env("LOG_LEVEL", "debug")
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .expect("the daemon starts");
        let live = format!("{own}/live");
        eventually("the daemon", || async { scene.http.get(&live).send().await.ok() }).await;
        let [ada, bob] = scene.users.clone();
        let user = async |installation: &str, user: String, account| {
            let path = format!(
                "/api/teams/{}/mcp/installations/{installation}/users/{user}/token",
                scene.team
            );
            let issued = scene.administer(&path, json!({})).await;
            let issued = &issued["instance_token"];
            let url = format!("{own}/i/{}/mcp", text(&issued["instance_path"]));
            let path = format!("/api/users/{user}/tokens");
            let access = scene.administer(&path, json!({"team_id": scene.team})).await;
            let access = text(&access["access_token"]["token"]);
            User { id: user, account, url, token: text(&issued["token"]), access }
        };
        let other = user(&peer, ada.clone(), "").await;
        let ada = user(&scene.installation, ada, "ada-at-docs").await;
        let bob = user(&scene.installation, bob, "bob-at-docs").await;
        Chain { scene, daemon, satellite: own, ada, bob, other }
    }

    /// The stored statuses of a user's instance, in order, with what was said of the last.
    fn told(&self, user: &User) -> (Vec<String>, String) {
        let sql = r#"SELECT data FROM "satelliteEvents"
                     WHERE type = 'mcp.server.status_changed' ORDER BY number"#;
        let (mut statuses, mut message) = (Vec::new(), String::new());
        for data in self.scene.query(sql) {
            let data: Value = serde_json::from_str(&data).expect("an event's data is JSON");
            if data["installation_id"] == self.scene.installation && data["user_id"] == user.id {
                statuses.push(text(&data["status"]));
                message = data["status_message"].as_str().unwrap_or_default().to_string();
            }
        }
        (statuses, message)
    }

    /// Waits until the Backend has stored that status for a user's instance, and its event.
    async fn becomes(&self, user: &User, status: &str) {
        let what = || async {
            let is_stored = self.scene.status(&user.id) == status;
            let is_told = self.told(user).0.last().is_some_and(|last| last == status);
            (is_stored && is_told).then_some(())
        };
        eventually(&format!("{} {status}; {}", user.account, self.log()), what).await;
    }

    async fn session(&self, user: &User) -> Session {
        Session::open(&user.url, &user.token).await
    }

    /// What a user is told who calls in vain, at the server's own address and at that of all servers.
    async fn is_refused(&self, user: &User) -> String {
        let mut own = Session::closed(&user.url, Some(&user.token));
        let answer = own.post(initialize().to_string()).await;
        let mut refusal = answer.message(0);
        // Only a server that has never been seen has nothing to greet with.
        if refusal["result"].is_object() {
            own.id = answer.session;
            refusal = own.call("whoami", json!({})).await;
        }
        let own = refusal;
        let all = Session::open(&format!("{}/mcp", self.satellite), &user.access).await;
        let call = json!({"tool_path": "docs:whoami", "arguments": {}});
        let all = who(&all.call("execute_mcp_tool", call).await).expect_err("nobody is let in");
        let own = who(&own).expect_err("nobody is let in");
        for why in [&own, &all] {
            let command = format!(
                "satellite server connect {} --team {} --user {}",
                self.scene.installation, self.scene.team, user.id
            );
            assert!(why.contains(&command), "{why}");
        }
        own
    }

    fn log(&self) -> String {
        tail(&self.scene.scratch.0.join("daemon.log"))
    }

    /// How many refresh tokens of an account the provider took.
    async fn renewals(&self, user: &User) -> u64 {
        self.scene.stats().await["refreshed"][user.account].as_u64().unwrap_or_default()
    }

    /// How many sessions the remote began for an account.
    async fn sessions(&self, user: &User) -> u64 {
        self.scene.stats().await["sessions"][user.account].as_u64().unwrap_or_default()
    }
}

/// Whom the remote takes the caller for; or why it was not asked.
fn who(answer: &Value) -> Result<String, String> {
    match (&answer["result"], text_of_any(answer)) {
        (result, Some(said)) if result["isError"] != true => Ok(said.to_string()),
        (_, Some(said)) => Err(said.to_string()),
        (_, None) => Err(answer["error"]["message"].to_string()),
    }
}

fn text_of_any(answer: &Value) -> Option<&str> {
    answer["result"]["content"].is_array().then(|| text_of(answer))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn an_instance_waits_for_its_user_who_comes_back_in_a_browser_and_nobody_is_taken_for_another()
 {
    let chain = Chain::start().await;
    let (ada, bob) = (chain.ada.clone(), chain.bob.clone());

    // Nobody has connected.
    for user in [&ada, &bob] {
        chain.becomes(user, "requires_reauth").await;
        assert_eq!(chain.told(user).0, ["provisioning", "connecting", "requires_reauth"]);
    }
    let (other, of_bob) = (chain.session(&chain.other).await, chain.told(&bob).0);
    let pid = eventually("the other server", || async {
        let answer = other.call("pid", json!({})).await;
        answer["result"]["content"].is_array().then(|| text_of(&answer).to_string())
    })
    .await;
    state(&format!("a call without a connection: {}", chain.is_refused(&ada).await));

    // Ada does.
    let began = Instant::now();
    let way = chain.scene.connect(&ada.id, ada.account, "connect").await;
    pages_are_decent(&way);
    chain.becomes(&ada, "online").await;
    state(&format!("connected in a browser and online after {} ms", began.elapsed().as_millis()));
    let since = ["requires_reauth", "connecting", "discovering_tools", "online"];
    assert_eq!(chain.told(&ada).0[2..], since);
    let session = chain.session(&ada).await;
    let listed = session.request("tools/list", json!({})).await;
    assert_eq!(listed["result"]["tools"][0]["name"], "whoami", "{listed}");
    assert_eq!(who(&session.call("whoami", json!({})).await), Ok(String::from(ada.account)));
    assert_eq!(chain.told(&bob).0, of_bob, "nothing happened to bob");
    chain.is_refused(&bob).await;
    chain.scene.connect(&bob.id, bob.account, "connect-bob").await;
    chain.becomes(&bob, "online").await;
    let stats = chain.scene.stats().await;
    assert_eq!((&stats["registered"], &stats["code"]), (&json!(1), &json!(2)), "{stats}");
    // A link is good once.
    a_used_link_and_a_refusal_lead_to_pages_that_say_what_to_do(&chain, &ada).await;

    let chain = Arc::new(chain);
    ends_under_many_calls(&chain, &ada).await;

    // The access is taken away, of ada alone.
    let (before, sessions) = (chain.scene.stats().await, chain.sessions(&bob).await);
    let of_bob = chain.told(&bob).0;
    let revoke = chain.scene.beside(&format!("revoke?{}", ada.account));
    chain.scene.http.post(revoke).send().await.expect("it is revoked");
    let why = who(&session.call("whoami", json!({})).await).expect_err("ada's access has ended");
    assert!(why.contains("connect"), "{why}");
    chain.becomes(&ada, "requires_reauth").await;
    let after = chain.scene.stats().await;
    let more = |name: &str| after[name].as_u64().zip(before[name].as_u64()).map(|(a, b)| a - b);
    state(&format!(
        "a call after a revocation: {:?} refusals by the remote, {:?} by the provider; {why}",
        more("unauthorised"),
        more("refused")
    ));
    // The Backend does not renew a token of a few seconds, which the provider then does not refuse.
    assert_eq!(more("unauthorised"), Some(1));
    assert!(more("refused") <= Some(1), "{after}");
    chain.is_refused(&ada).await;
    assert_eq!(
        who(&chain.session(&bob).await.call("whoami", json!({})).await),
        Ok(bob.account.into())
    );
    assert_eq!(chain.told(&bob).0, of_bob, "nothing happened to bob");

    chain.scene.connect(&ada.id, ada.account, "connect-again").await;
    chain.becomes(&ada, "online").await;
    assert_eq!(who(&session.call("whoami", json!({})).await), Ok(String::from(ada.account)));
    let tail = ["online", "requires_reauth", "connecting", "discovering_tools", "online"];
    assert!(chain.told(&ada).0.ends_with(&tail.map(String::from)), "{:?}", chain.told(&ada).0);

    nobody_is_taken_for_another(&chain).await;

    assert_eq!(chain.sessions(&bob).await, sessions, "bob's conversation is the one it was");
    assert_eq!(text_of(&other.call("pid", json!({})).await), pid, "no process was restarted");
    for log in ["backend.log", "daemon.log"] {
        chain.scene.has_told_no_secret(log, &[ada.token.clone(), bob.token.clone()]);
    }
    let mut chain = Arc::into_inner(chain).expect("nobody else holds it");
    let _ = chain.daemon.kill().await;
    chain.scene.end().await;
}

/// What the Backend's own pages are to everybody: titled, in a language, without script.
fn pages_are_decent(way: &Value) {
    let pages = way["pages"].as_array().expect("pages");
    let own = pages.iter().filter(|page| page["origin"] == pages[0]["origin"]);
    for page in own {
        assert_eq!(page["language"], "en", "{page:#}");
        assert_eq!(page["scripts"], 0, "{page:#}");
        assert!(page["title"].as_str().is_some_and(|title| !title.is_empty()), "{page:#}");
    }
    assert_eq!(way["complaints"], json!([]), "the browser finds nothing to complain of");
}

async fn a_used_link_and_a_refusal_lead_to_pages_that_say_what_to_do(chain: &Chain, user: &User) {
    let link = chain.scene.link(&user.id).await;
    let way = chain.scene.browse(&link, user.account, "cancel", "refuse").await;
    let last = |way: &Value| way["pages"].as_array().and_then(|all| all.last()).cloned();
    let page = last(&way).expect("a page");
    assert_eq!(page["heading"], "Not connected", "{way:#}");
    assert!(text(&page["text"]).contains("server connect"), "{page:#}");
    let way = chain.scene.browse(&link, user.account, "consent", "used").await;
    let page = last(&way).expect("a page");
    assert_eq!(page["heading"], "Not connected", "{way:#}");
    assert!(text(&page["text"]).contains("has been used"), "{page:#}");
}

/// The token ends, and a crowd calls at that moment: it is renewed once, for all of them.
async fn ends_under_many_calls(chain: &Arc<Chain>, user: &User) {
    let session = Arc::new(chain.session(user).await);
    loop {
        // The Backend renews by itself what is about to end. A wave that comes after that finds
        // nothing to renew, and another is sent.
        let before = chain.renewals(user).await;
        assert_eq!(who(&session.call("whoami", json!({})).await), Ok(user.account.into()));
        let in_hand = chain.renewals(user).await;
        let calm = std::time::Duration::from_secs(LIFE);
        tokio::time::sleep(calm).await;
        let mut calls = JoinSet::new();
        for _ in 0..WAVE {
            let session = Arc::clone(&session);
            calls.spawn(async move { who(&session.call("whoami", json!({})).await) });
        }
        let mut served = 0;
        while let Some(answer) = calls.join_next().await {
            assert_eq!(answer.expect("it ends"), Ok(user.account.into()), "{}", chain.log());
            served += 1;
        }
        let renewed = chain.renewals(user).await - in_hand;
        state(&format!(
            "{WAVE} concurrent calls with an ended token: {served} served, {renewed} renewal at \
             the provider ({before} before)"
        ));
        assert_eq!(chain.scene.stats().await["refused"], json!(0), "no refresh token came twice");
        if renewed == 1 {
            return;
        }
        assert_eq!(renewed, 1);
    }
}

/// Both users call without end, and each answer is about who asked.
async fn nobody_is_taken_for_another(chain: &Arc<Chain>) {
    let before = [chain.renewals(&chain.ada).await, chain.renewals(&chain.bob).await];
    let (next, began) = (Arc::new(AtomicUsize::new(0)), Instant::now());
    let mut workers = JoinSet::new();
    for worker in 0..AT_ONCE {
        let user = if worker % 2 == 0 { chain.ada.clone() } else { chain.bob.clone() };
        let next = Arc::clone(&next);
        workers.spawn(async move {
            let session = Session::open(&user.url, &user.token).await;
            let mut answers: BTreeMap<Result<String, String>, usize> = BTreeMap::new();
            while next.fetch_add(1, Ordering::Relaxed) < CALLS {
                let answer = who(&session.call("whoami", json!({})).await);
                *answers.entry(answer).or_default() += 1;
            }
            (user.account, answers)
        });
    }
    let mut counts: BTreeMap<(&str, Result<String, String>), usize> = BTreeMap::new();
    while let Some(done) = workers.join_next().await {
        let (account, answers) = done.expect("a worker ends");
        for (answer, count) in answers {
            *counts.entry((account, answer)).or_default() += count;
        }
    }
    let right =
        |(account, answer): &(&str, Result<String, String>)| answer.as_deref() == Ok(*account);
    let wrong: Vec<_> = counts.iter().filter(|(what, _)| !right(what)).collect();
    let all: usize = counts.values().sum();
    let after = [chain.renewals(&chain.ada).await, chain.renewals(&chain.bob).await];
    state(&format!(
        "{all} calls of two users, {AT_ONCE} at a time, in {:.1} s: {counts:?}; renewals {before:?} \
         to {after:?}",
        began.elapsed().as_secs_f64()
    ));
    assert!(wrong.is_empty(), "{wrong:?}");
    assert_eq!(all, CALLS);
}
