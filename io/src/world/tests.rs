//! The world with real processes, a scripted Backend's client and records in memory.

use std::sync::Mutex;

use bytes::Bytes;
use satellite_core::http::{HttpFailure, HttpRequest, Method};
use satellite_core::process::ProcessSpec;
use satellite_core::relay::{CallOutcome, Report};
use satellite_core::remote::RemoteSpec;
use satellite_core::request::{Channel, RequestKey};
use satellite_core::secret::Secret;
use satellite_core::time::Timestamp;
use satellite_core::view::Transport;
use satellite_core::{Deadline, Verdict};

use super::*;
use crate::host::{HostOptions, LinuxHost, StandIns};
use crate::http_client::Chunks;
use crate::relays::{NewCall, RelayHandle};
use crate::remotes::{Conversation, Held, Remotes};

/// Longer than any honest run takes.
const PATIENCE: Duration = Duration::from_secs(30);

/// Stands for the control machine where only its view matters.
struct Nobody(Arc<View>);

impl Machine for Nobody {
    type Event = Event;
    type Effect = Effect;

    fn handle(&mut self, _: Timestamp, _: Event, _: &mut Vec<Effect>) -> Verdict {
        Verdict::Handled
    }

    fn next_deadline(&self) -> Option<Deadline> {
        None
    }
}

impl Published for Nobody {
    fn view(&self) -> Arc<View> {
        Arc::clone(&self.0)
    }
}

/// Never answers `/slow`, refuses everything else.
#[derive(Clone, Debug)]
struct Backend;

struct NoBody;

impl Chunks for NoBody {
    async fn next(&mut self) -> Option<Result<Bytes, HttpFailure>> {
        None
    }
}

impl HttpClient for Backend {
    type Body = NoBody;

    async fn send(
        &self,
        request: http::Request<Bytes>,
    ) -> Result<http::Response<NoBody>, HttpFailure> {
        match request.uri().path() {
            "/slow" => std::future::pending().await,
            _ => Err(HttpFailure::Refused(request.uri().to_string())),
        }
    }
}

#[derive(Clone, Default)]
struct Memory(Arc<Mutex<Vec<&'static str>>>);

impl RecordStore for Memory {
    async fn persist(&self, record: Record) -> Result<(), String> {
        if let Record::Configuration(_) = record {
            return Err("disk full".into());
        }
        self.0.lock().unwrap().push(record.name());
        Ok(())
    }
}

struct Stage {
    world: DaemonWorld<Backend, LinuxHost, Memory>,
    outlook: Outlook,
    events: mpsc::UnboundedReceiver<Event>,
    root: std::path::PathBuf,
}

impl Stage {
    fn new(name: &str) -> Self {
        let root =
            std::env::temp_dir().join(format!("satellite-world-{name}-{}", std::process::id()));
        let host = LinuxHost::new(HostOptions {
            marker: format!("world-{name}-{}", std::process::id()),
            allowed_commands: ["/bin/sh"].map(String::from).into(),
            environment: vec![("PATH".into(), "/usr/bin:/bin".into())],
            homes: root.clone(),
            packages: root.join("packages"),
            shared_home: None,
            jail: None,
            groups: None,
            stand_ins: StandIns::default(),
        });
        let (inbox, events) = mpsc::unbounded_channel();
        let parts = Parts {
            entropy: Arc::new(crate::entropy::Kernel),
            client: Backend,
            host: host.unwrap(),
            store: Memory::default(),
            backend_url: "http://backend".into(),
            stderr: StderrSettings {
                lines_per_second: 20,
                line_max_bytes: 1_024,
                warning_interval: Duration::ZERO,
            },
            inbox,
            clock: Clock::starting_at(Timestamp(0)),
        };
        let (world, outlook) =
            DaemonWorld::new(parts, None, |tokens| Arc::new(Remotes { client: Backend, tokens }));
        Stage { world, outlook, events, root }
    }

    async fn perform(&mut self, effect: Effect) -> Performed<Event, Exit> {
        World::<Nobody>::perform(&mut self.world, effect).await
    }

    async fn spawn(&mut self, script: &str) {
        let process = ProcessSpec {
            command: "/bin/sh".into(),
            args: vec!["-c".into(), script.into()],
            env: vec![("TOKEN".into(), Secret::new("t0ken-value"))],
            handshake_timeout_ms: 60_000,
            limits: Default::default(),
        };
        self.perform(Effect::Spawn { key: key(), incarnation: Incarnation(1), process }).await;
    }

    /// The next event that `pick` takes; the others are skipped.
    async fn until<T>(&mut self, mut pick: impl FnMut(&Event) -> Option<T>) -> T {
        let search = async {
            loop {
                let event = self.events.recv().await.unwrap();
                if let Some(found) = pick(&event) {
                    return found;
                }
            }
        };
        tokio::time::timeout(PATIENCE, search).await.expect("the event does not come")
    }

    async fn ended(&mut self) -> satellite_core::process::Ended {
        self.until(|event| match event {
            Event::Exited { ended, .. } => Some(ended.clone()),
            _ => None,
        })
        .await
    }

    fn relay(&self) -> RelayHandle {
        self.outlook.relays.find(&key(), Incarnation(1)).unwrap()
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.root);
    }
}

