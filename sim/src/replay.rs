//! Recordings of daemons, replayed.

use std::path::Path;

use satellite_core::recording::{Outcome, Replay};

/// Replays the recording in `path`, or its first `until` steps, and says what that came to.
///
/// # Errors
///
/// The file cannot be read, is damaged, or this program decides otherwise than it says.
pub fn replay(path: &Path, until: Option<u64>) -> Result<String, String> {
    let shown = path.display();
    let bytes = std::fs::read(path).map_err(|error| {
        format!("cannot read {shown}: {error}; name a file of `satellite run --record`")
    })?;
    told(&Replay::run(&bytes, until)).map_err(|why| format!("{shown}: {why}"))
}

fn told(outcome: &Outcome) -> Result<String, String> {
    let Outcome { version, steps, end, is_torn, apart, fault } = outcome;
    if let Some(fault) = fault {
        let own = env!("CARGO_PKG_VERSION");
        let taken = match version.as_str() {
            "" => String::new(),
            version => format!("\n(taken by version {version}; this is version {own})"),
        };
        return Err(format!("{fault}\n{steps} events before that: identical{taken}"));
    }
    if let Some((step, apart)) = apart {
        return Err(format!(
            "step {step}: the daemon decided otherwise than its recording says: a secret's \
             content took part, or an event is not recorded whole; please report this\n  \
             daemon:   {}\n  recorded: {}\n{steps} events: as recorded",
            apart.daemon, apart.recorded
        ));
    }
    let end = match (end, is_torn) {
        (Some(end), _) => format!("it ends because {end}"),
        (None, true) => "its last line is cut short, as a killed daemon leaves it".into(),
        (None, false) => "more may follow: it has no end".into(),
    };
    Ok(format!("{steps} events, identical; {end}"))
}
