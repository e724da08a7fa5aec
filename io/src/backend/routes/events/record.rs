//! What an event of the wire comes to in storage.

use satellite_core::id::{InstallationId, SatelliteId, TeamId, UserId};
use satellite_core::limits::REPORTED_KEY_MAX_BYTES;
use satellite_core::time::{IsoTime, Timestamp};
use satellite_core::wire::event::{Event, EventData, LogLevel};

use crate::backend::store::records::{
    ClientActivity, EventEffect, EventRecord, JsonText, ReportedProcess, RequestLog, ServerLog,
    Tool, ToolUse, Tools,
};

/// The record of `event`.
pub(super) fn of(event: Event, satellite: &SatelliteId, id: String, now: Timestamp) -> EventRecord {
    let data = JsonText::of(&event.data);
    let kind = event.data.kind().to_owned();
    let (installation_id, team_id, effect) = effect(event.data, event.timestamp);
    EventRecord {
        id,
        satellite_id: satellite.clone(),
        event_id: event.id.map(|id| id.to_string()),
        seq: event.seq,
        kind,
        data,
        timestamp: event.timestamp.0,
        now,
        installation_id,
        team_id,
        effect,
    }
}

/// Which of the keys under which an event is kept, or what it changes, no index holds. Such an event
/// would fail at every repetition, and its batch with it.
pub(super) fn overlong(event: &EventRecord) -> Option<&'static str> {
    let is_long = |text: &str| text.len() > REPORTED_KEY_MAX_BYTES;
    let is_long_user = |user: &Option<UserId>| user.as_ref().is_some_and(|it| is_long(it.as_str()));
    let keys = [
        ("id", event.event_id.as_deref()),
        ("team_id", event.team_id.as_ref().map(TeamId::as_str)),
        ("installation_id", event.installation_id.as_ref().map(InstallationId::as_str)),
    ];
    if let Some((name, _)) = keys.into_iter().find(|(_, text)| text.is_some_and(is_long)) {
        return Some(name);
    }
    match &event.effect {
        EventEffect::Process(process) => is_long(&process.id).then_some("server_slug"),
        EventEffect::Logs(lines) => {
            lines.iter().any(|line| is_long_user(&line.user_id)).then_some("user_id")
        }
        EventEffect::Requests(lines) => {
            lines.iter().any(|line| is_long_user(&line.user_id)).then_some("user_id")
        }
        EventEffect::Tools(found) if is_long_user(&found.user_id) => Some("user_id"),
        EventEffect::Tools(found) => {
            found.tools.iter().any(|tool| is_long(&tool.tool_name)).then_some("tool_name")
        }
        EventEffect::Activity(activity) if is_long(activity.user_id.as_str()) => Some("user_id"),
        EventEffect::Activity(activity) => {
            is_long(&activity.oauth_client_id).then_some("oauth_client_id")
        }
        EventEffect::Use(used) => is_long_user(&used.user_id).then_some("user_id"),
        EventEffect::None | EventEffect::Status { .. } => None,
    }
}

type About = (Option<InstallationId>, Option<TeamId>, EventEffect);

