//! What `satellite_config` may change: never more than the operator allows.

use crate::limits::Settings;
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
    }
    settings
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
    fn nonsense_and_silence_leave_the_operators_settings() {
        let operator = Settings { idle_timeout_ms: 0, ..Settings::default() };
        for asked in [asked(0, 0), asked(50, 300), SatelliteConfig::default()] {
            let settings = within(&operator, &asked);
            assert_eq!(settings.processes_max, operator.processes_max);
            assert_eq!(settings.idle_timeout_ms, 0, "never ends it");
        }
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
