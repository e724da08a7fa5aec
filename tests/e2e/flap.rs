//! A remote that comes and goes: what is told of it, and what becomes of the calls meanwhile.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use satellite_tests::root;
use serde_json::{Value, json};
use tokio::process::Command;
use tokio::sync::Mutex;
use tokio::time::sleep;

use crate::fleet::free_port;
use crate::harness::{Dev, Scratch, eventually, state};
use crate::mcp::{Session, text_of};
use crate::peer::{command, command_result, events, session, statuses};
use crate::remotes::Remote;

/// Clients that call at once.
const CLIENTS: u64 = 8;
/// What brings the server back, in turn; the last is a command of the Backend.
const WAYS: [&str; 3] = ["probe", "call", "mcp_recovery"];

/// What the server in `remote.py` did, over all its lives.
struct Diary(PathBuf);

impl Diary {
    fn lines(&self) -> Vec<Value> {
        let text = std::fs::read_to_string(&self.0).unwrap_or_default();
        text.lines().map(|line| serde_json::from_str(line).expect("a line is JSON")).collect()
    }

    /// When each life began to listen, in milliseconds.
    fn listening(&self) -> Vec<u64> {
        let lines = self.lines();
        let began = lines.iter().filter(|line| line["did"] == "listening");
        began.filter_map(|line| line["at"].as_u64()).collect()
    }

    /// How often each call ran.
    fn ran(&self, tool: &str) -> BTreeMap<String, u32> {
        let mut ran = BTreeMap::new();
        for line in self.lines().iter().filter(|line| line["did"] == tool) {
            *ran.entry(line["id"].as_str().expect("an id").to_string()).or_default() += 1;
        }
        ran
    }
}

async fn remote(port: u16, diary: &Path, refusal: &Path) -> Remote {
    let mut command = Command::new("python3");
    command.arg(root().join("tests/e2e/remote.py")).arg(port.to_string()).arg(diary);
    command.arg("--sessions").arg("--refusal").arg(refusal);
    Remote::start(&mut command, port).await
}

/// Clients that call without a pause, unless they are told to rest.
struct Load {
    rests: AtomicBool,
    ends: AtomicBool,
    numbers: AtomicU64,
    /// Calls under way.
    busy: AtomicU64,
    /// Each call and its answer.
    outcomes: Mutex<BTreeMap<String, Vec<Value>>>,
}

impl Load {
    async fn client(self: Arc<Self>, session: Session) {
        while !self.ends.load(Ordering::SeqCst) {
            self.busy.fetch_add(1, Ordering::SeqCst);
            if !self.rests.load(Ordering::SeqCst) {
                let id = format!("c{}", self.numbers.fetch_add(1, Ordering::SeqCst));
                let answer = session.call("act", json!({"id": id})).await;
                self.outcomes.lock().await.entry(id).or_default().push(answer);
            }
            self.busy.fetch_sub(1, Ordering::SeqCst);
            sleep(Duration::from_millis(20)).await;
        }
    }

    async fn rest(&self) {
        self.rests.store(true, Ordering::SeqCst);
        eventually("no call under way", || async {
            (self.busy.load(Ordering::SeqCst) == 0).then_some(())
        })
        .await;
    }
}

