use alloc::format;
use alloc::string::ToString;

use super::*;
use crate::journal::encode;

const NOW: Timestamp = Timestamp(5_000);

fn event(seq: u64) -> Entry {
    let json =
        format!(r#"{{"type":"mcp.server.stopped","seq":{seq},"id":"evt_{seq}","data":{{}}}}"#);
    Entry::Event(RawValue::from_string(json).unwrap())
}

fn gap(from_seq: u64, to_seq: u64) -> Entry {
    Entry::Gap(Gap {
        id: "evt_gap".into(),
        from_seq,
        to_seq,
        count: to_seq - from_seq + 1,
        at: NOW,
        reason: GapReason::QueueFull,
    })
}

fn bytes(entries: &[Entry]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for entry in entries {
        encode(entry, &mut bytes);
    }
    bytes
}

fn recovered(entries: &[Entry]) -> Recovered {
    recover(&bytes(entries), NOW, || "evt_hole".into())
}

fn numbers(recovered: &Recovered) -> Vec<(u64, u64)> {
    recovered.events.iter().map(|pending| (pending.from_seq(), pending.seq())).collect()
}

#[test]
fn events_wait_until_they_are_confirmed_and_numbers_go_on() {
    let found = recovered(&[
        Entry::Confirmed { through: 6 },
        event(7),
        event(8),
        Entry::Sending { through: 8 },
        event(9),
        Entry::Confirmed { through: 8 },
    ]);
    assert_eq!(numbers(&found), [(9, 9)]);
    assert_eq!((found.next_seq, found.sending_through), (Some(10), 8));
    let all = recovered(&[event(7), Entry::Confirmed { through: 7 }]);
    assert_eq!((numbers(&all), all.next_seq), (Vec::new(), Some(8)));
    assert_eq!(recovered(&[]).next_seq, None);
}

#[test]
fn a_gap_takes_the_place_of_what_it_names() {
    let found = recovered(&[event(1), event(2), event(3), gap(1, 2), gap(1, 3), event(4)]);
    assert_eq!(numbers(&found), [(1, 3), (4, 4)]);
}

#[test]
fn a_lost_line_of_an_event_becomes_a_gap_in_its_place() {
    let entries = [Entry::Confirmed { through: 0 }, event(1), event(2), event(3), event(4)];
    let mut damaged = bytes(&entries);
    let at = bytes(&entries[..2]).len() + 20;
    damaged[at] ^= 4;
    let found = recover(&damaged, NOW, || "evt_hole".into());
    assert_eq!(numbers(&found), [(1, 1), (2, 2), (3, 3), (4, 4)]);
    match &found.events[1] {
        Pending::Gap(gap) => assert_eq!((gap.count, gap.reason), (1, GapReason::JournalDamaged)),
        Pending::Event { .. } => panic!("the damaged line was read"),
    }
    assert_eq!(found.lost_tail(""), None, "what is missing is named already");
}

#[test]
fn what_may_be_missing_at_the_end_is_said() {
    let started = Entry::Started { boot: "first".to_string() };
    let mut torn = bytes(&[started.clone(), event(1), event(2)]);
    torn.truncate(torn.len() - 5);
    let torn = recover(&torn, NOW, || "evt_hole".into());
    assert_eq!(torn.lost_tail("first"), Some((GapReason::JournalTorn, 1)));

    let mut damaged = bytes(&[started.clone(), Entry::Reported { id: "c".into() }, event(1)]);
    damaged[50] ^= 1;
    let damaged = recover(&damaged, NOW, || "evt_hole".into());
    assert_eq!(damaged.lost_tail("first"), Some((GapReason::JournalDamaged, 1)));

    let killed = recovered(&[started.clone(), event(1)]);
    assert_eq!(killed.lost_tail("first"), None, "a killed process loses nothing");
    assert_eq!(killed.lost_tail("second"), Some((GapReason::PowerLoss, 0)));
    assert_eq!(killed.lost_tail(""), None);
    let ended = recovered(&[started, event(1), Entry::Ended]);
    assert_eq!(ended.lost_tail("second"), None, "all was synced");
}

#[test]
fn a_command_is_known_from_its_receipt_to_its_confirmed_result() {
    let command = r#"{"id":"a","command_type":"kill","priority":"high","payload":{}}"#;
    let command: Command = serde_json::from_str(command).unwrap();
    let result = || RawValue::from_string("{}".to_string()).unwrap();
    let found = recovered(&[
        Entry::Received { command, at: Timestamp(1) },
        Entry::Begun { id: "a".into(), at: Timestamp(2) },
        Entry::Finished { id: "refused".into(), result: result() },
        Entry::Finished { id: "a".into(), result: result() },
        Entry::Reported { id: "a".into() },
    ]);
    let [a, refused] = &found.commands[..] else { panic!("{:?}", found.commands) };
    assert_eq!((a.begun, a.is_reported, a.result.is_some()), (Some(Timestamp(2)), true, true));
    assert_eq!(a.received.as_ref().unwrap().1, Timestamp(1));
    assert!(refused.received.is_none() && refused.result.is_some() && !refused.is_reported);
}

#[test]
fn of_switches_of_a_tool_the_last_stands() {
    let switch = |tool: &str, user: Option<&str>, disabled| ToolSwitch {
        installation: "i".into(),
        team: None,
        user: user.map(Into::into),
        tool: tool.to_string(),
        disabled,
        config_version: None,
        asked: 0,
    };
    let found = recovered(&[
        Entry::ToolSwitched(switch("a", None, true)),
        Entry::ToolSwitched(switch("b", None, true)),
        Entry::ToolSwitched(switch("a", Some("u"), true)),
        Entry::ToolSwitched(switch("a", None, false)),
    ]);
    let expected =
        [switch("b", None, true), switch("a", Some("u"), true), switch("a", None, false)];
    assert_eq!(found.switches, expected);
}
