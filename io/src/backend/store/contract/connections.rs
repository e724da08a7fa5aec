//! Users' connections to remotes.

use satellite_core::id::{InstallationId, SatelliteId, TeamId, UserId};
use satellite_core::time::{IsoTime, MINUTE, SECOND, Timestamp};

use super::super::records::{
    Credential, EventEffect, EventRecord, OauthClient, OauthFlow, OauthToken, Sealed, SealedGrant,
    StartedFlow, Unrenewed,
};
use super::super::{AnyStore, Store, StoreError};
use super::given::{installed, notice, paired, team};
use super::{NOW, each, event};

fn credential(team: &TeamId, installation: &InstallationId) -> Credential {
    Credential {
        installation_id: installation.clone(),
        user_id: UserId::from(format!("user_{team}")),
        team_id: team.clone(),
    }
}

fn grant(number: u64, refresh: Option<&str>) -> SealedGrant {
    SealedGrant {
        access_token: Sealed(format!("access_{number}")),
        refresh_token: refresh.map(|text| Sealed(text.to_owned())),
        token_type: "Bearer".to_owned(),
        issued_at: IsoTime(NOW),
        expires_at: Some(IsoTime(NOW.after(number * MINUTE))),
        scope: Some("read".to_owned()),
    }
}

fn token(credential: &Credential, granted: SealedGrant) -> OauthToken {
    OauthToken {
        credential: credential.clone(),
        granted,
        issuer: "https://as".to_owned(),
        token_endpoint: "https://as/token".to_owned(),
        resource: "https://h/mcp".to_owned(),
        client: Sealed("client".to_owned()),
        leased_until: None,
        lease_holder: None,
    }
}

fn flow(credential: &Credential, id: &str) -> OauthFlow {
    OauthFlow {
        id: id.to_owned(),
        credential: credential.clone(),
        link_hash: format!("link_{id}"),
        started: None,
        expires_at: IsoTime(NOW.after(MINUTE)),
    }
}

fn started(state: &str) -> StartedFlow {
    StartedFlow { state_hash: state.to_owned(), sealed: Sealed("s".to_owned()) }
}

async fn status(store: &AnyStore, whose: &Credential) -> (String, Option<String>) {
    let instances = store.instances(whose.installation_id.clone()).await.unwrap();
    (instances[0].status.clone(), instances[0].status_message.clone())
}

async fn needs_its_user(store: &AnyStore, satellite: &SatelliteId, whose: &Credential) {
    let event = EventRecord {
        installation_id: Some(whose.installation_id.clone()),
        team_id: Some(whose.team_id.clone()),
        effect: EventEffect::Status {
            user_id: whose.user_id.clone(),
            status: satellite_core::view::InstanceStatus::RequiresReauth,
            message: Some("401".to_owned()),
        },
        ..event(satellite, "reauth")
    };
    store.record_event(event).await.unwrap();
}

#[tokio::test]
async fn a_link_begins_one_way_and_its_state_ends_it_once() {
    each(async |store| {
        let acme = team(&store, "acme").await;
        let whose = credential(&acme, &installed(&store, &acme).await);
        let create = |flow| store.create_oauth_flow(flow, NOW);
        create(flow(&whose, "a")).await.unwrap();
        create(flow(&whose, "b")).await.unwrap();
        let find = |link: &str, now| store.oauth_flow(link.to_owned(), now);
        assert_eq!(find("link_a", NOW).await.unwrap(), None, "the later link stands");
        assert_eq!(find("link_b", NOW.after(MINUTE)).await.unwrap(), None, "too old");
        assert_eq!(find("link_b", NOW).await.unwrap(), Some(flow(&whose, "b")));
        let start = |now| store.start_oauth_flow("link_b".to_owned(), started("s"), now);
        assert!(!start(NOW.after(MINUTE)).await.unwrap());
        assert!(start(NOW).await.unwrap());
        assert!(!start(NOW).await.unwrap(), "a link is spent");
        assert_eq!(find("link_b", NOW).await.unwrap(), None);
        let take = |state: &str, now| store.take_oauth_flow(state.to_owned(), now);
        assert_eq!(take("other", NOW).await.unwrap(), None);
        let taken = take("s", NOW).await.unwrap().unwrap();
        assert_eq!(taken.started, Some(started("s")));
        assert_eq!(take("s", NOW).await.unwrap(), None, "an answer counts once");
        let stranger = Credential { team_id: team(&store, "other").await, ..whose.clone() };
        let refused = create(flow(&stranger, "c")).await;
        assert_eq!(refused, Err(StoreError::Missing("installation")));
        let nobody = Credential { user_id: "nobody".into(), ..whose };
        assert_eq!(create(flow(&nobody, "d")).await, Err(StoreError::Missing("instance")));
    })
    .await;
}

