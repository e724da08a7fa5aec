//! Parts of lists: together they are the whole, whatever is added meanwhile.

use std::fmt::Debug;

use satellite_core::id::UserId;
use satellite_core::time::{HOUR, IsoTime, Timestamp};
use satellite_core::wire::command::Priority;
use serde::Serialize;

use super::super::records::{AccessToken, Filter, ListOf, Page, Place};
use super::super::{Store, StoreError};
use super::given::{command, heartbeat, installed, paired, team, token};
use super::{NOW, each};

/// All rows, in parts of two.
async fn gathered<T: Serialize + Debug>(
    list: ListOf,
    filters: Vec<Filter>,
    get: impl AsyncFn(Page) -> Result<Vec<T>, StoreError>,
) -> Vec<T> {
    let mut rows: Vec<T> = Vec::new();
    let mut after: Option<Place> = None;
    loop {
        let page = Page { after: after.clone(), limit: 2, filters: filters.clone() };
        let part = get(page).await.unwrap();
        assert!(part.len() <= 2, "{part:?}");
        let Some(last) = part.last() else { return rows };
        after = list.place(last);
        assert!(after.as_ref().is_some_and(|after| list.has(after)), "{last:?}");
        rows.extend(part);
    }
}

#[tokio::test]
async fn the_parts_of_each_list_are_the_whole_list() {
    each(async |store| {
        let mut installations = Vec::new();
        for slug in ["c", "a", "e", "b", "d"] {
            let id = team(&store, slug).await;
            installations.push((id.clone(), installed(&store, &id).await));
            paired(&store, &format!("edge-{slug}"), Some(id)).await;
        }
        let (acme, _) = installations[0].clone();
        let satellite = store.satellites().await.unwrap()[0].id.clone();
        for number in 0..5_u64 {
            // Some of one moment.
            let id = format!("cmd_{number}");
            let aged = command(&satellite, &id, Priority::Normal, number / 2 * 1_000);
            store.file_commands(vec![aged]).await.unwrap();
            store.record_heartbeat(heartbeat(&satellite, number, Vec::new())).await.unwrap();
            let made = AccessToken {
                id: format!("atok_{number}"),
                token_hash: format!("hash_{number}"),
                user_id: UserId::from(format!("user_{acme}")),
                team_id: acme.clone(),
                client_id: "c".to_owned(),
                scope: String::new(),
                audience: Vec::new(),
                expires_at: IsoTime(NOW.after(HOUR)),
                created_at: IsoTime(Timestamp(NOW.0 + number / 2)),
            };
            store.create_access_token(made).await.unwrap();
        }
        let user = UserId::from(format!("user_{acme}"));
        let none = Vec::new;
        let found = gathered(ListOf::TEAMS, none(), async |it| store.teams_page(it).await).await;
        assert_eq!(found, store.teams().await.unwrap());
        let found = gathered(ListOf::USERS, none(), async |it| store.users_page(it).await).await;
        assert_eq!(found, store.users().await.unwrap());
        let found =
            gathered(ListOf::SERVERS, none(), async |it| store.servers_page(it).await).await;
        assert_eq!(found, store.servers().await.unwrap());
        let get = async |it| store.satellites_page(it).await;
        let found = gathered(ListOf::SATELLITES, none(), get).await;
        assert_eq!(found, store.satellites().await.unwrap());
        let get = async |it| store.registration_tokens_page(it).await;
        let found = gathered(ListOf::REGISTRATION_TOKENS, none(), get).await;
        assert_eq!(found, store.registration_tokens().await.unwrap());
        let get = async |it| store.access_tokens_page(user.clone(), it).await;
        let found = gathered(ListOf::ACCESS_TOKENS, none(), get).await;
        assert_eq!(found, store.access_tokens(user.clone()).await.unwrap());
        assert_eq!(found.len(), 5);
        let get = async |it| store.installations_page(acme.clone(), it).await;
        let found = gathered(ListOf::INSTALLATIONS, none(), get).await;
        assert_eq!(found, store.installations(Some(acme.clone())).await.unwrap());
        let get = async |it| store.commands_page(satellite.clone(), it).await;
        let found = gathered(ListOf::COMMANDS, none(), get).await;
        assert_eq!(found, store.commands(satellite.clone(), 100).await.unwrap());
        let get = async |it| store.heartbeats_page(satellite.clone(), it).await;
        let found = gathered(ListOf::HEARTBEATS, none(), get).await;
        assert_eq!(found, store.heartbeats(satellite.clone(), 100).await.unwrap());
        assert_eq!(found.len(), 5);

        let mine = vec![Filter::Is("team_id", acme.to_string())];
        let get = async |it| store.satellites_page(it).await;
        let found = gathered(ListOf::SATELLITES, mine, get).await;
        assert_eq!(found.iter().map(|one| one.name.as_str()).collect::<Vec<_>>(), ["edge-c"]);
        let at = IsoTime(Timestamp(NOW.0 + 1));
        let tokens = async |filter: Filter| {
            let get = async |it| store.access_tokens_page(user.clone(), it).await;
            let found = gathered(ListOf::ACCESS_TOKENS, vec![filter], get).await;
            found.into_iter().map(|one| one.id).collect::<Vec<_>>()
        };
        assert_eq!(tokens(Filter::Since("created_at", at)).await, ["atok_4", "atok_2", "atok_3"]);
        assert_eq!(tokens(Filter::Until("created_at", at)).await, ["atok_0", "atok_1"]);
    })
    .await;
}

#[tokio::test]
async fn what_is_added_or_removed_meanwhile_shifts_nothing() {
    each(async |store| {
        for slug in ["b", "d", "f", "h"] {
            team(&store, slug).await;
        }
        let page = |after: Option<&str>| Page {
            after: after.map(|it| Place::Name(it.to_owned())),
            limit: 2,
            filters: Vec::new(),
        };
        let slugs = async |page: Page| {
            let teams = store.teams_page(page).await.unwrap();
            teams.into_iter().map(|team| team.slug).collect::<Vec<_>>()
        };
        assert_eq!(slugs(page(None)).await, ["b", "d"]);
        team(&store, "a").await;
        team(&store, "e").await;
        let gone = super::given::notice("gone");
        assert!(store.delete_team("team_d".into(), gone).await.unwrap());
        assert_eq!(slugs(page(Some("d"))).await, ["e", "f"]);
        assert_eq!(slugs(page(Some("f"))).await, ["h"]);

        // A name is bytes, in every database.
        for slug in ["Z", "é", "z"] {
            team(&store, slug).await;
        }
        assert_eq!(slugs(page(Some("h"))).await, ["z", "é"]);
        assert_eq!(slugs(page(None)).await, ["Z", "a"]);

        // Tokens and commands of one moment are told apart by their ids.
        for hash in ["1", "2", "3"] {
            token(&store, hash, None).await;
        }
        let after = Some(Place::Moment(IsoTime(NOW), "rtok_1".to_owned()));
        let rest = Page { after, limit: 10, filters: Vec::new() };
        let rest = store.registration_tokens_page(rest).await.unwrap();
        let ids: Vec<String> = rest.into_iter().map(|one| one.id).collect();
        assert_eq!(ids, ["rtok_2", "rtok_3"]);
    })
    .await;
}
