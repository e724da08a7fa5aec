//! One configuration after another, from the Backend's JSON to processes: what is started, ended
//! and left alone. The model is a map from instance to the command line it runs with.

use alloc::collections::BTreeMap;

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;

/// An entry: what its process depends on, and what it does not.
#[derive(Clone, Debug)]
struct Entry {
    installation: u8,
    user: u8,
    enabled: bool,
    /// Arguments and a credential in the environment: what makes another process.
    argument: u8,
    credential: u8,
    /// Names, statuses, paths, switched-off tools: what makes none.
    words: u8,
}

impl Entry {
    fn key(&self) -> String {
        format!("files-t-u{}-i{}", self.user, self.installation)
    }

    fn to_json(&self) -> Value {
        let statuses = ["online", "provisioning", "error", "awaiting_user_config"];
        json!({
            "installation_id": format!("i{}", self.installation), "user_id": format!("u{}", self.user),
            "team_id": "t", "team_slug": "t", "server_slug": "files", "enabled": self.enabled,
            "transport_type": "stdio", "command": "node", "args": [format!("{}.js", self.argument)],
            "env": {"TOKEN": format!("secret-{}", self.credential)},
            "instance_id": format!("inst_{}", self.words),
            "server_name": format!("Files {}", self.words),
            "installation_name": format!("Ours {}", self.words),
            "instance_status": statuses[usize::from(self.words) % 4],
            "instance_path": format!("{}-{}-{}", self.words, self.user, self.installation),
            "instance_token_hash": "00".repeat(32),
            "disabled_tools": if self.words == 0 { vec![] } else { vec![format!("tool{}", self.words)] },
        })
    }
}

/// Up to six entries, no two for one instance.
fn configurations() -> impl Strategy<Value = Vec<Vec<Entry>>> {
    let entry = (0u8..3, 0u8..2, proptest::bool::weighted(0.9), 0u8..2, 0u8..2, 0u8..4).prop_map(
        |(installation, user, enabled, argument, credential, words)| Entry {
            installation,
            user,
            enabled,
            argument,
            credential,
            words,
        },
    );
    let entries = proptest::collection::vec(entry, 0..6).prop_map(|entries| {
        let unique: BTreeMap<String, Entry> =
            entries.into_iter().map(|entry| (entry.key(), entry)).collect();
        unique.into_values().collect::<Vec<Entry>>()
    });
    proptest::collection::vec(entries, 1..8)
}

/// A host that does at once what it is asked for.
struct Host {
    control: Control,
    now: Timestamp,
    fetch: Option<RequestKey>,
    /// The present process of each instance: its number and its command line.
    running: BTreeMap<InstanceKey, (Incarnation, String)>,
    started: u32,
    ended: u32,
}

impl Host {
    fn new() -> Self {
        let mut host = Host {
            control: Control::new(Settings::default(), 3),
            now: Timestamp(1_769_850_900_000),
            fetch: None,
            running: BTreeMap::new(),
            started: 0,
            ended: 0,
        };
        host.event(Event::Started(Start { credentials: Some(credentials()), ..Start::default() }));
        host
    }

    fn event(&mut self, event: Event) {
        let mut out = Vec::new();
        self.control.handle(self.now, event, &mut out);
        self.carry_out(out);
    }

    fn carry_out(&mut self, effects: Vec<Effect>) {
        for effect in effects {
            match effect {
                Effect::Send { request, .. } if request.channel == Channel::Configuration => {
                    self.fetch = Some(request);
                }
                Effect::Spawn { key, incarnation, process } => {
                    let line = format!("{:?} {}", process.args, process.env[0].1.expose());
                    let other = self.running.insert(key.clone(), (incarnation, line));
                    assert_eq!(other, None, "{key} has a process");
                    self.started += 1;
                    self.event(Event::Spawned { key: key.clone(), incarnation, pid: 1 });
                    for report in [Report::Initialized, Report::Listed(Arc::default())] {
                        self.event(Event::Relay { key: key.clone(), incarnation, report });
                    }
                }
                Effect::Terminate { key, incarnation, .. } => {
                    let gone = self.running.remove(&key).map(|(running, _)| running);
                    assert_eq!(gone, Some(incarnation), "{key} has no such process");
                    self.ended += 1;
                    self.event(Event::Exited { key, incarnation, ended: Ended::default() });
                }
                Effect::Persist(record) => {
                    self.event(Event::Persisted { record: record.name(), outcome: Ok(()) });
                }
                _ => {}
            }
        }
    }

