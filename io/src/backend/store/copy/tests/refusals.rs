//! What is not copied: each says why, and leaves nothing behind.

use rusqlite::Connection;
use tokio_postgres::Client;

use super::super::super::contract::given::{paired, team};
use super::super::super::postgres::throwaway;
use super::super::super::{AnyStore, Postgres, Store};
use super::super::{Cause, CopyError, Progress, copy};
use super::{Directory, backend_in, copied};

/// A database with one team of three, one of which has `name`.
async fn teams(name: &str) -> Directory {
    let directory = Directory::new();
    let store = backend_in(&directory);
    for slug in ["one", "two", "three"] {
        team(&store, slug).await;
    }
    drop(store);
    let connection = Connection::open(directory.file()).unwrap();
    connection.execute("UPDATE teams SET name = ?1 WHERE slug = 'two'", [name]).unwrap();
    directory
}

/// Rows of all tables together.
async fn rows(client: &Client) -> i64 {
    let sql = "SELECT coalesce(sum((xpath('/row/c/text()', query_to_xml(format(
                 'SELECT count(*) AS c FROM %I', table_name), false, true, '')))[1]::text::bigint),
                 0)::bigint
               FROM information_schema.tables WHERE table_schema = 'public'
                 AND table_type = 'BASE TABLE' AND table_name <> 'refinery_schema_history'";
    client.query_one(sql, &[]).await.unwrap().get(0)
}

fn refused(outcome: Result<Vec<super::Copied>, CopyError>, cause: Cause, words: &[&str]) {
    let error = outcome.unwrap_err();
    assert_eq!(error.cause, cause, "{error:?}");
    for word in words {
        assert!(error.error.contains(word), "{word} is not in {error:?}");
    }
    assert!(!error.hint.is_empty(), "{error:?}");
}

#[tokio::test]
async fn a_source_that_is_no_backends_is_refused_before_the_target_is_touched() {
    let directory = Directory::new();
    let file = directory.file();
    // Nobody is asked there.
    let target = "postgres://me:hunter2@127.0.0.1:9/none";
    refused(copied(&directory, target).await, Cause::Choice, &["No such file"]);
    assert!(!file.exists(), "none is made");
    refused(copy(&directory.0, target, &mut |_| {}).await, Cause::Choice, &["is a directory"]);
    std::fs::write(&file, "").unwrap();
    refused(copied(&directory, target).await, Cause::Choice, &["not a Backend's"]);
    std::fs::write(&file, "no database at all, and longer than a header".repeat(9)).unwrap();
    refused(copied(&directory, target).await, Cause::Choice, &["not an SQLite database"]);
    std::fs::remove_file(&file).unwrap();
    let other = Connection::open(&file).unwrap();
    other.execute_batch("CREATE TABLE teams (id TEXT PRIMARY KEY)").unwrap();
    drop(other);
    refused(copied(&directory, target).await, Cause::Choice, &["not a Backend's"]);
}

#[tokio::test]
async fn a_source_with_another_schema_is_refused() {
    let target = "postgres://me:hunter2@127.0.0.1:9/none";
    for (change, words) in [
        ("DELETE FROM refinery_schema_history WHERE version > 3", "earlier"),
        ("DELETE FROM refinery_schema_history", "earlier"),
        ("UPDATE refinery_schema_history SET checksum = '1' WHERE version = 2", "another"),
        (
            "INSERT INTO refinery_schema_history (version, name, checksum) VALUES (9999, 'x', '1')",
            "later",
        ),
    ] {
        let directory = teams("two").await;
        Connection::open(directory.file()).unwrap().execute_batch(change).unwrap();
        refused(copied(&directory, target).await, Cause::Choice, &[words]);
    }
}

#[tokio::test]
async fn a_source_that_a_backend_runs_on_is_refused_and_one_that_is_copied_is_held() {
    let (directory, url) = (teams("two").await, throwaway::database().await);
    let backend = backend_in(&directory);
    refused(copied(&directory, &url).await, Cause::Choice, &["in use"]);
    backend.teams().await.unwrap();
    drop(backend);
    let file = directory.file();
    let mut attempts = 0;
    let mut meddle = |_: Progress<'_>| {
        let other = Connection::open(&file).unwrap();
        other.busy_timeout(std::time::Duration::ZERO).unwrap();
        let begun = other.execute_batch("BEGIN IMMEDIATE");
        assert!(begun.is_err(), "somebody writes during the copy");
        attempts += 1;
    };
    let copied = copy(&file, &url, &mut meddle);
    assert_eq!(copied.await.unwrap().iter().map(|it| it.rows).sum::<u64>(), 3);
    assert!(attempts > 0);
    assert_eq!(backend_in(&directory).teams().await.unwrap().len(), 3, "the source is as it was");
}

