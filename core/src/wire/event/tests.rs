use alloc::string::ToString;
use alloc::vec::Vec;

use super::*;
use crate::time::Timestamp;
use crate::wire::encode;

const AT: IsoTime = IsoTime(Timestamp(1_769_850_902_123));

#[test]
fn an_event_of_the_field_is_read_and_written_back_as_it_came() {
    let json = concat!(
        r#"{"type":"mcp.server.status_changed","timestamp":"2026-01-31T09:15:02.123Z","#,
        r#""data":{"installation_id":"i1","team_id":"t1","user_id":"u1","status":"online","#,
        r#""status_message":"ready","timestamp":"2026-01-31T09:15:02.120Z"}}"#
    );
    let event = Event::read(json.as_bytes()).unwrap();
    assert_eq!(event.data.kind(), "mcp.server.status_changed");
    assert_eq!(event.timestamp, AT);
    assert_eq!(encode(&event), json.as_bytes());
}

#[test]
fn the_additions_stand_after_the_contracts_fields() {
    let gap = EventsGap { from_seq: 4, to_seq: 9, count: 6, reason: "full".into() };
    let event = Event { timestamp: AT, data: gap.into(), id: Some("e".into()), seq: Some(10) };
    let written = encode(&event);
    assert_eq!(
        core::str::from_utf8(&written).unwrap(),
        concat!(
            r#"{"type":"satellite.events.gap","timestamp":"2026-01-31T09:15:02.123Z","#,
            r#""data":{"from_seq":4,"to_seq":9,"count":6,"reason":"full"},"id":"e","seq":10}"#
        )
    );
    assert_eq!(Event::read(&written), Ok(event));
}

#[test]
fn every_type_is_known_by_its_own_text() {
    for kind in EventData::KINDS {
        let fault = EventData::read(kind, b"[]").unwrap_err();
        assert!(matches!(fault, EventFault::Invalid(_)), "{kind}: {fault}");
    }
    assert_eq!(
        EventData::read("mcp.server.danced", b"{}").unwrap_err().to_string(),
        "Unknown event type: mcp.server.danced"
    );
}

#[test]
fn bounds_of_the_contract_are_checked() {
    let crash = |count: u32| {
        alloc::format!(
            r#"{{"server_id":"i","server_slug":"s","team_id":"t","process_id":7,"exit_code":-1,
            "signal":"SIGKILL","uptime_seconds":1.5,"crash_count":{count},"will_restart":true}}"#
        )
    };
    let data = EventData::read("mcp.server.crashed", crash(1).as_bytes()).unwrap();
    let EventData::ServerCrashed(crashed) = data else { panic!("another type") };
    assert_eq!(crashed.uptime_seconds, 1);
    assert!(EventData::read("mcp.server.crashed", crash(0).as_bytes()).is_err());
}

#[test]
fn each_event_of_a_batch_stands_for_itself() {
    let batch = read_batch(
        br#"{"events":[
            {"type":"nonsense","timestamp":"2026-01-31T09:15:02Z","data":{}},
            {"type":"satellite.events.gap","timestamp":"2026-01-31T09:15:02Z",
             "data":{"from_seq":1,"to_seq":1,"count":1,"reason":"r"}},
            {"type":"config.error","timestamp":"yesterday","data":{}},
            7]}"#,
    )
    .unwrap();
    let failed: Vec<_> = batch
        .iter()
        .filter_map(|event| event.as_ref().err())
        .map(|failure| (failure.index, failure.kind.as_str()))
        .collect();
    assert_eq!(failed, [(0, "nonsense"), (2, "config.error"), (3, "")]);
    assert!(batch[1].is_ok());
}

#[test]
fn a_batch_that_is_none_says_validation() {
    let many = alloc::format!(r#"{{"events":[{}0]}}"#, "0,".repeat(MAX_BATCH));
    for body in [&b""[..], b"{}", b"[]", br#"{"events":[]}"#, many.as_bytes()] {
        let reason = read_batch(body).unwrap_err();
        assert!(reason.contains("validation"), "{reason}");
    }
}
