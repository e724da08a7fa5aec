use alloc::string::{String, ToString};
use alloc::vec::Vec;
use alloc::{format, vec};

use proptest::prelude::*;

use super::*;

/// Owned frames, to compare.
#[derive(Debug, PartialEq)]
enum Seen {
    Line(Vec<u8>),
    Oversized(Option<u64>),
}

fn run(framer: &mut Framer, chunk: &[u8]) -> Vec<Seen> {
    let mut frames = framer.feed(chunk);
    let mut seen = Vec::new();
    while let Some(frame) = frames.advance() {
        seen.push(match frame {
            Frame::Line(line) => Seen::Line(line.to_vec()),
            Frame::Oversized(outline) => Seen::Oversized(outline.answers()),
        });
    }
    seen
}

fn line(text: &str) -> Seen {
    Seen::Line(text.as_bytes().to_vec())
}

#[test]
fn lines_are_cut_at_newlines_and_blank_ones_are_dropped() {
    let mut framer = Framer::new(100);
    let seen = run(&mut framer, b"\xef\xbb\xbfone\r\n\n \t\r\ntwo\nthr");
    assert_eq!(seen, [line("one"), line("two")]);
    assert_eq!(run(&mut framer, b"ee"), []);
    assert_eq!(run(&mut framer, b"\r\n\r\n"), [line("three")]);
    assert_eq!(framer.finish(), None);
}

#[test]
fn a_character_split_between_chunks_arrives_whole() {
    let mut framer = Framer::new(100);
    let text = "{\"a\":\"žluťoučký 🐎\"}\n".as_bytes();
    let seen: Vec<Seen> = text.iter().flat_map(|b| run(&mut framer, &[*b])).collect();
    assert_eq!(seen, [Seen::Line(text[..text.len() - 1].to_vec())]);
}

#[test]
fn the_last_line_may_lack_its_end() {
    let mut framer = Framer::new(100);
    assert_eq!(run(&mut framer, b"one\ntwo"), [line("one")]);
    assert_eq!(framer.finish(), Some(b"two".to_vec()));
    assert_eq!(framer.finish(), None);
}

#[test]
fn an_oversized_answer_is_told_as_soon_as_its_id_is_known() {
    let mut framer = Framer::new(64);
    let head = format!("{{\"jsonrpc\":\"2.0\",\"id\":7,\"result\":\"{}", "x".repeat(100));
    assert_eq!(run(&mut framer, head.as_bytes()), [Seen::Oversized(Some(7))]);
    assert_eq!(run(&mut framer, "x".repeat(1_000).as_bytes()), []);
    assert_eq!(run(&mut framer, b"\"}\nnext\n"), [line("next")]);
}

#[test]
fn an_id_after_an_oversized_result_is_found() {
    let mut framer = Framer::new(64);
    let text = format!(
        "{{\"result\":{{\"id\":3,\"t\":\"\\\"{}\\\\\",\"l\":[1,{{\"id\":4}}]}},\"id\": \"7\"}}\nnext\n",
        "},{\"id\":9".repeat(50)
    );
    let seen: Vec<Seen> = text.as_bytes().chunks(7).flat_map(|c| run(&mut framer, c)).collect();
    assert_eq!(seen, [Seen::Oversized(Some(7)), line("next")]);
}

#[test]
fn an_oversized_line_without_an_id_is_told_at_its_end() {
    let mut framer = Framer::new(8);
    assert_eq!(run(&mut framer, "x".repeat(100).as_bytes()), []);
    assert_eq!(run(&mut framer, b"\nnext\n"), [Seen::Oversized(None), line("next")]);
}

#[test]
fn a_line_at_the_limit_passes() {
    let mut framer = Framer::new(8);
    assert_eq!(
        run(&mut framer, b"12345678\n123456789\n1"),
        [line("12345678"), Seen::Oversized(None)]
    );
    assert_eq!(run(&mut framer, b"2345678\n"), [line("12345678")]);
}

#[test]
fn memory_of_a_long_line_is_given_back() {
    let mut framer = Framer::new(1 << 20);
    run(&mut framer, "x".repeat(1 << 19).as_bytes());
    assert_eq!(run(&mut framer, b"\n").len(), 1);
    assert!(framer.partial.capacity() <= KEPT_CAPACITY);
}

#[test]
fn an_outline_knows_answers_from_questions() {
    let asks = Outline::of(br#"{"jsonrpc":"2.0","id":"s-1","method":"roots/list","params":{}}"#);
    assert_eq!((asks.answers(), asks.asks()), (None, Some("\"s-1\"")));
    let broken = Outline::of(br#"{"jsonrpc":"2.0","id":5,"result":{"v":NaN}}"#);
    assert_eq!((broken.answers(), broken.asks()), (Some(5), None));
    let forged = Outline::of(br#"{"id":5 "x","method":1}"#);
    assert_eq!(forged.asks(), None);
    for text in
        ["", "[", "5", "{\"id\":5}", "{\"result\":1}", "[{\"id\":5,\"result\":1}]", "{\"id\""]
    {
        assert_eq!(Outline::of(text.as_bytes()).answers(), None, "{text}");
    }
}

proptest! {
    #[test]
    fn lines_are_the_same_however_the_stream_is_cut(
        text in "[a-c\r\n\" é]{0,80}",
        cuts in prop::collection::vec(1_usize..9, 1..80),
    ) {
        let expected: Vec<Seen> = text
            .as_bytes()
            .split_inclusive(|b| *b == b'\n')
            .filter(|l| l.ends_with(b"\n"))
            .map(|l| l.strip_suffix(b"\n").unwrap_or(l))
            .filter(|l| l.len() > 12 || !l.trim_ascii().is_empty())
            .map(|l| {
                if l.len() > 12 {
                    Seen::Oversized(None)
                } else {
                    Seen::Line(l.strip_suffix(b"\r").unwrap_or(l).to_vec())
                }
            })
            .collect();
        let mut framer = Framer::new(12);
        let mut rest = text.as_bytes();
        let mut seen = vec![];
        for cut in cuts.iter().cycle() {
            if rest.is_empty() {
                break;
            }
            let (chunk, after) = rest.split_at((*cut).min(rest.len()));
            seen.extend(run(&mut framer, chunk));
            prop_assert!(framer.partial.len() <= 12);
            rest = after;
        }
        prop_assert_eq!(seen, expected);
    }

    #[test]
    fn an_outline_agrees_with_a_full_parse(
        id in prop_oneof![any::<u64>().prop_map(|n| n.to_string()), "[a-z\\\\\"]{0,5}"
            .prop_map(|s| serde_json::Value::from(s).to_string())],
        inner in "[\\[\\]{}\",:\\\\a]{0,20}",
        order in any::<bool>(),
        cut in 0_usize..60,
    ) {
        let value = serde_json::Value::from(inner);
        let result = format!("\"result\":{{\"id\":1,\"a\":[{value}]}}");
        let text: String = if order {
            format!("{{\"id\":{id},{result}}}")
        } else {
            format!("{{ {result} , \"jsonrpc\":\"2.0\",\"id\" : {id} }}")
        };
        let mut outline = Outline::default();
        let (left, right) = text.as_bytes().split_at(cut.min(text.len()));
        outline.feed(left);
        outline.feed(right);
        prop_assert_eq!(outline.answers(), id.parse::<u64>().ok());
    }
}
