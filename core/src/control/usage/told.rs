//! What is told of clients: their calls, their counts, and who was refused.

use alloc::collections::BTreeMap;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;

use super::lines::{Lines, Waiting};
use crate::allowance::Allowance;
use crate::id::{InstallationId, InstanceKey, SessionId, TeamId};
use crate::limits::{
    ACTIVITY_CLIENTS_MAX, ACTIVITY_WINDOW_MS, REFUSALS_BURST, REFUSALS_PER_SECOND, SESSIONS_MAX,
    TOOL_USES_BURST, TOOL_USES_PER_SECOND, UNTOLD_WINDOW_MS,
};
use crate::router::outcome::Outcome;
use crate::time::{IsoTime, SECOND, Timestamp};
use crate::usage::{Client, EndedCall, RefusedCredential, Report};
use crate::wire::event::{
    ClientActivity, ClientConnected, ClientDisconnected, EventData, LogEntry, RequestEntry,
    RequestLogs, SecurityAuthFailed, ServerLogs, ToolExecuted,
};

/// An event to emit, and when it happened.
pub(in super::super) type Told = (EventData, Timestamp);

/// What has been done and not been told yet.
#[derive(Debug)]
pub(in super::super) struct Usage {
    requests: Lines<(InstallationId, TeamId), RequestEntry>,
    logs: Lines<InstanceKey, LogEntry>,
    active: BTreeMap<SessionId, Active>,
    active_since: Option<Timestamp>,
    /// Tools called in each session that is open.
    sessions: BTreeMap<SessionId, u64>,
    tool_uses: Allowance,
    /// Calls that were too many to be told one by one.
    untold: Option<(Timestamp, u64)>,
    refusals: Allowance,
    /// The last refusal that was not told, how many there were, and since when.
    refused: Option<(RefusedCredential, u64, Timestamp)>,
}

/// What a client did since it was last told.
#[derive(Debug)]
struct Active {
    client: Arc<Client>,
    requests: u64,
    tool_calls: u64,
    last: Timestamp,
}

impl Default for Usage {
    fn default() -> Self {
        Usage {
            requests: Lines::default(),
            logs: Lines::default(),
            active: BTreeMap::new(),
            active_since: None,
            sessions: BTreeMap::new(),
            tool_uses: Allowance::new(TOOL_USES_PER_SECOND, TOOL_USES_BURST),
            untold: None,
            refusals: Allowance::new(REFUSALS_PER_SECOND, REFUSALS_BURST),
            refused: None,
        }
    }
}

impl Usage {
    /// Takes a report. `has_room` says whether the outbox can take calls one by one.
    pub(super) fn take(
        &mut self,
        now: Timestamp,
        report: &Report,
        has_room: bool,
        out: &mut Vec<Told>,
    ) {
        match report {
            Report::Connected { client } => self.connected(now, client, out),
            Report::Requested { client, at } => self.count(now, client, *at, false, out),
            Report::Called(call) => self.called(now, call, has_room, out),
            Report::Disconnected { client, reason, at } => {
                if let Some(active) = self.active.remove(&client.session) {
                    out.push(active.told());
                }
                let calls = self.sessions.remove(&client.session);
                let data = EventData::ClientDisconnected(ClientDisconnected {
                    session_id: String::from(client.session.as_str()),
                    team_id: client.team.clone(),
                    connection_duration_seconds: at.since(client.since) / SECOND,
                    tool_execution_count: calls.unwrap_or_default(),
                    disconnect_reason: *reason,
                });
                out.push((data, *at));
            }
            Report::Refused(refused) => self.refused(now, refused, out),
        }
    }

    fn connected(&mut self, now: Timestamp, client: &Arc<Client>, out: &mut Vec<Told>) {
        if self.sessions.len() < SESSIONS_MAX {
            self.sessions.insert(client.session.clone(), 0);
        }
        let data = EventData::ClientConnected(ClientConnected {
            session_id: String::from(client.session.as_str()),
            client_type: String::from(client.kind()),
            user_agent: client.user_agent.clone().unwrap_or_default(),
            team_id: client.team.clone(),
            transport: String::from("http"),
            ip_address: client.ip_address.clone().unwrap_or_default(),
        });
        out.push((data, client.since));
        // The request that opened the session is one.
        self.count(now, client, client.since, false, out);
    }