/// Whether the list of a server's own endpoint says that it may be out of date.
async fn is_stale(session: &Session) -> bool {
    let answer = session.request("tools/list", json!({})).await;
    let tools = answer["result"]["tools"].as_array().map(Vec::len);
    assert_eq!(tools, Some(2), "tools never vanish: {answer}");
    answer["result"]["_meta"]["satellite/stale"].is_object()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_remote_that_comes_and_goes_is_found_again_by_each_way_and_loses_no_call() {
    let cycles: usize =
        std::env::var("SATELLITE_FLAPS").ok().and_then(|text| text.parse().ok()).unwrap_or(3);
    let scratch = Scratch::new("flap");
    let (port, refusal) = (free_port(), scratch.0.join("refusal"));
    let diary = Diary(scratch.0.join("diary"));
    let mut server = remote(port, &diary.0, &refusal).await;
    let url = format!("http://127.0.0.1:{port}/mcp");
    let mut dev =
        Dev::start_reaching(scratch, &json!({"mcpServers": {"diary": {"url": url}}})).await;
    let installation = dev.running.instance("diary")["installation_id"].clone();
    let recovery = json!({"event": "mcp_recovery", "installation_id": installation,
        "team_id": dev.running.ready["team_id"]});
    let load = Arc::new(Load {
        rests: AtomicBool::new(false),
        ends: AtomicBool::new(false),
        numbers: AtomicU64::new(0),
        busy: AtomicU64::new(0),
        outcomes: Mutex::default(),
    });
    let mut clients = Vec::new();
    for _ in 0..CLIENTS {
        clients.push(tokio::spawn(Arc::clone(&load).client(session(&dev, "diary").await)));
    }
    let lister = session(&dev, "diary").await;
    for cycle in 0..cycles {
        let before = load.numbers.load(Ordering::SeqCst);
        eventually("some calls", || async {
            (load.numbers.load(Ordering::SeqCst) > before + 5 * CLIENTS).then_some(())
        })
        .await;
        server.kill().await;
        eventually("offline", || async { is_stale(&lister).await.then_some(()) }).await;
        let way = WAYS[cycle % WAYS.len()];
        if way != "call" {
            load.rest().await;
        }
        server = remote(port, &diary.0, &refusal).await;
        if way == "mcp_recovery" {
            let id = command(&dev, "configure", recovery.clone()).await;
            let result = command_result(&dev, &id).await;
            assert_eq!(result["status"], "completed", "{result}");
            assert_eq!(result["result"]["tools_discovered"], 2, "{result}");
        }
        eventually("online", || async { (!is_stale(&lister).await).then_some(()) }).await;
        load.rests.store(false, Ordering::SeqCst);
    }
    load.ends.store(true, Ordering::SeqCst);
    for client in clients {
        client.await.expect("a client ends");
    }
    let expected = 4 + 4 * cycles;
    eventually("every event", || async {
        (events(&dev, "mcp.server.status_changed").len() >= expected).then_some(())
    })
    .await;
    let told = events(&dev, "mcp.server.status_changed");
    let words: Vec<&str> = told.iter().filter_map(|event| event["status"].as_str()).collect();
    assert_eq!(words[..4], ["provisioning", "connecting", "discovering_tools", "online"]);
    for (cycle, words) in words[4..].chunks(4).enumerate() {
        assert_eq!(words, ["offline", "connecting", "discovering_tools", "online"], "{cycle}");
    }

    let lives = diary.listening();
    assert_eq!(lives.len(), cycles + 1);
    let lines = diary.lines();
    let all = lines.chunk_by(|left, right| left["pid"] == right["pid"]);
    for (life, lines) in all.enumerate() {
        let count = |did: &str| lines.iter().filter(|line| line["did"] == did).count();
        assert_eq!(count("initialize"), 1, "one discovery in life {life} of the server");
        // A command that finds the server online already asks for its lists once more.
        let is_commanded = life % WAYS.len() == 0 && life > 0;
        let lists = count("tools/list");
        assert!(lists == 1 || (lists == 2 && is_commanded), "{lists} lists in life {life}");
    }

    // Every call has one outcome; what ran, ran once; what was answered, ran.
    let ran = diary.ran("act");
    assert!(ran.values().all(|times| *times == 1), "{ran:?}");
    let outcomes = std::mem::take(&mut *load.outcomes.lock().await);
    let (mut good, mut unknown, mut refused) = (0, 0, 0);
    for (id, answers) in &outcomes {
        assert_eq!(answers.len(), 1, "{id}");
        let answer = &answers[0];
        if answer["result"]["content"][0]["text"] == **id {
            assert_eq!(ran.get(id), Some(&1), "{id} was answered");
            good += 1;
        } else if answer.to_string().contains("outcome_unknown") {
            unknown += 1;
        } else {
            assert_eq!(ran.get(id), None, "{id} ran, and was said not to have: {answer}");
            refused += 1;
        }
    }
    assert_eq!(outcomes.len() as u64, load.numbers.load(Ordering::SeqCst));

    let (mut waits, mut online) = (Vec::new(), told.iter().filter(|it| it["status"] == "online"));
    for (life, event) in lives.iter().zip(&mut online).skip(1) {
        let at = event["timestamp"].as_str().expect("a time");
        let at = satellite_core::time::Timestamp::from_iso(at).expect("an ISO 8601 time").0;
        waits.push(at.saturating_sub(*life));
    }
    for (way, name) in WAYS.into_iter().enumerate() {
        let mut own: Vec<u64> = waits.iter().skip(way).step_by(WAYS.len()).copied().collect();
        own.sort_unstable();
        let at = |share: usize| own.get((own.len() * share / 100).min(own.len().saturating_sub(1)));
        state(&format!(
            "from listening to online by {name}: p50 {:?} ms, p99 {:?} ms of {}",
            at(50),
            at(99),
            own.len()
        ));
    }
    state(&format!(
        "{cycles} cycles: {good} calls answered, {unknown} of unknown outcome, {refused} refused"
    ));
    heartbeat_says(&dev, "running").await;
    server.kill().await;
    eventually("offline", || async {
        lister.call("look", json!({"id": "l"})).await;
        is_stale(&lister).await.then_some(())
    })
    .await;
    heartbeat_says(&dev, "stopped").await;
    assert_eq!(dev.running.stop().await, Some(0));
}

/// Waits until a heartbeat says this of the one server.
async fn heartbeat_says(dev: &Dev, status: &str) {
    eventually(status, || async {
        (dev.query("SELECT status FROM \"satelliteProcesses\"") == [status]).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_health_check_finds_out_that_access_has_ended_and_that_it_is_back() {
    for code in ["401", "403"] {
        let scratch = Scratch::new("refused");
        let (port, refusal) = (free_port(), scratch.0.join("refusal"));
        let server = remote(port, &scratch.0.join("diary"), &refusal).await;
        let url = format!("http://127.0.0.1:{port}/mcp");
        let mut dev =
            Dev::start_reaching(scratch, &json!({"mcpServers": {"diary": {"url": url}}})).await;
        let check = async |kind: &str| {
            let payload = json!({"check_type": kind, "team_id": dev.running.ready["team_id"],
                "installation_id": dev.running.instance("diary")["installation_id"]});
            let id = command(&dev, "health_check", payload).await;
            command_result(&dev, &id).await["result"].take()
        };
        let word = |result: &Value| result["credential_validation"]["needs_reauth"].clone();
        let before = check("credential_validation").await;
        assert_eq!(word(&before), false, "{before}");

        std::fs::write(&refusal, code).expect("the server is told what to answer");
        let ended = check("credential_validation").await;
        assert_eq!(word(&ended), true, "{code}: {ended}");
        eventually("the status", || async {
            (statuses(&dev, "diary") == ["requires_reauth"]).then_some(())
        })
        .await;
        // A call says why, and what to do; nothing of the server is on offer meanwhile.
        let session = session(&dev, "diary").await;
        let answer = session.call("act", json!({"id": "shut"})).await;
        assert!(text_of(&answer).contains("authorised again"), "{code}: {answer}");
        let listed = session.request("tools/list", json!({})).await;
        assert!(listed["error"].is_object(), "{code}: {listed}");

        std::fs::remove_file(&refusal).expect("the server answers again");
        let back = check("credential_validation").await;
        assert_eq!(word(&back), false, "{code}: {back}");
        let listed = session.request("tools/list", json!({})).await;
        assert_eq!(listed["result"]["tools"].as_array().map(Vec::len), Some(2), "{listed}");
        assert_eq!(dev.running.stop().await, Some(0));
        server.kill().await;
    }
}
