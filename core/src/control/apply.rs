//! A configuration, made the one in force: the operator's bounds first, then each entry by itself.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use super::places::Bounds;
use super::{Control, Effect, Record};
use crate::configuration::{self, bounds};
use crate::instance::Spec;
use crate::journal::Standing;
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
        self.places.resize(Bounds::of(&settings));
        self.tell_unmet(bounds::unmet(&applied.satellite_config), out);
        let mut refused: Vec<(String, String)> = applied
            .rejected
            .iter()
            .map(|rejected| {
                let kept = applied.kept.contains(&rejected.key);
                let then = if kept { "; its last good version stays in force" } else { "" };
                (rejected.key.clone(), format!("{}{then}", rejected.reason))
            })
            .collect();
        let answers = applied.fresh.then(|| self.configuration.answered());
        let standing = Standing { version: applied.version, answers };
        let mut desired: Vec<Spec> = Vec::new();
        for server in &applied.servers {
            match bounds::allows(&applied.satellite_config, &server.names.slug) {
                true => {
                    desired.extend(Spec::from_configuration(server, &settings).map(|mut spec| {
                        self.switch_tools(&mut spec, standing, server.lists_tools);
                        spec
                    }));
                }
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
        let (fresh, changed) = (applied.fresh, applied.change_detected);
        if fresh {
            self.forget_settled_switches(&applied.servers, standing);
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

    /// Says, once, which settings of the configuration are not acted on.
    fn tell_unmet(&mut self, unmet: Vec<&'static str>, out: &mut Vec<Effect>) {
        if unmet == self.unmet {
            return;
        }
        if !unmet.is_empty() {
            let msg = "settings of the configuration that this satellite does not act on; its \
                       operator decides about them";
            out.push(Effect::Log(
                LogLine::new(Level::Info, msg)
                    .with("operation", "configure")
                    .with("settings", unmet.join(", ")),
            ));
        }
        self.unmet = unmet;
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
