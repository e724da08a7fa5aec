use super::*;
use crate::limits::{DISCOVERY_PAGES_MAX, DISCOVERY_TIMEOUT_MS};

fn everything() -> Value {
    json!({"tools": {"listChanged": true}, "resources": {}, "prompts": {}})
}

fn opened(capabilities: &Value) -> Bench {
    let mut bench = Bench::new();
    assert_eq!(bench.event(Event::Opened), Verdict::Moved);
    bench.answer_initialize("2025-06-18", capabilities);
    bench
}

impl Bench {
    fn result(&mut self, method: &str, result: &Value) {
        let id = self.asked(method);
        self.say(&json!({"jsonrpc": "2.0", "id": id, "result": result}));
    }

    fn error(&mut self, method: &str) {
        let id = self.asked(method);
        self.say(&json!({"jsonrpc": "2.0", "id": id,
            "error": {"code": -32601, "message": "Method not found"}}));
    }

    fn listed(&mut self) -> Option<Arc<Inventory>> {
        self.reports().into_iter().find_map(|report| match report {
            Report::Listed(inventory) => Some(inventory),
            _ => None,
        })
    }
}

#[test]
fn the_handshake_claims_what_is_served() {
    let mut bench = Bench::new();
    bench.event(Event::Opened);
    let written = bench.written();
    assert_eq!(
        written[0]["params"],
        json!({
            "protocolVersion": "2025-11-25",
            "capabilities": {},
            "clientInfo": {"name": "satellite", "version": env!("CARGO_PKG_VERSION")}
        })
    );
    assert!(written[0]["id"].as_u64().is_some_and(|id| id > 0));
    assert!(matches!(bench.event(Event::Opened), Verdict::Refused(_)));
}

#[test]
fn every_declared_list_is_asked_for_page_by_page() {
    let mut bench = opened(&everything());
    assert!(matches!(bench.out.first(), Some(Effect::Write(line)) if line.starts_with(
        b"{\"jsonrpc\":\"2.0\",\"method\":\"notifications/initialized\"}")));
    assert!(matches!(bench.reports().as_slice(), [Report::Initialized]));
    bench.result(
        "tools/list",
        &json!({"tools": [{"name": "b"}, {"name": "a"}], "nextCursor": "\"2"}),
    );
    let written = bench.written();
    assert_eq!(written[0]["params"], json!({"cursor": "\"2"}));
    let id = written[0]["id"].clone();
    bench.say(&json!({"jsonrpc": "2.0", "id": id, "result": {
        "tools": [{"name": "c", "annotations": {"readOnlyHint": true}}, {"name": "a"}, {}]}}));
    bench.result("resources/list", &json!({"resources": [{"uri": "u", "name": "n"}]}));
    bench.error("resources/templates/list");
    bench.result("prompts/list", &json!({"prompts": [{"name": "p"}, 5]}));
    let inventory = bench.listed().expect("an inventory");
    let names: Vec<&str> = inventory.tools.iter().map(|tool| tool.name.as_str()).collect();
    assert_eq!(names, ["b", "a", "c"]);
    assert!(inventory.tools[2].repeatable && !inventory.tools[0].repeatable);
    assert_eq!((inventory.resources.len(), inventory.resource_templates.len()), (1, 0));
    assert_eq!(inventory.prompts.len(), 1);
    assert_eq!(inventory.discovered_at, bench.now);
    let initialize = inventory.initialize.as_deref().expect("the server's own words");
    assert!(initialize.get().contains("serverInfo"));
}

#[test]
fn lists_that_are_not_declared_are_not_asked_for() {
    let mut bench = opened(&json!({"logging": {}, "prompts": null}));
    assert_eq!(bench.written().len(), 1);
    let inventory = bench.listed().expect("an inventory");
    assert!(inventory.tools.is_empty());
}

#[test]
fn calls_are_carried_while_the_lists_are_read() {
    let mut bench = opened(&everything());
    bench.out.clear();
    bench.call(1, "{}");
    assert_eq!(bench.written().len(), 1);
}

