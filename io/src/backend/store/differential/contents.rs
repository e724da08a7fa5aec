//! What a store says that it holds.

use super::super::records::{EventQuery, ListOf, Page};
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
        let tokens = store.access_tokens(user.id.clone()).await.unwrap();
        // What comes after the first of them is the same in memory as in a database.
        if let Some(first) = tokens.first() {
            let page =
                Page { after: ListOf::ACCESS_TOKENS.place(first), limit: 2, ..Page::default() };
            let part = store.access_tokens_page(user.id.clone(), page).await.unwrap();
            tell(format!("{part:?}"));
        }
        for token in tokens {
            tell(format!("{token:?}"));
        }
        tell(format!("{user:?}"));
    }
    for token in store.registration_tokens().await.unwrap() {
        tell(format!("{token:?}"));
    }
    for satellite in store.satellites().await.unwrap() {
        let id = &satellite.id;
        let (commands, heartbeats) = (
            store.commands(id.clone(), 1_000).await.unwrap(),
            store.heartbeats(id.clone(), 1_000).await.unwrap(),
        );
        if let Some(middle) = commands.get(commands.len() / 2) {
            let page = Page { after: ListOf::COMMANDS.place(middle), limit: 5, ..Page::default() };
            tell(format!("{:?}", store.commands_page(id.clone(), page).await.unwrap()));
        }
        if let Some(middle) = heartbeats.get(heartbeats.len() / 2) {
            let page =
                Page { after: ListOf::HEARTBEATS.place(middle), limit: 5, ..Page::default() };
            tell(format!("{:?}", store.heartbeats_page(id.clone(), page).await.unwrap()));
        }
        tell(format!("{commands:?}"));
        tell(format!("{heartbeats:?}"));
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
