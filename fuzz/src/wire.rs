//! Messages between satellite and Backend, and registration tokens.

use std::fmt::Debug;

use satellite_core::backend::processes::reported;
use satellite_core::backend::registration_token::{self as token, Claims};
use satellite_core::instance::{Launch, Spec};
use satellite_core::limits::{ENDPOINTS_MAX, Settings};
use satellite_core::secret::Secret;
use satellite_core::time::Timestamp;
use satellite_core::wire::command::{CommandResult, PollReply};
use satellite_core::wire::configuration::{Configuration, ServerEntry};
use satellite_core::wire::error::ErrorBody;
use satellite_core::wire::event::{EventsReply, encode_batch, read_batch};
use satellite_core::wire::heartbeat::{Heartbeat, HeartbeatReply, ReceivedHeartbeat};
use satellite_core::wire::introspection::{Introspection, IntrospectionRequest};
use satellite_core::wire::registration::{RegistrationReply, RegistrationRequest};
use satellite_core::wire::tokens::{GithubToken, Tokens, TokensRequest, TokensStatus};
use satellite_core::wire::{
    Acknowledgement, admin, decode, encode, find_nul, has_nul, health, registration_token,
    without_nul,
};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

/// Reads any bytes as each message: what is accepted means the same when it is written and read
/// again.
///
/// # Panics
///
/// When a promise of the core is broken.
pub fn wire(data: &[u8]) {
    same::<Acknowledgement>(data);
    same::<CommandResult>(data);
    same::<EventsReply>(data);
    same::<GithubToken>(data);
    same::<Heartbeat>(data);
    same::<HeartbeatReply>(data);
    same::<Introspection>(data);
    same::<IntrospectionRequest>(data);
    same::<RegistrationReply>(data);
    same::<RegistrationRequest>(data);
    same::<ServerEntry>(data);
    same::<Tokens>(data);
    same::<TokensRequest>(data);
    same::<TokensStatus>(data);
    same::<health::Health>(data);
    same::<registration_token::TokenReply>(data);
    same::<admin::AdminState>(data);
    same::<admin::CommandRecord>(data);
    same::<admin::CreateCommand>(data);
    same::<admin::CreateInstallation>(data);
    same::<admin::EventRecord>(data);
    same::<admin::Installation>(data);
    same::<admin::SatelliteRecord>(data);
    same::<admin::Server>(data);
    same::<admin::User>(data);
    poll_reply(data);
    received_heartbeat(data);
    events(data);
    configuration(data);
    assert!(!ErrorBody::read(500, data).error.is_empty());
    nul(data);
}

/// Presents any bytes as a registration token: only what was signed gets in.
///
/// # Panics
///
/// When a promise of the core is broken.
pub fn registration_token(data: &[u8]) {
    let key = Secret::new("a signing key that nobody else has");
    let now = Timestamp(1_769_850_902_123);
    let text = String::from_utf8_lossy(data);
    for prefix in ["", token::GLOBAL_PREFIX, token::TEAM_PREFIX] {
        let presented = format!("{prefix}{text}");
        assert!(token::verify(&key, &presented, now).is_err(), "nothing was signed");
    }
    // Whatever claims are signed, what is accepted is what was signed, and still good.
    if let Ok(claims) = decode::<Claims>("claims", data) {
        let signed = token::issue(&key, &claims).expect("the key is long enough");
        if let Ok(accepted) = token::verify(&key, signed.expose(), now) {
            assert_eq!(accepted, claims);
            assert!(claims.expires_at() > now && claims.owner().is_some());
        }
    }
}

fn same<T: DeserializeOwned + Serialize + PartialEq + Debug>(data: &[u8]) {
    if let Ok(message) = decode::<T>("message", data) {
        let again = decode::<T>("message", &encode(&message)).expect("what was written is read");
        assert_eq!(message, again);
    }
}

/// What holds no NUL any more can be read just where the original can.
fn nul(data: &[u8]) {
    let Some(clean) = without_nul(data) else { return };
    assert!(!has_nul(&clean) && clean.len() == data.len());
    let (before, after) = (serde_json::from_slice(data), serde_json::from_slice::<Value>(&clean));
    assert_eq!(before.is_ok(), after.is_ok());
    if let (Ok(before), Ok(after)) = (before, after) {
        let _ = find_nul(&before);
        assert_eq!(find_nul(&after), None);
    }
}

