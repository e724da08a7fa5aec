//! What the command line prints: results on standard output, everything else on standard error.

#[cfg(feature = "backend")]
use std::io::IsTerminal;
use std::io::{self, Write};

use serde_json::{Value, json};

use crate::exit::Exit;

/// Prints a line on standard output. A reader that went away is nobody's fault.
pub(super) fn line(text: &str) {
    let mut output = io::stdout().lock();
    let _ = writeln!(output, "{text}").and_then(|()| output.flush());
}

/// Prints a line on standard error.
pub(super) fn note(text: &str) {
    let _ = writeln!(io::stderr().lock(), "{text}");
}

#[cfg(feature = "backend")]
/// Replaces the last line of a terminal on standard error.
pub(super) fn rewrite(text: &str) {
    let mut terminal = io::stderr().lock();
    let _ = write!(terminal, "\r\x1b[K{text}").and_then(|()| terminal.flush());
}

/// Prints how a command ended that did not succeed: what happened, and what to do about it.
pub(super) fn failure(exit: &Exit, form: Form) {
    if exit.error.is_empty() {
        return;
    }
    match form {
        Form::Human => {
            note(&format!("error: {}", exit.error));
            if !exit.hint.is_empty() {
                note(&format!("hint: {}", exit.hint));
            }
        }
        Form::Json(flag) => {
            line(&json!({flag: false, "error": exit.error, "hint": exit.hint}).to_string());
        }
    }
}

/// How a failure is printed.
#[derive(Clone, Copy, Debug)]
pub(super) enum Form {
    /// For people, on standard error.
    Human,
    /// As JSON, on standard output; this key is false.
    Json(&'static str),
}

#[cfg(feature = "backend")]
/// Whether standard error is a terminal, where lines may be rewritten.
pub(super) fn stderr_is_terminal() -> bool {
    io::stderr().is_terminal()
}

/// Rows of a list as aligned columns, under their names.
pub(super) fn table(rows: &[Value], columns: &[&str]) -> String {
    let mut cells: Vec<Vec<String>> =
        vec![columns.iter().map(|it| it.to_ascii_uppercase().replace('_', " ")).collect()];
    cells.extend(rows.iter().map(|row| columns.iter().map(|it| cell(&row[*it])).collect()));
    let width = |column: usize| {
        cells.iter().filter_map(|row| row.get(column)).map(|it| it.chars().count()).max()
    };
    let widths: Vec<usize> = (0..columns.len()).map(|it| width(it).unwrap_or(0)).collect();
    let lines = cells.iter().map(|row| {
        let padded = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}"));
        let line = padded.collect::<Vec<_>>().join("  ");
        String::from(line.trim_end())
    });
    lines.collect::<Vec<_>>().join("\n")
}

/// One thing as a line for each of its keys.
pub(super) fn record(value: &Value) -> String {
    let Some(entries) = value.as_object() else { return cell(value) };
    let width = entries.keys().map(|it| it.chars().count()).max().unwrap_or(0);
    let lines = entries.iter().map(|(key, value)| format!("{key:<width$}  {}", cell(value)));
    lines.collect::<Vec<_>>().join("\n")
}

/// A value on one line, without anything that a terminal would obey.
pub(super) fn cell(value: &Value) -> String {
    match value {
        Value::Null => String::from("-"),
        // What a server or a satellite says may hold anything; a terminal must not obey it.
        Value::String(text) => {
            text.chars().map(|it| if it.is_control() { ' ' } else { it }).collect()
        }
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_aligns_its_columns_under_their_names() {
        let rows = [
            json!({"id": "a", "last_heartbeat": "noon", "more": 1}),
            json!({"id": "long", "last_heartbeat": null}),
        ];
        assert_eq!(
            table(&rows, &["id", "last_heartbeat"]),
            "ID    LAST HEARTBEAT\na     noon\nlong  -"
        );
    }

    #[test]
    fn a_record_shows_every_key_and_no_control_character() {
        assert_eq!(record(&json!({"id": 1, "name": "a\u{1b}[2Jb\n"})), "id    1\nname  a [2Jb ");
    }
}
