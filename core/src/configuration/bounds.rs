//! What `satellite_config` may change: never more than the operator allows.

use alloc::vec::Vec;

use crate::cgroup::MEMORY_MIN_BYTES;
use crate::limits::{BACKOFF_MAX_MS, Settings};
use crate::time::SECOND;
use crate::wire::configuration::SatelliteConfig;

/// The operator's settings, lowered where the Backend asks for less.
///
/// Places for processes and the idle time only shrink; an idle time the operator has turned off
/// stays off. The pace of polls is not taken from here: each reply to a poll guides it.
pub fn within(operator: &Settings, asked: &SatelliteConfig) -> Settings {
    let mut settings = operator.clone();
    if let Some(limits) = &asked.resource_limits {
        if let Some(processes) = limits.max_processes.filter(|processes| *processes > 0) {
            let processes = usize::try_from(processes).unwrap_or(usize::MAX);
            settings.processes_max = operator.processes_max.min(processes);
        }
        if let Some(idle) = limits.idle_timeout_seconds.filter(|idle| *idle > 0) {
            settings.idle_timeout_ms = operator.idle_timeout_ms.min(idle.saturating_mul(SECOND));
        }
        // What the operator chose for one server stands.
        let own = &mut settings.process_limits;
        if let Some(bytes) = limits.memory_bytes().filter(|bytes| *bytes >= MEMORY_MIN_BYTES) {
            own.memory_bytes = own.memory_bytes.min(bytes);
        }
        if let Some(percent) = limits.max_cpu_percent.filter(|percent| *percent > 0) {
            own.cpu_percent = own.cpu_percent.min(percent);
        }
    }
    settings
}

/// The settings that are asked for and not acted on, by their paths in `satellite_config`. What a
/// setting says that changes nothing here is not asked for.
///
/// The intervals of polls are not among them: each reply to a poll says them anew.
pub fn unmet(asked: &SatelliteConfig) -> Vec<&'static str> {
    let mut unmet = Vec::new();
    let mut note = |is_asked: bool, path: &'static str| {
        if is_asked {
            unmet.push(path);
        }
    };
    if let Some(intervals) = &asked.polling_intervals {
        let longest = intervals.error_backoff_max;
        let is_other = longest.is_some_and(|longest| longest != BACKOFF_MAX_MS / SECOND);
        note(is_other, "polling_intervals.error_backoff_max");
    }
    if let Some(limits) = &asked.resource_limits {
        let is_read = limits.memory_bytes().is_some_and(|bytes| bytes >= MEMORY_MIN_BYTES);
        let is_asked = limits.max_memory_per_process.is_some();
        note(is_asked && !is_read, "resource_limits.max_memory_per_process");
    }
    if let Some(team) = &asked.team_settings {
        note(!team.security_policies.is_empty(), "team_settings.security_policies");
        let level = team.isolation_level.as_deref();
        note(level.is_some_and(|level| level != "none"), "team_settings.isolation_level");
    }
    if let Some(logging) = &asked.logging {
        // The operator chooses what is logged, and keeps the log.
        note(logging.level.is_some(), "logging.level");
        note(logging.enable_audit.is_some(), "logging.enable_audit");
        note(logging.retention_days.is_some(), "logging.retention_days");
    }
    if let Some(network) = &asked.network {
        // Time-outs and retries are the protocol's; the proxy is the operator's choice.
        note(network.timeout_seconds.is_some(), "network.timeout_seconds");
        note(network.retry_attempts.is_some(), "network.retry_attempts");
        note(network.proxy_url.is_some(), "network.proxy_url");
    }
    unmet
}

/// Whether the configuration lets servers of this slug run.
pub fn allows(config: &SatelliteConfig, slug: &str) -> bool {
    config.team_settings.as_ref().is_none_or(|team| {
        let allowed = &team.allowed_servers;
        allowed.is_empty() || allowed.iter().any(|one| one == "*" || one == slug)
    })
}

#[cfg(test)]
mod tests {
    use alloc::string::String;
    use alloc::vec;

    use super::*;
    use crate::cgroup::MIB;
    use crate::wire::configuration::{ResourceLimits, TeamSettings};