    fn configure(&mut self, entries: &[Entry]) {
        if self.fetch.is_none() {
            let mut out = Vec::new();
            let wanted = crate::configuration::Event::RefreshRequested;
            self.control.feed_configuration(self.now, wanted, &mut out);
            self.carry_out(out);
        }
        let request = self.fetch.take().expect("the configuration is fetched");
        let servers: serde_json::Map<String, Value> =
            entries.iter().map(|entry| (entry.key(), entry.to_json())).collect();
        let body = json!({"mcp_servers": servers, "satellite_config": {}}).to_string();
        let answer = HttpAnswer { status: 200, body: body.into_bytes(), ..HttpAnswer::default() };
        self.event(Event::Answered { request, answer: Ok(answer) });
        self.now = self.now.after(SECOND);
    }
}

proptest! {
    #[test]
    fn only_another_command_line_or_credential_starts_a_process_anew(
        configurations in configurations(),
    ) {
        let mut host = Host::new();
        let mut model: BTreeMap<String, String> = BTreeMap::new();
        for entries in configurations {
            let wanted: BTreeMap<String, String> = entries
                .iter()
                .filter(|entry| entry.enabled)
                .map(|entry| {
                    let line = format!("[\"{}.js\"] secret-{}", entry.argument, entry.credential);
                    (format!("t/i{}/u{}", entry.installation, entry.user), line)
                })
                .collect();
            let starts = wanted.iter().filter(|(key, line)| model.get(*key) != Some(line)).count();
            let ends = model.iter().filter(|(key, line)| wanted.get(*key) != Some(line)).count();
            let before = (host.started, host.ended);
            host.configure(&entries);
            prop_assert_eq!(
                (host.started - before.0, host.ended - before.1),
                (starts as u32, ends as u32),
                "{:?} became {:?}", model, wanted
            );
            model = wanted;
            let name = |key: &InstanceKey| format!("{}/{}/{}", key.team, key.installation, key.user);
            let running: BTreeMap<String, String> =
                host.running.iter().map(|(key, (_, line))| (name(key), line.clone())).collect();
            prop_assert_eq!(&running, &model);
            // What is told of an instance is of the configuration in force, restarted or not.
            let view = host.control.view();
            prop_assert_eq!(view.instances.len(), model.len());
            for entry in entries.iter().filter(|entry| entry.enabled) {
                let found = view.instances.values().find(|it| it.names.process == entry.key());
                let found = found.expect("it is shown");
                prop_assert_eq!(&found.names.server, &format!("Files {}", entry.words));
                let path = found.address.as_ref().map(|address| address.path.clone());
                prop_assert_eq!(path, entry.to_json()["instance_path"].as_str().map(String::from));
                prop_assert_eq!(found.disabled_tools.len(), usize::from(entry.words > 0));
                prop_assert_eq!(found.status, InstanceStatus::Online);
            }
        }
    }
}

#[test]
fn a_command_for_an_installation_reaches_each_of_its_users() {
    let entry = |installation, user| Entry {
        installation,
        user,
        enabled: true,
        argument: 0,
        credential: 0,
        words: 0,
    };
    let mut host = Host::new();
    host.configure(&[entry(0, 0), entry(0, 1), entry(1, 0)]);
    assert_eq!(host.running.len(), 3);
    let payload = json!({"installation_id": "i0", "team_id": "t"});
    let command = json!({"id": "c1", "command_type": "kill", "payload": payload});
    let command = serde_json::from_value(command).expect("a command is read");
    let mut out = Vec::new();
    host.control.execute(host.now, command, &mut out);
    host.carry_out(out);
    let left: Vec<&str> = host.running.keys().map(|key| key.installation.as_str()).collect();
    assert_eq!((host.ended, left), (2, vec!["i1"]));
}