fn key() -> InstanceKey {
    InstanceKey { team: "t".into(), installation: "i".into(), user: "u".into() }
}

/// An MCP server in shell: it answers the handshake and the tool list, and every call with `$1`.
fn server(on_call: &str) -> String {
    format!(
        r#"while read -r line; do
            id=$(printf %s "$line" | sed -n 's/.*"id":\([0-9]*\).*/\1/p')
            case $line in
            *'"initialize"'*) echo '{{"jsonrpc":"2.0","id":'$id',"result":{{"protocolVersion":"2025-06-18","capabilities":{{"tools":{{}}}},"serverInfo":{{"name":"s","version":"1"}}}}}}';;
            *tools/list*) echo '{{"jsonrpc":"2.0","id":'$id',"result":{{"tools":[]}}}}';;
            *tools/call*) {on_call};;
            esac
        done"#
    )
}

fn call(relay: &RelayHandle) -> crate::relays::PendingCall {
    let params = serde_json::value::RawValue::from_string("{\"name\":\"x\"}".into()).unwrap();
    relay.call(NewCall {
        method: "tools/call".into(),
        params: Some(params),
        timeout_ms: 60_000,
        progress: false,
        repeatable: false,
    })
}

/// Holds no conversation to its end.
#[derive(Debug)]
struct Broken;

impl RemoteHost for Broken {
    fn hold(&self, _: Conversation) -> Held {
        Box::pin(async { panic!("as a mistake of our own would") })
    }
}

#[tokio::test]
async fn a_conversation_that_breaks_down_is_told_to_have_ended() {
    let mut stage = Stage::new("broken");
    stage.world.remotes = Arc::new(Broken);
    let remote = RemoteSpec {
        transport: Transport::Http,
        endpoints: vec!["https://far.example/mcp".into()],
        headers: Vec::new(),
        query: Vec::new(),
        named_query: Vec::new(),
        requires_oauth: false,
        call_timeout_ms: 60_000,
        handshake_timeout_ms: 30_000,
    };
    stage.perform(Effect::Connect { key: key(), incarnation: Incarnation(7), remote }).await;
    let told = stage.until(|event| match event {
        Event::Relay { incarnation, report: Report::Closed { .. }, .. } => Some(*incarnation),
        _ => None,
    });
    assert_eq!(told.await, Incarnation(7));
    assert!(stage.outlook.relays.find(&key(), Incarnation(7)).is_none());
}

fn is_listed(event: &Event) -> Option<()> {
    matches!(event, Event::Relay { report: Report::Listed(_), .. }).then_some(())
}

