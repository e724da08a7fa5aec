//! A PostgreSQL that is gone when the test is.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};

use satellite_tests::root;

/// The server, which ends with this value: it holds its standard input.
pub(crate) struct Postgres {
    /// Its first database, which is empty.
    pub(crate) url: String,
    _keeper: Child,
}

impl Postgres {
    pub(crate) fn start() -> Postgres {
        let mut keeper = Command::new(root().join("tests/tools/postgres"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("tests/tools/postgres runs");
        let mut url = String::new();
        BufReader::new(keeper.stdout.take().expect("its output is piped"))
            .read_line(&mut url)
            .expect("its output can be read");
        assert!(!url.is_empty(), "no PostgreSQL for the tests");
        Postgres { url: url.trim_end().to_owned(), _keeper: keeper }
    }
}
