//! `satellite systemd-unit`: the unit that runs the daemon with everything it needs delegated.

use super::output;
use crate::exit::{Exit, fault};

const UNIT: &str = include_str!("satellite.service");

/// Prints the unit for this program.
pub(super) fn print() -> Result<(), Exit> {
    let program = std::env::current_exe().map_err(|error| {
        fault(format!("cannot find this program: {error}"), "start it by its path")
    })?;
    output::line(unit(&program.display().to_string()).trim_end());
    Ok(())
}

/// The unit for the program at `path`, quoted as `systemd.service(5)` wants it.
fn unit(path: &str) -> String {
    let quoted =
        path.replace('\\', "\\\\").replace('"', "\\\"").replace('%', "%%").replace('$', "$$");
    let is_plain = path.chars().all(|it| it.is_ascii_alphanumeric() || "/._-+".contains(it));
    UNIT.replace("@PROGRAM@", &if is_plain { quoted } else { format!("\"{quoted}\"") })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_unit_starts_this_program_whatever_its_path() {
        assert!(unit("/usr/bin/satellite").contains("\nExecStart=/usr/bin/satellite run\n"));
        let odd = unit("/opt/my tools/100%/satellite");
        assert!(odd.contains("\nExecStart=\"/opt/my tools/100%%/satellite\" run\n"));
    }

    #[test]
    fn every_variable_that_the_unit_sets_is_one() {
        let names = UNIT.lines().filter_map(|line| line.strip_prefix("Environment="));
        for name in names.filter_map(|it| it.split('=').next()) {
            assert!(crate::settings::VARIABLES.iter().any(|it| it.name == name), "{name}");
        }
    }
}
