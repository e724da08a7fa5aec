//! Rows that the tests of the contract begin with.

use satellite_core::backend::Owner;
use satellite_core::id::{InstallationId, SatelliteId, TeamId};
use satellite_core::time::{HOUR, IsoTime, Timestamp};
use satellite_core::wire::command::Priority;
use serde_json::json;

use super::super::records::{
    EventEffect, EventRecord, Heartbeat, HeartbeatRecord, Installation, JsonText, Member,
    NewCommand, Notice, Registered, Registration, RegistrationToken, ReportedProcess, Satellite,
    Server, Take, Team, User, owner_of,
};
use super::super::{AnyStore, Store};
use super::NOW;

pub(in super::super) async fn team(store: &AnyStore, slug: &str) -> TeamId {
    let id = TeamId::from(format!("team_{slug}"));
    let (name, slug) = (slug.to_owned(), slug.to_owned());
    let team = Team { id: id.clone(), name, slug, created_at: IsoTime(NOW) };
    store.create_team(team).await.unwrap();
    id
}

pub(in super::super) async fn token(store: &AnyStore, hash: &str, team_id: Option<TeamId>) {
    let token = RegistrationToken {
        id: format!("rtok_{hash}"),
        token_type: owner_of(team_id.clone()).satellite_type().as_str(),
        team_id,
        token_hash: hash.to_owned(),
        token_prefix: String::new(),
        created_by: "admin".to_owned(),
        permissions: vec!["p".to_owned()],
        used: false,
        used_at: None,
        used_by_satellite_id: None,
        expires_at: IsoTime(NOW.after(HOUR)),
        created_at: IsoTime(NOW),
    };
    store.create_registration_token(token).await.unwrap();
}

pub(in super::super) fn registration(hash: &str, name: &str, owner: Owner) -> Registration {
    Registration {
        token_hash: hash.to_owned(),
        owner,
        satellite_id: SatelliteId::from(format!("sat_{hash}")),
        name: name.to_owned(),
        capabilities: vec!["stdio".to_owned()],
        satellite_url: String::new(),
        region: None,
        system_info: None,
        api_key_lookup: format!("lookup_{hash}"),
        api_key_hash: format!("hash_{hash}"),
        now: NOW,
    }
}

pub(in super::super) async fn paired(
    store: &AnyStore,
    name: &str,
    team_id: Option<TeamId>,
) -> Satellite {
    token(store, name, team_id.clone()).await;
    let registration = registration(name, name, owner_of(team_id));
    match store.register_satellite(registration).await.unwrap() {
        Registered::Paired { satellite, .. } => *satellite,
        other => panic!("{other:?}"),
    }
}

pub(in super::super) fn heartbeat(
    satellite: &SatelliteId,
    number: u64,
    processes: Vec<ReportedProcess>,
) -> HeartbeatRecord {
    HeartbeatRecord {
        heartbeat: Heartbeat {
            id: format!("hb_{satellite}_{number:04}"),
            satellite_id: satellite.clone(),
            status: "active".to_owned(),
            system_metrics: JsonText::of(&json!({"cpu_usage_percent": 1.5})),
            process_count: 1,
            healthy_process_count: 0,
            error_count: 0,
            response_time_ms: Some(3),
            uptime_seconds: Some(number),
            version: Some("1".to_owned()),
            timestamp: IsoTime(NOW.after(number * 1_000)),
        },
        mcp_status: Some(JsonText::of(&json!({"summary": {}}))),
        satellite_url: None,
        processes,
        whole: true,
    }
}

pub(in super::super) fn process(id: &str, status: &str) -> ReportedProcess {
    ReportedProcess {
        id: id.to_owned(),
        server_name: id.to_owned(),
        status: status.to_owned(),
        health_status: "unknown".to_owned(),
        team_id: Some("team_gone".into()),
        ..ReportedProcess::default()
    }
}

pub(in super::super) fn event(satellite: &SatelliteId, id: &str) -> EventRecord {
    EventRecord {
        id: format!("evt_{id}"),
        satellite_id: satellite.clone(),
        event_id: Some(id.to_owned()),
        seq: Some(1),
        kind: "mcp.server.crashed".to_owned(),
        data: JsonText::of(&json!({"exit_code": 1})),
        timestamp: NOW,
        now: NOW,
        installation_id: None,
        team_id: None,
        effect: EventEffect::None,
    }
}

pub(in super::super) fn notice(prefix: &str) -> Notice {
    Notice {
        command_type: "configure",
        id_prefix: prefix.to_owned(),
        correlation_id: "corr".to_owned(),
        payload: JsonText::of(&json!({"event": "mcp_installation_created"})),
        expires_at: NOW.after(HOUR),
        now: NOW,
    }
}

/// A team with one member and one installation of one server.
pub(in super::super) async fn installed(store: &AnyStore, team: &TeamId) -> InstallationId {
    let user = User {
        id: format!("user_{team}").into(),
        username: format!("name_{team}"),
        email: None,
        created_at: IsoTime(NOW),
    };
    store.create_user(user.clone()).await.unwrap();
    let member = Member {
        team_id: team.clone(),
        user_id: user.id,
        role: "team_user".to_owned(),
        created_at: IsoTime(NOW),
    };
    store.put_member(member, format!("inst_a_{team}"), notice(&format!("m_{team}"))).await.unwrap();
    let server = Server {
        id: format!("srv_{team}"),
        name: "Files".to_owned(),
        slug: format!("files_{team}"),
        status: "active".to_owned(),
        source: None,
        definition: JsonText::of(&json!({})),
        created_at: IsoTime(NOW),
        updated_at: IsoTime(NOW),
    };
    store.create_server(server.clone()).await.unwrap();
    let installation = Installation {
        id: format!("mcpi_{team}").into(),
        team_id: team.clone(),
        server_id: server.id,
        satellite_id: None,
        created_by: None,
        installation_name: "Our files".to_owned(),
        team_args: None,
        team_env: Some(JsonText::of(&json!({"KEY": "v"}))),
        team_headers: None,
        team_url_query_params: None,
        settings: None,
        generation: 1,
        created_at: IsoTime(NOW),
        updated_at: IsoTime(NOW),
    };
    let id = installation.id.clone();
    let prefix = format!("inst_b_{team}");
    store.create_installation(installation, prefix, notice(&format!("c_{team}"))).await.unwrap();
    id
}

pub(in super::super) fn take(satellite: &SatelliteId, limit: usize, now: Timestamp) -> Take {
    Take { satellite_id: satellite.clone(), limit, last_poll: Some(NOW), now }
}

pub(in super::super) fn command(
    satellite: &SatelliteId,
    id: &str,
    priority: Priority,
    age: u64,
) -> NewCommand {
    NewCommand {
        id: id.into(),
        satellite_id: satellite.clone(),
        command_type: "restart".to_owned(),
        priority,
        payload: JsonText::of(&json!({"n": 1.0})),
        target_team_id: None,
        correlation_id: "corr".to_owned(),
        expires_at: NOW.after(HOUR),
        created_by: None,
        now: Timestamp(NOW.0 - age),
    }
}
