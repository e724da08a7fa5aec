//! Random operations.

mod connections;
mod satellites;

use std::fmt::Debug;

use satellite_core::id::{InstallationId, SatelliteId};
use satellite_core::time::{HOUR, IsoTime, MINUTE};

use super::super::records::{
    AccessToken, Installation, InstallationPatch, JobEnd, JobRun, Member, RegistrationToken,
    Server, Team, User, UserConfiguration, owner_of,
};
use super::super::{AnyStore, Store, StoreError};
use super::Told;
use super::draw::Draw;

/// Performs one random operation.
pub(super) async fn perform(store: &AnyStore, draw: &mut Draw) -> Told {
    match draw.below(10) {
        0..4 => satellites::perform(store, draw).await,
        4..6 => connections::perform(store, draw).await,
        _ => administer(store, draw).await,
    }
}

/// What an operation of this name came to.
fn told<T: Debug>(name: &str, result: Result<T, StoreError>) -> Told {
    match result {
        Ok(output) => Told { text: format!("{name}: {output:?}"), error: None },
        Err(error) => Told { text: format!("{name}: {error}"), error: Some(error) },
    }
}

async fn any_satellite(store: &AnyStore, draw: &mut Draw) -> SatelliteId {
    let all = store.satellites().await.unwrap();
    draw.pick(&all).map_or_else(|| "nobody".into(), |satellite| satellite.id)
}

async fn any_installation(store: &AnyStore, draw: &mut Draw) -> InstallationId {
    let all = store.installations(None).await.unwrap();
    draw.pick(&all).map_or_else(|| "nothing".into(), |installation| installation.id)
}

async fn administer(store: &AnyStore, draw: &mut Draw) -> Told {
    let created = IsoTime(draw.now);
    match draw.below(22) {
        0..2 => {
            let team =
                Team { id: draw.team(), name: draw.name(), slug: draw.name(), created_at: created };
            told("create_team", store.create_team(team).await)
        }
        2 => {
            // A team takes much along: it seldom goes.
            let team = if draw.seldom() { draw.team() } else { "team_none".into() };
            told("delete_team", store.delete_team(team, draw.notice()).await)
        }
        3..5 => {
            let email = draw.often().then(|| draw.name());
            let user = User { id: draw.user(), username: draw.name(), email, created_at: created };
            told("create_user", store.create_user(user).await)
        }
        5 => {
            let user = if draw.seldom() { draw.user() } else { "user_none".into() };
            told("delete_user", store.delete_user(user, vec![draw.notice()]).await)
        }
        6..9 => {
            let (team_id, user_id) = (draw.team(), draw.user());
            let member = Member { team_id, user_id, role: draw.name(), created_at: created };
            told("put_member", store.put_member(member, draw.unique("a"), draw.notice()).await)
        }
        9 => {
            let (team, user) = (draw.team(), draw.user());
            told("remove_member", store.remove_member(team, user, draw.notice()).await)
        }
        10 => {
            let token = AccessToken {
                id: draw.unique("tok"),
                token_hash: format!("hash_{}", draw.below(30)),
                user_id: draw.user(),
                team_id: draw.team(),
                client_id: draw.name(),
                scope: draw.name(),
                audience: vec![draw.name(), draw.name()],
                expires_at: IsoTime(draw.now.after(HOUR)),
                created_at: created,
            };
            told("create_access_token", store.create_access_token(token).await)
        }
        11 => {
            let hash = format!("hash_{}", draw.below(30));
            told("introspect", store.introspect(hash).await)
        }
        12 => {
            let user = draw.user();
            let tokens = store.access_tokens(user.clone()).await.unwrap();
            let id = draw.pick(&tokens).map_or_else(String::new, |token| token.id);
            let user = if draw.often() { user } else { draw.user() };
            told("delete_access_token", store.delete_access_token(user, id, draw.notice()).await)
        }
        13 => {
            let team_id = draw.seldom().then(|| draw.team());
            let token = RegistrationToken {
                id: draw.unique("rtok"),
                token_type: owner_of(team_id.clone()).satellite_type().as_str(),
                team_id,
                token_hash: format!("reg_{}", draw.below(40)),
                token_prefix: "p".to_owned(),
                created_by: draw.name(),
                permissions: vec!["a".to_owned(), "b".to_owned()],
                used: false,
                used_at: None,
                used_by_satellite_id: None,
                expires_at: IsoTime(draw.now.after(HOUR)),
                created_at: created,
            };
            told("create_registration_token", store.create_registration_token(token).await)
        }
        14 => {
            let tokens = store.registration_tokens().await.unwrap();
            let id = draw.pick(&tokens).map_or_else(String::new, |token| token.id);
            told("delete_registration_token", store.delete_registration_token(id).await)
        }
        15 => {
            let server = Server {
                id: format!("srv_{}", draw.below(4)),
                name: draw.name(),
                slug: draw.name(),
                status: if draw.often() { "active" } else { "off" }.to_owned(),
                source: draw.seldom().then(|| draw.name()),
                definition: draw.document(),
                created_at: created,
                updated_at: created,
            };
            told("create_server", store.create_server(server).await)
        }
        16 => {
            let id = format!("srv_{}", draw.below(4));
            told("delete_server", store.delete_server(id).await)
        }
        17..19 => run_job(store, draw).await,
        _ => install(store, draw).await,
    }
}

