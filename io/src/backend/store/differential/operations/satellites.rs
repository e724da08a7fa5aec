//! What satellites do, and what is done about them.

use satellite_core::backend::processes::ReportedProcess;
use satellite_core::id::SatelliteId;
use satellite_core::time::{DAY, HOUR, IsoTime, MINUTE, Timestamp};
use satellite_core::view::InstanceStatus;
use satellite_core::wire::command::{CommandStatus, Priority};

use super::super::super::records::{
    AdminState, ClientActivity, Completion, EventEffect, EventRecord, Heartbeat, HeartbeatRecord,
    NewCommand, Registration, RequestLog, Retention, SatellitePatch, ServerLog, Take, Tool,
    ToolUse, Tools,
};
use super::super::super::{AnyStore, Store};
use super::super::Told;
use super::super::draw::Draw;
use super::{any_installation, any_satellite, told};

pub(super) async fn perform(store: &AnyStore, draw: &mut Draw) -> Told {
    let satellite = any_satellite(store, draw).await;
    match draw.below(24) {
        0..3 => {
            let registration = Registration {
                token_hash: format!("reg_{}", draw.below(40)),
                owner: draw.owner(),
                satellite_id: draw.unique("sat").into(),
                name: draw.name(),
                capabilities: vec![draw.name()],
                satellite_url: draw.name(),
                region: draw.seldom().then(|| draw.name()),
                system_info: draw.documents(),
                api_key_lookup: draw.unique("key"),
                api_key_hash: draw.unique("hash"),
                now: draw.now,
            };
            told("register_satellite", store.register_satellite(registration).await)
        }
        3 => {
            let lookup = format!("key_{:06}", draw.below(draw.number + 1));
            told("key_holder", store.key_holder(lookup).await)
        }
        4 => {
            let patch = SatellitePatch {
                name: draw.seldom().then(|| draw.name()),
                admin_state: draw.seldom().then_some(AdminState::Maintenance),
                maintenance: draw.often().then_some((None, Some(draw.now.after(MINUTE)))),
                region: draw.seldom().then(|| draw.name()),
                config: draw.seldom().then(|| draw.document()),
                ..SatellitePatch::default()
            };
            told("update_satellite", store.update_satellite(satellite, patch, draw.now).await)
        }
        5 if draw.seldom() => {
            told("delete_satellite", store.delete_satellite(satellite, draw.now).await)
        }
        5 => told("mark_silent", store.mark_silent(Timestamp(draw.now.0 - 5 * MINUTE)).await),
        6..8 => {
            let commands = (0..=draw.below(2)).map(|place| command(&satellite, draw, place));
            told("file_commands", store.file_commands(commands.collect()).await)
        }
        8..11 => {
            let last_poll = draw.often().then_some(draw.now);
            let limit = usize::try_from(draw.below(4)).unwrap();
            let take = Take { satellite_id: satellite, limit, last_poll, now: draw.now };
            told("take_commands", store.take_commands(take).await)
        }
        11..13 => {
            let commands = store.commands(satellite.clone(), 100).await.unwrap();
            let id = draw.pick(&commands).map_or_else(|| "none".into(), |command| command.id);
            let states =
                [CommandStatus::Acknowledged, CommandStatus::Executing, CommandStatus::Completed];
            let completion = Completion {
                satellite_id: satellite,
                command_id: id,
                status: draw.pick(&states).unwrap_or(CommandStatus::Failed),
                result: draw.documents(),
                started_at: Some(IsoTime(draw.now)),
                duration_ms: Some(draw.below(HOUR)),
                error: draw.seldom().then(|| draw.name()),
                now: draw.now,
            };
            told("complete_command", store.complete_command(completion).await)
        }
        13 => told("lapse_commands", store.lapse_commands(draw.now).await),
        14..18 => {
            told("record_heartbeat", store.record_heartbeat(heartbeat(satellite, draw)).await)
        }
        18 => {
            let retention = Retention {
                global_heartbeats: 5,
                team_heartbeats: 2,
                instance_logs: 3,
                history_before: Timestamp(draw.now.0 - DAY / 4),
            };
            told("retain", store.retain(retention).await)
        }
        _ => event(store, satellite, draw).await,
    }
}

fn command(satellite: &SatelliteId, draw: &mut Draw, place: u64) -> NewCommand {
    let urgency = [Priority::Immediate, Priority::High, Priority::Normal, Priority::Low];
    // Now and then two of one id.
    let place = if draw.random.chance(1, 20) { 0 } else { place };
    NewCommand {
        id: draw.unique(&format!("c{place}")).into(),
        satellite_id: satellite.clone(),
        command_type: draw.name(),
        priority: draw.pick(&urgency).unwrap_or_default(),
        payload: draw.document(),
        target_team_id: draw.seldom().then(|| draw.team()),
        correlation_id: draw.name(),
        expires_at: draw.now.after(draw.random.below(HOUR)),
        created_by: draw.seldom().then(|| draw.name()),
        now: draw.now,
    }
}

