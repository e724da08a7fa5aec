//! `satellite doctor` beside a satellite that runs, and as an operator's shell starts it.

use serde_json::Value;

use crate::harness::{Dev, command, program};

fn outcome<'a>(examined: &'a Value, check: &str) -> Vec<&'a str> {
    let checks = examined["checks"].as_array().into_iter().flatten();
    let of_it = checks.filter(|it| it["check"] == check);
    of_it.filter_map(|it| it["outcome"].as_str()).collect()
}

#[tokio::test]
async fn the_doctor_knows_the_backend_its_clock_and_the_satellite_on_the_port() {
    let dev = Dev::start("doctor", None).await;
    let port = dev.running.text("/satellite_url").rsplit_once(':').expect("it has a port").1;
    let mut examination = command(&["doctor", "--json", "--isolation", "off"]);
    let output = examination
        .args(["--backend", dev.running.text("/backend_url")])
        .env("DEPLOYSTACK_SATELLITE_NAME", "doctor-satellite")
        .env("HOST", "127.0.0.1")
        .env("PORT", port)
        .output()
        .await
        .expect("it runs");
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let examined: Value = serde_json::from_str(&said).expect("JSON");
    assert!(output.status.success(), "{said}");
    for check in ["settings", "Backend", "clock", "port"] {
        assert_eq!(outcome(&examined, check), ["pass"], "{check}: {said}");
    }
    assert!(said.contains("a satellite serves there"), "{said}");
}

#[tokio::test]
async fn a_jail_is_set_up_from_a_shell_that_keeps_its_files_to_itself() {
    let mut shell = tokio::process::Command::new("sh");
    let output = shell
        .args(["-c", "umask 077 && exec \"$@\"", "sh"])
        .arg(program())
        .args(["doctor", "--json", "--backend", "http://127.0.0.1:1"])
        .env("DEPLOYSTACK_SATELLITE_NAME", "doctor-satellite")
        .env("PORT", "0")
        .output()
        .await
        .expect("it runs");
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let examined: Value = serde_json::from_str(&said).expect("JSON");
    assert_eq!(output.status.code(), Some(1), "nobody answers for the Backend: {said}");
    assert_eq!(outcome(&examined, "Backend"), ["fail"], "{said}");
    assert_eq!(outcome(&examined, "jail"), ["pass"], "{said}");
}
