//! `satellite doctor`: looks at this machine as `satellite run` would find it, changes nothing, and
//! says what to do.

mod machine;
mod others;

use satellite_core::doctor::{self, Finding};
use satellite_core::isolation::Asked;
use serde_json::json;

use super::arguments::DoctorArguments;
use super::output;
use crate::exit::{Exit, fault};
use crate::settings::{DaemonSettings, Sources};

const NAME: &str = "DEPLOYSTACK_SATELLITE_NAME";
const BACKEND: &str = "DEPLOYSTACK_BACKEND_URL";

/// Looks and prints. Fails when something failed that a satellite cannot do without.
pub(super) async fn run(arguments: &DoctorArguments, sources: Sources) -> Result<(), Exit> {
    let sources = match &arguments.config {
        Some(path) => sources.with_file(path)?,
        None => sources,
    };
    let sources = sources
        .flag("SATELLITE_STATE_DIR", "--state-dir", arguments.state_dir.as_ref())
        .flag(BACKEND, "--backend", arguments.backend.as_ref())
        .flag("SATELLITE_ISOLATION", "--isolation", arguments.isolation.as_ref());
    let findings = look(sources).await;
    let counts = doctor::count(&findings);
    if arguments.json {
        let value = json!({"success": counts.fail == 0, "counts": counts, "checks": findings});
        output::line(&value.to_string());
        return if counts.fail == 0 { Ok(()) } else { Err(fault("", "")) };
    }
    for finding in &findings {
        output::line(&line(finding));
    }
    output::line(&format!(
        "{} passed, {} to know, {} failed",
        counts.pass, counts.warn, counts.fail
    ));
    if counts.fail == 0 {
        return Ok(());
    }
    Err(fault(
        "a satellite would not run well here",
        "the lines that begin with `fail` say what to do",
    ))
}

async fn look(sources: Sources) -> Vec<Finding> {
    let has_backend = sources.given(BACKEND).is_some();
    let (settings, wrong) = match DaemonSettings::read(&sources) {
        Ok(settings) => (Ok(settings), None),
        // The rest can be looked at without a name and a Backend.
        Err(wrong) => (DaemonSettings::read(&filled(sources)), Some(wrong)),
    };
    let wrong = wrong.as_ref().map(|exit| (exit.error.as_str(), exit.hint.as_str()));
    let Ok(settings) = settings else {
        return doctor::settings(wrong, &[]);
    };
    let mut findings = doctor::settings(wrong, &settings.warnings);
    findings.push(machine::state_directory(&settings.state_dir));
    findings.push(machine::open_files());
    let asked = settings.core.isolation.asked;
    if asked != Asked::Off {
        findings.extend(machine::control_groups(asked, &settings));
    }
    findings.extend(machine::kernel(asked));
    if settings.jail.is_wanted && asked != Asked::Off {
        findings.push(machine::jail(asked, &settings).await);
        findings.push(machine::accounts(asked, &settings));
    }
    findings.extend(machine::runtimes(&settings).await);
    let client = others::client(&settings);
    findings.push(others::port(&settings, client.as_ref().ok()).await);
    if has_backend {
        findings.extend(others::backend(&settings, client).await);
    }
    findings
}

/// What `run` requires, for a look at everything else.
fn filled(sources: Sources) -> Sources {
    let missing = |name: &str| sources.given(name).is_none();
    let (name, backend) = (missing(NAME), missing(BACKEND));
    sources.flag(NAME, "--name", name.then_some("satellite-doctor")).flag(
        BACKEND,
        "--backend",
        backend.then_some("http://127.0.0.1:3000"),
    )
}

fn line(finding: &Finding) -> String {
    let Finding { check, outcome, found, fix } = finding;
    let printable = |text: &str| output::cell(&json!(text));
    let mut line = format!("{}  {check:<16} {}", outcome.as_str(), printable(found));
    if let Some(fix) = fix {
        line.push_str(&format!("\n      {:<16} {}", "to mend it:", printable(fix)));
    }
    line
}

#[cfg(test)]
mod tests {
    use satellite_core::doctor::Outcome;

    use super::*;

    fn sources(variables: &[(&str, &str)]) -> Sources {
        let variables = variables.iter().map(|(name, value)| (name.into(), value.into()));
        Sources::from_variables(variables).unwrap()
    }

    #[test]
    fn a_finding_is_a_line_and_what_mends_it_another() {
        let finding = doctor::open_files(1_024);
        assert_eq!(
            line(&finding),
            "warn  open files       at most 1024: few for 50 instances and their clients\n\
             \x20     to mend it:      ulimit -n 65536, or LimitNOFILE=65536 in the unit"
        );
    }

    #[tokio::test]
    async fn a_machine_without_any_settings_is_looked_at_all_the_same() {
        let state = std::env::temp_dir().join(format!("doctor-{}", std::process::id()));
        let findings = look(sources(&[
            ("PATH", "/usr/bin:/bin"),
            ("PORT", "0"),
            ("SATELLITE_ISOLATION", "off"),
            ("SATELLITE_STATE_DIR", state.to_str().unwrap()),
        ]))
        .await;
        let failed: Vec<&str> =
            findings.iter().filter(|it| it.outcome == Outcome::Fail).map(|it| it.check).collect();
        assert_eq!(failed, ["settings"], "{findings:?}");
        assert!(findings.iter().any(|it| it.check == "runtimes"));
        assert!(!state.exists(), "it changes nothing");
    }

    #[tokio::test]
    async fn settings_that_cannot_be_read_are_all_that_is_said() {
        let findings = look(sources(&[("PORT", "many")])).await;
        assert_eq!(findings.len(), 1);
        assert_eq!((findings[0].check, findings[0].outcome), ("settings", Outcome::Fail));
    }
}
