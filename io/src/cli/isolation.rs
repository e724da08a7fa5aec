//! What a daemon finds out and does about isolation before it starts.

use std::time::Duration;

use satellite_core::isolation::{Asked, Isolation, Part};

use crate::exit::{Exit, fault};
use crate::host::{self, ControlGroups, MissingPart, Opened};
use crate::settings::DaemonSettings;

/// Takes what this machine offers, and notes it in the settings.
///
/// Fails where everything is required and something is missing.
pub(super) fn establish(
    settings: &mut DaemonSettings,
    marker: &str,
) -> Result<Option<ControlGroups>, Exit> {
    let asked = settings.core.isolation.asked;
    if asked == Asked::Off {
        settings.core.isolation = Isolation::off();
        settings.jail.is_wanted = false;
        return Ok(None);
    }
    let Opened { groups, isolation } = ControlGroups::open(marker, settings.core.team_limits);
    let isolation = Isolation { asked, ..isolation };
    let reasons = isolation.reasons();
    if asked == Asked::Required && !reasons.is_empty() {
        if let Some(groups) = groups {
            groups.leave();
        }
        return Err(refusal(&reasons.join("; ")));
    }
    for reason in reasons {
        tracing::warn!(operation = "isolation", "Servers are less isolated than asked: {reason}");
    }
    settings.core.isolation = isolation;
    settings.core.can_freeze = groups.is_some();
    Ok(groups)
}

/// Notes in the settings whether servers are jailed; one that nobody wants is not missing.
///
/// Fails where everything is required and it is missing.
pub(super) fn note_jail(
    settings: &mut DaemonSettings,
    missing: Option<MissingPart>,
) -> Result<(), Exit> {
    let isolation = &mut settings.core.isolation;
    let Some(MissingPart { step, error }) = missing else {
        if settings.jail.is_wanted && isolation.asked != Asked::Off {
            isolation.note(Part::Jail, None);
        }
        isolation.note_stand_ins();
        return Ok(());
    };
    let reason = format!("servers cannot be jailed: {step}: {error}");
    if isolation.asked == Asked::Required {
        return Err(refusal(&reason));
    }
    tracing::warn!(operation = "isolation", step, "Servers see what the satellite sees: {error}");
    isolation.note(Part::Jail, Some(reason));
    isolation.note_stand_ins();
    Ok(())
}

fn refusal(reasons: &str) -> Exit {
    fault(
        format!("isolation is required and incomplete: {reasons}"),
        "mend that, or let the satellite run with less: --isolation best-effort",
    )
}

/// Ends what an earlier daemon of this state directory left: by its control groups, and by the
/// marker in the environment where there are none.
pub(super) async fn sweep(groups: Option<&ControlGroups>, marker: &str, grace: Duration) {
    let mut processes = 0;
    let by_marker = async { processes = host::sweep(marker, grace).await };
    let count = match groups {
        Some(groups) => groups.sweep(by_marker).await,
        None => {
            by_marker.await;
            0
        }
    };
    if processes > 0 || count > 0 {
        tracing::warn!(
            operation = "sweep",
            processes,
            control_groups = count,
            "Ended what an earlier satellite left"
        );
    }
}
