//! The poll loop in its plainest form: seconds, lists and one `match`, none of the machine's types.
//!
//! | rule | here |
//! |---|---|
//! | one poll at a time, the first at once | [`Model::poll`] is only reached from a poll's end or its time |
//! | start to start, as the Backend guides: 2..60 s, in maintenance 2..300 s | [`pace`] |
//! | after the n-th failure in a row 2 s to min(300 s, 2·2^n s), one success resets | [`pause`] |
//! | `Retry-After` lengthens a pause, to 300 s at most | [`pause`] |
//! | a heartbeat that comes through while polls fail brings the next forward to 2..30 s from then | [`Model::granted`] |
//! | … once, until a heartbeat fails or a poll succeeds; never before `Retry-After` | [`Model::granted`] |
//! | the first poll that may be held does not wait for its time | [`Model::granted`], [`Model::answered`] |
//! | a held poll is followed at once; an early empty reply was not held | [`Model::answered`] |
//! | 404 before the first 2xx: the flat path | [`Model::answered`] |
//! | only two typed refusals end the pairing | [`Model::answered`] |

use alloc::collections::BTreeSet;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::ops::RangeInclusive;

/// What a Backend, or the way to it, does with one poll.
#[derive(Clone, Debug)]
pub(super) enum Behaviour {
    Answers { commands: Vec<u8>, guidance: Option<u64>, maintenance: bool },
    Refuses { status: u16, error: &'static str, asks: Asks },
    Garbles { asks: Asks },
    Fails,
}

/// `Retry-After`, in its forms.
#[derive(Clone, Copy, Debug)]
pub(super) enum Asks {
    Nothing,
    Nonsense,
    Seconds(u64),
    /// A date so many seconds from the moment of the answer, in the past if negative.
    Date(i64),
}

/// What a poll must look like.
#[derive(Debug, PartialEq)]
pub(super) struct Poll {
    pub(super) path: String,
    pub(super) wait_seconds: u64,
    pub(super) timeout_seconds: u64,
    /// When the last successful poll started.
    pub(super) last_poll: Option<u64>,
}

#[derive(Clone, Debug, PartialEq)]
pub(super) enum Phase {
    InFlight {
        began: u64,
        wait_seconds: u64,
    },
    /// The next poll starts at one of these moments, and at no other.
    Waiting {
        start: RangeInclusive<u64>,
    },
    Unpaired,
}

pub(super) struct Model {
    pub(super) phase: Phase,
    pub(super) failures: u32,
    pub(super) granted: bool,
    /// No poll that may be held has gone out since that was granted.
    is_first_held_owed: bool,
    /// Neither a failure nor maintenance nor the very first poll: the Backend may hold.
    calm: bool,
    /// A heartbeat has brought the next poll forward.
    hastened: bool,
    /// Not before this, said `Retry-After`.
    spared_until: u64,
    flat: bool,
    scoped_works: bool,
    last_poll: Option<u64>,
    last_commands: BTreeSet<u8>,
}

impl Model {
    /// A paired satellite that has just started: its first poll is on its way.
    pub(super) fn started(now: u64) -> Self {
        Model {
            phase: Phase::InFlight { began: now, wait_seconds: 0 },
            failures: 0,
            granted: false,
            is_first_held_owed: false,
            calm: false,
            hastened: false,
            spared_until: 0,
            flat: false,
            scoped_works: false,
            last_poll: None,
            last_commands: BTreeSet::new(),
        }
    }

    /// Sends a poll: nothing else changes `InFlight`.
    fn poll(&mut self, now: u64) {
        let wait_seconds = if self.granted && self.calm { 25 } else { 0 };
        if wait_seconds > 0 {
            self.is_first_held_owed = false;
        }
        self.phase = Phase::InFlight { began: now, wait_seconds };
    }

    /// What the poll on its way must look like.
    pub(super) fn expected(&self) -> Option<Poll> {
        let Phase::InFlight { wait_seconds, .. } = self.phase else { return None };
        Some(Poll {
            path: String::from(if self.flat {
                "/api/satellites/sat_1/commands"
            } else {
                "/api/teams/team_9/satellites/sat_1/commands"
            }),
            wait_seconds,
            timeout_seconds: 15 + wait_seconds,
            last_poll: self.last_poll,
        })
    }

    /// The poll on its way ended.
    pub(super) fn answered(&mut self, now: u64, behaviour: &Behaviour) {
        let Phase::InFlight { began, wait_seconds } = self.phase else { return };
        match behaviour {
            Behaviour::Answers { commands, guidance, maintenance } => {
                let commands: BTreeSet<u8> = commands.iter().copied().collect();
                let brings_news = commands.iter().any(|id| !self.last_commands.contains(id));
                let waited_whole = now.saturating_sub(began) >= wait_seconds * 1_000;
                let held = wait_seconds > 0 && !maintenance && (brings_news || waited_whole);
                self.failures = 0;
                self.hastened = false;
                self.calm = !maintenance;
                self.scoped_works |= !self.flat;
                self.last_poll = Some(began);
                self.last_commands = commands;
                let next = began + pace(*guidance, *maintenance) * 1_000;
                if held || next <= now || (self.is_first_held_owed && !maintenance) {
                    self.poll(now);
                } else {
                    self.phase = Phase::Waiting { start: next..=next };
                }
            }
            Behaviour::Refuses { status: 401 | 403, error, .. }
                if ["api_key_revoked", "satellite_deleted"].contains(error) =>
            {
                self.phase = Phase::Unpaired;
            }
            Behaviour::Refuses { status: 404, .. } if !self.flat && !self.scoped_works => {
                self.flat = true;
                self.calm = false;
                self.poll(now);
            }
            Behaviour::Refuses { asks, .. } | Behaviour::Garbles { asks } => {
                self.failed(now, *asks);
            }
            Behaviour::Fails => self.failed(now, Asks::Nothing),
        }
    }

