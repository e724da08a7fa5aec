use alloc::borrow::ToOwned;
use alloc::collections::BTreeSet;
use alloc::format;
use alloc::string::ToString;

use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::time::IsoTime;

const NOW: Timestamp = Timestamp(1_769_850_902_123);

fn key(user: &str) -> InstanceKey {
    InstanceKey { team: "t".into(), installation: "i".into(), user: user.into() }
}

fn answer(status: u16, body: &serde_json::Value) -> Result<HttpAnswer, HttpFailure> {
    let body = body.to_string().into_bytes();
    Ok(HttpAnswer { status, body, ..HttpAnswer::default() })
}

fn token(text: &str, life_ms: Option<u64>) -> Result<HttpAnswer, HttpFailure> {
    let ends = life_ms.map(|life| IsoTime(NOW.after(life)));
    answer(200, &json!({"access_token": text, "token_type": "bearer", "expires_at": ends}))
}

struct Held {
    tokens: Tokens,
    out: Vec<Effect>,
}

impl Held {
    fn new() -> Held {
        Held { tokens: Tokens::new(Random::new(1)), out: Vec::new() }
    }

    fn feed(&mut self, now: Timestamp, event: Event) -> Verdict {
        self.tokens.handle(now, event, &mut self.out)
    }

    fn want(&mut self, now: Timestamp, caller: u64, user: &str, stale: Option<u64>) {
        self.feed(now, Event::Wanted { caller, key: key(user), stale });
    }

    /// Answers the only request that was made.
    fn answer(&mut self, now: Timestamp, answer: Result<HttpAnswer, HttpFailure>) {
        let (request, _) = self.fetches().pop().expect("a request");
        self.feed(now, Event::Answered { request, answer });
    }

    /// Takes the requests made so far.
    fn fetches(&mut self) -> Vec<(u64, TokensRequest)> {
        let (fetches, rest) = core::mem::take(&mut self.out)
            .into_iter()
            .partition(|effect| matches!(effect, Effect::Fetch { .. }));
        self.out = rest;
        let request = |effect| match effect {
            Effect::Fetch { request, wanted } => Some((request, wanted)),
            Effect::Give { .. } => None,
        };
        Vec::into_iter(fetches).filter_map(request).collect()
    }

    /// Takes what was given so far.
    fn given(&mut self) -> Vec<(u64, Result<AccessToken, Failure>)> {
        let (given, rest) = core::mem::take(&mut self.out)
            .into_iter()
            .partition(|effect| matches!(effect, Effect::Give { .. }));
        self.out = rest;
        let give = |effect| match effect {
            Effect::Give { caller, outcome } => Some((caller, outcome)),
            Effect::Fetch { .. } => None,
        };
        Vec::into_iter(given).filter_map(give).collect()
    }

    fn only(&mut self) -> Result<AccessToken, Failure> {
        let mut given = self.given();
        assert_eq!(given.len(), 1, "{given:?}");
        given.remove(0).1
    }
}

#[test]
fn many_who_want_one_token_make_one_request() {
    let mut held = Held::new();
    (0..50).for_each(|caller| held.want(NOW, caller, "ada", None));
    held.want(NOW, 99, "bob", None);
    let fetches = held.fetches();
    assert_eq!(fetches.len(), 2);
    assert_eq!(fetches[0].1.user_id, "ada".into());
    assert_eq!(fetches[0].1.refused_token_sha256, None);
    held.feed(NOW, Event::Answered { request: fetches[0].0, answer: token("a", None) });
    let given = held.given();
    let callers: BTreeSet<u64> = given.iter().map(|(caller, _)| *caller).collect();
    assert_eq!(callers, (0..50).collect());
    let outcome = given[0].1.clone().unwrap();
    assert_eq!((outcome.token.expose(), outcome.token_type.as_str()), ("a", "Bearer"));
    held.feed(NOW, Event::Answered { request: fetches[1].0, answer: token("b", None) });
    assert_eq!(held.only().unwrap().token.expose(), "b");
}

#[test]
fn a_token_is_kept_for_five_minutes_or_until_shortly_before_its_end() {
    for (life, kept) in [(None, KEPT_MS), (Some(2 * KEPT_MS), KEPT_MS), (Some(60_000), 50_000)] {
        let mut held = Held::new();
        held.want(NOW, 1, "ada", None);
        held.answer(NOW, token("a", life));
        held.given();
        held.want(NOW.after(kept - 1), 2, "ada", None);
        assert_eq!((held.fetches().len(), held.given().len()), (0, 1));
        held.want(NOW.after(kept), 3, "ada", None);
        assert_eq!((held.fetches().len(), held.given().len()), (1, 0));
    }
}

