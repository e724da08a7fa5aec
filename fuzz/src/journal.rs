//! The journal: any bytes as a file, and any entries as one that was cut or changed.

use std::collections::BTreeSet;

use satellite_core::id::EventId;
use satellite_core::journal::{Entry, Recovered, condition, encode, recover, scan};
use satellite_core::time::Timestamp;

const NOW: Timestamp = Timestamp(1_769_850_902_123);

/// Reads the bytes as a journal; then takes each of their lines as the JSON of an entry, writes
/// those that are one, and reads what is left of them after a cut and after a change.
///
/// # Panics
///
/// When a promise is broken.
pub fn run(data: &[u8]) {
    read(data);
    let entries: Vec<Entry> = data
        .split(|byte| *byte == b'\n')
        .filter_map(|line| serde_json::from_slice(line).ok())
        .filter(|entry| !matches!(entry, Entry::Gap(gap) if gap.from_seq > gap.to_seq))
        .collect();
    let mut journal = Vec::new();
    let mut ends = Vec::new();
    for entry in &entries {
        encode(entry, &mut journal);
        ends.push(journal.len());
    }
    let found = scan(&journal);
    assert!(found.condition.is_whole());
    assert_eq!(lines(&found.entries), lines(&entries), "what is written is read");
    let whole = read(&journal);
    assert!(whole.commands.len() <= entries.len());

    // A cut leaves what was written before it.
    let choice = data.iter().fold(7_usize, |sum, byte| sum.wrapping_mul(31) + usize::from(*byte));
    let cut = choice % (journal.len() + 1);
    let found = scan(&journal[..cut]);
    let left = ends.iter().filter(|end| **end <= cut).count();
    assert_eq!(lines(&found.entries), lines(&entries[..left]));
    assert_eq!(found.condition.damaged_lines, 0);
    assert_eq!(found.condition.torn_bytes, cut - ends[..left].last().unwrap_or(&0));
    read(&journal[..cut]);

    // A changed byte takes at most its own line, or joins two; the others stay.
    if !journal.is_empty() {
        let at = choice % journal.len();
        journal[at] ^= 1;
        let found = scan(&journal);
        assert!(found.entries.len() + 2 >= entries.len());
        assert!(!found.condition.is_whole());
        read(&journal);
    }
}

fn lines(entries: &[Entry]) -> Vec<Vec<u8>> {
    let line = |entry| {
        let mut line = Vec::new();
        encode(entry, &mut line);
        line
    };
    entries.iter().map(line).collect()
}

/// What any file means: numbers in order, none twice, none beyond the next.
fn read(journal: &[u8]) -> Recovered {
    assert_eq!(condition(journal), scan(journal).condition);
    let mut ids = 0;
    let recovered = recover(journal, NOW, || {
        ids += 1;
        EventId::from(format!("gap_{ids}"))
    });
    let mut last = None;
    for pending in &recovered.events {
        assert!(last.is_none_or(|last| last < pending.seq()), "numbers go up");
        last = Some(pending.seq());
        assert!(recovered.next_seq.is_some_and(|next| next > pending.seq() || next == u64::MAX));
    }
    let commands: BTreeSet<&str> =
        recovered.commands.iter().map(|stored| stored.id.as_str()).collect();
    assert_eq!(commands.len(), recovered.commands.len(), "a command is restored once");
    recovered
}
