//! The journal on disks that work and disks that do not. Mounting needs root, as everywhere these
//! tests run.

use std::process::Command;

use satellite_core::journal::{Entry, condition, encode};

use super::*;

/// A file system of its own, so that it can be full or read-only.
struct Mount(Place);

impl Mount {
    fn new(name: &str) -> Self {
        let place = Place::new(name);
        std::fs::create_dir_all(&place.0).unwrap();
        Mount::over(place, "rw")
    }

    fn over(place: Place, mode: &str) -> Self {
        let options = format!("size=128k,mode=0700,{mode}");
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", &options, "satellite-test"]).arg(&place.0);
        assert!(mount.status().unwrap().success(), "{mount:?}");
        Mount(place)
    }

    fn fill(&self) {
        let mut filler = File::create(self.0.0.join("filler")).unwrap();
        while filler.write_all(&[0; 512]).is_ok() {}
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.0.0).status();
    }
}

fn line(number: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    encode(&Entry::Confirmed { through: number }, &mut bytes);
    bytes
}

async fn append(state: &StateDir, bytes: Vec<u8>) -> Result<(), String> {
    state.persist(Record::Journal { bytes, sync: true }).await
}

#[tokio::test]
async fn what_is_appended_comes_back_and_a_rewriting_replaces_it() {
    let place = Place::new("journal");
    {
        let state = StateDir::open(&place.0).unwrap();
        assert!(state.load().unwrap().journal.is_empty());
        append(&state, line(1)).await.unwrap();
        state.persist(Record::Journal { bytes: line(2), sync: false }).await.unwrap();
    }
    let state = StateDir::open(&place.0).unwrap();
    assert_eq!(state.load().unwrap().journal, [line(1), line(2)].concat());
    state.persist(Record::JournalRewrite(line(3))).await.unwrap();
    append(&state, line(4)).await.unwrap();
    assert_eq!(state.load().unwrap().journal, [line(3), line(4)].concat());
    assert_eq!(place.mode("journal"), 0o600);
    assert!(!place.0.join("journal.tmp").exists());
}

#[tokio::test]
async fn a_damaged_journal_is_kept_aside_under_another_name_and_read_as_far_as_it_can_be() {
    let place = Place::new("journal-damaged");
    let state = StateDir::open(&place.0).unwrap();
    let mut damaged = [line(1), line(2), line(3)].concat();
    damaged[12] ^= 1;
    for number in 1..=2 {
        std::fs::write(place.0.join("journal"), &damaged).unwrap();
        assert_eq!(state.load().unwrap().journal, damaged);
        let aside = place.0.join(format!("journal.damaged-{number}"));
        state.persist(Record::JournalRewrite(line(9))).await.unwrap();
        assert_eq!(std::fs::read(aside).unwrap(), damaged);
        assert_eq!(state.load().unwrap().journal, line(9));
    }
}

#[tokio::test]
async fn a_journal_that_cannot_be_read_at_all_is_moved_aside_and_its_absence_is_seen() {
    let place = Place::new("journal-unreadable");
    let state = StateDir::open(&place.0).unwrap();
    std::fs::create_dir(place.0.join("journal")).unwrap();
    let found = state.load().unwrap().journal;
    assert!(condition(&found).damaged_lines > 0);
    assert!(place.0.join("journal.damaged-1").is_dir());
    append(&state, line(1)).await.unwrap();
    assert_eq!(state.load().unwrap().journal, line(1));
}

#[tokio::test]
async fn a_full_disk_leaves_whole_lines_names_the_remedy_and_is_written_to_again_when_it_is_not() {
    let mount = Mount::new("journal-full");
    let state = StateDir::open(&mount.0.0).unwrap();
    append(&state, line(1)).await.unwrap();
    mount.fill();
    let mut written = line(1);
    let error = loop {
        match append(&state, line(2)).await {
            Ok(()) => written.extend(line(2)),
            Err(error) => break error,
        }
    };
    assert!(error.contains("journal") && error.contains("free some space"), "{error}");
    assert_eq!(state.load().unwrap().journal, written, "nothing is half written");
    let refused = state.persist(Record::JournalRewrite(vec![b'x'; 200_000])).await.unwrap_err();
    assert!(refused.contains("free some space"), "{refused}");
    assert!(!mount.0.0.join("journal.tmp").exists());

    std::fs::remove_file(mount.0.0.join("filler")).unwrap();
    append(&state, line(3)).await.unwrap();
    written.extend(line(3));
    assert_eq!(state.load().unwrap().journal, written);
}

#[tokio::test]
async fn a_daemon_takes_up_its_pairing_on_a_full_disk_and_a_new_one_is_told_what_is_needed() {
    let mount = Mount::new("start-full");
    {
        let state = StateDir::open(&mount.0.0).unwrap();
        state.persist(Record::Credentials(pairing("key-1"))).await.unwrap();
    }
    mount.fill();
    let state = StateDir::open(&mount.0.0).unwrap();
    assert_eq!(state.load().unwrap().credentials, Some(pairing("key-1")));
    drop(state);
    let fresh = mount.0.0.join("fresh");
    let refused = StateDir::open(&fresh).unwrap_err();
    assert!(refused.hint.contains("free some space"), "{refused:?}");
}

#[tokio::test]
async fn a_directory_that_becomes_read_only_is_named_with_what_to_do() {
    let place = Place::new("journal-read-only");
    let state = StateDir::open(&place.0).unwrap();
    // Files that are open for writing keep a file system from becoming read-only, so that another
    // one takes the place of this.
    let mount = Mount::over(place, "ro");
    let refused = append(&state, line(1)).await.unwrap_err();
    assert!(refused.contains("make it writable"), "{refused}");
    let refused = state.persist(Record::JournalRewrite(line(1))).await.unwrap_err();
    assert!(refused.contains("make it writable"), "{refused}");
    drop(state);
    let refused = StateDir::open(&mount.0.0).unwrap_err();
    assert!(refused.error.contains("state directory"), "{refused:?}");
    assert!(refused.hint.contains("make it writable"), "{refused:?}");
}

#[tokio::test]
async fn a_full_disk_takes_a_mark_and_the_next_rewriting_ends_it() {
    let mount = Mount::new("journal-mark");
    let state = StateDir::open(&mount.0.0).unwrap();
    append(&state, [line(1), line(2)].concat()).await.unwrap();
    mount.fill();
    append(&state, vec![b'x'; 100_000]).await.unwrap_err();
    state.persist(Record::JournalMark(1_500)).await.unwrap();
    let found = condition(&state.load().unwrap().journal);
    assert_eq!((found.unwritten, found.damaged_lines, found.torn_bytes), (2_000, 0, 0));
    assert!(!mount.0.0.join("journal.damaged-1").exists(), "it is no damage");
    std::fs::remove_file(mount.0.0.join("filler")).unwrap();
    state.persist(Record::JournalRewrite(line(3))).await.unwrap();
    assert!(condition(&state.load().unwrap().journal).is_whole());
}

#[tokio::test]
async fn there_is_no_mark_without_a_journal() {
    let place = Place::new("journal-no-mark");
    let state = StateDir::open(&place.0).unwrap();
    let error = state.persist(Record::JournalMark(1)).await.unwrap_err();
    assert!(error.contains("cannot write"), "{error}");
    assert!(state.load().unwrap().journal.is_empty());
}
