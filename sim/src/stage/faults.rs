//! Everything that can go wrong, how often it does in a run, and how often it did.

use satellite_core::random::Random;

/// A kind of fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fault {
    /// A request never arrives.
    Loss,
    /// The connection is refused.
    Refused,
    /// The Backend acts on a request, and its answer is lost.
    OneWay,
    /// The Backend acts on a request, and its answer breaks off.
    CutAnswer,
    /// A request arrives twice.
    Duplicate,
    /// A copy of a request arrives after later ones.
    Reorder,
    /// A request or its answer takes seconds.
    Delay,
    /// Nothing passes for minutes.
    Partition,
    /// The Backend answers 4xx, for no reason the satellite could know.
    Status4xx,
    /// The Backend answers 429.
    Throttle,
    /// The Backend answers 5xx.
    Status5xx,
    /// The Backend answers 200 with something else than was asked for.
    Garbage,
    /// The Backend takes nearly as long as the time-out, or longer.
    SlowBackend,
    /// The Backend is away for minutes.
    BackendDown,
    /// The Backend ends just before or just after a write.
    BackendKilled,
    /// The Backend hands out no commands for a while.
    Maintenance,
    /// The daemon is killed between two effects.
    DaemonKilled,
    /// The machine loses power between two effects of the daemon.
    PowerCut,
    /// Of what was not synced, a part is on disk.
    TornWrite,
    /// Of what was not synced, nothing is on disk.
    LostWrite,
    /// The disk is full for a while.
    DiskFull,
    /// Nothing can be written to the disk for a while.
    DiskReadOnly,
    /// A daemon starts with its clock set wrong.
    ClockSet,
    /// A daemon's clock jumps forward.
    ClockJump,
    /// A daemon's clock goes wrong.
    ClockDrift,
    /// A machine sleeps: its daemon does nothing, and its clock stands still.
    HostSleep,
    /// A daemon is told to end, and is started again.
    Shutdown,
    /// A child ends when nobody asked it to.
    ChildExit,
    /// A child ends before its handshake does.
    ChildExitEarly,
    /// A child does not answer its handshake.
    ChildHang,
    /// A child's handshake is answered by nonsense.
    ChildUnusable,
    /// A child closes its pipes.
    ChildClosesPipes,
    /// A child floods its standard error.
    ChildFlood,
    /// A child leaves others behind that must be killed.
    ChildFork,
    /// A child ignores SIGTERM.
    ChildDeaf,
    /// A child breaks the protocol.
    ChildViolation,
    /// A child never answers a call.
    CallUnanswered,
    /// A child takes long to answer a call, perhaps too long.
    CallLate,
    /// A child answers a call twice.
    CallTwice,
    /// A child answers a call by something else than an answer.
    CallGarbage,
    /// A child dies while it is called.
    CallDeath,
    /// A client takes a call back.
    CallCancelled,
    /// The Backend ends a pairing: its key is revoked, or the satellite deleted.
    Revoked,
    /// A request is answered as another one should be.
    Misrouted,
    /// People or machines act on an instance while it moves.
    Meddling,
    /// Starting a process takes long, perhaps too long.
    SpawnSlow,
    /// A child says that its lists have changed.
    ListChange,
    /// A process cannot be started, for now or for good.
    SpawnFailure,
    /// A server elsewhere cannot be connected to.
    FarRefused,
    /// A connection to one is reset before it has seen the request.
    FarResetBefore,
    /// A connection to one is reset after it has acted on the request.
    FarResetAfter,
    /// An answer of one breaks off.
    FarCut,
    /// One takes seconds to answer, perhaps too many.
    FarSlow,
    /// One takes a request and never answers.
    FarSilent,
    /// One answers 401 or 403 for no reason.
    FarForbids,
    /// One answers 3xx or another 4xx.
    Far4xx,
    /// One answers 429.
    FarThrottles,
    /// One answers 5xx.
    Far5xx,
    /// One answers with something else than was asked for.
    FarGarbage,
    /// The token of a request has just become void.
    TokenExpired,
    /// The source of tokens takes long.
    TokenSlow,
    /// The source of tokens cannot be asked.
    TokenRefused,
    /// A user's access to a server ends until the user connects again.
    AccessEnded,
    /// A server elsewhere, or one of its hosts, is away for minutes.
    HostDown,
    /// One goes and comes back, again and again.
    HostFlaps,
    /// One takes every request and answers none for minutes.
    HostHangs,
    /// A server elsewhere forgets its sessions.
    SessionsLost,
    /// A server elsewhere offers something else.
    ListsChange,
    /// A conversation with one ends though nobody told it to.
    TalkBreaks,
    /// A conversation with one takes long to end, perhaps too long.
    TalkLingers,
    /// A process cannot be frozen.
    FreezeFails,
    /// A frozen process cannot be thawed.
    ThawFails,
    /// Freezing or thawing takes long, perhaps too long.
    FrostSlow,
    /// A process, frozen or not, is ended by a limit.
    LimitKill,
}