async fn run_job(store: &AnyStore, draw: &mut Draw) -> Told {
    let (name, holder) = (format!("job_{}", draw.below(3)), format!("run_{}", draw.below(3)));
    let now = draw.now;
    match draw.below(3) {
        0 => told("begin_job", store.begin_job(name, holder, now, now.after(MINUTE)).await),
        1 => {
            let run = JobRun {
                started_at: IsoTime(now),
                ended_at: IsoTime(now.after(1)),
                failed: draw.seldom(),
                message: draw.name(),
            };
            let next_at = now.after(MINUTE);
            told("end_job", store.end_job(JobEnd { name, holder, run, next_at }).await)
        }
        _ => told("ask_job", store.ask_job(name, now).await),
    }
}

async fn install(store: &AnyStore, draw: &mut Draw) -> Told {
    let notice = draw.notice();
    match draw.below(8) {
        0..4 => {
            let satellite = any_satellite(store, draw).await;
            let installation = Installation {
                id: draw.unique("mcpi").into(),
                team_id: draw.team(),
                server_id: format!("srv_{}", draw.below(4)),
                satellite_id: draw.seldom().then_some(satellite),
                created_by: draw.seldom().then(|| draw.name()),
                installation_name: draw.name(),
                team_args: draw.documents(),
                team_env: draw.documents(),
                team_headers: draw.documents(),
                team_url_query_params: draw.documents(),
                settings: draw.documents(),
                generation: 1,
                created_at: IsoTime(draw.now),
                updated_at: IsoTime(draw.now),
            };
            let prefix = draw.unique("b");
            let result = store.create_installation(installation, prefix, notice).await;
            told("create_installation", result)
        }
        4 => {
            let satellite = any_satellite(store, draw).await;
            let id = any_installation(store, draw).await;
            let patch = InstallationPatch {
                installation_name: draw.seldom().then(|| draw.name()),
                satellite_id: draw.seldom().then_some(draw.often().then_some(satellite)),
                team_args: draw.documents(),
                settings: draw.documents(),
                redeploy: draw.seldom(),
                ..InstallationPatch::default()
            };
            told("update_installation", store.update_installation(id, patch, notice).await)
        }
        5 => {
            let id = any_installation(store, draw).await;
            told("delete_installation", store.delete_installation(id, notice).await)
        }
        6 => {
            let configuration = UserConfiguration {
                installation_id: any_installation(store, draw).await,
                user_id: draw.user(),
                user_args: draw.documents(),
                user_env: draw.documents(),
                user_headers: draw.documents(),
                user_url_query_params: draw.documents(),
                updated_at: IsoTime(draw.now),
            };
            told(
                "put_user_configuration",
                store.put_user_configuration(configuration, notice).await,
            )
        }
        _ => {
            let installation = any_installation(store, draw).await;
            let tools = store.tools(installation.clone()).await.unwrap();
            let tool = draw.pick(&tools).map_or_else(String::new, |tool| tool.tool_name);
            let off = draw.often();
            let result = store.set_tool_disabled(installation, tool, off, notice).await;
            told("set_tool_disabled", result)
        }
    }
}