fn heartbeat(satellite: SatelliteId, draw: &mut Draw) -> HeartbeatRecord {
    let processes = (0..draw.below(4)).map(|_| process(draw)).collect::<Vec<_>>();
    HeartbeatRecord {
        heartbeat: Heartbeat {
            id: draw.unique("hb"),
            satellite_id: satellite,
            status: "active".to_owned(),
            system_metrics: draw.document(),
            process_count: u32::MAX,
            healthy_process_count: 1,
            error_count: draw.below(9),
            response_time_ms: draw.seldom().then_some(3),
            uptime_seconds: draw.often().then_some(draw.number),
            version: draw.seldom().then(|| draw.name()),
            timestamp: IsoTime(draw.now),
        },
        mcp_status: draw.documents(),
        satellite_url: draw.seldom().then(|| draw.name()),
        processes,
        whole: draw.often(),
    }
}

fn process(draw: &mut Draw) -> ReportedProcess {
    let states = ["pending", "starting", "running", "stopping", "stopped", "failed"];
    ReportedProcess {
        id: format!("p{}", draw.below(5)),
        installation_id: None,
        team_id: draw.seldom().then(|| draw.team()),
        server_name: draw.name(),
        pid: draw.seldom().then_some(7),
        status: draw.pick(&states).unwrap_or_default().to_owned(),
        health_status: "unknown".to_owned(),
        performance_metrics: draw.seldom().then(|| serde_json::json!({"cpu": 1.5})),
        error_message: draw.seldom().then(|| draw.name()),
        started_at: draw.seldom().then_some(draw.now),
    }
}

async fn event(store: &AnyStore, satellite: SatelliteId, draw: &mut Draw) -> Told {
    let installation = any_installation(store, draw).await;
    let found = store.installation(installation.clone()).await.unwrap();
    let record = EventRecord {
        id: draw.unique("evt"),
        satellite_id: satellite,
        event_id: draw.often().then(|| format!("e{}", draw.below(draw.number + 1))),
        seq: draw.often().then_some(draw.number),
        kind: draw.name(),
        data: draw.document(),
        timestamp: Timestamp(draw.now.0 - draw.random.below(MINUTE)),
        now: draw.now,
        installation_id: draw.often().then_some(installation),
        team_id: if draw.often() { found.map(|found| found.team_id) } else { Some(draw.team()) },
        effect: effect(draw),
    };
    told("record_event", store.record_event(record).await)
}

fn effect(draw: &mut Draw) -> EventEffect {
    let user_id = draw.seldom().then(|| draw.user());
    let at = IsoTime(draw.now);
    match draw.below(8) {
        0 => EventEffect::None,
        1..3 => {
            let states = ["online", "offline", "error", "requires_reauth", "connecting"];
            let status = draw.pick(&states).and_then(InstanceStatus::parse).unwrap();
            EventEffect::Status { user_id: draw.user(), status, message: Some(draw.name()) }
        }
        3 => EventEffect::Process(process(draw)),
        4 => EventEffect::Logs(vec![ServerLog {
            user_id,
            log_level: "info".to_owned(),
            message: draw.name(),
            metadata: draw.documents(),
            created_at: at,
        }]),
        5 => EventEffect::Requests(vec![RequestLog {
            user_id,
            tool_name: draw.name(),
            tool_params: draw.documents(),
            tool_response: draw.documents(),
            response_time_ms: draw.below(1_000),
            success: draw.often(),
            error_message: None,
            created_at: at,
        }]),
        6 => {
            let names = (0..=draw.below(3)).map(|_| draw.name()).collect::<Vec<_>>();
            let tool = |tool_name: String| Tool {
                description: tool_name.clone(),
                tool_name,
                input_schema: draw.document(),
                token_count: draw.below(100),
                is_disabled: false,
            };
            let tools = names.into_iter().map(tool).collect();
            EventEffect::Tools(Tools { user_id, tools, discovered_at: draw.now })
        }
        _ if draw.often() => EventEffect::Use(ToolUse {
            user_id,
            process_id: None,
            tool_name: draw.name(),
            duration_ms: draw.below(1_000),
            success: draw.often(),
            error_message: draw.seldom().then(|| draw.name()),
        }),
        _ => EventEffect::Activity(ClientActivity {
            user_id: draw.user(),
            oauth_client_id: draw.name(),
            client_name: draw.seldom().then(|| draw.name()),
            user_agent: draw.seldom().then(|| draw.name()),
            ip_address: None,
            session_id: Some(draw.name()),
            request_count: 2,
            tool_call_count: 1,
            last_activity_at: Timestamp(draw.now.0 - draw.random.below(HOUR)),
        }),
    }
}