#[test]
fn a_refused_token_is_fetched_once_more_and_the_same_again_needs_the_user() {
    let mut held = Held::new();
    held.want(NOW, 1, "ada", None);
    held.answer(NOW, token("a", None));
    let first = held.only().unwrap();
    held.want(NOW, 2, "ada", Some(first.id));
    let fetches = held.fetches();
    assert_eq!(fetches[0].1.refused_token_sha256, Some(sha256_hex(b"a")));
    held.feed(NOW, Event::Answered { request: fetches[0].0, answer: token("b", None) });
    let second = held.only().unwrap();
    assert_ne!(second.id, first.id);
    held.want(NOW, 3, "ada", Some(first.id));
    assert_eq!(held.only().unwrap().id, second.id, "what is kept is another one already");
    held.want(NOW, 4, "ada", Some(second.id));
    held.answer(NOW, token("b", None));
    let failure = held.only().unwrap_err();
    assert_eq!(failure.fault, Fault::AuthorisationNeeded);
    held.want(NOW, 5, "ada", None);
    assert_eq!(held.fetches().len(), 1, "the next one asks again: the user may have connected");
}

#[test]
fn each_answer_that_is_no_token_has_its_own_meaning() {
    let nobody = json!({"success": false, "error": "not found", "message": "gone",
        "instructions": "Open a link."});
    for (given, fault) in [
        (answer(404, &nobody), Fault::AuthorisationNeeded),
        (answer(403, &json!({"error": "forbidden"})), Fault::Broken),
        (answer(400, &json!({})), Fault::Broken),
        (answer(200, &json!({"access_token": "a\r\nb"})), Fault::Broken),
        (answer(200, &json!({"access_token": ""})), Fault::Broken),
        (answer(200, &json!([])), Fault::Broken),
    ] {
        let mut held = Held::new();
        held.want(NOW, 1, "ada", None);
        held.answer(NOW, given.clone());
        assert_eq!(held.only().unwrap_err().fault, fault, "{given:?}");
        assert_eq!(held.tokens.next_deadline(), None);
    }
    let mut held = Held::new();
    held.want(NOW, 1, "ada", None);
    held.answer(NOW, answer(404, &nobody));
    assert_eq!(held.only().unwrap_err().message, "gone. Open a link.");
}

#[test]
fn what_may_pass_is_tried_three_times_and_what_lasts_is_kept() {
    let away = || Err(HttpFailure::Refused("refused".to_owned()));
    let mut held = Held::new();
    held.want(NOW, 1, "ada", None);
    let mut now = NOW;
    for _ in 0..2 {
        held.answer(now, away());
        assert_eq!(held.given().len(), 0);
        let deadline = held.tokens.next_deadline().unwrap();
        assert!(deadline.at > now && deadline.at <= now.after(SECOND));
        assert_eq!(held.feed(now, Event::Tick), Verdict::Ignored("nothing due"));
        now = deadline.at;
        held.feed(now, Event::Tick);
    }
    held.answer(now, away());
    assert_eq!(held.only().unwrap_err().fault, Fault::Unreachable);

    held.want(now, 2, "ada", None);
    held.answer(now, token("a", Some(60 * MINUTE)));
    held.given();
    let later = now.after(KEPT_MS);
    held.want(later, 3, "ada", None);
    for _ in 0..3 {
        held.answer(later, answer(503, &json!({})));
        held.feed(later.after(SECOND), Event::Tick);
    }
    assert_eq!(held.only().unwrap().token.expose(), "a", "the Backend takes nothing away");
}

#[test]
fn a_long_retry_after_is_passed_on_and_a_short_one_waited_for() {
    let busy = |seconds: u64| {
        let mut given = answer(429, &json!({"error": "rate limit"})).unwrap();
        given.retry_after = Some(seconds.to_string());
        Ok(given)
    };
    let mut held = Held::new();
    held.want(NOW, 1, "ada", None);
    held.answer(NOW, busy(2));
    assert_eq!(held.tokens.next_deadline().unwrap().at, NOW.after(2 * SECOND));
    held.feed(NOW.after(2 * SECOND), Event::Tick);
    held.answer(NOW, busy(59));
    let failure = held.only().unwrap_err();
    assert_eq!(failure.fault, Fault::Unreachable);
    assert_eq!(failure.retry_after_ms, Some(59 * SECOND));
}

