//! `satellite backend migrate-to`.

use std::path::Path;

use serde_json::{Value, json};

use super::arguments::MigrateArguments;
use super::output;
use crate::backend::store::copy::{Cause, Copied, Progress, copy};
use crate::exit::{Exit, FAULT, USAGE, usage};
use crate::settings::Sources;

/// The source where nobody names one, as for `backend`.
const SOURCE: &str = "sqlite:satellite.db";

/// Copies, compares, and says what there is.
pub(super) async fn run(
    arguments: &MigrateArguments,
    database_url: Option<&str>,
    sources: &Sources,
) -> Result<(), Exit> {
    let environment = sources.given("DATABASE_URL");
    let (source, target) =
        databases(database_url, arguments.target.as_deref(), environment.as_deref())?;
    let rewriting = output::stderr_is_terminal();
    let copied = copy(Path::new(source), target, &mut |progress| tell(progress, rewriting)).await;
    let copied = copied.map_err(|error| Exit {
        code: match error.cause {
            Cause::Choice => USAGE,
            Cause::Copy => FAULT,
        },
        error: error.error,
        hint: error.hint,
    })?;
    output::line(&shown(&copied, arguments.json));
    if !arguments.json {
        output::note(
            "Copied, and every value compared. Start the Backend with this DATABASE_URL, and with \
             the settings it had: what DEPLOYSTACK_ENCRYPTION_SECRET sealed opens with the same \
             secret alone.",
        );
    }
    Ok(())
}

/// The path of the source, and the target: a flag, an argument, or what the environment says.
fn databases<'a>(
    flag: Option<&'a str>,
    argument: Option<&'a str>,
    environment: Option<&'a str>,
) -> Result<(&'a str, &'a str), Exit> {
    let (source, target) = match argument {
        Some(target) => (flag.or(environment), Some(target)),
        None => (flag, environment),
    };
    let source = source.unwrap_or(SOURCE);
    let path = source.strip_prefix("sqlite://").or_else(|| source.strip_prefix("sqlite:"));
    let path = path.filter(|path| !path.is_empty() && *path != ":memory:");
    let target =
        target.filter(|url| url.starts_with("postgres://") || url.starts_with("postgresql://"));
    match (path, target) {
        (Some(path), Some(target)) => Ok((path, target)),
        (_, None) => Err(usage(
            "no target: what is copied to is a PostgreSQL",
            "name it: satellite backend migrate-to postgres://USER@HOST/DATABASE, or set \
             DATABASE_URL to it",
        )),
        (None, Some(_)) => Err(usage(
            "no source: what is copied is an SQLite file",
            "name it: --database-url sqlite:PATH",
        )),
    }
}

fn tell(progress: Progress<'_>, rewriting: bool) {
    let Progress { comparing, table, rows, whole } = progress;
    let doing = if comparing { "compared" } else { "copied" };
    let text = format!("{doing} {table}: {rows} rows");
    match (rewriting, whole) {
        (true, false) => output::rewrite(&text),
        (true, true) => output::rewrite(&format!("{text}\n")),
        (false, true) => output::note(&text),
        (false, false) => {}
    }
}

fn shown(copied: &[Copied], as_json: bool) -> String {
    let rows: u64 = copied.iter().map(|it| it.rows).sum();
    let mut tables: Vec<Value> =
        copied.iter().map(|it| json!({"table": it.table, "rows": it.rows})).collect();
    if as_json {
        return json!({"success": true, "tables": tables, "rows": rows}).to_string();
    }
    tables.push(json!({"table": "all", "rows": rows}));
    output::table(&tables, &["table", "rows"])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_environment_names_what_no_flag_or_argument_does() {
        let (sqlite, postgres) = ("sqlite:/a.db", "postgres://me@db/b");
        for (flag, argument, environment, expected) in [
            (None, Some(postgres), None, "satellite.db"),
            (None, Some(postgres), Some("sqlite:/c.db"), "/c.db"),
            (Some(sqlite), Some(postgres), Some("sqlite:/c.db"), "/a.db"),
            (Some(sqlite), None, Some(postgres), "/a.db"),
            (Some("sqlite:///a.db"), None, Some("postgresql://me@db/b"), "/a.db"),
            (None, None, Some(postgres), "satellite.db"),
        ] {
            let (source, target) = databases(flag, argument, environment).unwrap();
            assert_eq!(source, expected);
            assert!(target.starts_with("postgres"));
        }
    }

    #[test]
    fn what_is_no_file_or_no_postgres_is_refused_and_not_repeated() {
        let postgres = "postgres://me:hunter2@db/b";
        for (flag, argument, environment, expected) in [
            (None, None, None, "no target"),
            (None, None, Some("sqlite:/a.db"), "no target"),
            (None, Some("mysql://me:hunter2@db/b"), None, "no target"),
            (None, Some("sqlite:/a.db"), None, "no target"),
            (None, Some(postgres), Some(postgres), "no source"),
            (Some(postgres), Some(postgres), None, "no source"),
            (Some("sqlite::memory:"), Some(postgres), None, "no source"),
            (Some("sqlite:"), Some(postgres), None, "no source"),
            (Some("model:"), None, Some(postgres), "no source"),
        ] {
            let exit = databases(flag, argument, environment).unwrap_err();
            assert!(exit.code == USAGE && exit.error.contains(expected), "{exit:?}");
            assert!(!format!("{exit:?}").contains("hunter2"));
        }
    }

    #[test]
    fn people_get_a_table_and_programs_json() {
        let copied = [
            Copied { table: "teams".to_owned(), rows: 2 },
            Copied { table: "users".to_owned(), rows: 40 },
        ];
        assert_eq!(shown(&copied, false), "TABLE  ROWS\nteams  2\nusers  40\nall    42");
        assert_eq!(
            shown(&copied, true),
            r#"{"rows":42,"success":true,"tables":[{"rows":2,"table":"teams"},{"rows":40,"table":"users"}]}"#
        );
    }
}
