use std::io::{BufReader, PipeReader, PipeWriter, pipe};
use std::thread::JoinHandle;

use super::*;

struct Demo {
    input: Option<PipeWriter>,
    output: BufReader<PipeReader>,
    server: JoinHandle<io::Result<()>>,
}

impl Demo {
    fn start() -> Self {
        let (theirs, input) = pipe().unwrap();
        let (output, ours) = pipe().unwrap();
        let server = thread::spawn(move || serve(BufReader::new(theirs), ours));
        Demo { input: Some(input), output: BufReader::new(output), server }
    }

    fn say(&mut self, line: &str) {
        self.input.as_mut().unwrap().write_all(format!("{line}\n").as_bytes()).unwrap();
    }

    fn hear(&mut self) -> Value {
        let mut line = String::new();
        self.output.read_line(&mut line).unwrap();
        serde_json::from_str(&line).unwrap()
    }

    fn ask(&mut self, line: &str) -> Value {
        self.say(line);
        self.hear()
    }
}

#[test]
fn initialize_answers_with_a_revision_the_client_speaks() {
    let mut demo = Demo::start();
    for (asked, answered) in
        [("2025-06-18", "2025-06-18"), ("2024-11-05", "2024-11-05"), ("2099-01-01", "2025-11-25")]
    {
        let answer = demo.ask(&format!(
            r#"{{"jsonrpc":"2.0","id":1,"method":"initialize","params":{{"protocolVersion":"{asked}","capabilities":{{}},"clientInfo":{{"name":"t","version":"0"}}}}}}"#
        ));
        assert_eq!(answer["result"]["protocolVersion"], answered);
        assert_eq!(answer["result"]["serverInfo"]["name"], "demo");
    }
}

#[test]
fn tools_are_listed_and_called() {
    let mut demo = Demo::start();
    let list = demo.ask(r#"{"jsonrpc":"2.0","id":"l","method":"tools/list"}"#);
    let names: Vec<&str> = list["result"]["tools"]
        .as_array()
        .unwrap()
        .iter()
        .filter_map(|it| it["name"].as_str())
        .collect();
    assert_eq!(names, ["echo", "add", "slow"]);
    let echo = demo.ask(
        r#"{"jsonrpc":"2.0","id":0,"method":"tools/call","params":{"name":"echo","arguments":{"text":"h\u00e9"}}}"#,
    );
    assert_eq!(echo["id"], 0);
    assert_eq!(echo["result"]["content"][0]["text"], "hé");
    let add = demo.ask(
        r#"{"jsonrpc":"2.0","id":2,"method":"tools/call","params":{"name":"add","arguments":{"a":2,"b":40}}}"#,
    );
    assert_eq!(add["result"]["structuredContent"]["sum"], 42);
    let wrong = demo.ask(
        r#"{"jsonrpc":"2.0","id":3,"method":"tools/call","params":{"name":"add","arguments":{"a":"2"}}}"#,
    );
    assert_eq!(wrong["result"]["isError"], true);
}

#[test]
fn a_slow_call_reports_progress_and_others_do_not_wait_for_it() {
    let mut demo = Demo::start();
    demo.say(r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"slow","arguments":{"steps":100,"delay_ms":10000}}}"#);
    let ping = demo.ask(r#"{"jsonrpc":"2.0","id":2,"method":"ping"}"#);
    assert_eq!(ping["id"], 2);
    demo.say(r#"{"jsonrpc":"2.0","id":3,"method":"tools/call","params":{"name":"slow","arguments":{"steps":2,"delay_ms":0},"_meta":{"progressToken":"p"}}}"#);
    for step in 1..=2 {
        let progress = demo.hear();
        assert_eq!(progress["method"], "notifications/progress");
        assert_eq!(progress["params"]["progressToken"], "p");
        assert_eq!(progress["params"]["progress"], step);
    }
    assert_eq!(demo.hear()["id"], 3);
}

#[test]
fn a_cancelled_call_is_not_answered() {
    let mut demo = Demo::start();
    demo.say(r#"{"jsonrpc":"2.0","id":"x","method":"tools/call","params":{"name":"slow","arguments":{"steps":100,"delay_ms":10000}}}"#);
    demo.say(r#"{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":"x"}}"#);
    // Were it answered, the end of the input could not come first.
    demo.input = None;
    demo.server.join().unwrap().unwrap();
    let mut rest = String::new();
    io::Read::read_to_string(&mut demo.output, &mut rest).unwrap();
    assert_eq!(rest, "");
}

#[test]
fn what_it_does_not_know_is_answered_with_the_right_code() {
    let mut demo = Demo::start();
    for (line, id, code) in [
        ("not json", Value::Null, PARSE_ERROR),
        (r#"{"jsonrpc":"2.0","id":7}"#, json!(7), INVALID_REQUEST),
        ("[]", Value::Null, INVALID_REQUEST),
        (r#"{"jsonrpc":"2.0","id":8,"method":"prompts/list"}"#, json!(8), METHOD_NOT_FOUND),
        (
            r#"{"jsonrpc":"2.0","id":9,"method":"tools/call","params":{"name":"x"}}"#,
            json!(9),
            INVALID_PARAMS,
        ),
        (
            r#"{"jsonrpc":"2.0","id":10,"method":"resources/read","params":{"uri":"x:"}}"#,
            json!(10),
            RESOURCE_NOT_FOUND,
        ),
    ] {
        let answer = demo.ask(line);
        assert_eq!((&answer["id"], &answer["error"]["code"]), (&id, &json!(code)), "{line}");
    }
    // Neither a notification nor an answer is answered.
    demo.say(r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#);
    demo.say(r#"{"jsonrpc":"2.0","id":1,"result":{}}"#);
    let read = demo.ask(
        r#"{"jsonrpc":"2.0","id":11,"method":"resources/read","params":{"uri":"demo://about"}}"#,
    );
    assert_eq!(read["id"], 11);
}
