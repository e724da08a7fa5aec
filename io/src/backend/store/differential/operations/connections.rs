//! Users' connections to remotes, and the tokens of instances.

use satellite_core::id::UserId;
use satellite_core::time::{HOUR, IsoTime, MINUTE};

use super::super::super::records::{
    Credential, OauthClient, OauthFlow, OauthToken, Sealed, SealedGrant, StartedFlow, Unrenewed,
};
use super::super::super::{AnyStore, Store};
use super::super::Told;
use super::super::draw::Draw;
use super::{any_installation, any_satellite, told};

/// A user's, of an installation that the user has an instance of, if there is one.
async fn credential(store: &AnyStore, draw: &mut Draw) -> Credential {
    let installation_id = any_installation(store, draw).await;
    let instances = store.instances(installation_id.clone()).await.unwrap();
    let user_id = draw.pick(&instances).map_or_else(|| UserId::from("nobody"), |one| one.user_id);
    let found = store.installation(installation_id.clone()).await.unwrap();
    let team_id = found.filter(|_| draw.often()).map_or_else(|| draw.team(), |one| one.team_id);
    Credential { installation_id, user_id, team_id }
}

fn grant(draw: &mut Draw) -> SealedGrant {
    SealedGrant {
        access_token: Sealed(draw.unique("access")),
        refresh_token: draw.often().then(|| Sealed(draw.unique("refresh"))),
        token_type: "Bearer".to_owned(),
        issued_at: IsoTime(draw.now),
        expires_at: draw.often().then_some(IsoTime(draw.now.after(HOUR))),
        scope: draw.seldom().then(|| draw.name()),
    }
}

pub(super) async fn perform(store: &AnyStore, draw: &mut Draw) -> Told {
    let whose = credential(store, draw).await;
    // Who began a way or a renewal is found again: there are few.
    let holder = format!("holder_{}", draw.below(2));
    let now = draw.now;
    match draw.below(16) {
        0..2 => {
            let flow = OauthFlow {
                id: draw.unique("flow"),
                credential: whose,
                link_hash: draw.unique("link"),
                started: None,
                expires_at: IsoTime(now.after(20 * MINUTE)),
            };
            told("create_oauth_flow", store.create_oauth_flow(flow, now).await)
        }
        2..4 => {
            let link = format!("link_{:06}", draw.number - draw.below(draw.number.min(40) + 1));
            let state_hash = draw.unique("state");
            let started = StartedFlow { state_hash, sealed: Sealed(draw.name()) };
            let flow = store.oauth_flow(link.clone(), now).await;
            let begun = store.start_oauth_flow(link, started, now).await;
            told("start_oauth_flow", flow.and_then(|flow| Ok((flow, begun?))))
        }
        4 => {
            let state = format!("state_{:06}", draw.number - draw.below(draw.number.min(40) + 1));
            told("take_oauth_flow", store.take_oauth_flow(state, now).await)
        }
        5 => {
            let client = OauthClient {
                issuer: draw.name(),
                redirect_uri: draw.name(),
                client: Sealed(draw.unique("client")),
                created_at: IsoTime(now),
            };
            told("put_oauth_client", store.put_oauth_client(client).await)
        }
        6 => {
            let (issuer, redirect) = (draw.name(), draw.name());
            let known = store.oauth_client(issuer.clone(), redirect.clone()).await.unwrap();
            let forgotten = store.forget_oauth_client(issuer, redirect).await;
            told("forget_oauth_client", forgotten.map(|()| known))
        }
        7..10 => {
            let token = OauthToken {
                credential: whose,
                granted: grant(draw),
                issuer: draw.name(),
                token_endpoint: draw.name(),
                resource: draw.name(),
                client: Sealed(draw.unique("client")),
                leased_until: None,
                lease_holder: None,
            };
            told("connect", store.connect(token, draw.notice()).await)
        }
        10..12 => {
            let until = now.after(10 * MINUTE);
            told("lease_renewal", store.lease_renewal(whose, holder, now, until).await)
        }
        12 => {
            let renewed = store.renewed(whose.clone(), holder, grant(draw)).await.unwrap();
            told("renewed", store.oauth_token(whose).await.map(|token| (renewed, token)))
        }
        13 => {
            let next = if draw.often() { Ok(now.after(MINUTE)) } else { Err(draw.name()) };
            let failure = Unrenewed { credential: whose, holder, next, now };
            told("unrenewed", store.unrenewed(failure).await)
        }
        14 => {
            let due = store.renewals_due(now.after(HOUR), now, 5).await.unwrap();
            told(
                "lapse_tokens",
                store.lapse_tokens(draw.name(), now).await.map(|count| (count, due)),
            )
        }
        _ if draw.often() => {
            let instances = store.instances(whose.installation_id).await.unwrap();
            let id = draw.pick(&instances).map_or_else(|| "none".into(), |one| one.id);
            // One of few paths, so that one is asked for twice.
            let path = format!("path_{}", draw.below(6));
            let (token, notice) = (draw.unique("token"), draw.notice());
            told("set_instance_token", store.set_instance_token(id, path, token, notice).await)
        }
        _ => {
            let satellite = any_satellite(store, draw).await;
            let in_force = draw.often().then(|| draw.below(200));
            told("configuration_source", store.configuration_source(satellite, in_force).await)
        }
    }
}
