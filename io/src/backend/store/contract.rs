//! What every implementation of [`Store`] must do, run against each of them.

mod connections;
pub(super) mod given;
mod jobs;
mod lists;

use std::future::Future;
use std::sync::Arc;

use satellite_core::backend::Owner;
use satellite_core::id::{CommandId, SatelliteId, TeamId, UserId};
use satellite_core::time::{HOUR, IsoTime, MINUTE, Timestamp};
use satellite_core::view::InstanceStatus;
use satellite_core::wire::command::{CommandStatus, Priority};
use serde_json::json;

use super::postgres::throwaway;
use super::records::{
    Completed, Completion, EventEffect, EventOutcome, EventRecord, JsonText, KeyState, Registered,
    Registration, Retention, Team,
};
use super::{AnyStore, Inline, Model, Postgres, Sqlite, Store, StoreError, Thread};
use given::{
    command, event, heartbeat, installed, notice, paired, process, registration, take, team, token,
};

pub(super) const NOW: Timestamp = Timestamp(1_769_850_902_123);

/// Runs `test` against every implementation.
async fn each<F: Future<Output = ()>>(test: impl Fn(AnyStore) -> F) {
    let thread = Arc::new(Thread::start().unwrap());
    for store in [
        AnyStore::Model(Model::new()),
        AnyStore::Sqlite(Sqlite::in_memory(Arc::new(Inline)).unwrap()),
        AnyStore::Sqlite(Sqlite::in_memory(thread).unwrap()),
        AnyStore::Postgres(Postgres::open(&throwaway::database().await).await.unwrap()),
    ] {
        test(store).await;
    }
}

#[tokio::test]
async fn a_registration_token_works_once_and_only_for_its_own_scope() {
    each(async |store| {
        let team = team(&store, "acme").await;
        token(&store, "t", Some(team.clone())).await;
        let owner = Owner::Team(team);
        let register = |hash: &str, name: &str, owner: &Owner| {
            store.register_satellite(registration(hash, name, owner.clone()))
        };
        let unknown = register("x", "edge-one", &owner).await.unwrap();
        assert_eq!(unknown, Registered::TokenUnknown);
        let other_scope = register("t", "edge-one", &Owner::Global).await.unwrap();
        assert_eq!(other_scope, Registered::TokenUnknown);
        let first = register("t", "edge-one", &owner).await.unwrap();
        assert!(matches!(first, Registered::Paired { again: false, .. }), "{first:?}");
        let second = register("t", "edge-two", &owner).await.unwrap();
        assert_eq!(second, Registered::TokenUsed);
        assert_eq!(store.satellites().await.unwrap().len(), 1);
        let tokens = store.registration_tokens().await.unwrap();
        assert!(tokens[0].used && !store.delete_registration_token("rtok_t".into()).await.unwrap());
    })
    .await;
}

#[tokio::test]
async fn an_expired_token_pairs_nothing_and_stays_unused() {
    each(async |store| {
        token(&store, "t", None).await;
        let mut late = registration("t", "edge-one", Owner::Global);
        late.now = NOW.after(HOUR);
        assert_eq!(store.register_satellite(late).await.unwrap(), Registered::TokenExpired);
        assert!(!store.registration_tokens().await.unwrap()[0].used);
    })
    .await;
}

#[tokio::test]
async fn pairing_again_keeps_the_id_and_voids_the_former_key() {
    each(async |store| {
        let first = paired(&store, "edge-one", None).await;
        token(&store, "again", None).await;
        let again = registration("again", "edge-one", Owner::Global);
        let Registered::Paired { satellite, again: true } =
            store.register_satellite(again).await.unwrap()
        else {
            panic!("not paired again")
        };
        assert_eq!(satellite.id, first.id);
        let holder = |lookup: &str| store.key_holder(lookup.to_owned());
        let former = holder("lookup_edge-one").await.unwrap().unwrap();
        assert_eq!(former.state, KeyState::Revoked);
        let valid = holder("lookup_again").await.unwrap().unwrap();
        assert!(matches!(valid.state, KeyState::Valid(_)));
        assert!(store.delete_satellite(first.id, NOW).await.unwrap());
        for lookup in ["lookup_edge-one", "lookup_again"] {
            assert_eq!(holder(lookup).await.unwrap().unwrap().state, KeyState::Deleted);
        }
        assert_eq!(holder("lookup_never").await.unwrap(), None);
    })
    .await;
}

