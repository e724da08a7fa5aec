//! A configuration, made the one in force: the operator's bounds first, then each entry by itself.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use super::{Control, Effect, Record};
use crate::configuration::{self, bounds};
use crate::instance::Spec;
use crate::log::{Level, LogLine};
use crate::time::Timestamp;
use crate::wire::event::{ConfigError, ConfigErrorType, EventData};

impl Control {
    pub(super) fn apply(
        &mut self,
        now: Timestamp,
        applied: configuration::Applied,
        out: &mut Vec<Effect>,
    ) {
        let settings = bounds::within(&self.settings, &applied.satellite_config);
        self.places.resize(settings.processes_max);
        let mut refused: Vec<(String, String)> = applied
            .rejected
            .iter()
            .map(|rejected| {
                let kept = applied.kept.contains(&rejected.key);
                let then = if kept { "; its last good version stays in force" } else { "" };
                (rejected.key.clone(), format!("{}{then}", rejected.reason))
            })
            .collect();
        let mut desired: Vec<Spec> = Vec::new();
        for server in &applied.servers {
            match bounds::allows(&applied.satellite_config, &server.names.slug) {
                true => desired.extend(Spec::from_configuration(server, &settings)),
                false => refused.push((
                    server.names.process.clone(),
                    format!(
                        "server {} is not among the allowed servers of this satellite's \
                         configuration",
                        server.names.slug
                    ),
                )),
            }
        }
        for spec in &mut desired {
            self.switch_tools(spec);
        }
        let (fresh, changed) = (applied.fresh, applied.change_detected);
        if fresh {
            self.configuration_fresh = true;
            self.emit(now, EventData::ConfigRefreshed(applied.in_brief()), out);
            out.push(Effect::Persist(Record::Configuration(applied.raw)));
        }
        refused.extend(self.reconcile(now, desired, out));
        for (entry, reason) in &refused {
            self.errors += 1;
            out.push(Effect::Log(
                LogLine::new(Level::Error, "configuration entry refused; the others apply")
                    .with("operation", "configure")
                    .with("entry", entry)
                    .with("error", reason),
            ));
            // Told once, not with each fetch that finds the same text.
            if fresh && changed {
                self.emit(now, told(entry, reason), out);
            }
        }
        if fresh {
            let refused = refused.into_iter().map(|(entry, reason)| format!("{entry}: {reason}"));
            self.configured(now, &refused.collect::<Vec<_>>(), out);
        }
    }
}

/// The event about an entry that cannot be used. It stays so until the Backend has another one.
fn told(entry: &str, reason: &str) -> EventData {
    EventData::ConfigError(ConfigError {
        error_type: ConfigErrorType::ServerError,
        error_message: format!("configuration entry {entry} refused: {reason}"),
        status_code: None,
        retry_in: 0,
    })
}