#[test]
fn older_revisions_are_spoken_and_others_refused_by_name() {
    for version in ["2025-11-25", "2025-06-18", "2025-03-26", "2024-11-05"] {
        let mut bench = Bench::new();
        bench.event(Event::Opened);
        bench.answer_initialize(version, &json!({}));
        assert!(bench.listed().is_some(), "{version}");
    }
    for version in ["2025-11-05", "1", ""] {
        let mut bench = Bench::new();
        bench.event(Event::Opened);
        bench.answer_initialize(version, &json!({}));
        match bench.reports().as_slice() {
            [Report::Unusable { step: "initialize", reason }] => {
                assert!(reason.contains(version) && reason.contains("2025-11-25"), "{reason}");
            }
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn a_handshake_that_fails_says_why() {
    let answers = [
        (r#""error":{"code":-32000,"message":"no licence"}"#, "no licence"),
        (r#""result":[]"#, "not an object"),
        (r#""result":{}"#, "protocolVersion"),
        (r#""result":{"protocolVersion":"2025-11-25","capabilities":[1]}"#, "`capabilities`"),
        (r#""result":{"protocolVersion":"2025-11-25",}"#, "cannot be read"),
    ];
    for (answer, expected) in answers {
        let mut bench = Bench::new();
        bench.event(Event::Opened);
        let id = bench.asked("initialize");
        bench.read(&format!(r#"{{"jsonrpc":"2.0","id":{id},{answer}}}"#));
        let reports = bench.reports();
        let reason = reports.iter().find_map(|report| match report {
            Report::Unusable { step: "initialize", reason } => Some(reason),
            _ => None,
        });
        assert!(reason.is_some_and(|reason| reason.contains(expected)), "{answer}: {reports:?}");
        bench.call(1, "{}");
        assert!(matches!(
            bench.outcomes().as_slice(),
            [(1, CallOutcome::RejectedBeforeSend(Rejection::NotReady))]
        ));
    }
}

#[test]
fn a_handshake_without_an_answer_ends_in_time_and_is_not_cancelled() {
    let mut bench = Bench::new();
    bench.event(Event::Opened);
    bench.written();
    bench.after(4_999);
    assert_eq!(bench.reports().len(), 0);
    bench.after(1);
    assert!(matches!(
        bench.reports().as_slice(),
        [Report::Unusable { step: "initialize", reason }] if reason.contains("5000 ms")
    ));
    assert_eq!(bench.written(), Vec::<Value>::new());
    assert_eq!(bench.relay.next_deadline(), None);
}

#[test]
fn without_its_tools_a_server_is_of_no_use() {
    let mut bench = opened(&everything());
    bench.reports();
    bench.error("tools/list");
    match bench.reports().as_slice() {
        [Report::Unusable { step: "tools/list", reason }] => {
            assert_eq!(reason, "error -32601: Method not found");
        }
        other => panic!("{other:?}"),
    }
    let mut bench = opened(&everything());
    bench.reports();
    bench.after(DISCOVERY_TIMEOUT_MS);
    let reports = bench.reports();
    assert!(matches!(reports.as_slice(), [Report::Unusable { step: "tools/list", .. }]));
}

#[test]
fn a_list_that_hangs_costs_the_others_no_more_than_the_time_for_all() {
    let mut bench = opened(&everything());
    bench.result("tools/list", &json!({"tools": [{"name": "a"}]}));
    bench.after(DISCOVERY_TIMEOUT_MS);
    assert_eq!(bench.listed().map(|inventory| inventory.tools.len()), Some(1));
}

#[test]
fn cursors_that_lead_nowhere_end_a_list() {
    let mut bench = opened(&json!({"tools": {}}));
    bench.result("tools/list", &json!({"tools": [{"name": "a"}], "nextCursor": "x"}));
    bench.result("tools/list", &json!({"tools": [{"name": "b"}], "nextCursor": "x"}));
    assert_eq!(bench.listed().map(|inventory| inventory.tools.len()), Some(2));

    let mut bench = opened(&json!({"tools": {}}));
    for page in 0..DISCOVERY_PAGES_MAX {
        let name = format!("t{page}");
        bench.result("tools/list", &json!({"tools": [{"name": name}], "nextCursor": name}));
    }
    let pages = bench.listed().map(|inventory| inventory.tools.len());
    assert_eq!(pages, Some(DISCOVERY_PAGES_MAX));
}

#[test]
fn list_changes_are_read_again_together_and_then_announced() {
    let mut bench = opened(&json!({"tools": {}}));
    bench.result("tools/list", &json!({"tools": []}));
    bench.after(2_000);
    bench.out.clear();
    let changed = r#"{"jsonrpc":"2.0","method":"notifications/tools/list_changed"}"#;
    bench.read(&[changed; 5].join("\n"));
    assert_eq!(bench.notifications(), []);
    bench.result("tools/list", &json!({"tools": [{"name": "new"}]}));
    assert!(matches!(
        bench.out.as_slice(),
        [Effect::Report(Report::Listed(_)), Effect::NotifyAll { .. }]
    ));
    assert_eq!(bench.notifications(), [(None, changed.to_string())]);
    bench.read(changed);
    assert_eq!(bench.written(), Vec::<Value>::new());
    assert_eq!(bench.relay.next_deadline().map(|d| d.why), Some("lists changed"));
    bench.after(1_000);
    assert_eq!(bench.written().len(), 1);
}

#[test]
fn a_change_while_the_lists_are_read_is_announced_after_the_next_reading() {
    let mut bench = opened(&json!({"tools": {}}));
    let changed = r#"{"jsonrpc":"2.0","method":"notifications/tools/list_changed"}"#;
    bench.read(changed);
    bench.result("tools/list", &json!({"tools": []}));
    assert_eq!(bench.notifications(), []);
    bench.after(1_000);
    bench.result("tools/list", &json!({"tools": [{"name": "late"}]}));
    assert_eq!(bench.notifications(), [(None, changed.to_string())]);
}

#[test]
fn lists_are_read_again_on_demand_and_a_failure_keeps_the_old_ones() {
    let mut bench = opened(&json!({"tools": {}}));
    bench.result("tools/list", &json!({"tools": []}));
    bench.out.clear();
    assert_eq!(bench.event(Event::Relist), Verdict::Handled);
    assert_eq!(bench.event(Event::Relist), Verdict::Handled);
    bench.error("tools/list");
    assert!(matches!(bench.reports().as_slice(), [Report::ListsStale { step: "tools/list", .. }]));
    bench.result("tools/list", &json!({"tools": [{"name": "a"}]}));
    assert_eq!(bench.listed().map(|inventory| inventory.tools.len()), Some(1));
    bench.call(1, "{}");
    assert_eq!(bench.written().len(), 1);
}