#[tokio::test]
async fn a_name_of_another_owner_is_refused_and_the_token_stays_unused() {
    each(async |store| {
        paired(&store, "edge-one", None).await;
        let team = team(&store, "acme").await;
        token(&store, "t", Some(team.clone())).await;
        let stranger = registration("t", "edge-one", Owner::Team(team));
        let refused = store.register_satellite(stranger.clone()).await.unwrap();
        assert_eq!(refused, Registered::NameTaken);
        let other_name = Registration { name: "edge-two".to_owned(), ..stranger };
        let paired = store.register_satellite(other_name).await.unwrap();
        assert!(matches!(paired, Registered::Paired { again: false, .. }), "{paired:?}");
    })
    .await;
}

#[tokio::test]
async fn commands_are_leased_and_come_back_until_their_end_is_reported() {
    each(async |store| {
        let satellite = paired(&store, "edge-one", None).await.id;
        let other = paired(&store, "edge-two", None).await.id;
        let commands = vec![
            command(&satellite, "low", Priority::Low, 9_000),
            command(&satellite, "young", Priority::Immediate, 1_000),
            command(&satellite, "old", Priority::Immediate, 5_000),
        ];
        store.file_commands(commands).await.unwrap();
        assert!(store.take_commands(take(&other, 10, NOW)).await.unwrap().commands.is_empty());
        let taken = store.take_commands(take(&satellite, 2, NOW)).await.unwrap();
        let ids: Vec<_> = taken.commands.iter().map(|one| one.command.id.as_str()).collect();
        assert_eq!(ids, ["old", "young"]);
        assert_eq!(taken.most_urgent, Some(Priority::Immediate));
        let taken = store.take_commands(take(&satellite, 2, NOW)).await.unwrap();
        assert_eq!(taken.commands[0].command.id.as_str(), "low");

        let report = |who: &SatelliteId, status| Completion {
            satellite_id: who.clone(),
            command_id: CommandId::from("old"),
            status,
            result: Some(JsonText::of(&json!({"ok": true}))),
            started_at: Some(IsoTime(NOW)),
            duration_ms: Some(12),
            error: None,
            now: NOW,
        };
        let complete = |who: &SatelliteId, status| store.complete_command(report(who, status));
        let foreign = complete(&other, CommandStatus::Completed).await.unwrap();
        assert_eq!(foreign, Completed::Unknown);
        let first = complete(&satellite, CommandStatus::Completed).await.unwrap();
        assert_eq!(first, Completed::Recorded);
        let second = complete(&satellite, CommandStatus::Failed).await.unwrap();
        assert_eq!(second, Completed::Repeated);

        let later = NOW.after(2 * MINUTE);
        let taken = store.take_commands(take(&satellite, 10, later)).await.unwrap();
        let ids: Vec<_> =
            taken.commands.iter().map(|one| (one.command.id.as_str(), one.attempt)).collect();
        assert_eq!(ids, [("young", 2), ("low", 2)]);
        let ended = store.command(satellite.clone(), "old".into()).await.unwrap().unwrap();
        assert_eq!((ended.started_at, ended.duration_ms), (Some(IsoTime(NOW)), Some(12)));
        assert_eq!(ended.status, "completed");
        assert_eq!(store.commands(satellite, 10).await.unwrap().len(), 3);
    })
    .await;
}

#[tokio::test]
async fn a_command_nobody_fetched_in_time_ends_as_failed() {
    each(async |store| {
        let satellite = paired(&store, "edge-one", None).await.id;
        store.file_commands(vec![command(&satellite, "c", Priority::High, 0)]).await.unwrap();
        assert_eq!(store.lapse_commands(NOW).await.unwrap(), 0);
        assert_eq!(store.lapse_commands(NOW.after(HOUR)).await.unwrap(), 1);
        let ended = store.command(satellite, "c".into()).await.unwrap().unwrap();
        assert_eq!(ended.status, "failed");
        assert!(ended.error_message.unwrap().contains("expired"));
    })
    .await;
}