    fn count(
        &mut self,
        now: Timestamp,
        client: &Arc<Client>,
        at: Timestamp,
        is_call: bool,
        out: &mut Vec<Told>,
    ) {
        self.active_since.get_or_insert(now);
        let active = self.active.entry(client.session.clone()).or_insert_with(|| Active {
            client: Arc::clone(client),
            requests: 0,
            tool_calls: 0,
            last: at,
        });
        active.requests = active.requests.saturating_add(1);
        active.tool_calls = active.tool_calls.saturating_add(u64::from(is_call));
        active.last = active.last.max(at);
        if self.active.len() > ACTIVITY_CLIENTS_MAX {
            self.tell_activity(out);
        }
    }

    fn called(&mut self, now: Timestamp, call: &EndedCall, has_room: bool, out: &mut Vec<Told>) {
        let ended = call.began.after(call.duration_ms);
        self.count(now, &call.client, ended, true, out);
        if let Some(calls) = self.sessions.get_mut(&call.client.session) {
            *calls = calls.saturating_add(1);
        }
        let is_success = call.outcome == Outcome::Ok;
        if has_room && self.tool_uses.take(now) {
            let data = EventData::ToolExecuted(ToolExecuted {
                tool_name: call.tool.clone(),
                server_id: call.key.installation.clone(),
                team_id: call.key.team.clone(),
                duration_ms: call.duration_ms,
                success: is_success,
                error_message: call.error.clone(),
                user_id: Some(call.key.user.clone()),
                outcome: Some(call.outcome),
            });
            out.push((data, ended));
        } else {
            self.leave_untold(now, 1);
        }
        if !call.is_logged {
            return;
        }
        let log = (call.key.installation.clone(), call.key.team.clone());
        let Some(detail) = &call.detail else { return self.requests.omit(now, log) };
        let entry = RequestEntry {
            user_id: Some(call.key.user.clone()),
            tool_name: call.tool.clone(),
            tool_params: detail.params.clone(),
            tool_response: detail.response.clone(),
            response_time_ms: call.duration_ms,
            success: is_success,
            error_message: call.error.clone(),
            timestamp: IsoTime(call.began),
        };
        // Values take more room in memory than as text; the bound is one of order of magnitude.
        let bytes = 2 * crate::limits::REQUEST_EXCERPT_MAX_BYTES;
        for (log, waiting) in self.requests.push(now, log, entry, bytes) {
            out.push((requests(log, waiting), now));
        }
    }

    /// Counts calls that are told only by their number.
    pub(super) fn leave_untold(&mut self, now: Timestamp, count: u64) {
        let (_, untold) = self.untold.get_or_insert((now, 0));
        *untold = untold.saturating_add(count);
    }

    fn refused(&mut self, now: Timestamp, refused: &RefusedCredential, out: &mut Vec<Told>) {
        if self.refusals.take(now) {
            let held = self.refused.take().map_or(0, |(_, count, _)| count);
            out.push(refusal(refused.clone(), held));
        } else {
            let (held, since) =
                self.refused.take().map_or((0, now), |(_, held, since)| (held, since));
            self.refused = Some((refused.clone(), held.saturating_add(1), since));
        }
    }

    /// Takes a line that a server wrote.
    pub(super) fn logged(
        &mut self,
        now: Timestamp,
        key: &InstanceKey,
        line: LogEntry,
        out: &mut Vec<Told>,
    ) {
        let bytes = line.message.len() + size_of::<LogEntry>();
        for (key, waiting) in self.logs.push(now, key.clone(), line, bytes) {
            out.push((logs(&key, waiting), now));
        }
    }

    /// Tells what a server wrote that has ended, ahead of its end.
    pub(super) fn flush_log(&mut self, now: Timestamp, key: &InstanceKey, out: &mut Vec<Told>) {
        if let Some(waiting) = self.logs.take(key) {
            out.push((logs(key, waiting), now));
        }
    }

