//! Servers that do not do as they should, and what becomes of a call then.

use super::*;

async fn outcome_of(reply: impl Fn(&Seen) -> Reply + Send + Sync + 'static) -> CallOutcome {
    World::ready(on("tools/call", reply)).await.call().await
}

/// An event stream of comments without end.
fn comments() -> Response {
    let comments = stream::unfold((), |()| async {
        sleep(Duration::from_millis(5)).await;
        Some((Ok::<_, Infallible>(Bytes::from_static(b": wait\n\n")), ()))
    });
    typed("text/event-stream", Body::from_stream(comments))
}

fn cut() -> std::io::Error {
    std::io::Error::other("cut")
}

#[tokio::test]
async fn an_answer_that_cannot_be_used_leaves_the_outcome_unknown() {
    type Answer = fn(&Seen) -> Response;
    let answers: [(&str, Answer); 10] = [
        ("HTML", |_| typed("text/html", "<html>please wait</html>")),
        ("half a JSON", |seen| {
            let body = rpc(seen, &json!({"x": 1}));
            typed("application/json", body[..body.len() / 2].to_owned())
        }),
        ("a wrong id", |_| {
            typed("application/json", r#"{"jsonrpc":"2.0","id":"other","result":{}}"#)
        }),
        ("a gzip bomb", |_| {
            let headers = [("content-type", "application/json"), ("content-encoding", "gzip")];
            (headers, "\u{1f}\u{8b}\u{8}").into_response()
        }),
        ("a gzip bomb that does not say so", |_| typed("application/json", "\u{1f}\u{8b}\u{8}")),
        ("arrays in arrays", |seen| {
            let deep = "[".repeat(100_000);
            let id = &seen.message["id"];
            typed("application/json", format!(r#"{{"jsonrpc":"2.0","id":{id},"result":{deep}"#))
        }),
        ("nothing", |_| StatusCode::OK.into_response()),
        ("202", |_| StatusCode::ACCEPTED.into_response()),
        ("a body that breaks off", |_| {
            pieces("application/json", vec![Ok(Bytes::from_static(b"{\"jsonrpc\"")), Err(cut())])
        }),
        ("a stream that breaks off", |_| {
            pieces("text/event-stream", vec![Ok(Bytes::from_static(b"data: {\n")), Err(cut())])
        }),
    ];
    for (what, answer) in answers {
        let outcome = outcome_of(move |seen| Reply::Now(answer(seen))).await;
        assert!(matches!(outcome, CallOutcome::OutcomeUnknown { .. }), "{what}: {outcome:?}");
    }
}

#[tokio::test]
async fn of_two_answers_the_first_counts() {
    let outcome = outcome_of(|seen| {
        let [first, second] = [1, 2].map(|n| rpc(seen, &json!({"n": n})));
        Reply::Now(typed("text/event-stream", format!("data: {first}\n\ndata: {second}\n\n")))
    })
    .await;
    assert!(matches!(outcome, CallOutcome::Result(it) if it.get() == r#"{"n":1}"#));
}

#[tokio::test]
async fn a_hundred_megabytes_are_not_taken() {
    for kind in ["application/json", "text/event-stream"] {
        let outcome = outcome_of(move |_| {
            let piece = Bytes::from(vec![b' '; 1024 * 1024]);
            Reply::Now(pieces(kind, (0..100).map(|_| Ok(piece.clone())).collect()))
        })
        .await;
        let CallOutcome::OutcomeUnknown { reason } = outcome else { panic!("{kind}: {outcome:?}") };
        assert!(reason.contains("exceeds"), "{reason}");
    }
}

#[tokio::test]
async fn a_server_that_never_answers_is_told_that_nobody_waits() {
    type Answer = fn(&Seen) -> Reply;
    let answers: [Answer; 2] = [|_| Reply::Never, |_| Reply::Now(comments())];
    for answer in answers {
        let world = World::ready(on("tools/call", answer)).await;
        let outcome = world.begin(300, true).outcome().await;
        assert!(matches!(outcome, CallOutcome::TimedOut { .. }), "{outcome:?}");
        world.sees(|seen| seen.rpc() == "notifications/cancelled").await;
        assert_eq!(world.seen("tools/call").len(), 1);
    }
}

#[tokio::test]
async fn a_401_on_calls_only_and_a_403_on_the_list_need_the_user() {
    for status in [StatusCode::UNAUTHORIZED, StatusCode::FORBIDDEN] {
        let outcome = outcome_of(move |_| Reply::Now(status.into_response())).await;
        assert_eq!(unreached(&outcome), Some(Fault::AuthorisationNeeded));
    }
    let forbidden = on("tools/list", |_| Reply::Now(StatusCode::FORBIDDEN.into_response()));
    let mut world = World::start(forbidden).await;
    assert_eq!(world.failed().await, Fault::AuthorisationNeeded);
}

#[tokio::test]
async fn a_429_is_waited_out_where_its_time_is_short_and_told_where_it_is_long() {
    for value in ["0", "1", "Thu, 01 Jan 1970 00:00:01 GMT", "soon", "-5", "9e9"] {
        let refused = Mutex::new(false);
        let outcome = outcome_of(move |seen| {
            let was_refused = std::mem::replace(&mut *refused.lock().unwrap(), true);
            Reply::Now(match was_refused {
                true => good(seen),
                false => (StatusCode::TOO_MANY_REQUESTS, [("retry-after", value)]).into_response(),
            })
        })
        .await;
        assert!(matches!(outcome, CallOutcome::Result(_)), "{value}: {outcome:?}");
    }
    for value in ["3600", "Fri, 02 Jan 1970 00:00:00 GMT"] {
        let outcome = outcome_of(move |_| {
            let headers = [("retry-after", value)];
            Reply::Now((StatusCode::SERVICE_UNAVAILABLE, headers).into_response())
        })
        .await;
        let failure = refusal(&outcome).unwrap_or_else(|| panic!("{value}: {outcome:?}"));
        assert_eq!((failure.fault, failure.retry_after_ms), (Fault::Unreachable, Some(300_000)));
    }
}

#[tokio::test]
async fn a_handshake_that_is_none_is_a_broken_server() {
    let mut world =
        World::start(on("initialize", |_| Reply::Now(typed("text/html", "<html>")))).await;
    assert_eq!(world.failed().await, Fault::Broken);
    let outcome = world.begin(1_000, false).outcome().await;
    assert!(matches!(outcome, CallOutcome::RejectedBeforeSend(Rejection::NotReady)), "{outcome:?}");
}

#[tokio::test]
async fn a_handshake_that_is_never_answered_is_given_up() {
    type Answer = fn(&Seen) -> Option<Reply>;
    let answers: [(Transport, Answer); 2] = [
        (Transport::Http, |_| Some(Reply::Never)),
        // The older form waits to be told where to send anything at all.
        (Transport::Sse, |_| Some(Reply::Now(comments()))),
    ];
    for (transport, answer) in answers {
        let (address, seen) = listen(Arc::new(answer)).await;
        let spec = RemoteSpec { transport, handshake_timeout_ms: 300, ..spec(address) };
        let mut world = World::with(spec, seen, Tokens::default());
        let failure = world.failure().await;
        assert_eq!(failure.fault, Fault::Unreachable, "{transport:?}");
        assert!(failure.message.contains("in time; check"), "{}", failure.message);
    }
}

#[tokio::test]
async fn tools_that_change_during_a_call_are_asked_for_and_the_call_is_answered() {
    let has_changed = Arc::new(std::sync::atomic::AtomicBool::new(false));
    let changes = Arc::clone(&has_changed);
    let mut world = World::ready(move |seen| {
        let is_changed = || changes.load(std::sync::atomic::Ordering::Relaxed);
        match seen.rpc() {
            "tools/list" if is_changed() => {
                let tools = json!({"tools": [{"name": "a:b"}, {"name": "grown"}]});
                Some(Reply::Now(answer(seen, &tools)))
            }
            "tools/call" => {
                changes.store(true, std::sync::atomic::Ordering::Relaxed);
                let note = json!({"jsonrpc": "2.0", "method": "notifications/tools/list_changed"});
                let body = rpc(seen, &json!({}));
                let events = format!("data: {note}\n\ndata: {body}\n\n");
                Some(Reply::Now(typed("text/event-stream", events)))
            }
            _ => None,
        }
    })
    .await;
    assert!(matches!(world.call().await, CallOutcome::Result(_)));
    assert_eq!(world.listed().await, 2);
}