#[test]
fn a_forgotten_user_is_fetched_anew_and_nobody_else() {
    let mut held = Held::new();
    for (caller, user) in ["ada", "bob"].into_iter().enumerate() {
        held.want(NOW, caller as u64, user, None);
        held.answer(NOW, token(user, None));
    }
    held.given();
    let forget = |team: Option<&str>| Event::UserForgotten {
        user: "ada".into(),
        team: team.map(TeamId::from),
    };
    assert_eq!(held.feed(NOW, forget(Some("other"))), Verdict::Ignored("unknown"));
    assert_eq!(held.feed(NOW, forget(None)), Verdict::Moved);
    held.want(NOW, 3, "bob", None);
    assert_eq!(held.only().unwrap().token.expose(), "bob");
    held.want(NOW, 4, "ada", None);
    let before = held.fetches();
    held.feed(NOW, forget(Some("t")));
    let (late, _) = before[0];
    let verdict = held.feed(NOW, Event::Answered { request: late, answer: token("old", None) });
    assert_eq!(verdict, Verdict::Ignored("late"));
    held.answer(NOW, answer(404, &json!({})));
    assert_eq!(held.only().unwrap_err().fault, Fault::AuthorisationNeeded);
}

#[test]
fn whoever_is_too_many_is_told_at_once() {
    let mut held = Held::new();
    for caller in 0..WAITING_MAX {
        held.want(NOW, caller as u64, &format!("user{}", caller % 7), None);
    }
    assert_eq!(held.fetches().len(), 7);
    held.want(NOW, u64::MAX, "one more", None);
    let (caller, outcome) = held.given().remove(0);
    assert_eq!((caller, outcome.unwrap_err().fault), (u64::MAX, Fault::Unreachable));
}

#[derive(Clone, Debug)]
enum Step {
    Want(u8, bool),
    Answer(u8),
    Forget(u8),
    Pass(u64),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        4 => (0..3u8, any::<bool>()).prop_map(|(user, stale)| Step::Want(user, stale)),
        4 => (0..8u8).prop_map(Step::Answer),
        1 => (0..3u8).prop_map(Step::Forget),
        2 => (0..400_000u64).prop_map(Step::Pass),
    ];
    prop::collection::vec(step, 0..80)
}

proptest! {
    /// Whatever happens: one request per credential at a time, one outcome per caller, never
    /// another user's token, and never the one that was called stale.
    #[test]
    fn nobody_gets_two_answers_or_another_users_token(steps in steps()) {
        let mut held = Held::new();
        let mut now = NOW;
        let mut caller = 0;
        let mut waiting: BTreeMap<u64, (u8, Option<u64>)> = BTreeMap::new();
        let mut open: BTreeMap<u64, u8> = BTreeMap::new();
        let mut last: BTreeMap<u8, u64> = BTreeMap::new();
        let mut number = 0;
        for step in steps {
            match step {
                Step::Want(user, is_stale) => {
                    caller += 1;
                    let stale = last.get(&user).copied().filter(|_| is_stale);
                    waiting.insert(caller, (user, stale));
                    held.want(now, caller, &user.to_string(), stale);
                }
                Step::Answer(kind) => {
                    let Some((request, user)) = open.pop_first() else { continue };
                    number += 1;
                    let given = match kind {
                        0 => answer(404, &json!({})),
                        1 => answer(503, &json!({})),
                        2 => Err(HttpFailure::TimedOut),
                        3 => answer(200, &json!({"nonsense": true})),
                        _ => token(&format!("{user}-{number}"), None),
                    };
                    held.feed(now, Event::Answered { request, answer: given });
                }
                Step::Forget(user) => {
                    let user = user.to_string().as_str().into();
                    held.feed(now, Event::UserForgotten { user, team: None });
                }
                Step::Pass(ms) => now = now.after(ms),
            }
            while let Some(deadline) = held.tokens.next_deadline().filter(|it| it.at <= now) {
                held.feed(now, Event::Tick);
                prop_assert_ne!(held.tokens.next_deadline(), Some(deadline));
            }
            for (request, wanted) in held.fetches() {
                let user: u8 = wanted.user_id.as_str().parse().unwrap();
                open.insert(request, user);
            }
            for (caller, outcome) in held.given() {
                let (user, stale) = waiting.remove(&caller).expect("one outcome for each");
                let Ok(token) = outcome else { continue };
                let own = format!("{user}-");
                prop_assert!(token.token.expose().starts_with(&own));
                prop_assert_ne!(Some(token.id), stale);
                last.insert(user, token.id);
            }
            let running = |user: u8| held
                .tokens
                .entries
                .iter()
                .filter(|(key, entry)| key.user.as_str() == user.to_string()
                    && entry.fetch.as_ref().is_some_and(|fetch| fetch.retry_at.is_none()))
                .count();
            prop_assert!((0..3).all(|user| running(user) <= 1));
            prop_assert_eq!(held.tokens.waiting, waiting.len());
        }
    }
}
