//! What a jail tells the satellite, a line each: that the server runs, or which step failed, and
//! how the server ended.

use std::fmt;

use nix::errno::Errno;

/// Most bytes of a report: a step may name a path.
pub(crate) const REPORT_MAX_BYTES: usize = 8 * 1024;

/// A line of a report.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Report {
    /// The server's program runs.
    Running,
    /// This step failed, and the jail has ended.
    Failed { step: String, errno: i32 },
    /// The server exited with this code.
    Exited(i32),
    /// A signal of this number ended the server.
    Signalled(i32),
}

impl Report {
    /// The failure of `step`.
    pub(crate) fn failed(step: &dyn fmt::Display, errno: Errno) -> Self {
        // A path may hold a line break; the report is one line.
        Report::Failed { step: step.to_string().replace('\n', " "), errno: errno as i32 }
    }

    /// Reads a line; `None` for anything else.
    pub(crate) fn read(line: &str) -> Option<Report> {
        let (word, rest) = line.split_once(' ').unwrap_or((line, ""));
        Some(match word {
            "running" => Report::Running,
            "failed" => {
                let (errno, step) = rest.split_once(' ')?;
                Report::Failed { step: step.to_owned(), errno: errno.parse().ok()? }
            }
            "exited" => Report::Exited(rest.parse().ok()?),
            "signalled" => Report::Signalled(rest.parse().ok()?),
            _ => return None,
        })
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Report::Running => f.write_str("running"),
            Report::Failed { step, errno } => write!(f, "failed {errno} {step}"),
            Report::Exited(code) => write!(f, "exited {code}"),
            Report::Signalled(signal) => write!(f, "signalled {signal}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_told_is_read_and_nothing_else() {
        let failed = Report::failed(&"show /a\nb", Errno::EACCES);
        let reports = [Report::Running, failed, Report::Exited(7), Report::Signalled(40)];
        for report in reports {
            let line = report.to_string();
            assert!(!line.contains('\n'), "{line}");
            assert_eq!(Report::read(&line), Some(report));
        }
        for line in ["", "runnin", "failed", "failed x y", "exited", "exited a"] {
            assert_eq!(Report::read(line), None, "{line}");
        }
    }
}
