//! Servers that a satellite without processes tells of as if it ran them, and clients that call them.

use std::collections::BTreeSet;
use std::sync::Arc;

use satellite_core::id::{Incarnation, InstallationId, InstanceId, InstanceKey, TeamId, UserId};
use satellite_core::random::Random;
use satellite_core::redaction::Redaction;
use satellite_core::router::outcome::Outcome;
use satellite_core::time::Timestamp;
use satellite_core::usage::{Batch, Client, EndedCall, Report};
use satellite_core::view::{
    HealthStatus, InstanceStatus, InstanceView, Inventory, ProcessStatus, ProcessView, ServerNames,
    Tool, Transport, View,
};
use serde_json::value::RawValue;

/// Servers of a satellite, and the tools of each: with these a heartbeat has 13 to 18 KB.
const SERVERS: (u64, u64) = (14, 17);
const TOOLS: u64 = 2;

/// What a satellite tells of.
pub struct Servers {
    instances: Vec<InstanceView>,
    client: Option<Arc<Client>>,
    random: Random,
}

impl Servers {
    /// Those of one satellite. `random` decides how many.
    pub fn new(mut random: Random, now: Timestamp) -> Servers {
        let count = random.between(SERVERS.0, SERVERS.1);
        let instances = (0..count).map(|_| instance(&mut random, now)).collect();
        Servers { instances, client: None, random }
    }

    /// `view`, as if they were in it.
    pub fn within(&mut self, view: &View, now: Timestamp) -> Arc<View> {
        let mut view = view.clone();
        for instance in &mut self.instances {
            if self.random.chance(1, 2) {
                instance.message_count += self.random.between(1, 40);
                instance.last_activity = now;
            }
            view.instances.insert(instance.key.clone(), Arc::new(instance.clone()));
        }
        Arc::new(view)
    }

    /// A client calls a tool of one of them; the first time it says who it is.
    pub fn call(&mut self, now: Timestamp) -> Batch {
        let place = self.random.below(self.instances.len() as u64) as usize;
        let duration_ms = self.random.between(1, 900);
        let Some(instance) = self.instances.get_mut(place) else { return Batch::default() };
        instance.message_count += 1;
        let key = instance.key.clone();
        let mut reports = Vec::new();
        let client = self.client.get_or_insert_with(|| {
            let client = Arc::new(client(&mut self.random, &key, now));
            reports.push(Report::Connected { client: Arc::clone(&client) });
            client
        });
        reports.push(Report::Called(EndedCall {
            client: Arc::clone(client),
            tool: instance.inventory.tools.first().map(|it| it.name.clone()).unwrap_or_default(),
            key,
            began: Timestamp(now.0.saturating_sub(duration_ms)),
            duration_ms,
            outcome: Outcome::Ok,
            error: None,
            is_logged: false,
            detail: None,
        }));
        Batch::from(reports)
    }
}

fn client(random: &mut Random, key: &InstanceKey, now: Timestamp) -> Client {
    Client {
        session: random.id("session-").into(),
        user: key.user.clone(),
        team: key.team.clone(),
        oauth_client: String::from("generator"),
        name: Some(String::from("generator")),
        user_agent: None,
        ip_address: None,
        since: now,
    }
}

fn instance(random: &mut Random, now: Timestamp) -> InstanceView {
    let key = InstanceKey {
        team: TeamId::from(random.id("team_")),
        installation: InstallationId::from(random.id("inst_")),
        user: UserId::from(random.id("user_")),
    };
    let slug = random.id("server-");
    let names = ServerNames {
        process: format!("{slug}-team-{}-{}", key.user, key.installation),
        server: slug.clone(),
        slug,
        team_slug: String::from("team"),
        installation: String::from("of the generator"),
    };
    let tools = (0..TOOLS).map(|_| Tool {
        name: random.id("tool_"),
        description: String::new(),
        repeatable: false,
        raw: RawValue::NULL.to_owned(),
    });
    InstanceView {
        instance_id: Some(InstanceId::from(format!("mi_{}", key.installation))),
        inventory: Arc::new(Inventory { tools: tools.collect(), ..Inventory::default() }),
        key,
        names: Arc::new(names),
        transport: Transport::Stdio,
        call_timeout_ms: 60_000,
        status: InstanceStatus::Online,
        status_message: None,
        process: Some(ProcessView {
            incarnation: Incarnation::default(),
            pid: u32::try_from(random.between(1_000, 4_000_000)).ok(),
            status: ProcessStatus::Running,
            since: now,
        }),
        dormant_since: None,
        frozen_since: None,
        waits_since: None,
        ready: None,
        disabled_tools: Arc::new(BTreeSet::new()),
        address: None,
        request_logging: false,
        redaction: Arc::new(Redaction::default()),
        message_count: 0,
        error_count: 0,
        last_activity: now,
        health: HealthStatus::Healthy,
        health_at: Some(now),
        restarts: 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use satellite_core::heartbeat::{HostSample, payload};

    #[test]
    fn heartbeats_are_as_large_as_those_of_satellites_with_dozens_of_instances() {
        let now = crate::stage::EPOCH;
        for seed in 0..50 {
            let mut servers = Servers::new(Random::new(seed), now);
            let view = servers.within(&View::default(), now.after(1_000_000));
            let body = satellite_core::wire::encode(&payload(
                &view,
                &HostSample::default(),
                now.after(1_000_000),
            ));
            let (servers, bytes) = (servers.instances.len(), body.len());
            assert!((13_000..=18_000).contains(&bytes), "{servers} servers: {bytes} bytes");
        }
    }
}
