//! Log lines on standard error: JSON for machines, one line each, or text for people.

mod format;

use std::io::IsTerminal;

use satellite_core::log::{Level, LogLine, Value};
use tracing::level_filters::LevelFilter;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

use self::format::{FATAL, FIELDS, Lines};
use crate::settings::{LogFormat, LogSettings};

/// Sends this process's log lines to standard error. Only the first call has an effect.
///
/// Libraries speak from `warn` on, and at every level only when everything is asked for.
pub fn start(settings: LogSettings) {
    let own = filter(settings.level);
    let others = if own == LevelFilter::TRACE { own } else { own.min(LevelFilter::WARN) };
    let targets = Targets::new()
        .with_default(others)
        .with_target("satellite_core", own)
        .with_target("satellite_io", own)
        .with_target("satellite", own);
    let format = settings.format.unwrap_or_else(|| {
        if std::io::stderr().is_terminal() { LogFormat::Human } else { LogFormat::Json }
    });
    let lines = Lines { format, is_fatal_only: settings.level == Level::Fatal };
    let layer = tracing_subscriber::fmt::layer()
        .with_writer(std::io::stderr)
        .with_ansi(false)
        .event_format(lines);
    // A second daemon in the same process, as in tests, shares the first one's log.
    let _ = tracing_subscriber::registry().with(targets).with(layer).try_init();
}

fn filter(level: Level) -> LevelFilter {
    match level {
        Level::Trace => LevelFilter::TRACE,
        Level::Debug => LevelFilter::DEBUG,
        Level::Info => LevelFilter::INFO,
        Level::Warn => LevelFilter::WARN,
        Level::Error | Level::Fatal => LevelFilter::ERROR,
    }
}

/// Prints one of the core's log lines.
pub fn log(line: &LogLine) {
    // The fields' names are not known when this is compiled, as tracing wants them; the format
    // takes them out of one field again.
    let fields = || {
        let flat = line.fields.iter().map(|(name, value)| {
            let value = match value {
                Value::Number(number) => serde_json::Value::from(*number),
                Value::Text(text) => serde_json::Value::from(text.as_str()),
            };
            (name.to_string(), value)
        });
        serde_json::Value::Object(flat.collect()).to_string()
    };
    let msg = line.msg.as_ref();
    // FIELDS and FATAL are the names used here, which have to be literals.
    debug_assert_eq!((FIELDS, FATAL), ("core_fields", "core_fatal"));
    match line.level {
        Level::Trace => tracing::trace!(core_fields = fields(), "{msg}"),
        Level::Debug => tracing::debug!(core_fields = fields(), "{msg}"),
        Level::Info => tracing::info!(core_fields = fields(), "{msg}"),
        Level::Warn => tracing::warn!(core_fields = fields(), "{msg}"),
        Level::Error => tracing::error!(core_fields = fields(), "{msg}"),
        Level::Fatal => tracing::error!(core_fatal = true, core_fields = fields(), "{msg}"),
    }
}
