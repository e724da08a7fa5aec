use alloc::vec;

use super::*;
use crate::wire::encode;

const FIELD: &str = r#"{"mcp_servers": {"files-acme-u1-i1": {"installation_id": "i1",
   "instance_id": "inst_x", "team_id": "t1", "team_slug": "acme",
   "server_name": "Files", "server_slug": "files", "installation_name": "Our files",
   "transport_type": "stdio", "enabled": true, "user_id": "u1", "user_slug": "u1",
   "instance_status": "online", "requires_oauth": false, "source": null, "runtime": "node",
   "command": "npx", "args": ["-y", "@acme/files-mcp", "/data"],
   "env": {"API_KEY": "plain secret"}, "secret_metadata": {"env": ["API_KEY"]},
   "settings": {"request_logging_enabled": false}, "invented_later": [1.0, {"a": null}]}},
 "satellite_config": {"polling_intervals": {"normal": 30, "immediate": 2, "error_backoff_max": 300},
   "resource_limits": {"max_processes": 50, "max_memory_per_process": "1GB", "max_cpu_percent": 80}}}"#;

#[test]
fn a_configuration_of_the_field_is_read() {
    let configuration = Configuration::decode(FIELD.as_bytes()).unwrap();
    assert_eq!(configuration.rejected, []);
    let server = &configuration.servers[0];
    assert_eq!(alloc::format!("{}", server.key()), "t1/i1/u1");
    assert_eq!(server.names.process, "files-acme-u1-i1");
    assert!(!server.request_logging);
    assert!(server.raw.get().contains(r#""invented_later": [1.0, {"a": null}]"#));
    let Launch::Stdio { env, args, .. } = &server.launch else { panic!("another transport") };
    assert_eq!(args.len(), 3);
    assert_eq!(env["API_KEY"].expose(), "plain secret");
    assert!(!alloc::format!("{:?}", server.launch).contains("plain secret"));
    let limits = configuration.satellite_config.resource_limits.unwrap();
    assert_eq!(limits.memory_bytes(), Some(1 << 30));
}

#[test]
fn a_bad_entry_is_rejected_with_its_reason_and_the_others_are_kept() {
    let base = r#""installation_id":"i","team_id":"t","server_slug":"s""#;
    let json = alloc::format!(
        r#"{{"mcp_servers":{{
            "a":{{{base},"user_id":"1","transport_type":"stdio","command":"npx"}},
            "b":{{{base},"user_id":"2","transport_type":"http","url":"ftp://x"}},
            "c":{{{base},"user_id":"3","transport_type":"carrier pigeon"}},
            "d":{{{base},"user_id":"4","transport_type":"http","url":"https://x","headers":"oops"}},
            "e":{{{base},"transport_type":"http","url":"https://x"}},
            "f":7,
            "g":{{{base},"user_id":"5","type":"sse","url":"HTTPS://host:1/p?q","timeout":45000}},
            "g":{{{base},"user_id":"6","type":"sse","url":"https://x"}},
            "h":{{{base},"user_id":"5","type":"http","url":"https://x"}},
            "i":{{{base},"user_id":"7","type":"stdio","command":"npx","args":["a\u0000b"]}}
        }},"satellite_config":[],"version":"x"}}"#
    );
    let configuration = Configuration::decode(json.as_bytes()).unwrap();
    let served: Vec<_> =
        configuration.servers.iter().map(|server| server.names.process.as_str()).collect();
    assert_eq!(served, ["g"]);
    let wanted = [
        ("a", "`args`"),
        ("b", "`url`"),
        ("c", "`transport_type`"),
        ("d", "`headers`"),
        ("e", "`user_id`"),
        ("f", "object"),
        ("g", "twice"),
        ("h", "same team"),
        ("i", "`args[0]`"),
        ("satellite_config", "object"),
    ];
    assert_eq!(configuration.rejected.len(), wanted.len(), "{:?}", configuration.rejected);
    for (rejected, (key, reason)) in configuration.rejected.iter().zip(wanted) {
        assert_eq!(rejected.key, key);
        assert!(rejected.reason.contains(reason), "{rejected:?}");
    }
    assert_eq!(configuration.version, None);
}

#[test]
fn what_is_no_configuration_is_an_error() {
    for json in ["", "[]", "{}", r#"{"mcp_servers":[]}"#, r#"{"mcp_servers":{"a":}}"#] {
        assert!(Configuration::decode(json.as_bytes()).is_err(), "{json}");
    }
    assert_eq!(
        Configuration::decode(br#"{"mcp_servers":{},"satellite_config":null}"#).unwrap(),
        Configuration::default()
    );
}

#[test]
fn what_the_backend_writes_a_satellite_reads() {
    let entry = ServerEntry {
        installation_id: Some("i".into()),
        team_id: Some("t".into()),
        user_id: Some("u".into()),
        server_slug: Some("s".into()),
        transport_type: Some("http".into()),
        url: Some(crate::secret::Secret::new("https://example.com/mcp")),
        disabled_tools: Some(vec!["rm".into()]),
        generation: Some(3),
        ..ServerEntry::default()
    };
    let reply = ConfigurationReply {
        mcp_servers: BTreeMap::from([("s-t-u-i".into(), entry)]),
        satellite_config: SatelliteConfig::standard(
            super::super::registration::SatelliteType::Team,
        ),
        version: Some(9),
    };
    let configuration = Configuration::decode(&encode(&reply)).unwrap();
    assert_eq!(configuration.rejected, []);
    assert_eq!(configuration.version, Some(9));
    assert_eq!(configuration.satellite_config, reply.satellite_config);
    assert_eq!(configuration.servers[0].generation, 3);
    assert!(configuration.servers[0].disabled_tools.contains("rm"));
    let limits = configuration.satellite_config.resource_limits.unwrap();
    assert_eq!(limits.memory_bytes(), Some(104_857_600));
}

#[test]
fn memory_is_read_in_the_units_of_control_groups() {
    for (text, bytes) in [
        ("512", Some(512)),
        ("100 MB", Some(104_857_600)),
        ("1g", Some(1 << 30)),
        ("64KiB", Some(65_536)),
        ("lots", None),
        ("", None),
        ("18446744073709551615GB", None),
    ] {
        let limits = ResourceLimits {
            max_memory_per_process: Some(text.into()),
            ..ResourceLimits::default()
        };
        assert_eq!(limits.memory_bytes(), bytes, "{text}");
    }
}