#[tokio::test]
async fn a_heartbeat_activates_and_tells_of_processes_and_what_it_omits_has_stopped() {
    each(async |store| {
        let satellite = paired(&store, "edge-one", None).await;
        assert_eq!(satellite.status, "inactive");
        let id = satellite.id;
        let both = vec![process("a", "running"), process("b", "running")];
        let after = store.record_heartbeat(heartbeat(&id, 1, both)).await.unwrap();
        assert_eq!(after.status, "active");
        assert!(after.mcp_status.is_some());
        let one = vec![process("a", "running")];
        store.record_heartbeat(heartbeat(&id, 2, one)).await.unwrap();
        let processes = store.processes(id.clone()).await.unwrap();
        let shown: Vec<_> =
            processes.iter().map(|one| (one.id.as_str(), one.status.as_str())).collect();
        assert_eq!(shown, [("a", "running"), ("b", "stopped")]);
        assert_eq!(processes[0].team_id, None, "a team that does not exist is left out");
        let missing = store.record_heartbeat(heartbeat(&"nobody".into(), 1, Vec::new())).await;
        assert_eq!(missing, Err(StoreError::Missing("satellite")));
        assert_eq!(store.mark_silent(NOW).await.unwrap(), []);
        assert_eq!(store.mark_silent(NOW.after(HOUR)).await.unwrap(), std::slice::from_ref(&id));
        assert_eq!(store.satellite(id).await.unwrap().unwrap().status, "inactive");
    })
    .await;
}

#[tokio::test]
async fn retention_keeps_the_newest_heartbeats_of_each_satellite() {
    each(async |store| {
        let team = team(&store, "acme").await;
        let global = paired(&store, "edge-one", None).await.id;
        let own = paired(&store, "edge-two", Some(team)).await.id;
        for number in 0..6 {
            store.record_heartbeat(heartbeat(&global, number, Vec::new())).await.unwrap();
            store.record_heartbeat(heartbeat(&own, number, Vec::new())).await.unwrap();
        }
        let retention = Retention {
            global_heartbeats: 4,
            team_heartbeats: 2,
            instance_logs: 10,
            history_before: Timestamp(0),
        };
        assert_eq!(store.retain(retention).await.unwrap().heartbeats, 2 + 4);
        let kept = store.heartbeats(own, 10).await.unwrap();
        let kept: Vec<_> = kept.iter().map(|one| one.uptime_seconds.unwrap()).collect();
        assert_eq!(kept, [5, 4]);
        assert_eq!(store.heartbeats(global, 10).await.unwrap().len(), 4);
    })
    .await;
}

#[tokio::test]
async fn an_event_counts_once_and_may_not_be_about_what_its_satellite_does_not_serve() {
    each(async |store| {
        let (acme, other) = (team(&store, "acme").await, team(&store, "other").await);
        let installation = installed(&store, &acme).await;
        let satellite = paired(&store, "edge-one", Some(acme.clone())).await.id;
        let stranger = paired(&store, "edge-two", Some(other.clone())).await.id;
        let user = UserId::from(format!("user_{acme}"));
        let effect = |status: &str| EventEffect::Status {
            user_id: user.clone(),
            status: InstanceStatus::parse(status).unwrap(),
            message: None,
        };
        let about = |who: &SatelliteId, id: &str, status: &str, at: u64| EventRecord {
            installation_id: Some(installation.clone()),
            team_id: Some(acme.clone()),
            effect: effect(status),
            timestamp: Timestamp(NOW.0 - at),
            ..event(who, id)
        };
        let record = |event| store.record_event(event);
        let first = record(about(&satellite, "1", "online", 10)).await.unwrap();
        assert_eq!(first, EventOutcome::Recorded);
        let again = EventRecord { id: "evt_new".to_owned(), ..about(&satellite, "1", "error", 0) };
        assert_eq!(record(again).await.unwrap(), EventOutcome::Repeated("evt_1".to_owned()));
        let nameless = EventRecord { team_id: None, ..about(&satellite, "0", "offline", 20) };
        record(nameless).await.unwrap();
        record(about(&satellite, "3", "awaiting_user_config", 0)).await.unwrap();
        let foreign = record(about(&stranger, "2", "error", 0)).await.unwrap();
        assert_eq!(foreign, EventOutcome::Foreign);
        let instances = store.instances(installation.clone()).await.unwrap();
        assert_eq!(instances[0].status, "online", "neither late news nor the Backend's own word");
        let query = super::records::EventQuery { limit: 10, ..Default::default() };
        let events = store.events(query.clone()).await.unwrap();
        assert_eq!(events.len(), 3);
        // A team's events are its own, also where they name only an installation.
        let of = |team: &TeamId| {
            let team_id = Some(team.clone());
            store.events(super::records::EventQuery { team_id, ..query.clone() })
        };
        assert_eq!(of(&acme).await.unwrap(), events);
        assert_eq!(of(&other).await.unwrap(), []);
        let rest = super::records::EventQuery { after: events[0].number, ..query };
        assert_eq!(store.events(rest).await.unwrap(), events[1..]);
    })
    .await;
}