#[tokio::test]
async fn a_damaged_source_is_refused() {
    let (directory, url) = (teams("two").await, throwaway::database().await);
    let size = std::fs::metadata(directory.file()).unwrap().len();
    let connection = Connection::open(directory.file()).unwrap();
    connection.execute_batch("PRAGMA wal_checkpoint(TRUNCATE)").unwrap();
    let sql = "SELECT rootpage FROM sqlite_schema WHERE name = 'sqlite_autoindex_teams_1'";
    let page: i64 = connection.query_row(sql, [], |row| row.get(0)).unwrap();
    let page_size: i64 = connection.query_row("PRAGMA page_size", [], |row| row.get(0)).unwrap();
    drop(connection);
    let mut bytes = std::fs::read(directory.file()).unwrap();
    let start = usize::try_from((page - 1) * page_size).unwrap();
    // The index of the key says that it has no entries.
    bytes[start + 3..start + 5].copy_from_slice(&[0, 0]);
    std::fs::write(directory.file(), &bytes).unwrap();
    assert!(size > 0 && bytes.len() as u64 >= size);
    refused(copied(&directory, &url).await, Cause::Copy, &["damaged"]);
    assert_eq!(rows(&throwaway::client(&url).await).await, 0);
}

#[tokio::test]
async fn a_target_that_is_away_or_unreadable_is_refused_and_its_password_is_not_repeated() {
    let directory = teams("two").await;
    for target in [
        "postgres://me:hunter2@127.0.0.1:9/none",
        "postgres://me:hun?ter2@127.0.0.1/none",
        "postgres://me:hunter2@no-such-host.invalid/none",
        "mysql://me:hunter2@127.0.0.1/none",
    ] {
        let error = copied(&directory, target).await.unwrap_err();
        assert_eq!(error.cause, Cause::Choice);
        let words = format!("{error:?}");
        assert!(!words.contains("hun") && !words.contains("ter2"), "{words}");
    }
}

#[tokio::test]
async fn a_target_that_is_not_empty_is_refused_and_left_alone() {
    let directory = teams("two").await;
    let url = throwaway::database().await;
    let store = AnyStore::Postgres(Postgres::open(&url).await.unwrap());
    paired(&store, "edge-one", None).await;
    let client = throwaway::client(&url).await;
    let before = rows(&client).await;
    refused(copied(&directory, &url).await, Cause::Choice, &["not empty", "satellite"]);
    assert_eq!(rows(&client).await, before);

    // Another program's.
    let url = throwaway::database().await;
    let client = throwaway::client(&url).await;
    client.batch_execute("CREATE TABLE bills (id int)").await.unwrap();
    refused(copied(&directory, &url).await, Cause::Choice, &["not empty", "bills"]);
    let sql = "SELECT count(*) FROM information_schema.tables WHERE table_schema = 'public'";
    assert_eq!(client.query_one(sql, &[]).await.unwrap().get::<_, i64>(0), 1);

    // Of a later program.
    let url = throwaway::database().await;
    drop(Postgres::open(&url).await.unwrap());
    let client = throwaway::client(&url).await;
    let sql = "INSERT INTO refinery_schema_history (version, name, applied_on, checksum)
               SELECT 9999, 'later', applied_on, '1' FROM refinery_schema_history LIMIT 1";
    client.batch_execute(sql).await.unwrap();
    refused(copied(&directory, &url).await, Cause::Choice, &["schema"]);

    // With a table more.
    let url = throwaway::database().await;
    drop(Postgres::open(&url).await.unwrap());
    let client = throwaway::client(&url).await;
    client.batch_execute("CREATE TABLE bills (id int PRIMARY KEY)").await.unwrap();
    refused(copied(&directory, &url).await, Cause::Choice, &["only the target", "bills"]);
}

#[tokio::test]
async fn a_target_that_somebody_writes_to_is_refused() {
    let (directory, url) = (teams("two").await, throwaway::database().await);
    drop(Postgres::open(&url).await.unwrap());
    let mut client = throwaway::client(&url).await;
    let held = client.transaction().await.unwrap();
    held.batch_execute("INSERT INTO teams VALUES ('t', 'T', 't', now())").await.unwrap();
    let patient = format!("{url}&options=-c%20lock_timeout=50");
    refused(copied(&directory, &patient).await, Cause::Choice, &["in use"]);
    held.rollback().await.unwrap();
    copied(&directory, &patient).await.unwrap();
}