fn effect(data: EventData, at: IsoTime) -> About {
    let about = |installation: InstallationId, team: TeamId, effect| {
        (Some(installation), Some(team), effect)
    };
    match data {
        EventData::StatusChanged(it) => {
            let effect = EventEffect::Status {
                user_id: it.user_id,
                status: it.status,
                message: it.status_message,
            };
            about(it.installation_id, it.team_id, effect)
        }
        EventData::ServerStarted(it) => {
            let effect = process(&it.server_slug, &it.server_id, &it.team_id, "running");
            about(it.server_id, it.team_id, with_pid(effect, it.process_id))
        }
        EventData::ServerRestarted(it) => {
            let effect = process(&it.server_slug, &it.server_id, &it.team_id, "running");
            about(it.server_id, it.team_id, with_pid(effect, it.new_process_id))
        }
        EventData::ServerRespawned(it) => {
            let effect = process(&it.server_slug, &it.server_id, &it.team_id, "running");
            about(it.server_id, it.team_id, with_pid(effect, it.process_id))
        }
        EventData::ServerDormant(it) => {
            let effect = process(&it.server_slug, &it.server_id, &it.team_id, "stopped");
            about(it.server_id, it.team_id, EventEffect::Process(effect))
        }
        EventData::ServerCrashed(it) => {
            let why = match it.signal.as_str() {
                "none" => format!("exited with code {}", it.exit_code),
                signal => format!("ended by {signal}"),
            };
            let effect = process(&it.server_slug, &it.server_id, &it.team_id, "failed");
            let effect = ReportedProcess { error_message: Some(why), ..effect };
            about(it.server_id, it.team_id, with_pid(effect, it.process_id))
        }
        EventData::ServerPermanentlyFailed(it) => {
            let effect = process(&it.server_slug, &it.server_id, &it.team_id, "failed");
            let effect = ReportedProcess { error_message: Some(it.last_error), ..effect };
            about(it.server_id, it.team_id, EventEffect::Process(effect))
        }
        EventData::ServerStopped(it) => {
            let effect = process(&it.server_name, &it.server_id, &it.team_id, "stopped");
            about(it.server_id, it.team_id, EventEffect::Process(effect))
        }
        EventData::ToolsUpdated(it) => about(it.server_id, it.team_id, EventEffect::None),
        EventData::ServerLogs(it) => {
            let user_id = it.user_id;
            let lines = it.logs.into_iter().map(|line| ServerLog {
                user_id: user_id.clone(),
                log_level: line.level.as_str().to_owned(),
                message: line.message,
                metadata: line.metadata.as_ref().map(JsonText::of),
                created_at: line.timestamp,
            });
            about(it.installation_id, it.team_id, EventEffect::Logs(lines.collect()))
        }
        EventData::RequestLogs(it) => {
            let lines = it.requests.into_iter().map(|line| RequestLog {
                user_id: line.user_id,
                tool_name: line.tool_name,
                tool_params: Some(JsonText::of(&line.tool_params)),
                tool_response: line.tool_response.as_ref().map(JsonText::of),
                response_time_ms: line.response_time_ms,
                success: line.success,
                error_message: line.error_message,
                created_at: line.timestamp,
            });
            about(it.installation_id, it.team_id, EventEffect::Requests(lines.collect()))
        }
        EventData::ToolsDiscovered(it) => {
            let tools = it.tools.into_iter().map(|tool| Tool {
                tool_name: tool.tool_name,
                description: tool.description,
                input_schema: JsonText::of(&tool.input_schema),
                token_count: tool.token_count,
                is_disabled: false,
            });
            let found = Tools {
                user_id: it.user_id,
                tools: tools.collect(),
                discovered_at: it.discovered_at.0,
            };
            about(it.installation_id, it.team_id, EventEffect::Tools(found))
        }
        EventData::ToolExecuted(it) => {
            let used = ToolUse {
                user_id: it.user_id,
                process_id: None,
                tool_name: it.tool_name,
                duration_ms: it.duration_ms,
                success: it.success,
                error_message: it.error_message,
            };
            about(it.server_id, it.team_id, EventEffect::Use(used))
        }
        EventData::ClientActivity(it) => {
            let activity = ClientActivity {
                user_id: it.user_id,
                oauth_client_id: it.oauth_client_id,
                client_name: it.client_name,
                user_agent: it.user_agent,
                ip_address: it.ip_address,
                session_id: it.session_id,
                request_count: it.request_count,
                tool_call_count: it.tool_call_count,
                last_activity_at: it.last_activity_at.0,
            };
            (None, Some(it.team_id), EventEffect::Activity(activity))
        }
        EventData::LogRateLimitExceeded(it) => {
            // Whoever reads the log sees the hole in it.
            let line = ServerLog {
                user_id: None,
                log_level: LogLevel::Warn.as_str().to_owned(),
                message: format!(
                    "{} lines of {} s were left out: more than {} a second are not kept",
                    it.dropped_count, it.time_window_seconds, it.rate_limit
                ),
                metadata: None,
                created_at: at,
            };
            (Some(it.installation_id), None, EventEffect::Logs(vec![line]))
        }
        EventData::ClientConnected(it) => (None, Some(it.team_id), EventEffect::None),
        EventData::ClientDisconnected(it) => (None, Some(it.team_id), EventEffect::None),
        EventData::LimitExceeded(it) => (None, Some(it.team_id), EventEffect::None),
        EventData::CredentialsAccessed(it) => {
            about(it.installation_id, it.team_id, EventEffect::None)
        }
        EventData::SecurityAuthFailed(it) => (None, it.team_id, EventEffect::None),
        EventData::ConfigRefreshed(_) | EventData::ConfigError(_) | EventData::EventsGap(_) => {
            (None, None, EventEffect::None)
        }
    }
}

fn process(
    name: &str,
    installation: &InstallationId,
    team: &TeamId,
    status: &str,
) -> ReportedProcess {
    ReportedProcess {
        id: name.to_owned(),
        installation_id: Some(installation.clone()),
        team_id: Some(team.clone()),
        server_name: name.to_owned(),
        status: status.to_owned(),
        health_status: "unknown".to_owned(),
        ..ReportedProcess::default()
    }
}

fn with_pid(process: ReportedProcess, pid: u64) -> EventEffect {
    let pid = u32::try_from(pid).ok().filter(|pid| *pid > 0);
    EventEffect::Process(ReportedProcess { pid, ..process })
}
