//! Requests a second over time, as they reach the Backend or its closed port.

use std::collections::BTreeMap;
use std::fmt;

use satellite_core::request::Channel;
use satellite_core::time::{SECOND, Timestamp};

/// How long a row of the table is, in seconds.
const ROW_SECONDS: i64 = 10;
/// Seconds before the return that the table shows.
const SHOWN_BEFORE: i64 = 60;
/// Seconds after the return that the table shows.
const SHOWN_AFTER: i64 = 360;
/// The longest bar.
const BAR: u64 = 50;

/// What arrived in a second.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Second {
    /// Heartbeats.
    pub heartbeats: u64,
    /// Polls.
    pub polls: u64,
    /// Anything else.
    pub others: u64,
}

impl Second {
    /// All of it.
    pub fn all(&self) -> u64 {
        self.heartbeats + self.polls + self.others
    }
}

/// The requests of a fleet over time.
#[derive(Debug)]
pub struct Curve {
    satellites: usize,
    away_from: Timestamp,
    away_until: Timestamp,
    /// By second, counted from the return.
    seconds: BTreeMap<i64, Second>,
    /// When each satellite was back: the second of its first poll that was answered again.
    returned: BTreeMap<usize, i64>,
}

impl Curve {
    pub(super) fn new(satellites: usize, away_from: Timestamp, away_until: Timestamp) -> Curve {
        let (seconds, returned) = (BTreeMap::new(), BTreeMap::new());
        Curve { satellites, away_from, away_until, seconds, returned }
    }

    /// The second of a moment, counted from the return.
    fn second(&self, at: Timestamp) -> i64 {
        let after = at.since(self.away_until) / SECOND;
        let before = self.away_until.since(at).div_ceil(SECOND);
        i64::try_from(after).unwrap_or(i64::MAX) - i64::try_from(before).unwrap_or(i64::MAX)
    }

    /// A satellite's request arrives.
    pub(super) fn count(&mut self, at: Timestamp, satellite: usize, channel: Channel) {
        let second = self.second(at);
        let counts = self.seconds.entry(second).or_default();
        match channel {
            Channel::Heartbeat => counts.heartbeats += 1,
            Channel::Poll => {
                counts.polls += 1;
                if at >= self.away_until {
                    self.returned.entry(satellite).or_insert(second);
                }
            }
            _ => counts.others += 1,
        }
    }

    /// How many satellites have polled again.
    pub fn back(&self) -> usize {
        self.returned.len()
    }

    /// Seconds from the return to the first poll of the last satellite.
    pub fn last_return_seconds(&self) -> i64 {
        self.returned.values().copied().max().unwrap_or(0)
    }

    /// Most requests in one second from the return on.
    pub fn peak_after(&self) -> u64 {
        self.seconds.range(0..).map(|(_, second)| second.all()).max().unwrap_or(0)
    }

    /// Requests a second in the minute before the Backend went away, on average.
    pub fn before(&self) -> f64 {
        let away = self.second(self.away_from);
        let all: u64 = self.seconds.range(away - 60..away).map(|(_, second)| second.all()).sum();
        all as f64 / 60.0
    }
}

impl fmt::Display for Curve {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let outage = self.away_until.since(self.away_from) / SECOND;
        writeln!(f, "{} satellites; the Backend was away for {outage} s\n", self.satellites)?;
        writeln!(f, "seconds from     requests a second: mean, most, and of the mean")?;
        writeln!(f, " its return        mean   most    heartbeats  polls  others")?;
        let rows: Vec<(i64, Vec<Second>)> = (-SHOWN_BEFORE / ROW_SECONDS
            ..SHOWN_AFTER / ROW_SECONDS)
            .map(|row| {
                let seconds = row * ROW_SECONDS..(row + 1) * ROW_SECONDS;
                let counts = seconds.map(|second| self.seconds.get(&second).copied());
                (row * ROW_SECONDS, counts.map(Option::unwrap_or_default).collect())
            })
            .collect();
        let most = rows.iter().flat_map(|(_, row)| row).map(Second::all).max().unwrap_or(0).max(1);
        for (from, row) in &rows {
            let mean = |of: &dyn Fn(&Second) -> u64| {
                row.iter().map(of).sum::<u64>() as f64 / ROW_SECONDS as f64
            };
            let all = mean(&Second::all);
            let bar = "#".repeat((all as u64 * BAR / most) as usize);
            let peak = row.iter().map(Second::all).max().unwrap_or(0);
            let (beats, polls) = (mean(&|it| it.heartbeats), mean(&|it| it.polls));
            let others = mean(&|it| it.others);
            writeln!(
                f,
                "{from:5} .. {:4}  {all:9.1} {peak:6}  {beats:12.1} {polls:6.1} {others:7.1}  {bar}",
                from + ROW_SECONDS
            )?;
        }
        writeln!(f, "\nbefore the outage: {:.1} requests a second", self.before())?;
        let peak = self.peak_after();
        let share = 100.0 * peak as f64 / self.satellites.max(1) as f64;
        writeln!(
            f,
            "busiest second from the return on: {peak} requests, {share:.1} % of the fleet"
        )?;
        let (back, last) = (self.back(), self.last_return_seconds());
        write!(f, "{back} of {} poll again, the last after {last} s", self.satellites)
    }
}