fn poll_reply(data: &[u8]) {
    if let Ok(mut reply) = decode::<PollReply>("poll reply", data) {
        reply.unreadable.clear();
        assert_eq!(decode::<PollReply>("poll reply", &encode(&reply)), Ok(reply));
    }
}

fn received_heartbeat(data: &[u8]) {
    if let Ok(heartbeat) = ReceivedHeartbeat::decode(data) {
        let told = reported(&heartbeat, Timestamp(1));
        assert!(told.iter().all(|process| process.started_at.is_none_or(|at| at <= Timestamp(1))));
        let written = encode(&heartbeat);
        let again = ReceivedHeartbeat::decode(&written).expect("what was written is read");
        assert_eq!(encode(&again), written);
    }
}

fn events(data: &[u8]) {
    let Ok(batch) = read_batch(data) else { return };
    let events: Vec<_> = batch.into_iter().filter_map(Result::ok).collect();
    if events.is_empty() {
        return;
    }
    let again = read_batch(&encode_batch(&events)).expect("what was written is read");
    assert!(again.into_iter().map(Result::ok).eq(events.into_iter().map(Some)));
}

fn configuration(data: &[u8]) {
    let Ok(read) = Configuration::decode(data) else { return };
    let entries: Vec<_> = read
        .servers
        .iter()
        .map(|server| {
            let key = serde_json::to_string(&server.names.process).expect("text is JSON");
            format!("{key}:{}", server.raw.get())
        })
        .collect();
    let text = format!("{{\"mcp_servers\":{{{}}}}}", entries.join(","));
    let again = Configuration::decode(text.as_bytes()).expect("accepted entries are read again");
    assert_eq!(again.servers, read.servers);
    assert_eq!(again.rejected, []);
    for (before, after) in read.servers.iter().zip(&again.servers) {
        assert_eq!(before.launch, after.launch);
    }
    let settings = Settings::default();
    for spec in read.servers.iter().filter_map(|it| Spec::from_configuration(it, &settings)) {
        if let Ok(Launch::Remote(remote)) = spec.launch {
            assert!((1..=ENDPOINTS_MAX).contains(&remote.endpoints.len()));
            // What an address asks for may be secret.
            assert!(remote.endpoints.iter().all(|it| !it.contains(['?', '#'])));
        }
    }
}

#[cfg(test)]
mod tests {
    use satellite_core::random::Random;

    use super::*;