impl Fault {
    /// All of them.
    pub const ALL: [Fault; 74] = [
        Fault::Loss,
        Fault::Refused,
        Fault::OneWay,
        Fault::CutAnswer,
        Fault::Duplicate,
        Fault::Reorder,
        Fault::Delay,
        Fault::Partition,
        Fault::Status4xx,
        Fault::Throttle,
        Fault::Status5xx,
        Fault::Garbage,
        Fault::SlowBackend,
        Fault::BackendDown,
        Fault::BackendKilled,
        Fault::Maintenance,
        Fault::DaemonKilled,
        Fault::PowerCut,
        Fault::TornWrite,
        Fault::LostWrite,
        Fault::DiskFull,
        Fault::DiskReadOnly,
        Fault::ClockSet,
        Fault::ClockJump,
        Fault::ClockDrift,
        Fault::HostSleep,
        Fault::Shutdown,
        Fault::ChildExit,
        Fault::ChildExitEarly,
        Fault::ChildHang,
        Fault::ChildUnusable,
        Fault::ChildClosesPipes,
        Fault::ChildFlood,
        Fault::ChildFork,
        Fault::ChildDeaf,
        Fault::ChildViolation,
        Fault::CallUnanswered,
        Fault::CallLate,
        Fault::CallTwice,
        Fault::CallGarbage,
        Fault::CallDeath,
        Fault::CallCancelled,
        Fault::Revoked,
        Fault::Misrouted,
        Fault::Meddling,
        Fault::SpawnSlow,
        Fault::ListChange,
        Fault::SpawnFailure,
        Fault::FarRefused,
        Fault::FarResetBefore,
        Fault::FarResetAfter,
        Fault::FarCut,
        Fault::FarSlow,
        Fault::FarSilent,
        Fault::FarForbids,
        Fault::Far4xx,
        Fault::FarThrottles,
        Fault::Far5xx,
        Fault::FarGarbage,
        Fault::TokenExpired,
        Fault::TokenSlow,
        Fault::TokenRefused,
        Fault::AccessEnded,
        Fault::HostDown,
        Fault::HostFlaps,
        Fault::HostHangs,
        Fault::SessionsLost,
        Fault::ListsChange,
        Fault::TalkBreaks,
        Fault::TalkLingers,
        Fault::FreezeFails,
        Fault::ThawFails,
        Fault::FrostSlow,
        Fault::LimitKill,
    ];

    /// How many of them come first, and are drawn from the run's own random numbers. The others are
    /// drawn apart from them.
    const NEAR: usize = Fault::FarRefused as usize;
    /// From here on they are drawn apart from all of these: what follows a draw stays as it was.
    const APART: usize = Fault::LimitKill as usize;

