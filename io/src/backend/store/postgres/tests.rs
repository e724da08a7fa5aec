//! What only PostgreSQL has: replicas, connections that break, SQL that others wrote.

mod plans;
mod seeds;

use std::time::Duration;

use satellite_core::backend::Owner;
use satellite_core::time::{MINUTE, Timestamp};
use satellite_core::wire::command::Priority;
use tokio::sync::mpsc::UnboundedReceiver;

use super::super::contract::NOW;
use super::super::contract::given::{command, heartbeat, paired, registration, take, token};
use super::super::records::{AdminState, Registered, SatellitePatch};
use super::super::{AnyStore, Store, StoreError};
use super::{Postgres, throwaway};

async fn opened(url: &str) -> AnyStore {
    AnyStore::Postgres(Postgres::open(url).await.unwrap())
}

#[tokio::test]
async fn replicas_that_start_together_make_one_schema() {
    let url = throwaway::database().await;
    let starts = (0..4).map(|_| Postgres::open(&url));
    for started in futures_util::future::join_all(starts).await {
        assert!(started.is_ok(), "{started:?}");
    }
    let client = throwaway::client(&url).await;
    let steps = client.query("SELECT version FROM refinery_schema_history", &[]).await.unwrap();
    assert_eq!(steps.len(), super::MIGRATIONS.len());
}

#[tokio::test]
async fn one_of_many_who_come_with_one_token_is_paired() {
    let url = throwaway::database().await;
    let replicas = [opened(&url).await, opened(&url).await];
    token(&replicas[0], "t", None).await;
    let attempts = (0..60).map(|number| {
        let mut asked = registration("t", &format!("edge-{}", number % 7), Owner::Global);
        asked.satellite_id = format!("sat_{number}").into();
        asked.api_key_lookup = format!("lookup_{number}");
        replicas[number % 2].register_satellite(asked)
    });
    let outcomes = futures_util::future::join_all(attempts).await;
    let (mut paired, mut used) = (0, 0);
    for outcome in outcomes {
        match outcome.unwrap() {
            Registered::Paired { .. } => paired += 1,
            Registered::TokenUsed => used += 1,
            other => panic!("{other:?}"),
        }
    }
    assert_eq!((paired, used), (1, 59));
    assert_eq!(replicas[1].satellites().await.unwrap().len(), 1);
}

#[tokio::test]
async fn satellites_of_one_name_that_pair_at_once_are_one_satellite() {
    let url = throwaway::database().await;
    let replicas = [opened(&url).await, opened(&url).await];
    for number in 0..12 {
        token(&replicas[0], &format!("t{number}"), None).await;
    }
    let attempts = (0..12).map(|number| {
        let asked = registration(&format!("t{number}"), "edge-one", Owner::Global);
        replicas[number % 2].register_satellite(asked)
    });
    for outcome in futures_util::future::join_all(attempts).await {
        assert!(matches!(outcome, Ok(Registered::Paired { .. })), "{outcome:?}");
    }
    assert_eq!(replicas[1].satellites().await.unwrap().len(), 1);
}

#[tokio::test]
async fn polls_at_several_replicas_share_the_queue_and_no_command_is_handed_out_twice() {
    let url = throwaway::database().await;
    let replicas = [opened(&url).await, opened(&url).await];
    let satellite = paired(&replicas[0], "edge-one", None).await.id;
    let commands =
        (0..40).map(|number| command(&satellite, &format!("c{number}"), Priority::High, 0));
    replicas[0].file_commands(commands.collect()).await.unwrap();
    let mut handed_out = Vec::new();
    while handed_out.len() < 40 {
        let polls =
            (0..8).map(|number| replicas[number % 2].take_commands(take(&satellite, 3, NOW)));
        for taken in futures_util::future::join_all(polls).await {
            let ids = taken.unwrap().commands.into_iter().map(|one| one.command.id);
            handed_out.extend(ids);
        }
    }
    handed_out.sort();
    handed_out.dedup();
    assert_eq!(handed_out.len(), 40);
}

#[tokio::test]
async fn a_connection_that_broke_is_replaced_before_anybody_hears_of_it() {
    let url = throwaway::database().await;
    let store = opened(&url).await;
    paired(&store, "edge-one", None).await;
    let client = throwaway::client(&url).await;
    let sql = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
               WHERE datname = current_database() AND pid <> pg_backend_pid()";
    for _ in 0..3 {
        assert!(!client.query(sql, &[]).await.unwrap().is_empty());
        assert_eq!(store.satellites().await.unwrap().len(), 1);
    }
}