    /// Messages from which mutations start: every field of the contract is in one of them.
    const SEEDS: &[&str] = &[
        r#"{"commands":[{"id":"c","command_type":"configure","priority":"high","payload":{"a":[1.5e3,null,"é"]},"correlation_id":"k","attempt":1,"expires_in":2,"lease_seconds":3},{"id":"d","command_type":"kill"}],"polling_mode":"slow","next_poll_interval":60,"maintenance":true}"#,
        r#"{"command_id":"c","status":"failed","result":{"a":{}},"error":"e","error_message":"m","correlation_id":"k","attempt":1,"started_at":"2026-01-31T09:15:02.123Z","duration_ms":7.9}"#,
        r#"{"status":"degraded","system_metrics":{"cpu_usage_percent":1.25,"memory_usage_mb":3e1,"disk_usage_percent":99.9,"uptime_seconds":1,"network_rx_bytes":5,"network_tx_bytes":6},"processes":[{"id":"p","server_name":"s","status":"running","health_status":"healthy","performance_metrics":{"total_requests":1,"avg_response_time_ms":2.5,"error_count":0,"memory_usage_mb":1}}],"processes_by_team":{"t":[{"installation_id":"i","installation_name":"n","status":"running","pid":7,"uptime_seconds":1,"message_count":2,"error_count":0,"health_status":"unknown","last_activity":"2026-01-31T09:15:02.123Z"}]},"mcp_status":{"summary":{"total_instances":1,"active_instances":1,"dormant_instances":0,"total_tools":1,"online_servers":1,"offline_servers":0,"error_servers":0},"instances":[{"installation_id":"i","installation_name":"n","instance_id":"x","user_id":"u","team_id":"t","status":"running","transport_type":"stdio","uptime_seconds":5,"message_count":9,"error_count":0,"health_status":"unknown","pid":4711}],"tool_names":[{"namespaced_name":"f:r","server_slug":"f","transport":"sse"}],"server_status_counts":{"online":1,"offline":0,"error":0,"requires_reauth":0}},"error_count":0,"version":"1","satellite_url":"","capabilities":["poll-wait"],"response_time_ms":3}"#,
        r#"{"events":[{"type":"mcp.server.status_changed","timestamp":"2026-01-31T09:15:02.123Z","data":{"installation_id":"i","team_id":"t","user_id":"u","status":"online","timestamp":"9999-12-31T23:59:59.999Z"},"id":"e","seq":4},{"type":"mcp.request.logs","timestamp":"2026-01-31T09:15:02+01:00","data":{"installation_id":"i","team_id":"t","requests":[{"tool_name":"n","tool_params":{},"response_time_ms":1,"success":true,"timestamp":"2026-01-31T09:15:02Z"}]}}]}"#,
        r#"{"mcp_servers":{"a":{"installation_id":"i","team_id":"t","user_id":"u","server_slug":"s","transport_type":"stdio","command":"npx","args":["-y"],"env":{"K":"v"},"secret_metadata":{"env":["K"]},"settings":{"request_logging_enabled":true,"x":1},"later":1},"b":{"installation_id":"i","team_id":"t","user_id":"v","server_slug":"s","type":"http","url":"https://h/p","headers":{"A":"b"},"timeout":45000,"enabled":false}},"satellite_config":{"resource_limits":{"max_memory_per_process":"1GB"}},"version":3}"#,
        r#"{"type":"about:blank","title":"t","status":400,"detail":"a\\u0000b\\\\u0000","success":false,"error":"e"}"#,
        r#"{"success":true,"satellite":{"id":"s","name":"edge-satellite-01","satellite_type":"team","team_id":"t","status":"inactive","api_key":"k"},"message":"m"}"#,
        r#"{"active":true,"scope":"a b","client_id":"c","username":"n","sub":"u","aud":"x","iss":"i","exp":9e9,"iat":1,"team_id":"t","team_permissions":["p"]}"#,
        r#"{"access_token":"a","refresh_token":null,"token_type":"Bearer","expires_at":"9999-12-31T23:59:59-01:00","scope":null}"#,
        r#"{"id":"s","status":"active","created_at":"2026-01-31T09:15:02.123Z","name":"n","transport_type":"http","remotes":[{"url":"https://h","headers":{}}],"template_args":[{"value":"v","order":-1}],"team_schema":{"env":[{"name":"K","type":"secret","required":true}]}}"#,
        r#"{"state":"maintenance","from":"2026-01-31T09:15:02.123Z","until":null}"#,
        r#"{"iss":"deploystack.io","aud":"satellite-registration","iat":1,"exp":99999999999,"jti":"j","scope":"team","team_id":"t","created_by":"u","permissions":[]}"#,
    ];

    fn mutate(seed: &str, other: &str, random: &mut Random) -> Vec<u8> {
        let mut bytes = seed.as_bytes().to_vec();
        for _ in 0..random.between(1, 4) {
            let at = random.below(bytes.len() as u64) as usize;
            match random.below(5) {
                0 => bytes[at] = random.below(256) as u8,
                1 => bytes.insert(at, b"{}[]\",:0-.e+ \\ntfu"[random.below(18) as usize]),
                2 => drop(bytes.drain(at..(at + random.between(1, 20) as usize).min(bytes.len()))),
                3 => {
                    let from = random.below(other.len() as u64) as usize;
                    let to = (from + random.between(1, 40) as usize).min(other.len());
                    bytes.splice(at..at, other.as_bytes()[from..to].iter().copied());
                }
                _ => bytes[at] = b"0123456789"[random.below(10) as usize],
            }
            if bytes.is_empty() {
                bytes.push(b'{');
            }
        }
        bytes
    }

    #[test]
    fn messages_and_their_mutations_mean_the_same_when_read_again() {
        let mut random = Random::new(7);
        for seed in SEEDS {
            wire(seed.as_bytes());
            registration_token(seed.as_bytes());
            for _ in 0..500 {
                let other = SEEDS[random.below(SEEDS.len() as u64) as usize];
                let mutated = mutate(seed, other, &mut random);
                wire(&mutated);
                registration_token(&mutated);
            }
        }
    }

    #[test]
    fn bytes_that_are_no_message_are_survived() {
        for data in
            [&b""[..], b"{", b"{}", b"[]", b"null", b"\xff\xfe", b"{\"mcp_servers\":{}}", b"a.b.c"]
        {
            wire(data);
            registration_token(data);
        }
        let deep = ["{\"a\":".repeat(100_000), "1".to_owned(), "}".repeat(100_000)].concat();
        wire(deep.as_bytes());
    }
}