#[tokio::test]
async fn a_change_of_an_installation_tells_every_satellite_that_serves_it_and_no_other() {
    each(async |store| {
        let (acme, other) = (team(&store, "acme").await, team(&store, "other").await);
        let own = paired(&store, "edge-own", Some(acme.clone())).await.id;
        let global = paired(&store, "edge-global", None).await.id;
        let foreign = paired(&store, "edge-foreign", Some(other)).await.id;
        let installation = installed(&store, &acme).await;
        for satellite in [&own, &global] {
            // One for the member, one for the installation.
            assert_eq!(store.commands(satellite.clone(), 10).await.unwrap().len(), 2);
            let source = store.configuration_source(satellite.clone(), None).await.unwrap();
            assert_eq!(source.inputs.len(), 1);
            assert_eq!(source.inputs[0].instances.len(), 1);
            // From 1, and one more for the member and one for the installation.
            assert_eq!(source.version, 3);
        }
        assert_eq!(store.commands(foreign.clone(), 10).await.unwrap(), []);
        let source = store.configuration_source(foreign, None).await.unwrap();
        assert_eq!((source.inputs.len(), source.version), (0, 1), "nothing of this concerns it");
        let refused = store.delete_server(format!("srv_{acme}")).await;
        assert!(matches!(refused, Err(StoreError::Conflict(_))), "{refused:?}");
        assert!(store.delete_installation(installation.clone(), notice("d")).await.unwrap());
        let commands = store.commands(own.clone(), 10).await.unwrap();
        assert_eq!(commands.len(), 3);
        let versions = commands.iter().map(|one| one.payload.value()["config_version"].as_u64());
        assert_eq!(versions.max().flatten(), Some(4), "the change is in the configuration of this");
        // The satellite knows a later version: this database was restored from a backup.
        for (in_force, version) in [(Some(57), 58), (Some(57), 58), (Some(58), 58), (None, 58)] {
            let source = store.configuration_source(own.clone(), in_force).await.unwrap();
            assert_eq!(source.version, version);
        }
        assert_eq!(store.instances(installation).await.unwrap(), []);
        assert!(store.delete_team(acme, notice("e")).await.unwrap());
        assert_eq!(store.satellite(own).await.unwrap(), None);
    })
    .await;
}

#[tokio::test]
async fn what_must_be_unique_is_and_a_refused_transaction_leaves_nothing() {
    each(async |store| {
        let acme = team(&store, "acme").await;
        let again = Team {
            id: "team_2".into(),
            name: "Acme".to_owned(),
            slug: "acme".to_owned(),
            created_at: IsoTime(NOW),
        };
        assert!(matches!(store.create_team(again).await, Err(StoreError::Conflict(_))));
        let satellite = paired(&store, "edge-one", None).await.id;
        let batch = vec![
            command(&satellite, "same", Priority::Low, 0),
            command(&satellite, "same", Priority::Low, 0),
        ];
        assert!(matches!(store.file_commands(batch).await, Err(StoreError::Conflict(_))));
        assert_eq!(store.commands(satellite, 10).await.unwrap(), []);
        let (first, made) = store.secret("jwt".into(), "a".into()).await.unwrap();
        assert!(made && first == "a");
        assert_eq!(store.secret("jwt".into(), "b".into()).await.unwrap(), ("a".into(), false));
        assert!(store.team(acme).await.unwrap().is_some());
    })
    .await;
}