    fn asked(processes: u64, idle: u64) -> SatelliteConfig {
        SatelliteConfig {
            resource_limits: Some(ResourceLimits {
                max_processes: Some(processes),
                idle_timeout_seconds: Some(idle),
                ..ResourceLimits::default()
            }),
            ..SatelliteConfig::default()
        }
    }

    #[test]
    fn the_backend_lowers_what_the_operator_allows_and_never_raises_it() {
        let operator = Settings::default();
        let less = within(&operator, &asked(3, 60));
        assert_eq!((less.processes_max, less.idle_timeout_ms), (3, 60_000));
        let more = within(&operator, &asked(9_999, 9_999));
        assert_eq!(more.processes_max, operator.processes_max);
        assert_eq!(more.idle_timeout_ms, operator.idle_timeout_ms);
    }

    #[test]
    fn the_backend_lowers_what_a_process_may_use_and_never_raises_it() {
        let with = |memory: &str, percent| SatelliteConfig {
            resource_limits: Some(ResourceLimits {
                max_memory_per_process: Some(String::from(memory)),
                max_cpu_percent: Some(percent),
                ..ResourceLimits::default()
            }),
            ..SatelliteConfig::default()
        };
        let operator = Settings::default();
        let less = within(&operator, &with("64MB", 5)).process_limits;
        assert_eq!((less.memory_bytes, less.cpu_percent), (64 * MIB, 5));
        for asked in [with("1GB", 80), with("100 elephants", 0), with("1", 10)] {
            assert_eq!(within(&operator, &asked).process_limits, operator.process_limits);
        }
        assert_eq!(unmet(&with("1", 80)), ["resource_limits.max_memory_per_process"]);
    }

    #[test]
    fn nonsense_and_silence_leave_the_operators_settings() {
        let operator = Settings { idle_timeout_ms: 0, ..Settings::default() };
        for asked in [asked(0, 0), asked(50, 300), SatelliteConfig::default()] {
            let settings = within(&operator, &asked);
            assert_eq!(settings.processes_max, operator.processes_max);
            assert_eq!(settings.idle_timeout_ms, 0, "never ends it");
        }
    }

    #[test]
    fn what_is_asked_for_in_vain_is_named() {
        use crate::wire::registration::SatelliteType;
        assert_eq!(unmet(&SatelliteConfig::default()), [""; 0]);
        assert_eq!(unmet(&asked(3, 60)), [""; 0], "that is acted on");
        let team = unmet(&SatelliteConfig::standard(SatelliteType::Team));
        let expected = [
            "logging.level",
            "logging.enable_audit",
            "logging.retention_days",
            "network.timeout_seconds",
            "network.retry_attempts",
        ];
        assert_eq!(team, expected);
        let global = unmet(&SatelliteConfig::standard(SatelliteType::Global));
        assert!(global.contains(&"team_settings.isolation_level"), "{global:?}");
        let odd: SatelliteConfig = crate::wire::decode(
            "config",
            br#"{"polling_intervals":{"normal":5,"error_backoff_max":9},
                "team_settings":{"allowed_servers":[],"security_policies":[{}]},
                "network":{"proxy_url":"http://proxy"}}"#,
        )
        .unwrap();
        let expected = [
            "polling_intervals.error_backoff_max",
            "team_settings.security_policies",
            "network.proxy_url",
        ];
        assert_eq!(unmet(&odd), expected);
    }

    #[test]
    fn allowed_servers_are_a_list_or_everybody() {
        let list = |names: &[&str]| SatelliteConfig {
            team_settings: Some(TeamSettings {
                allowed_servers: names.iter().copied().map(String::from).collect(),
                security_policies: vec![],
                isolation_level: None,
            }),
            ..SatelliteConfig::default()
        };
        assert!(allows(&SatelliteConfig::default(), "files"));
        assert!(allows(&list(&[]), "files"));
        assert!(allows(&list(&["*"]), "files"));
        assert!(allows(&list(&["docs", "files"]), "files"));
        assert!(!allows(&list(&["docs"]), "files"));
    }
}
