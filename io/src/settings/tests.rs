use super::variables::COMMAND_VARIABLES;
use super::*;

fn sources(pairs: &[(&str, &str)]) -> Sources {
    Sources::from_variables(pairs.iter().map(|(name, value)| (name.into(), value.into()))).unwrap()
}

fn read(pairs: &[(&str, &str)]) -> Result<DaemonSettings, Exit> {
    let mut all = vec![("DEPLOYSTACK_SATELLITE_NAME", "edge-satellite-01")];
    all.extend(pairs);
    DaemonSettings::read(&sources(&all))
}

/// A value for each variable that is not its default.
const OTHER: &[(&str, &str)] = &[
    ("DEPLOYSTACK_SATELLITE_NAME", "another-name"),
    ("DEPLOYSTACK_BACKEND_URL", "https://cloud.example.com"),
    ("SATELLITE_ALLOW_INSECURE_BACKEND", "true"),
    ("DEPLOYSTACK_REGISTRATION_TOKEN", "deploystack_satellite_team_abc"),
    ("SATELLITE_STATE_DIR", "/var/lib/satellite"),
    ("HOST", "127.0.0.1"),
    ("PORT", "0"),
    ("DEPLOYSTACK_SATELLITE_URL", "https://sat.example.com/"),
    ("DEPLOYSTACK_BACKEND_PUBLIC_URL", "https://public.example.com"),
    ("DEPLOYSTACK_BACKEND_POLLING_INTERVAL", "45"),
    ("SATELLITE_ALLOWED_HOSTS", "a.example, b.example"),
    ("SATELLITE_METRICS_TOKEN", "measure"),
    ("SATELLITE_ALLOWED_COMMANDS", "deno,/opt/bin/server"),
    ("SATELLITE_SERVER_JAIL", "false"),
    ("SATELLITE_READABLE_PATHS", "/srv/models,/srv/data"),
    ("SATELLITE_SERVERS_OFFLINE", "true"),
    ("SATELLITE_TEAM_ACCOUNTS", "false"),
    ("SATELLITE_EGRESS_ALLOW", "wiki.corp,10.0.0.0/8"),
    ("SATELLITE_EGRESS_ALLOW_HTTP", "true"),
    ("SATELLITE_CA_FILE", "/etc/ssl/corp.pem"),
    ("HTTPS_PROXY", "http://user:word@proxy.corp:3128"),
    ("HTTP_PROXY", "http://proxy.corp:3128"),
    ("ALL_PROXY", "http://proxy.corp:3128"),
    ("NO_PROXY", "corp"),
    ("MCP_PROCESS_IDLE_TIMEOUT_SECONDS", "0"),
    ("SATELLITE_FREEZE_AFTER_SECONDS", "0"),
    ("MCP_PROCESS_SPAWN_GRACE_PERIOD_SECONDS", "5"),
    ("SATELLITE_ISOLATION", "off"),
    ("MCP_PROCESS_MEMORY_MB", "256"),
    ("MCP_PROCESS_CPU_PERCENT", "50"),
    ("MCP_PROCESS_MAX_PROCESSES", "64"),
    ("SATELLITE_SERVER_LIMITS", "files:memory=256,cpu=50; docs:processes=64"),
    ("SATELLITE_INSTANCES", "7"),
    ("SATELLITE_TEAM_INSTANCES", "3"),
    ("SATELLITE_STARTS", "5"),
    ("SATELLITE_START_WAIT_SECONDS", "9"),
    ("SATELLITE_TEAM_MEMORY_MB", "1024"),
    ("SATELLITE_TEAM_CPU_PERCENT", "200"),
    ("SATELLITE_TEAM_PROCESSES", "1000"),
    ("EVENT_BATCH_INTERVAL_MS", "100"),
    ("EVENT_MAX_BATCH_SIZE", "100"),
    ("EVENT_MAX_QUEUE_SIZE", "50"),
    ("EVENT_FLUSH_TIMEOUT_MS", "100"),
    ("LOG_LEVEL", "DEBUG"),
    ("NODE_ENV", "production"),
    ("LOG_RATE_LIMIT_PER_SECOND", "7"),
    ("LOG_MAX_LINE_LENGTH_BYTES", "64"),
    ("LOG_RATE_LIMIT_WARNING_INTERVAL_MS", "1"),
    ("DEPLOYSTACK_RESOURCE_DOCUMENTATION", "https://docs.example.com/"),
    ("DEPLOYSTACK_STATUS_SHOW_UPTIME", "false"),
    ("DEPLOYSTACK_STATUS_SHOW_VERSION", "false"),
    ("DEPLOYSTACK_STATUS_SHOW_MCP_DEBUG_ROUTE", "true"),
    ("HOME", "/home/satellite"),
    ("PATH", "/somewhere/else"),
];