    /// Tells what has waited long enough. Returns the calls that are told only by their number.
    pub(super) fn tell_due(&mut self, now: Timestamp, out: &mut Vec<Told>) -> u64 {
        out.extend(self.logs.take_due(now).into_iter().map(|(key, log)| (logs(&key, log), now)));
        out.extend(
            self.requests.take_due(now).into_iter().map(|(key, log)| (requests(key, log), now)),
        );
        if self.active_since.is_some_and(|since| since.after(ACTIVITY_WINDOW_MS) <= now) {
            self.tell_activity(out);
        }
        if self.refused.as_ref().is_some_and(|(.., since)| since.after(UNTOLD_WINDOW_MS) <= now) {
            self.tell_refused(out);
        }
        match self.untold {
            Some((since, count)) if since.after(UNTOLD_WINDOW_MS) <= now => {
                self.untold = None;
                count
            }
            _ => 0,
        }
    }

    /// Tells everything. Returns the calls that are told only by their number.
    pub(super) fn tell_all(&mut self, now: Timestamp, out: &mut Vec<Told>) -> u64 {
        out.extend(self.logs.take_all().into_iter().map(|(key, log)| (logs(&key, log), now)));
        out.extend(
            self.requests.take_all().into_iter().map(|(key, log)| (requests(key, log), now)),
        );
        self.tell_activity(out);
        self.tell_refused(out);
        self.untold.take().map_or(0, |(_, count)| count)
    }

    fn tell_activity(&mut self, out: &mut Vec<Told>) {
        self.active_since = None;
        out.extend(core::mem::take(&mut self.active).into_values().map(Active::told));
    }

    fn tell_refused(&mut self, out: &mut Vec<Told>) {
        if let Some((refused, count, _)) = self.refused.take() {
            out.push(refusal(refused, count.saturating_sub(1)));
        }
    }

    /// When something is to be told.
    pub(super) fn due(&self) -> Option<Timestamp> {
        let untold = self.untold.map(|(since, _)| since);
        let refused = self.refused.as_ref().map(|(.., since)| *since);
        [
            self.logs.due(),
            self.requests.due(),
            self.active_since.map(|since| since.after(ACTIVITY_WINDOW_MS)),
            untold.into_iter().chain(refused).min().map(|since| since.after(UNTOLD_WINDOW_MS)),
        ]
        .into_iter()
        .flatten()
        .min()
    }
}

impl Active {
    fn told(self) -> Told {
        let Active { client, requests, tool_calls, last } = self;
        let data = EventData::ClientActivity(ClientActivity {
            user_id: client.user.clone(),
            team_id: client.team.clone(),
            oauth_client_id: client.oauth_client.clone(),
            client_name: client.name.clone(),
            user_agent: client.user_agent.clone(),
            ip_address: client.ip_address.clone(),
            session_id: Some(String::from(client.session.as_str())),
            request_count: requests,
            tool_call_count: tool_calls,
            last_activity_at: IsoTime(last),
        });
        (data, last)
    }
}

fn requests(
    (installation, team): (InstallationId, TeamId),
    log: Waiting<RequestEntry>,
) -> EventData {
    EventData::RequestLogs(RequestLogs {
        installation_id: installation,
        team_id: team,
        requests: log.lines,
        omitted_count: log.omitted,
    })
}

fn logs(key: &InstanceKey, log: Waiting<LogEntry>) -> EventData {
    EventData::ServerLogs(ServerLogs {
        installation_id: key.installation.clone(),
        team_id: key.team.clone(),
        user_id: Some(key.user.clone()),
        logs: log.lines,
    })
}

fn refusal(refused: RefusedCredential, others: u64) -> Told {
    let RefusedCredential { team, client, reason, ip_address, at } = refused;
    let data = EventData::SecurityAuthFailed(SecurityAuthFailed {
        team_id: team,
        client_id: client,
        reason: String::from(reason),
        ip_address,
        suppressed_count: others,
    });
    (data, at)
}