    fn failed(&mut self, now: u64, asks: Asks) {
        self.failures += 1;
        self.calm = false;
        let asked = asked_ms(asks, now);
        let (shortest, longest) = pause(self.failures, asked);
        self.spared_until = now + if asked > 300_000 { 300_000 } else { asked };
        self.phase = Phase::Waiting { start: now + shortest..=now + longest };
    }

    /// A heartbeat was answered 2xx and granted, or did not.
    pub(super) fn granted(&mut self, now: u64, holds_polls: bool) {
        let begins = holds_polls && !self.granted;
        self.is_first_held_owed = holds_polls && (begins || self.is_first_held_owed);
        self.granted = holds_polls;
        if let Phase::Waiting { start } = &mut self.phase
            && begins
            && self.calm
        {
            let at = now.min(*start.start());
            *start = at..=at;
        }
        if let Phase::Waiting { start } = &mut self.phase
            && self.failures > 0
            && !self.hastened
        {
            self.hastened = true;
            let moment = |after: u64| (now + after).max(self.spared_until).min(*start.start());
            *start = moment(2_000)..=moment(30_000);
        }
    }

    /// A heartbeat was answered with an error, or not at all.
    pub(super) fn heartbeat_failed(&mut self) {
        self.hastened = false;
    }

    /// A heartbeat was answered with a refusal.
    pub(super) fn heartbeat_refused(&mut self, status: u16, error: &str) {
        self.heartbeat_failed();
        if matches!(status, 401 | 403) && ["api_key_revoked", "satellite_deleted"].contains(&error)
        {
            self.phase = Phase::Unpaired;
        }
    }

    /// The machine has chosen its moment: from here on it has to keep it.
    pub(super) fn chosen(&mut self, at: u64) {
        self.phase = Phase::Waiting { start: at..=at };
    }

    /// Time has passed. Says whether a poll goes out.
    pub(super) fn time(&mut self, now: u64) -> bool {
        let due = matches!(&self.phase, Phase::Waiting { start } if *start.start() <= now);
        if due {
            self.poll(now);
        }
        due
    }
}

/// Seconds from the start of one poll to the start of the next.
fn pace(guidance: Option<u64>, maintenance: bool) -> u64 {
    let longest = if maintenance { 300 } else { 60 };
    match guidance {
        Some(seconds) if seconds < 2 => 2,
        Some(seconds) if seconds > longest => longest,
        Some(seconds) => seconds,
        None if maintenance => 300,
        None => 30,
    }
}

/// The shortest and the longest pause after the `failures`-th failure in a row.
pub(super) fn pause(failures: u32, asked_ms: u64) -> (u64, u64) {
    let mut ceiling = 2_000;
    for _ in 0..failures {
        ceiling = if ceiling > 150_000 { 300_000 } else { ceiling * 2 };
    }
    let floor = if asked_ms > 300_000 { 300_000 } else { asked_ms };
    (floor.max(2_000), floor.max(ceiling))
}

fn asked_ms(asks: Asks, now: u64) -> u64 {
    match asks {
        Asks::Nothing | Asks::Nonsense => 0,
        Asks::Seconds(seconds) => seconds * 1_000,
        Asks::Date(_) => date_seconds(asks, now).saturating_mul(1_000).saturating_sub(now),
    }
}

/// The second that `asks` names, if it is a date; dates have no finer resolution.
fn date_seconds(asks: Asks, now: u64) -> u64 {
    let Asks::Date(offset) = asks else { return 0 };
    (now / 1_000).saturating_add_signed(offset)
}

/// The header as a Backend writes it.
pub(super) fn retry_after(asks: Asks, now: u64) -> Option<String> {
    match asks {
        Asks::Nothing => None,
        Asks::Nonsense => Some(String::from("soon")),
        Asks::Seconds(seconds) => Some(format!("{seconds}")),
        Asks::Date(_) => Some(http_date(date_seconds(asks, now))),
    }
}

/// `Sun, 06 Nov 1994 08:49:37 GMT`, by counting days from 1970 on, one year and month at a time.
fn http_date(seconds: u64) -> String {
    let leap = |year: u64| {
        year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400))
    };
    let (mut days, rest) = (seconds / 86_400, seconds % 86_400);
    let weekday = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"][(days % 7) as usize];
    let mut year = 1970;
    while days >= if leap(year) { 366 } else { 365 } {
        days -= if leap(year) { 366 } else { 365 };
        year += 1;
    }
    let lengths = [31, if leap(year) { 29 } else { 28 }, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
    let names =
        ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let mut month = 0;
    while days >= lengths[month] {
        days -= lengths[month];
        month += 1;
    }
    let (hour, minute, second) = (rest / 3_600, rest / 60 % 60, rest % 60);
    let (day, name) = (days + 1, names[month]);
    format!("{weekday}, {day:02} {name} {year} {hour:02}:{minute:02}:{second:02} GMT")
}