#[test]
fn every_variable_of_the_table_is_read() {
    // `http://` beyond loopback, so that the permission has something to permit.
    let permitted = [("DEPLOYSTACK_BACKEND_URL", "http://cloud.example.com")];
    for variable in VARIABLES {
        let value = OTHER.iter().find(|(name, _)| *name == variable.name);
        let (name, value) =
            *value.unwrap_or_else(|| panic!("no other value for {}", variable.name));
        if name == "SATELLITE_ALLOW_INSECURE_BACKEND" {
            assert!(read(&permitted).is_err());
            assert!(read(&[permitted[0], (name, value)]).is_ok());
            continue;
        }
        let plain = format!("{:?}", read(&[]).unwrap());
        let changed = format!("{:?}", read(&[(name, value)]).unwrap());
        assert_ne!(plain, changed, "{name} has no effect");
    }
}

#[test]
fn isolation_that_is_required_cannot_go_without_the_jail() {
    let required = ("SATELLITE_ISOLATION", "required");
    assert!(read(&[required]).unwrap().jail.is_wanted);
    let error = read(&[required, ("SATELLITE_SERVER_JAIL", "false")]).unwrap_err();
    assert_eq!(error.code, crate::exit::USAGE);
    assert!(error.error.contains("SATELLITE_SERVER_JAIL"), "{error:?}");
}

#[test]
fn every_default_of_the_table_is_the_value_of_an_empty_environment() {
    let plain = format!("{:?}", read(&[]).unwrap());
    for variable in VARIABLES {
        if !variable.default.is_empty() {
            let stated = format!("{:?}", read(&[(variable.name, variable.default)]).unwrap());
            assert_eq!(plain, stated, "{}", variable.name);
        }
    }
}

#[test]
fn names_occur_once() {
    let mut names: Vec<&str> =
        VARIABLES.iter().chain(COMMAND_VARIABLES).map(|it| it.name).collect();
    let all = names.len();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), all);
}

#[test]
fn a_flag_comes_before_the_environment_before_the_file_before_the_default() {
    let directory = std::env::temp_dir().join(format!("satellite-settings-{}", std::process::id()));
    std::fs::create_dir_all(&directory).unwrap();
    let path = directory.join("satellite.toml");
    std::fs::write(
        &path,
        "port = 4001\nhost = \"127.0.0.2\"\nsatellite_allowed_hosts = [\"a\", \"b\"]\n",
    )
    .unwrap();
    let with = |environment: &[(&str, &str)], flag: Option<u16>| {
        let sources = sources(environment).with_file(&path).unwrap().flag("PORT", "--port", flag);
        let name = Some("edge-satellite-01");
        DaemonSettings::read(&sources.flag("DEPLOYSTACK_SATELLITE_NAME", "--name", name)).unwrap()
    };
    assert_eq!(read(&[]).unwrap().listen.1, 3001);
    assert_eq!(with(&[], None).listen, (String::from("127.0.0.2"), 4001));
    assert_eq!(with(&[("PORT", "4002")], None).listen.1, 4002);
    assert_eq!(with(&[("PORT", "4002")], Some(4003)).listen.1, 4003);
    assert_eq!(with(&[("PORT", "")], None).listen.1, 4001);
    assert_eq!(with(&[], None).surface.allowed_hosts.len(), 2);
    for (text, problem) in [
        ("prot = 1\n", "there is no setting \"prot\""),
        ("port = [1]\n", "port must be a text"),
        ("port = \n", "line 1"),
    ] {
        std::fs::write(&path, text).unwrap();
        let error = sources(&[]).with_file(&path).unwrap_err();
        assert_eq!(error.code, crate::exit::USAGE);
        assert!(error.error.contains(problem), "{error:?}");
    }
    std::fs::remove_dir_all(&directory).unwrap();
    assert!(sources(&[]).with_file(&path).unwrap_err().error.contains("cannot read"));
}

#[test]
fn wrong_values_are_refused_with_what_is_allowed() {
    for (name, value, problem) in [
        ("DEPLOYSTACK_SATELLITE_NAME", "short", "has 5 characters"),
        ("DEPLOYSTACK_SATELLITE_NAME", "Upper-Case-Name", "holds 'U'"),
        ("PORT", "65536", "PORT is \"65536\""),
        ("EVENT_MAX_BATCH_SIZE", "101", "EVENT_MAX_BATCH_SIZE"),
        ("DEPLOYSTACK_BACKEND_POLLING_INTERVAL", "-1", "DEPLOYSTACK_BACKEND_POLLING_INTERVAL"),
        ("DEPLOYSTACK_STATUS_SHOW_UPTIME", "maybe", "\"maybe\""),
        ("LOG_LEVEL", "loud", "\"loud\""),
        ("DEPLOYSTACK_BACKEND_URL", "cloud.example.com", "does not start with"),
        ("DEPLOYSTACK_BACKEND_URL", "http://cloud.example.com", "in the clear"),
        ("DEPLOYSTACK_BACKEND_URL", "https://u:secret@cloud.example.com", "a user, a password"),
        ("DEPLOYSTACK_SATELLITE_URL", "ftp://x", "does not start with"),
        ("SATELLITE_EGRESS_ALLOW", "wiki.corp,10.0.0.1/8", "\"10.0.0.1/8\" is an address in"),
        ("SATELLITE_EGRESS_ALLOW", "https://wiki.corp", "\"https://wiki.corp\""),
    ] {
        let error = read(&[(name, value)]).unwrap_err();
        assert_eq!(error.code, crate::exit::USAGE);
        assert!(error.error.contains(problem), "{error:?}");
        assert!(!error.hint.is_empty());
        assert!(!error.error.contains("secret"), "{error:?}");
    }
    let error = DaemonSettings::read(&sources(&[])).unwrap_err();
    assert!(error.hint.contains("DEPLOYSTACK_SATELLITE_NAME"));
}