#[tokio::test]
async fn two_copies_at_once_end_with_one() {
    let (one, other) = (teams("one").await, teams("other").await);
    let url = throwaway::database().await;
    let outcomes = tokio::join!(copied(&one, &url), copied(&other, &url));
    let (won, lost) = match outcomes {
        (Ok(won), Err(lost)) | (Err(lost), Ok(won)) => (won, lost),
        both => panic!("{both:?}"),
    };
    assert_eq!(won.iter().map(|it| it.rows).sum::<u64>(), 3);
    assert!(lost.error.contains("not empty"), "{lost:?}");
    assert_eq!(rows(&throwaway::client(&url).await).await, 3);
}

#[tokio::test]
async fn a_value_that_postgres_cannot_hold_is_named_and_nothing_is_kept() {
    for (change, words) in [
        (
            "UPDATE teams SET name = 'a' || char(0) || 'b' WHERE slug = 'two'",
            ["teams.name", r#"id "team_two""#, "U+0000"],
        ),
        (
            "UPDATE teams SET name = CAST(x'61ff62' AS TEXT) WHERE slug = 'two'",
            ["teams.name", r#"id "team_two""#, "UTF-8"],
        ),
        (
            "UPDATE teams SET created_at = 'yesterday' WHERE slug = 'two'",
            ["teams.created_at", r#"id "team_two""#, "no moment"],
        ),
        // Too long for an index.
        (
            "UPDATE teams SET slug = hex(randomblob(20000)) WHERE slug = 'two'",
            ["teams", "row 3", "index row"],
        ),
    ] {
        let (directory, url) = (teams("two").await, throwaway::database().await);
        Connection::open(directory.file()).unwrap().execute_batch(change).unwrap();
        refused(copied(&directory, &url).await, Cause::Copy, &words);
        assert_eq!(rows(&throwaway::client(&url).await).await, 0);
    }
}

#[tokio::test]
async fn a_reference_to_nothing_is_refused() {
    let (directory, url) = (teams("two").await, throwaway::database().await);
    let connection = Connection::open(directory.file()).unwrap();
    let sql = r#"PRAGMA foreign_keys = OFF;
        INSERT INTO "teamMembers" VALUES ('team_two', 'nobody', 'member', '2026-01-31T09:15:02.123Z')"#;
    connection.execute_batch(sql).unwrap();
    drop(connection);
    refused(copied(&directory, &url).await, Cause::Copy, &["teamMembers", "foreign key"]);
    assert_eq!(rows(&throwaway::client(&url).await).await, 0);
}

/// A target whose rows of teams a trigger gets to see first.
async fn with_trigger(body: &str) -> (String, Client) {
    let url = throwaway::database().await;
    drop(Postgres::open(&url).await.unwrap());
    let client = throwaway::client(&url).await;
    let sql = format!(
        "CREATE FUNCTION meddle() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN {body} END $$;
         CREATE TRIGGER meddle BEFORE INSERT ON teams FOR EACH ROW
           WHEN (NEW.slug = 'two') EXECUTE FUNCTION meddle();"
    );
    client.batch_execute(&sql).await.unwrap();
    (url, client)
}

#[tokio::test]
async fn a_copy_that_is_not_like_the_source_is_found_out_and_nothing_is_kept() {
    for (body, words) in [
        ("NEW.name = NEW.name || ' '; RETURN NEW;", ["teams.name", r#"id "team_two" differs"#]),
        (
            "NEW.created_at = NEW.created_at + '1 microsecond'; RETURN NEW;",
            ["teams.created_at", "differs"],
        ),
        ("RETURN NULL;", ["teams", "no more than 2 rows"]),
        (
            "INSERT INTO teams VALUES ('z', 'z', 'z', now()); RETURN NEW;",
            ["teams", "more rows in the target"],
        ),
    ] {
        let (url, client) = with_trigger(body).await;
        let directory = teams("two").await;
        refused(copied(&directory, &url).await, Cause::Copy, &words);
        assert_eq!(rows(&client).await, 0, "{body}");
    }
}

#[tokio::test]
async fn a_target_that_goes_away_half_way_keeps_nothing() {
    let (url, client) =
        with_trigger("PERFORM pg_terminate_backend(pg_backend_pid()); RETURN NEW;").await;
    let directory = teams("two").await;
    refused(copied(&directory, &url).await, Cause::Copy, &["teams", "target failed"]);
    assert_eq!(rows(&client).await, 0);
    client.batch_execute("DROP TRIGGER meddle ON teams").await.unwrap();
    assert_eq!(copied(&directory, &url).await.unwrap().iter().map(|it| it.rows).sum::<u64>(), 3);
}
