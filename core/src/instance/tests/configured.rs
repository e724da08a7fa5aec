//! From an entry of the configuration to an instance.

use super::*;
use crate::wire::configuration::Configuration;

/// The spec of a server whose entry says this beside its ids.
fn read(entry: &str, settings: &Settings) -> Option<Spec> {
    let json = alloc::format!(
        r#"{{"mcp_servers":{{"files-t-u-i":{{"installation_id":"i","team_id":"t","user_id":"u",
            "server_slug":"files",{entry}}}}}}}"#
    );
    let configuration = Configuration::decode(json.as_bytes()).expect("a configuration");
    assert_eq!(configuration.rejected, []);
    Spec::from_configuration(&configuration.servers[0], settings)
}

#[test]
fn every_value_that_the_configuration_hands_to_a_server_is_kept_out_of_what_is_told_of_it() {
    for entry in [
        r#""transport_type":"stdio","command":"npx","args":[],"env":{"KEY":"tell-nobody-this"}"#,
        r#""transport_type":"http","url":"https://x/","headers":{"x-key":"tell-nobody-this"}"#,
        r#""transport_type":"sse","url":"https://x/","url_query_params":{"key":"tell-nobody-this"}"#,
    ] {
        let spec = read(entry, &Settings::default()).expect("it is on");
        let told = spec.redaction.apply(String::from("I was given tell-nobody-this."));
        assert!(!told.contains("tell-nobody-this"), "{entry}: {told}");
    }
}

#[test]
fn what_is_switched_off_is_no_instance_and_what_may_not_be_started_says_what_may() {
    let off = r#""transport_type":"stdio","command":"npx","args":[],"enabled":false"#;
    assert_eq!(read(off, &Settings::default()), None);
    let settings = Settings {
        allowed_commands: ["node", "deno"].map(String::from).into_iter().collect(),
        ..Settings::default()
    };
    let other = r#""transport_type":"stdio","command":"npx","args":[]"#;
    let reason = read(other, &settings).and_then(|spec| spec.launch.err()).expect("a reason");
    for word in ["\"npx\"", "SATELLITE_ALLOWED_COMMANDS", "deno, node"] {
        assert!(reason.contains(word), "{reason}");
    }
}

#[test]
fn a_command_that_may_download_first_gets_more_time_for_its_handshake() {
    let patience = |command: &str| {
        let entry = alloc::format!(r#""transport_type":"stdio","command":"{command}","args":[]"#);
        let settings = Settings {
            allowed_commands: [String::from(command)].into_iter().collect(),
            ..Settings::default()
        };
        match read(&entry, &settings).map(|spec| spec.launch) {
            Some(Ok(Launch::Process(process))) => process.handshake_timeout_ms,
            other => panic!("it may be started: {other:?}"),
        }
    };
    for command in ["npx", "uvx"] {
        assert_eq!(patience(command), limits::HANDSHAKE_DOWNLOAD_TIMEOUT_MS);
    }
    assert_eq!(patience("node"), limits::HANDSHAKE_TIMEOUT_MS);
}

#[test]
fn a_later_generation_is_started_afresh_and_an_earlier_one_is_not() {
    let mut life = Life::online();
    let generation = |generation| Spec { generation, ..spec() };
    life.event(Event::Configured(generation(7)));
    for (other, afresh) in [(6, false), (7, false), (8, true)] {
        assert_eq!(life.instance.needs_restart_for(&generation(other)), afresh, "{other}");
    }
}