#[test]
fn a_backend_in_the_clear_is_allowed_on_loopback_only() {
    for url in ["http://localhost:3000/", "http://127.0.0.9:1", "http://[::1]:3000"] {
        let settings = read(&[("DEPLOYSTACK_BACKEND_URL", url)]).unwrap();
        assert_eq!(settings.backend_url, url.trim_end_matches('/'));
    }
    for url in ["http://127.0.0.1.example.com", "http://localhost.example.com", "http://10.0.0.1"] {
        assert!(read(&[("DEPLOYSTACK_BACKEND_URL", url)]).is_err(), "{url}");
    }
}

#[test]
fn settings_without_effect_are_named_in_one_warning() {
    let settings = read(&[("NSJAIL_MEMORY_LIMIT_MB", "1"), ("MCP_USE_TMPFS", "true")]).unwrap();
    assert_eq!(
        settings.warnings,
        ["these settings have no effect here: MCP_USE_TMPFS, NSJAIL_MEMORY_LIMIT_MB"]
    );
    assert!(read(&[]).unwrap().warnings.is_empty());
}

#[test]
fn a_proxy_may_be_written_in_lower_case_and_upper_case_comes_first() {
    let https = |pairs: &[(&str, &str)]| read(pairs).unwrap().outbound.client.proxies.https;
    let (upper, lower) = (("HTTPS_PROXY", "http://upper:1"), ("https_proxy", "http://lower:1"));
    assert_eq!(https(&[lower]), Some(Secret::new("http://lower:1")));
    assert_eq!(https(&[lower, upper]), Some(Secret::new("http://upper:1")));
    assert_eq!(https(&[upper, lower]), Some(Secret::new("http://upper:1")));
    // Other names have one way of writing.
    assert!(read(&[("satellite_ca_file", "/x")]).unwrap().outbound.client.ca_file.is_none());
}

#[test]
fn others_reach_neither_the_backend_nor_this_satellite_unless_they_are_listed() {
    let backend = ("DEPLOYSTACK_BACKEND_URL", "https://cloud.example.com");
    let own = ("DEPLOYSTACK_SATELLITE_URL", "https://sat.example.com");
    let refused = |settings: &DaemonSettings, url: &str| {
        let rules = settings.egress(3001).rules;
        rules.admit(url).is_err_and(|it| it.to_string().contains("Backend or this satellite"))
    };
    let network = ("SATELLITE_EGRESS_ALLOW", "127.0.0.0/8,sat.example.com");
    let named = ("SATELLITE_EGRESS_ALLOW", "127.0.0.1:3001,cloud.example.com:443");
    let (network, named) = (read(&[backend, own, network]), read(&[backend, own, named]));
    for url in ["https://cloud.example.com/x", "https://127.0.0.1:3001/mcp"] {
        assert!(refused(network.as_ref().unwrap(), url), "{url}");
        assert!(!refused(named.as_ref().unwrap(), url), "{url}");
    }
    assert!(refused(named.as_ref().unwrap(), "https://sat.example.com/mcp"));
}

#[test]
fn what_a_developer_names_may_be_reached_and_its_neighbours_may_not() {
    let mut outbound = OutboundSettings::default();
    outbound.allow_named(["http://127.0.0.1:9000/mcp?key=1", "no url", "http://wiki.corp/mcp"]);
    let rules = outbound.egress([], Some(3001)).rules;
    assert!(rules.admit("http://127.0.0.1:9000/other").is_ok());
    for url in ["http://127.0.0.1:9001/mcp", "http://127.0.0.2:9000/mcp", "https://10.0.0.1/"] {
        assert!(rules.admit(url).is_err(), "{url}");
    }
}

#[test]
fn debug_output_shows_no_secret() {
    let proxy = ("HTTPS_PROXY", "http://user:topsecret@proxy.corp:3128");
    let settings = read(&[("DEPLOYSTACK_REGISTRATION_TOKEN", "topsecret"), proxy]).unwrap();
    assert!(!format!("{settings:?}").contains("topsecret"));
}

#[test]
fn the_readme_shows_the_table_as_it_is() {
    let readme = include_str!("../../../README.md");
    assert!(readme.contains(&environment_table()), "paste this:\n{}", environment_table());
}