#[tokio::test]
async fn a_database_that_is_away_is_told_from_one_that_refuses_and_no_password_is_repeated() {
    for (url, expected) in [
        ("postgres://me:hunter2@127.0.0.1:9/none", "refused"),
        ("postgres://me:hunter2@no-such-host.invalid/none", "no-such-host"),
        ("postgres://me:hun?ter2@127.0.0.1/none", "percent-encoded"),
        ("postgres://me:hunter2@127.0.0.1/none?sslmode=verify-ca", "verify-full"),
        ("postgres://me:hunter2@127.0.0.1/none?sslrootcert=/x", "verify-full"),
    ] {
        let error = Postgres::open(url).await.unwrap_err();
        let words = error.to_string();
        let away = matches!(error, StoreError::Away(_));
        assert_eq!(away, !words.contains("verify-full"), "{words}");
        assert!(!words.contains("hun") && !words.contains("ter2"), "{words}");
        assert!(words.contains(expected) || away, "{words}");
    }
    let url = throwaway::database().await;
    let absent = url.replace("/test_", "/absent_");
    let error = Postgres::open(&absent).await.unwrap_err().to_string();
    assert!(error.contains("does not exist"), "{error}");
}

#[tokio::test]
async fn who_waits_too_long_for_another_hears_that_the_database_is_busy() {
    let url = throwaway::database().await;
    let store = opened(&format!("{url}&options=-c%20lock_timeout=50")).await;
    let satellite = paired(&store, "edge-one", None).await.id;
    let mut client = throwaway::client(&url).await;
    let held = client.transaction().await.unwrap();
    held.batch_execute("SELECT id FROM satellites FOR UPDATE").await.unwrap();
    let delete = store.delete_satellite(satellite.clone(), NOW);
    let refused = tokio::time::timeout(Duration::from_secs(60), delete).await.unwrap();
    assert!(matches!(refused, Err(StoreError::Away(_))), "{refused:?}");
    held.rollback().await.unwrap();
    assert!(store.delete_satellite(satellite, NOW).await.unwrap());
}

#[tokio::test]
async fn text_that_postgres_cannot_hold_and_times_beyond_its_years_are_stored_all_the_same() {
    let store = opened(&throwaway::database().await).await;
    let satellite = paired(&store, "edge-one", None).await.id;
    let mut odd = command(&satellite, "c", Priority::Low, 0);
    odd.command_type = "a\0b".to_owned();
    odd.expires_at = Timestamp(u64::MAX);
    store.file_commands(vec![odd]).await.unwrap();
    let stored = store.command(satellite, "c".into()).await.unwrap().unwrap();
    assert_eq!(stored.command_type, "a\u{fffd}b");
    assert!(stored.expires_at.0 > NOW.after(1_000_000 * MINUTE));
}

async fn next(told: &mut UnboundedReceiver<Option<String>>) -> Option<String> {
    tokio::time::timeout(Duration::from_secs(60), told.recv()).await.unwrap().unwrap()
}

#[tokio::test]
async fn a_replica_hears_for_which_satellite_another_has_something() {
    let url = throwaway::database().await;
    let (here, there) = (Postgres::open(&url).await.unwrap(), opened(&url).await);
    let satellite = paired(&there, "edge-one", None).await.id;
    let (tell, mut told) = tokio::sync::mpsc::unbounded_channel();
    let listening = tokio::spawn(async move {
        here.listen(move |id| tell.send(id.map(str::to_owned)).unwrap()).await
    });
    assert_eq!(next(&mut told).await, None, "what was missed before it began");
    there.record_heartbeat(heartbeat(&satellite, 1, Vec::new())).await.unwrap();
    there.file_commands(vec![command(&satellite, "c", Priority::Low, 0)]).await.unwrap();
    assert_eq!(next(&mut told).await.as_deref(), Some(satellite.as_str()));
    let patch = SatellitePatch { admin_state: Some(AdminState::Disabled), ..Default::default() };
    there.update_satellite(satellite.clone(), patch, NOW).await.unwrap();
    assert_eq!(next(&mut told).await.as_deref(), Some(satellite.as_str()));
    let sql = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
               WHERE datname = current_database() AND query LIKE 'LISTEN%'";
    assert_eq!(throwaway::client(&url).await.query(sql, &[]).await.unwrap().len(), 1);
    let ended = tokio::time::timeout(Duration::from_secs(60), listening).await.unwrap().unwrap();
    assert!(matches!(ended, Err(StoreError::Away(_))), "{ended:?}");
    assert_eq!(told.recv().await, None, "a heartbeat is nothing for anybody");
}
