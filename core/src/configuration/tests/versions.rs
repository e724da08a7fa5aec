//! A Backend that counts is followed forwards, and backwards only where it insists.

use super::*;

impl Bench {
    fn fetch(&mut self) -> Vec<(String, String)> {
        self.feed(Event::RefreshRequested);
        self.sent().unwrap().1.headers.clone()
    }

    /// The answer to the fetch on its way; whether it is in force.
    fn version(&mut self, version: Option<u64>) -> bool {
        let version = version.map(|version| format!(r#","version":{version}"#));
        let text = format!(r#"{{"mcp_servers":{{}}{}}}"#, version.unwrap_or_default());
        self.answer(200, &text);
        self.applied().is_some()
    }
}

#[test]
fn a_lower_version_is_refused_until_the_backend_has_insisted_on_it() {
    let mut bench = Bench::paired();
    assert!(bench.version(Some(57)));
    bench.fetch();
    assert!(bench.version(Some(57)), "the same again is no step back");
    let refused_at = bench.now;
    for minutes in [0, 5, 9] {
        bench.now = refused_at.after(minutes * MINUTE);
        bench.fetch();
        assert!(!bench.version(Some(40)), "after {minutes} minutes");
        let failure = bench.failure().unwrap();
        assert!(failure.error_message.contains("older than 57"), "{}", failure.error_message);
        assert_eq!(failure.error_type, ConfigErrorType::ServerError);
        let headers = bench.fetch();
        assert_eq!(headers, [("x-config-version".to_string(), "57".to_string())], "no tag");
        bench.answer(500, "");
    }
    bench.now = refused_at.after(CONFIGURATION_INSISTENCE_MS);
    bench.fetch();
    assert!(bench.version(Some(40)));
    assert_eq!(bench.configuration.version(), Some(40));
    bench.fetch();
    assert!(!bench.version(Some(39)), "and from there it counts anew");
}

#[test]
fn whatever_is_taken_or_confirmed_in_between_ends_the_insistence() {
    for confirmed in [false, true] {
        let mut bench = Bench::paired();
        bench.version(Some(57));
        bench.fetch();
        assert!(!bench.version(Some(40)));
        bench.now = bench.now.after(CONFIGURATION_INSISTENCE_MS);
        bench.fetch();
        if confirmed {
            bench.answer(304, "");
        } else {
            assert!(bench.version(Some(58)));
        }
        bench.fetch();
        assert!(!bench.version(Some(40)));
    }
}

#[test]
fn a_backend_that_counts_on_from_what_it_is_told_is_followed_at_once() {
    let mut bench = Bench::new();
    bench.feed(Event::Restored(br#"{"mcp_servers":{},"version":57}"#.to_vec()));
    bench.pair();
    let (_, http) = bench.sent().unwrap();
    assert_eq!(http.headers, [("x-config-version".to_string(), "57".to_string())]);
    assert!(bench.version(Some(58)));
}

#[test]
fn a_backend_that_does_not_count_is_followed_as_ever() {
    let mut bench = Bench::paired();
    assert!(bench.version(None));
    assert_eq!(bench.fetch().len(), 1, "the tag alone");
    assert!(bench.version(Some(3)));
    bench.fetch();
    assert!(bench.version(None), "it has stopped counting");
    bench.fetch();
    assert!(bench.version(Some(1)));
}

#[test]
fn an_answer_satisfies_those_who_asked_before_its_request_was_sent() {
    let mut bench = Bench::new();
    assert_eq!(bench.configuration.awaited(), 1, "nothing can be sent yet");
    bench.pair();
    assert_eq!(bench.configuration.awaited(), 1);
    let (first, _) = bench.sent().unwrap();
    bench.feed(Event::RefreshRequested);
    assert_eq!(bench.configuration.awaited(), 2);
    bench.feed(Event::Answered { request: first, answer: Err(HttpFailure::TimedOut) });
    assert_eq!(bench.configuration.answered(), 1, "the failure is told to those who wait for it");
    assert!(bench.failure().is_some());
    bench.answer(200, EMPTY);
    assert_eq!(bench.configuration.answered(), 2);
}