#[tokio::test]
async fn a_server_starts_serves_and_ends_when_told() {
    let mut stage = Stage::new("serve");
    stage.spawn(&server(r#"echo '{"jsonrpc":"2.0","id":'$id',"result":{"n":42}}'"#)).await;
    stage.until(|event| matches!(event, Event::Spawned { .. }).then_some(())).await;
    stage.until(is_listed).await;
    let outcome = call(&stage.relay()).outcome().await;
    let CallOutcome::Result(result) = outcome else { panic!("{outcome:?}") };
    assert_eq!(result.get(), "{\"n\":42}");
    let terminate =
        Effect::Terminate { key: key(), incarnation: Incarnation(1), grace_ms: 600_000 };
    stage.perform(terminate).await;
    stage.ended().await;
    assert!(stage.outlook.relays.find(&key(), Incarnation(1)).is_none());
}

#[tokio::test]
async fn a_death_answers_the_pending_call_with_its_cause_and_reports_the_last_words_without_secrets()
 {
    let mut stage = Stage::new("death");
    stage.spawn(&server("echo \"bye $TOKEN\" >&2; kill -9 $$")).await;
    stage.until(is_listed).await;
    let outcome = call(&stage.relay()).outcome().await;
    let CallOutcome::OutcomeUnknown { reason } = outcome else { panic!("{outcome:?}") };
    assert!(reason.contains("SIGKILL"), "{reason}");
    let ended = stage.ended().await;
    assert_eq!(ended.signal.as_deref(), Some("SIGKILL"));
    assert_eq!(ended.last_stderr, ["bye [secret]"]);
}

#[tokio::test]
async fn a_server_that_closes_its_output_is_ended() {
    let mut stage = Stage::new("mute");
    stage.spawn("exec >&-; exec sleep 300").await;
    assert_eq!(stage.ended().await.signal.as_deref(), Some("SIGTERM"));
}

#[tokio::test]
async fn what_cannot_start_is_reported_once_and_an_exit_leaves_nothing_running() {
    let mut stage = Stage::new("exit");
    let process = ProcessSpec {
        command: "nope".into(),
        args: Vec::new(),
        env: Vec::new(),
        handshake_timeout_ms: 1,
        limits: Default::default(),
    };
    stage.perform(Effect::Spawn { key: key(), incarnation: Incarnation(0), process }).await;
    let failed = |event: &Event| matches!(event, Event::SpawnFailed { .. }).then_some(());
    stage.until(failed).await;

    stage.spawn("exec sleep 300").await;
    stage.until(|event| matches!(event, Event::Spawned { .. }).then_some(())).await;
    let exit = Exit { code: 3, error: "over".into(), hint: "start again".into() };
    let performed = stage.perform(Effect::Exit(exit.clone())).await;
    assert!(matches!(performed, Performed::Ended(end) if end == exit));
    let is_exited = |event| matches!(event, Event::Exited { .. });
    assert!(std::iter::from_fn(|| stage.events.try_recv().ok()).any(is_exited));
}

#[tokio::test(start_paused = true)]
async fn every_request_is_answered_once_whatever_becomes_of_it() {
    let mut stage = Stage::new("send");
    for (number, path) in ["/refused", "/slow"].into_iter().enumerate() {
        let http = HttpRequest {
            method: Method::Get,
            path: path.into(),
            bearer: None,
            headers: Vec::new(),
            body: None,
            timeout_ms: 5_000,
        };
        let request = RequestKey { channel: Channel::Poll, number: number as u64 };
        stage.perform(Effect::Send { request, http }).await;
    }
    for expected in
        [Err(HttpFailure::Refused("http://backend/refused".into())), Err(HttpFailure::TimedOut)]
    {
        let Some(Event::Answered { answer, .. }) = stage.events.recv().await else { panic!() };
        assert_eq!(answer, expected);
    }
    assert!(stage.events.try_recv().is_err());
}

#[tokio::test]
async fn records_are_on_disk_before_the_next_effect_and_credentials_are_passed_on() {
    let mut stage = Stage::new("persist");
    let performed = stage.perform(Effect::Persist(Record::Configuration(Vec::new()))).await;
    assert!(matches!(
        performed,
        Performed::Answered(Event::Persisted { record: "configuration", outcome: Err(_) })
    ));
    let credentials = Credentials {
        api_key: Secret::new("key"),
        satellite_id: "s".into(),
        satellite_name: "name".into(),
        team_id: None,
        backend_url: None,
        registered_at: Default::default(),
        last_verified: Default::default(),
    };
    stage.perform(Effect::Persist(Record::Credentials(credentials.clone()))).await;
    assert_eq!(*stage.outlook.credentials.borrow(), Some(credentials));
    stage.perform(Effect::Persist(Record::Unpaired)).await;
    assert_eq!(*stage.outlook.credentials.borrow(), None);
    assert_eq!(*stage.world.parts.store.0.lock().unwrap(), ["credentials", "unpaired"]);
}

#[tokio::test]
async fn a_view_is_published_when_it_changes() {
    let mut stage = Stage::new("view");
    let mut machine = Nobody(Arc::new(View { revision: 1, ..View::default() }));
    World::publish(&mut stage.world, &machine);
    assert_eq!(stage.outlook.view.borrow_and_update().revision, 1);
    World::publish(&mut stage.world, &machine);
    assert!(!stage.outlook.view.has_changed().unwrap());
    machine.0 = Arc::new(View { revision: 2, ..View::default() });
    World::publish(&mut stage.world, &machine);
    assert!(stage.outlook.view.has_changed().unwrap());
}