#[tokio::test]
async fn an_answer_that_comes_too_late_ends_its_way() {
    each(async |store| {
        let acme = team(&store, "acme").await;
        let whose = credential(&acme, &installed(&store, &acme).await);
        store.create_oauth_flow(flow(&whose, "a"), NOW).await.unwrap();
        assert!(store.start_oauth_flow("link_a".into(), started("s"), NOW).await.unwrap());
        let take = |now| store.take_oauth_flow("s".to_owned(), now);
        assert_eq!(take(NOW.after(MINUTE)).await.unwrap(), None);
        assert_eq!(take(NOW).await.unwrap(), None);
    })
    .await;
}

#[tokio::test]
async fn a_token_stands_for_its_own_team_and_lets_the_instance_that_waited_connect() {
    each(async |store| {
        let acme = team(&store, "acme").await;
        let satellite = paired(&store, "edge-one", Some(acme.clone())).await.id;
        let whose = credential(&acme, &installed(&store, &acme).await);
        needs_its_user(&store, &satellite, &whose).await;
        assert_eq!(status(&store, &whose).await.0, "requires_reauth");
        let first = token(&whose, grant(1, Some("r1")));
        let before = store.commands(satellite.clone(), 50).await.unwrap().len();
        store.connect(first.clone(), notice("n")).await.unwrap();
        assert_eq!(status(&store, &whose).await, ("connecting".to_owned(), None));
        assert_eq!(store.commands(satellite, 50).await.unwrap().len(), before + 1);
        assert_eq!(store.oauth_token(whose.clone()).await.unwrap(), Some(first));
        let second = token(&whose, grant(2, None));
        store.connect(second.clone(), notice("m")).await.unwrap();
        assert_eq!(store.oauth_token(whose.clone()).await.unwrap(), Some(second));
        let stranger = Credential { team_id: "other".into(), ..whose.clone() };
        assert_eq!(store.oauth_token(stranger).await.unwrap(), None);
        assert!(
            store.delete_installation(whose.installation_id.clone(), notice("d")).await.unwrap()
        );
        assert_eq!(store.oauth_token(whose).await.unwrap(), None);
    })
    .await;
}

#[tokio::test]
async fn one_holder_renews_at_a_time_and_the_old_refresh_token_stays_until_then() {
    each(async |store| {
        let acme = team(&store, "acme").await;
        let whose = credential(&acme, &installed(&store, &acme).await);
        store.connect(token(&whose, grant(1, Some("r1"))), notice("n")).await.unwrap();
        let lease = |holder: &str, now: Timestamp| {
            store.lease_renewal(whose.clone(), holder.to_owned(), now, now.after(MINUTE))
        };
        let leased = lease("a", NOW).await.unwrap().unwrap();
        assert_eq!(leased.lease_holder.as_deref(), Some("a"));
        assert_eq!(leased.granted.refresh_token, Some(Sealed("r1".to_owned())));
        assert_eq!(lease("b", NOW.after(SECOND)).await.unwrap(), None);
        let late = lease("b", NOW.after(MINUTE)).await.unwrap();
        assert!(late.is_some(), "a holder that is gone lets go in time");
        let renew =
            |holder: &str, granted| store.renewed(whose.clone(), holder.to_owned(), granted);
        assert!(!renew("a", grant(8, Some("lost"))).await.unwrap(), "it let go");
        assert!(renew("b", SealedGrant { scope: None, ..grant(2, None) }).await.unwrap());
        let stored = store.oauth_token(whose.clone()).await.unwrap().unwrap();
        assert_eq!(stored.granted, grant(2, Some("r1")), "what is not replaced stays");
        assert_eq!((stored.leased_until, stored.lease_holder), (None, None));
        assert!(!renew("b", grant(3, None)).await.unwrap());
    })
    .await;
}

