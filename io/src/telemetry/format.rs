//! The form of a log line.

use std::fmt::{self, Write};

use serde_json::{Map, Value};
use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::fmt::FmtContext;
use tracing_subscriber::fmt::format::{FormatEvent, FormatFields, Writer};
use tracing_subscriber::registry::LookupSpan;

use crate::clock::wall_time;
use crate::settings::LogFormat;

/// The field that holds a JSON object of further fields.
pub(super) const FIELDS: &str = "core_fields";
/// The field that makes an error a fatal one.
pub(super) const FATAL: &str = "core_fatal";

/// Writes lines of `level`, `time`, `msg` and the event's fields, flat.
#[derive(Debug)]
pub(super) struct Lines {
    pub(super) format: LogFormat,
    pub(super) is_fatal_only: bool,
}

impl<S, N> FormatEvent<S, N> for Lines
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        _: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let mut line = Line::default();
        event.record(&mut line);
        if self.is_fatal_only && !line.is_fatal {
            return Ok(());
        }
        let level = if line.is_fatal { "fatal" } else { name(*event.metadata().level()) };
        let time = wall_time().to_iso();
        match self.format {
            LogFormat::Json => writer.write_str(&line.json(level, &time)),
            LogFormat::Human => writer.write_str(&line.human(level, &time)),
        }
    }
}

fn name(level: Level) -> &'static str {
    match level {
        Level::TRACE => "trace",
        Level::DEBUG => "debug",
        Level::INFO => "info",
        Level::WARN => "warn",
        Level::ERROR => "error",
    }
}

#[derive(Default)]
struct Line {
    msg: String,
    fields: Map<String, Value>,
    is_fatal: bool,
}

impl Line {
    fn json(self, level: &str, time: &str) -> String {
        let mut line = Map::new();
        line.insert(String::from("level"), Value::from(level));
        line.insert(String::from("time"), Value::from(time));
        for (name, value) in self.fields {
            // No field can pass itself off as one of the line's own.
            let name =
                if line.contains_key(&name) || name == "msg" { format!("{name}_") } else { name };
            line.insert(name, value);
        }
        line.insert(String::from("msg"), Value::from(self.msg));
        format!("{}\n", Value::Object(line))
    }

    fn human(self, level: &str, time: &str) -> String {
        let clock = time.get(11..23).unwrap_or(time);
        let mut line = format!("{clock} {:<5} {}", level.to_uppercase(), visible(&self.msg));
        for (name, value) in self.fields {
            let value = match value {
                Value::String(text) if !text.is_empty() && !text.contains([' ', '"', '=']) => text,
                value => value.to_string(),
            };
            // Writing to a String cannot fail.
            let _ = write!(line, " {name}={}", visible(&value));
        }
        line.push('\n');
        line
    }

    fn set(&mut self, field: &Field, value: Value) {
        self.fields.insert(field.name().to_owned(), value);
    }
}

/// Without what could move the cursor or begin another line: some text comes from children.
fn visible(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect()
}

impl Visit for Line {
    fn record_str(&mut self, field: &Field, value: &str) {
        match field.name() {
            "message" => self.msg = value.to_owned(),
            FIELDS => {
                if let Ok(Value::Object(fields)) = serde_json::from_str(value) {
                    self.fields.extend(fields);
                }
            }
            _ => self.set(field, Value::from(value)),
        }
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        if field.name() == FATAL {
            self.is_fatal = value
        } else {
            self.set(field, Value::from(value))
        }
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.set(field, Value::from(value));
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.set(field, Value::from(value));
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        self.set(field, Value::from(value));
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        let text = format!("{value:?}");
        if field.name() == "message" { self.msg = text } else { self.set(field, Value::from(text)) }
    }
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::sync::{Arc, Mutex, PoisonError};

    use satellite_core::log::{Level as CoreLevel, LogLine};
    use tracing_subscriber::layer::SubscriberExt;

    use super::super::log;
    use super::*;

    #[derive(Clone, Default)]
    struct Paper(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Paper {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn printed(format: LogFormat, is_fatal_only: bool, say: impl FnOnce()) -> String {
        let paper = Paper::default();
        let writer = paper.clone();
        let layer = tracing_subscriber::fmt::layer()
            .with_writer(move || writer.clone())
            .event_format(Lines { format, is_fatal_only });
        tracing::subscriber::with_default(tracing_subscriber::registry().with(layer), say);
        let bytes = paper.0.lock().unwrap().clone();
        String::from_utf8(bytes).unwrap()
    }

    fn heartbeat() -> LogLine {
        LogLine::new(CoreLevel::Debug, "Collected MCP status snapshot for heartbeat")
            .with("operation", "mcp_status_snapshot_collected")
            .with("total_instances", 5)
            .with("total_tools", 42)
    }

    #[test]
    fn json_lines_have_the_fields_names_flat_and_numbers_as_numbers() {
        let text = printed(LogFormat::Json, false, || {
            log(&heartbeat());
            log(&LogLine::new(CoreLevel::Fatal, "over\nand out")
                .with("msg", "no")
                .with("level", "x"));
            tracing::warn!(pid = 7_u32, error = %"bad", "Trouble");
        });
        let lines: Vec<Value> =
            text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!(lines[0]["level"], "debug");
        assert_eq!(lines[0]["operation"], "mcp_status_snapshot_collected");
        assert_eq!(
            (&lines[0]["total_instances"], &lines[0]["total_tools"]),
            (&5.into(), &42.into())
        );
        assert_eq!(lines[0]["msg"], "Collected MCP status snapshot for heartbeat");
        let time = lines[0]["time"].as_str().unwrap();
        assert!(satellite_core::time::Timestamp::from_iso(time).is_some(), "{time}");
        assert_eq!(
            (&lines[1]["level"], &lines[1]["msg"]),
            (&"fatal".into(), &"over\nand out".into())
        );
        assert_eq!((&lines[1]["level_"], &lines[1]["msg_"]), (&"x".into(), &"no".into()));
        assert_eq!((&lines[2]["pid"], &lines[2]["error"]), (&7.into(), &"bad".into()));
        assert_eq!(lines.len(), 3);
    }

    #[test]
    fn lines_for_people_are_one_line_each_whatever_they_say() {
        let text = printed(LogFormat::Human, false, || {
            log(&LogLine::new(CoreLevel::Info, "hello\u{1b}[2J\nthere")
                .with("a", "b c")
                .with("n", 1));
        });
        assert_eq!(text.lines().count(), 1);
        assert!(text.ends_with(" INFO  hello\u{fffd}[2J\u{fffd}there a=\"b c\" n=1\n"), "{text}");
    }

    #[test]
    fn fatal_alone_leaves_errors_out() {
        let text = printed(LogFormat::Json, true, || {
            tracing::error!("not this");
            log(&LogLine::new(CoreLevel::Fatal, "this"));
        });
        assert_eq!(text.lines().count(), 1);
        assert!(text.contains("\"fatal\""));
    }
}
