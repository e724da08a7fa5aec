use alloc::string::ToString;

use proptest::prelude::*;
use serde_json::value::RawValue;

use super::*;
use crate::journal::ToolSwitch;
use crate::time::Timestamp;

/// A journal with an entry of nearly every kind.
pub(crate) fn sample(count: u64) -> Vec<Entry> {
    let raw = |text: &str| RawValue::from_string(text.to_string()).unwrap();
    (1..=count)
        .map(|number| match number % 5 {
            0 => Entry::Confirmed { through: number },
            1 => Entry::Event(raw(&alloc::format!(
                r#"{{"type":"mcp.server.stopped","seq":{number},"data":{{"text":"a\nb é"}}}}"#
            ))),
            2 => Entry::Begun { id: number.to_string().into(), at: Timestamp(number) },
            3 => Entry::Finished { id: number.to_string().into(), result: raw("{\"a\": 1}") },
            _ => Entry::ToolSwitched(ToolSwitch {
                installation: "i".into(),
                team: None,
                user: Some("u".into()),
                tool: "t".to_string(),
                disabled: true,
                config_version: Some(number),
                asked: 0,
            }),
        })
        .collect()
}

fn lines(entries: &[Entry]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for entry in entries {
        encode(entry, &mut bytes);
    }
    bytes
}

#[test]
fn what_is_written_is_read_again() {
    let bytes = lines(&sample(20));
    let found = scan(&bytes);
    assert!(found.condition.is_whole());
    assert_eq!(lines(&found.entries), bytes);
    assert!(scan(b"").condition.is_whole());
}

#[test]
fn a_line_end_in_the_json_of_others_does_not_end_the_line() {
    let raw = RawValue::from_string("{\n\"a\":\r\n1}".to_string()).unwrap();
    let bytes = lines(&[Entry::Event(raw)]);
    assert_eq!(bytes.iter().filter(|byte| **byte == b'\n').count(), 1);
    assert_eq!(scan(&bytes).entries.len(), 1);
}

#[test]
fn what_the_end_lacks_is_torn_and_what_the_middle_lacks_is_damaged() {
    let whole = lines(&sample(4));
    let cut = scan(&whole[..whole.len() - 3]);
    assert_eq!((cut.entries.len(), cut.condition.damaged_lines), (3, 0));
    assert!(cut.condition.torn_bytes > 0);

    let zeros = [&whole[..], &[0; 700]].concat();
    assert_eq!(scan(&zeros).condition, Condition { torn_bytes: 700, ..Condition::default() });

    let mut changed = whole.clone();
    changed[12] ^= 1;
    let found = scan(&changed);
    assert_eq!((found.entries.len(), found.condition.damaged_lines), (3, 1));

    let nothing = scan(b"what is this?\nnot a journal\n");
    assert_eq!((nothing.entries.len(), nothing.condition.damaged_lines), (0, 2));
}

proptest! {
    #[test]
    fn any_prefix_of_the_file_has_a_prefix_of_the_entries(count in 0u64..12, cut in 0usize..2_000) {
        let whole = lines(&sample(count));
        let cut = cut.min(whole.len());
        let found = scan(&whole[..cut]);
        let read = lines(&found.entries);
        prop_assert_eq!(&whole[..read.len()], &read[..]);
        prop_assert_eq!(found.condition, Condition { torn_bytes: cut - read.len(), ..Condition::default() });
    }

    #[test]
    fn any_flipped_byte_is_noticed_and_costs_its_own_lines_only(
        count in 1u64..12, at in 0usize..2_000, flip in 1u8..=255,
    ) {
        let whole = lines(&sample(count));
        let at = at % whole.len();
        let mut changed = whole.clone();
        changed[at] ^= flip;
        let found = scan(&changed);
        prop_assert!(!found.condition.is_whole());
        prop_assert!(found.entries.len() as u64 + 2 >= count);
        // None is read that was not written.
        let written: Vec<Vec<u8>> = sample(count).iter().map(|one| lines(core::slice::from_ref(one))).collect();
        for entry in &found.entries {
            prop_assert!(written.contains(&lines(core::slice::from_ref(entry))));
        }
    }

    #[test]
    fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        let found = scan(&bytes);
        prop_assert!(found.entries.is_empty());
        prop_assert_eq!(bytes.is_empty(), found.condition.is_whole());
    }
}

#[test]
fn a_mark_says_how_many_numbers_are_missing_and_costs_no_entry_but_the_first() {
    let started = Entry::Started { boot: "first".to_string() };
    let mut journal = Vec::new();
    for entry in [started.clone(), Entry::Confirmed { through: 7 }] {
        encode(&entry, &mut journal);
    }
    for (numbers, said) in [(0, 1_000), (1_000, 1_000), (1_001, 2_000), (99_999_999, 100_000_000)] {
        let mark = mark(numbers).unwrap();
        journal[..mark.len()].copy_from_slice(&mark);
        let found = scan(&journal);
        assert!(matches!(found.entries[..], [Entry::Confirmed { through: 7 }]), "{found:?}");
        assert_eq!(found.condition, Condition { unwritten: said, ..Condition::default() });
        assert!(!found.condition.is_whole());
    }
    assert_eq!(mark(u64::MAX), None);
    let mut alone = Vec::new();
    encode(&started, &mut alone);
    alone[..8].copy_from_slice(&mark(1).unwrap());
    assert_eq!(condition(&alone).damaged_lines, 0);
}

#[test]
fn what_only_resembles_a_mark_is_damage() {
    for head in [b"+0000000", b"+00000g1", b"++000001", b"-0000001"] {
        let mut journal = Vec::new();
        encode(&Entry::Started { boot: "first".to_string() }, &mut journal);
        encode(&Entry::Confirmed { through: 7 }, &mut journal);
        journal[..8].copy_from_slice(head);
        let found = condition(&journal);
        assert_eq!((found.damaged_lines, found.unwritten), (1, 0));
    }
}
