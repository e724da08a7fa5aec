//! `cargo sim fleet`: how many satellites come back after an outage.

use satellite_sim::fleet::{self, Fleet};

use crate::options::Options;

pub(crate) fn fleet(given: &Options<'_>) -> Result<(), String> {
    let outage = given.text("outage").unwrap_or("10m");
    let outage_ms = fleet::duration(outage)
        .ok_or_else(|| format!("--outage takes a duration like 90s, 10m or 1h, not {outage:?}"))?;
    let holds_polls = match given.text("hold").unwrap_or("yes") {
        "yes" => true,
        "no" => false,
        other => return Err(format!("--hold takes yes or no, not {other:?}")),
    };
    let satellites = given.number("satellites", 1_000)?;
    let satellites = usize::try_from(satellites).map_err(|error| error.to_string())?;
    let fleet = Fleet { satellites, outage_ms, seed: given.number("seed", 1)?, holds_polls };
    println!("{}", fleet.run());
    Ok(())
}