    /// Its name in reports.
    pub fn name(self) -> &'static str {
        match self {
            Fault::Loss => "request lost",
            Fault::Refused => "connection refused",
            Fault::OneWay => "answer lost",
            Fault::CutAnswer => "answer cut",
            Fault::Duplicate => "request doubled",
            Fault::Reorder => "copy overtaken",
            Fault::Delay => "delayed",
            Fault::Partition => "partition",
            Fault::Status4xx => "Backend 4xx",
            Fault::Throttle => "Backend 429",
            Fault::Status5xx => "Backend 5xx",
            Fault::Garbage => "Backend garbage",
            Fault::SlowBackend => "Backend slow",
            Fault::BackendDown => "Backend away",
            Fault::BackendKilled => "Backend killed at a write",
            Fault::Maintenance => "maintenance",
            Fault::DaemonKilled => "daemon killed at an effect",
            Fault::PowerCut => "power cut at an effect",
            Fault::TornWrite => "write torn",
            Fault::LostWrite => "write lost",
            Fault::DiskFull => "disk full",
            Fault::DiskReadOnly => "disk read-only",
            Fault::ClockSet => "clock set wrong",
            Fault::ClockJump => "clock jumped",
            Fault::ClockDrift => "clock drifting",
            Fault::HostSleep => "machine asleep",
            Fault::Shutdown => "shut down",
            Fault::ChildExit => "child exits",
            Fault::ChildExitEarly => "child exits in handshake",
            Fault::ChildHang => "child hangs",
            Fault::ChildUnusable => "child unusable",
            Fault::ChildClosesPipes => "child closes pipes",
            Fault::ChildFlood => "child floods stderr",
            Fault::ChildFork => "child forks",
            Fault::ChildDeaf => "child ignores SIGTERM",
            Fault::ChildViolation => "child breaks protocol",
            Fault::CallUnanswered => "call unanswered",
            Fault::CallLate => "call answered late",
            Fault::CallTwice => "call answered twice",
            Fault::CallGarbage => "call answered by garbage",
            Fault::CallDeath => "child dies in a call",
            Fault::CallCancelled => "call cancelled",
            Fault::Revoked => "pairing ended",
            Fault::Misrouted => "answer to another request",
            Fault::Meddling => "meddling while a server moves",
            Fault::SpawnSlow => "spawn takes long",
            Fault::ListChange => "child changes its lists",
            Fault::SpawnFailure => "spawn fails",
            Fault::FarRefused => "remote refuses",
            Fault::FarResetBefore => "remote resets before it saw",
            Fault::FarResetAfter => "remote resets after the deed",
            Fault::FarCut => "remote's answer cut",
            Fault::FarSlow => "remote slow",
            Fault::FarSilent => "remote never answers",
            Fault::FarForbids => "remote 401 or 403",
            Fault::Far4xx => "remote 3xx or 4xx",
            Fault::FarThrottles => "remote 429",
            Fault::Far5xx => "remote 5xx",
            Fault::FarGarbage => "remote garbage",
            Fault::TokenExpired => "token expires in a request",
            Fault::TokenSlow => "token fetched slowly",
            Fault::TokenRefused => "token cannot be fetched",
            Fault::AccessEnded => "access ended",
            Fault::HostDown => "remote away",
            Fault::HostFlaps => "remote flaps",
            Fault::HostHangs => "remote hangs",
            Fault::SessionsLost => "sessions lost",
            Fault::ListsChange => "remote changes its lists",
            Fault::TalkBreaks => "conversation ends itself",
            Fault::TalkLingers => "conversation ends late",
            Fault::FreezeFails => "freezing fails",
            Fault::ThawFails => "thawing fails",
            Fault::FrostSlow => "frost takes long",
            Fault::LimitKill => "killed by a limit",
        }
    }
}

/// How often each fault occurs, in ten-thousandths of its occasions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rates([u64; Fault::ALL.len()]);

impl Default for Rates {
    fn default() -> Self {
        Rates([0; Fault::ALL.len()])
    }
}

impl Rates {
    /// A run's own mixture: some kinds not at all, the others rarely or often. What befalls servers
    /// elsewhere and frozen ones is drawn from `far`.
    pub fn draw(random: &mut Random, far: &mut Random) -> Rates {
        let mut rates = Rates::default();
        let mut apart = Random::new(!far.clone().next());
        for (place, rate) in rates.0.iter_mut().enumerate() {
            let random = match place {
                0..Fault::NEAR => &mut *random,
                Fault::NEAR..Fault::APART => &mut *far,
                _ => &mut apart,
            };
            let (occurs, is_often) = (random.chance(1, 2), random.chance(1, 4));
            let most = if is_often { 1_200 } else { 150 };
            let drawn = random.between(10, most);
            *rate = if occurs { drawn } else { 0 };
        }
        rates
    }

    /// How often one occurs.
    pub fn of(&self, fault: Fault) -> u64 {
        self.0[fault as usize]
    }

    /// Has one occur `rate` times of ten thousand.
    pub fn set(&mut self, fault: Fault, rate: u64) {
        self.0[fault as usize] = rate;
    }
}

/// How often each fault has occurred.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tally([u64; Fault::ALL.len()]);

impl Default for Tally {
    fn default() -> Self {
        Tally([0; Fault::ALL.len()])
    }
}

impl Tally {
    /// One more of a kind.
    pub fn add(&mut self, fault: Fault) {
        self.0[fault as usize] += 1;
    }

    /// All of another run.
    pub fn merge(&mut self, other: &Tally) {
        for (mine, others) in self.0.iter_mut().zip(other.0) {
            *mine += others;
        }
    }

    /// Each kind and how often it occurred.
    pub fn counts(&self) -> impl Iterator<Item = (Fault, u64)> {
        Fault::ALL.into_iter().map(|fault| (fault, self.0[fault as usize]))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_has_its_own_place_and_name() {
        let names: std::collections::BTreeSet<_> = Fault::ALL.map(Fault::name).into();
        assert_eq!(names.len(), Fault::ALL.len());
        assert!(Fault::ALL.iter().enumerate().all(|(place, fault)| *fault as usize == place));
    }

    #[test]
    fn runs_differ_in_what_goes_wrong_and_each_kind_goes_wrong_in_some() {
        let (mut random, mut far) = (Random::new(1), Random::new(2));
        let all: Vec<Rates> = (0..200).map(|_| Rates::draw(&mut random, &mut far)).collect();
        for fault in Fault::ALL {
            let with = all.iter().filter(|rates| rates.of(fault) > 0).count();
            assert!((50..150).contains(&with), "{}: {with}", fault.name());
        }
    }
}