#[tokio::test]
async fn a_renewal_that_fails_is_tried_later_or_never_again() {
    each(async |store| {
        let acme = team(&store, "acme").await;
        let whose = credential(&acme, &installed(&store, &acme).await);
        store.connect(token(&whose, grant(1, Some("r1"))), notice("n")).await.unwrap();
        let lease = |now: Timestamp| {
            store.lease_renewal(whose.clone(), "a".to_owned(), now, now.after(MINUTE))
        };
        let fail = |holder: &str, next| {
            let (credential, holder) = (whose.clone(), holder.to_owned());
            store.unrenewed(Unrenewed { credential, holder, next, now: NOW })
        };
        let due = |before, now| store.renewals_due(before, now, 10);
        let end = NOW.after(MINUTE);
        assert_eq!(due(end, NOW).await.unwrap(), []);
        assert_eq!(due(end.after(1), NOW).await.unwrap(), std::slice::from_ref(&whose));
        assert!(lease(NOW).await.unwrap().is_some());
        assert_eq!(due(end.after(1), NOW).await.unwrap(), []);
        assert!(!fail("b", Ok(NOW)).await.unwrap());
        assert!(fail("a", Ok(NOW.after(SECOND))).await.unwrap());
        assert_eq!(lease(NOW).await.unwrap(), None, "not before the next try");
        assert_eq!(store.lapse_tokens("over".into(), end).await.unwrap(), 0);
        assert!(lease(NOW.after(SECOND)).await.unwrap().is_some());
        assert!(fail("a", Err("over".to_owned())).await.unwrap());
        let expected = ("requires_reauth".to_owned(), Some("over".to_owned()));
        assert_eq!(status(&store, &whose).await, expected);
        let stored = store.oauth_token(whose.clone()).await.unwrap().unwrap();
        assert_eq!(stored.granted, grant(1, None));
        assert_eq!(lease(NOW.after(MINUTE * 9)).await.unwrap(), None);
        assert_eq!(due(end.after(MINUTE), NOW.after(MINUTE * 9)).await.unwrap(), []);
    })
    .await;
}

#[tokio::test]
async fn an_instance_waits_for_its_user_once_its_token_has_ended_for_good() {
    each(async |store| {
        let acme = team(&store, "acme").await;
        let whose = credential(&acme, &installed(&store, &acme).await);
        store.connect(token(&whose, grant(1, None)), notice("n")).await.unwrap();
        let lapse = |now| store.lapse_tokens("over".to_owned(), now);
        assert_eq!(lapse(NOW).await.unwrap(), 0);
        assert_eq!(lapse(NOW.after(MINUTE)).await.unwrap(), 1);
        assert_eq!(lapse(NOW.after(MINUTE)).await.unwrap(), 0, "it waits already");
        assert_eq!(status(&store, &whose).await.0, "requires_reauth");
    })
    .await;
}

#[tokio::test]
async fn a_member_who_leaves_takes_tokens_and_ways_along() {
    each(async |store| {
        let acme = team(&store, "acme").await;
        let whose = credential(&acme, &installed(&store, &acme).await);
        store.connect(token(&whose, grant(1, Some("r"))), notice("n")).await.unwrap();
        store.create_oauth_flow(flow(&whose, "a"), NOW).await.unwrap();
        assert!(store.remove_member(acme, whose.user_id.clone(), notice("x")).await.unwrap());
        assert_eq!(store.oauth_token(whose).await.unwrap(), None);
        assert_eq!(store.oauth_flow("link_a".into(), NOW).await.unwrap(), None);
    })
    .await;
}

#[tokio::test]
async fn a_client_is_known_by_issuer_and_address_until_it_is_forgotten() {
    each(async |store| {
        let client = |secret: &str| OauthClient {
            issuer: "https://as".to_owned(),
            redirect_uri: "https://b/back".to_owned(),
            client: Sealed(secret.to_owned()),
            created_at: IsoTime(NOW),
        };
        let find = |redirect: &str| store.oauth_client("https://as".into(), redirect.into());
        store.put_oauth_client(client("one")).await.unwrap();
        store.put_oauth_client(client("two")).await.unwrap();
        assert_eq!(find("https://b/back").await.unwrap(), Some(client("two")));
        assert_eq!(find("https://b/other").await.unwrap(), None);
        store.forget_oauth_client("https://as".into(), "https://b/back".into()).await.unwrap();
        assert_eq!(find("https://b/back").await.unwrap(), None);
    })
    .await;
}
