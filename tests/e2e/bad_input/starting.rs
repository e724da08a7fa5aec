//! Programs that cannot start: what they say, and with which exit code they end.

use std::process::Stdio;

use satellite_core::backend::registration_token::{self, Claims};
use satellite_core::secret::Secret;
use satellite_core::time::{HOUR, Timestamp};
use satellite_core::wire::registration::SatelliteType;
use serde_json::{Value, json};
use tokio::time::timeout;

use crate::harness::{Dev, LONG, Scratch, command};
use crate::mcp::http;

/// Runs the program to its end: exit code, standard output, standard error.
async fn run(arguments: &[&str], environment: &[(&str, &str)]) -> (Option<i32>, String, String) {
    let mut command = command(arguments);
    command.envs(environment.iter().copied()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let output = timeout(LONG, command.output()).await.expect("it ends").expect("it starts");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (output.status.code(), text(&output.stdout), text(&output.stderr))
}

/// What a daemon that could not start, or had to end, says last.
async fn last_words(
    case: &str,
    arguments: &[&str],
    environment: &[(&str, &str)],
) -> (Option<i32>, Value) {
    let (code, _, stderr) = run(arguments, environment).await;
    let last = stderr.lines().last().unwrap_or_default();
    let line: Value = serde_json::from_str(last)
        .unwrap_or_else(|error| panic!("{case}: the last line is no JSON ({error}): {stderr}"));
    assert_eq!(line["level"], "fatal", "{case}: the last line is fatal: {stderr}");
    assert!(line["hint"].as_str().is_some_and(|text| !text.is_empty()), "{case}: {line}");
    assert_eq!(line["code"].as_i64(), code.map(i64::from), "{case}: {line}");
    (code, line)
}

/// The JSON line of a `dev --json` that could not start.
async fn refused(scratch: &Scratch, arguments: &[&str]) -> (Option<i32>, Value) {
    let directory = scratch.0.join("state").display().to_string();
    let mut all = vec!["dev", "--json", "--dir", &directory];
    all.extend(arguments);
    let (code, stdout, stderr) = run(&all, &[]).await;
    let line: Value = serde_json::from_str(stdout.lines().next().unwrap_or_default())
        .unwrap_or_else(|error| panic!("no JSON line ({error}): {stdout}\n{stderr}"));
    assert_eq!(line["ready"], false, "{line}");
    assert!(line["error"].as_str().is_some_and(|text| !text.is_empty()), "{line}");
    assert!(line["hint"].as_str().is_some_and(|text| !text.is_empty()), "{line}");
    (code, line)
}

/// An address at which nobody listens.
fn nobody() -> String {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port is free");
    format!("http://{}", listener.local_addr().expect("it has an address"))
}

#[tokio::test]
async fn an_mcp_json_that_cannot_be_used_is_refused_with_line_and_column() {
    let scratch = Scratch::new("malformed");
    for (content, place) in [
        ("{\n  \"mcpServers\": {\n    \"a\": {\"command\": 1}\n  }\n}\n", "line 3, column 22"),
        ("{\n  \"mcpServers\": {\n    \"a\": {,}\n  }\n}\n", "line 3, column 11"),
        ("{\n  \"mcpServers\": {\n", ", column "),
    ] {
        let path = scratch.write("mcp.json", content).display().to_string();
        let (code, line) =
            refused(&scratch, &["--port", "0", "--backend-port", "0", "--servers", &path]).await;
        assert_eq!(code, Some(2), "{line}");
        let error = line["error"].as_str().unwrap_or_default();
        assert!(error.contains("mcp.json") && error.contains(place), "{place} of the file: {line}");
    }
    let missing = scratch.0.join("none.json").display().to_string();
    let directory = scratch.0.display().to_string();
    for path in [&missing, &directory] {
        let (code, line) =
            refused(&scratch, &["--port", "0", "--backend-port", "0", "--servers", path]).await;
        assert_eq!(code, Some(2), "{line}");
        assert!(line["error"].as_str().unwrap_or_default().contains(path.as_str()), "{line}");
    }
}

#[tokio::test]
async fn a_port_in_use_has_its_own_exit_code() {
    let scratch = Scratch::new("port");
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("a port is free");
    let port = taken.local_addr().expect("it has an address").port().to_string();
    for arguments in
        [["--port", &port, "--backend-port", "0"], ["--port", "0", "--backend-port", &port]]
    {
        let (code, line) = refused(&scratch, &arguments).await;
        assert_eq!(code, Some(5), "{line}");
        assert!(line["error"].as_str().unwrap_or_default().contains(&port), "{line}");
    }

    let state = scratch.0.join("daemon").display().to_string();
    let arguments = ["run", "--state-dir", &state, "--host", "127.0.0.1", "--port", &port];
    let environment = [("DEPLOYSTACK_SATELLITE_NAME", "satellite-under-test")];
    let (code, line) = last_words("run", &arguments, &environment).await;
    assert_eq!(code, Some(5), "{line}");
    assert!(line["msg"].as_str().unwrap_or_default().contains(&port), "{line}");

    let database = format!("sqlite:{}", scratch.0.join("backend.db").display());
    let listen = format!("127.0.0.1:{port}");
    let arguments = ["backend", "--listen", &listen, "--database-url", &database];
    let (code, _, stderr) = run(&arguments, &[]).await;
    assert_eq!(code, Some(5), "{stderr}");
    assert!(stderr.contains(&port) && stderr.contains("--listen"), "{stderr}");
}

/// A token that was good and has been used: another satellite paired with it.
async fn used_token(dev: &Dev) -> String {
    let backend = dev.running.text("/backend_url");
    let create = format!("{backend}/api/satellites/global/registration-tokens");
    let created = http().post(create).bearer_auth(dev.running.text("/admin_token"));
    let created = created.header("content-type", "application/json").body("{}");
    let created = created.send().await.expect("the Backend answers");
    let created = created.text().await.expect("the answer arrives whole");
    let created: Value = serde_json::from_str(&created).expect("the answer is JSON");
    let token = created["data"]["token"]["token"].as_str().expect("a token").to_string();
    let body = json!({"name": "somebody-else-01", "capabilities": ["stdio"]}).to_string();
    let register = http().post(format!("{backend}/api/satellites/register")).bearer_auth(&token);
    let registered = register.header("content-type", "application/json").body(body).send().await;
    assert!(registered.expect("the Backend answers").status().is_success(), "the token is good");
    token
}

/// A token that this Backend signed and whose time is over.
fn expired_token(dev: &Dev) -> String {
    let key = dev.query("SELECT value FROM \"backendSecrets\" WHERE name = 'jwt_secret'").remove(0);
    let claims = Claims {
        iss: registration_token::ISSUER.to_string(),
        aud: registration_token::AUDIENCE.to_string(),
        iat: 1_700_000_000,
        exp: Timestamp(1_700_000_000_000).after(HOUR).0 / 1_000,
        jti: "gsat_reg_expired".to_string(),
        scope: SatelliteType::Global,
        team_id: None,
        created_by: satellite_core::id::UserId::new("user_1"),
        permissions: vec!["register_global_satellite".to_string()],
    };
    let token = registration_token::issue(&Secret::new(key), &claims).expect("the key is good");
    token.expose().to_string()
}

#[tokio::test]
async fn a_daemon_that_cannot_pair_says_why_and_ends_with_its_code() {
    let dev = Dev::start("pairing-backend", None).await;
    let backend = dev.running.text("/backend_url");
    let (used, expired, dead) = (used_token(&dev).await, expired_token(&dev), nobody());
    let known = dev.query("SELECT count(*) FROM satellites");
    let good = "satellite-under-test";
    let unknown = "deploystack_satellite_global_never-issued-by-anybody";
    let cases = [
        ("wrong name", "No Good", unknown, backend, 2, "name"),
        ("missing token", good, "", backend, 2, "no registration token"),
        ("no token at all", good, "hello", backend, 2, "registration token"),
        ("unknown token", good, unknown, backend, 4, "invalid"),
        ("used token", good, used.as_str(), backend, 4, "already"),
        ("expired token", good, expired.as_str(), backend, 4, "expired"),
        ("unreachable Backend", good, unknown, dead.as_str(), 3, dead.as_str()),
        ("plain http", good, unknown, "http://backend.example", 2, "http"),
    ];
    for (case, name, token, url, expected, says) in cases {
        let state = dev.scratch.0.join(case).display().to_string();
        let mut environment = vec![
            ("DEPLOYSTACK_SATELLITE_NAME", name),
            ("DEPLOYSTACK_BACKEND_URL", url),
            ("HOST", "127.0.0.1"),
            ("PORT", "0"),
        ];
        if !token.is_empty() {
            environment.push(("DEPLOYSTACK_REGISTRATION_TOKEN", token));
        }
        let (code, line) = last_words(case, &["run", "--state-dir", &state], &environment).await;
        eprintln!("{case}: {code:?} {} | {}", line["msg"], line["hint"]);
        assert_eq!(code, Some(expected), "{case}: {line}");
        assert!(line.to_string().contains(says), "{case}: {line}");
        assert!(token.len() < 10 || !line.to_string().contains(token), "{case}: a secret: {line}");
    }
    assert_eq!(dev.query("SELECT count(*) FROM satellites"), known, "nobody was paired");
    let health = http().get(format!("{backend}/api/health")).send().await;
    assert!(health.is_ok_and(|answer| answer.status().is_success()), "the Backend goes on");
}

#[tokio::test]
async fn an_administrator_without_a_backend_or_a_token_is_told() {
    let dead = nobody();
    let arguments = ["token", "create", "--backend", &dead, "--admin-token", "ds_admin_x"];
    let (code, _, stderr) = run(&arguments, &[]).await;
    assert_eq!(code, Some(3), "{stderr}");
    assert!(stderr.contains(&dead), "{stderr}");
    let (code, _, stderr) = run(&["token", "create", "--backend", &dead], &[]).await;
    assert_eq!(code, Some(2), "{stderr}");
    assert!(stderr.contains("SATELLITE_ADMIN_TOKEN"), "{stderr}");
}
