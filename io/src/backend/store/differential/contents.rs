//! What a store says that it holds.

use super::super::records::EventQuery;
use super::super::{AnyStore, Store};

/// Everything that can be asked for, one answer a line.
pub(super) async fn of(store: &AnyStore) -> Vec<String> {
    let mut lines = Vec::new();
    let mut tell = |line: String| lines.push(line);
    for team in store.teams().await.unwrap() {
        for member in store.members(team.id.clone()).await.unwrap() {
            tell(format!("{member:?}"));
        }
        tell(format!("{team:?}"));
    }
    for user in store.users().await.unwrap() {
        for token in store.access_tokens(user.id.clone()).await.unwrap() {
            tell(format!("{token:?}"));
        }
        tell(format!("{user:?}"));
    }
    for token in store.registration_tokens().await.unwrap() {
        tell(format!("{token:?}"));
    }
    for satellite in store.satellites().await.unwrap() {
        let id = &satellite.id;
        tell(format!("{:?}", store.commands(id.clone(), 1_000).await.unwrap()));
        tell(format!("{:?}", store.heartbeats(id.clone(), 1_000).await.unwrap()));
        tell(format!("{:?}", store.processes(id.clone()).await.unwrap()));
        tell(format!("{:?}", store.configuration_source(id.clone(), None).await.unwrap()));
        tell(format!("{satellite:?}"));
    }
    for job in store.jobs().await.unwrap() {
        tell(format!("{job:?}"));
    }
    for server in store.servers().await.unwrap() {
        tell(format!("{server:?}"));
    }
    for installation in store.installations(None).await.unwrap() {
        let id = &installation.id;
        tell(format!("{:?}", store.instances(id.clone()).await.unwrap()));
        tell(format!("{:?}", store.tools(id.clone()).await.unwrap()));
        tell(format!("{:?}", store.user_configurations(id.clone()).await.unwrap()));
        tell(format!("{installation:?}"));
    }
    let events =
        store.events(EventQuery { limit: 100_000, ..EventQuery::default() }).await.unwrap();
    for (place, mut event) in events.into_iter().enumerate() {
        // Their order is told; a transaction that was undone may leave a gap in the numbers.
        event.number = place as u64;
        tell(format!("{event:?}"));
    }
    lines
}
