use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use proptest::prelude::*;
use serde_json::{Value, json};

use super::authorisation::{self, Answer};
use super::client::{self, Client, Way};
use super::issuer::{self, ClientAuthentication, Issuer};
use super::refresh::{Consequence, Life, Standing, consequence};
use super::token::{self, Grant};
use super::{Problem, challenge, endpoint, resource};
use crate::egress::{AllowList, Rules, Target};
use crate::secret::Secret;
use crate::time::{HOUR, SECOND, Timestamp};

const NOW: Timestamp = Timestamp(1_769_850_902_123);
const AS: &str = "https://as.example";

fn target(url: &str) -> Target {
    Target::parse(url).unwrap()
}

fn metadata() -> Value {
    json!({"issuer": AS, "authorization_endpoint": "https://as.example/auth?tenant=1",
        "token_endpoint": "https://as.example/token",
        "registration_endpoint": "https://as.example/register",
        "response_types_supported": ["code"], "code_challenge_methods_supported": ["plain", "S256"],
        "token_endpoint_auth_methods_supported": ["none", "client_secret_post", "private_key_jwt"],
        "scopes_supported": ["openid", "offline_access"],
        "authorization_response_iss_parameter_supported": true})
}

fn with(mut document: Value, key: &str, value: Value) -> Value {
    document[key] = value;
    document
}

fn read(document: &Value) -> Result<Issuer, Problem> {
    issuer::read(document.to_string().as_bytes(), AS, &Rules::default())
}

fn public(id: &str) -> Client {
    Client {
        id: id.into(),
        secret: None,
        authentication: ClientAuthentication::None,
        secret_expires_at: None,
    }
}

#[test]
fn an_address_that_a_browser_or_a_shell_could_misread_is_refused() {
    let rules = Rules::default();
    for odd in [
        "file:///etc/passwd",
        "javascript:alert(1)",
        "https://as.example/$(reboot)",
        "https://as.example/`id`",
        "https://as.example/;id",
        "https://as.example/a|b",
        "https://as.example/'x'",
        "https://as.example/a b",
        "https://as.example/\"x",
        "https://user@as.example/",
        "https://as.example/#x",
        "http://as.example/auth",
        "https://127.0.0.1/auth",
        "https://169.254.169.254/auth",
        "//as.example/auth",
        "",
    ] {
        assert!(endpoint("it", odd, &rules).is_err(), "{odd}");
        let document = with(metadata(), "authorization_endpoint", json!(odd));
        assert!(matches!(read(&document), Err(Problem::Unacceptable(_))), "{odd}");
    }
    let allow = AllowList::parse(["127.0.0.1"]).unwrap();
    let listed = Rules { allow, allow_http: true, ..Rules::default() };
    assert!(endpoint("it", "http://127.0.0.1:9000/auth", &listed).is_ok());
}

#[test]
fn metadata_is_looked_for_at_the_path_first() {
    let server = target("https://h.example/a/mcp?key=1");
    let root = "https://h.example/.well-known/oauth-protected-resource";
    assert_eq!(resource::addresses(&server), [format!("{root}/a/mcp"), root.to_string()]);
    assert_eq!(resource::addresses(&target("https://h.example/")), [root]);
    let tenant = target("https://as.example/t1/");
    assert_eq!(
        issuer::addresses(&tenant),
        [
            "https://as.example/.well-known/oauth-authorization-server/t1",
            "https://as.example/.well-known/openid-configuration/t1",
            "https://as.example/t1/.well-known/openid-configuration",
        ]
    );
    assert_eq!(issuer::addresses(&target(AS)).len(), 2);
}

#[test]
fn a_resource_speaks_for_itself_and_for_what_is_below_it() {
    let server = target("https://h.example/a/mcp");
    let read = |resource: &str| {
        let document = json!({"resource": resource, "scopes_supported": ["read", "bad\"scope", ""],
            "authorization_servers": ["file:///x", "https://as.example", "http://as.example"]});
        resource::read(document.to_string().as_bytes(), &server, &Rules::default())
    };
    for own in ["https://h.example/a/mcp", "https://h.example/a", "https://h.example"] {
        let read = read(own).unwrap();
        assert_eq!((read.identifier.as_str(), read.issuers.len()), (own, 1));
        assert_eq!(read.scopes, ["read"]);
    }
    for foreign in [
        "https://h.example/a/mc",
        "https://h.example/a/mcp/b",
        "https://evil.example/a/mcp",
        "http://h.example/a/mcp",
        "https://h.example:444/a/mcp",
        "a/mcp",
    ] {
        assert!(read(foreign).is_err(), "{foreign}");
    }
    let nobody = json!({"resource": "https://h.example", "authorization_servers": null});
    let nobody = resource::read(nobody.to_string().as_bytes(), &server, &Rules::default());
    assert!(nobody.is_err());
    assert_eq!(resource::assumed(&server).issuers, ["https://h.example"]);
}

#[test]
fn a_challenge_says_where_the_metadata_is_and_which_scopes_are_wanted() {
    let read = |value| challenge::read([value]);
    let both = read(
        r#"Basic realm="x, Bearer scope=no", bearer realm="a\"b" , resource_metadata="https://h/m", scope="a b""#,
    );
    assert_eq!(both.resource_metadata.as_deref(), Some("https://h/m"));
    assert_eq!(both.scopes, ["a", "b"]);
    let other = read(r#"DPoP resource_metadata="https://h/m""#);
    assert_eq!(other, challenge::Challenge::default());
    let bare = read("Bearer scope=one,error=invalid_token");
    assert_eq!(bare.scopes, ["one"]);
    assert_eq!(read("Bearer"), challenge::Challenge::default());
}

#[test]
fn metadata_of_another_issuer_or_without_s256_is_refused() {
    let good = read(&metadata()).unwrap();
    assert!(good.names_itself && good.offers_offline_access && !good.takes_client_documents);
    assert_eq!(
        good.client_authentication,
        [ClientAuthentication::None, ClientAuthentication::Post]
    );
    assert!(read(&with(metadata(), "issuer", json!("https://as.example/"))).is_ok());
    for (key, value) in [
        ("issuer", json!("https://as.example/t1")),
        ("issuer", json!("https://as.example.evil")),
        ("issuer", json!("http://as.example")),
        ("code_challenge_methods_supported", json!(["plain"])),
        ("code_challenge_methods_supported", Value::Null),
        ("response_types_supported", json!(["token"])),
        ("grant_types_supported", json!(["client_credentials"])),
        ("token_endpoint", json!("https://10.0.0.1/token")),
        ("registration_endpoint", json!("file:///x")),
        ("token_endpoint", json!(7)),
    ] {
        let read = read(&with(metadata(), key, value.clone()));
        assert!(matches!(read, Err(Problem::Unacceptable(_))), "{key} {value}");
    }
}

#[test]
fn the_request_carries_everything_once_and_the_verifier_never() {
    let issuer = read(&metadata()).unwrap();
    let (state, verifier) = (Secret::new("st&ate"), authorisation::verifier(&[7; 32]));
    let resource = resource::Resource {
        identifier: "https://h.example/mcp".into(),
        issuers: Vec::new(),
        scopes: alloc::vec!["read".into()],
    };
    let scopes = authorisation::scopes(&[], &resource, &issuer);
    assert_eq!(scopes, ["read", "offline_access"]);
    assert_eq!(authorisation::scopes(&["x".into()], &resource, &issuer)[0], "x");
    let request = authorisation::Request {
        client: "c 1",
        redirect: "https://b.example/connect/callback",
        state: &state,
        verifier: &verifier,
        resource: &resource.identifier,
        scopes: &scopes,
    };
    let address = authorisation::address(&issuer, &request).unwrap();
    assert_eq!(
        address,
        format!(
            "https://as.example/auth?tenant=1&response_type=code&client_id=c%201\
             &redirect_uri=https%3A%2F%2Fb.example%2Fconnect%2Fcallback&state=st%26ate\
             &code_challenge={}&code_challenge_method=S256\
             &resource=https%3A%2F%2Fh.example%2Fmcp&scope=read%20offline_access&prompt=consent",
            authorisation::challenge(&verifier)
        )
    );
    assert!(!address.contains(verifier.expose()));
    let taken = Issuer { authorisation_endpoint: format!("{AS}/auth?%73tate=x"), ..issuer };
    assert!(authorisation::address(&taken, &request).is_err());
}

#[test]
fn the_challenge_is_that_of_the_rfc() {
    // RFC 7636, appendix B.
    let verifier = Secret::new("dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk");
    let expected = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";
    assert_eq!(authorisation::challenge(&verifier), expected);
}

#[test]
fn an_answer_counts_only_from_the_issuer_that_was_asked() {
    let code = |query: &str, names_itself| Answer::read(query).unwrap().code(AS, names_itself);
    let from_as = "code=c1&state=s&iss=https%3A%2F%2Fas.example";
    assert_eq!(code(from_as, true), Ok(Secret::new("c1")));
    assert_eq!(code("code=c1&state=s", false), Ok(Secret::new("c1")));
    assert!(matches!(code("code=c1&state=s", true), Err(Problem::Unacceptable(_))));
    for named in [true, false] {
        let evil = code("code=c1&iss=https%3A%2F%2Fevil.example", named);
        assert!(matches!(evil, Err(Problem::Unacceptable(_))));
    }
    let no = code("error=access_denied<script>&state=s", false).unwrap_err();
    assert!(matches!(&no, Problem::Declined(text) if !text.contains('<')), "{no}");
    assert!(code("state=s", false).is_err());
    assert!(code("code=a%0d%0ab", false).is_err());
    assert!(Answer::read("code=a&code=b").is_err());
    assert!(Answer::read("state=%ff").is_err());
}

#[test]
fn a_client_shows_its_secret_in_the_way_it_was_given() {
    let refresh = Secret::new("r+1");
    let ask = |client: &Client| token::request(client, "https://h/m", Grant::Refresh(&refresh));
    let fields = "grant_type=refresh_token&refresh_token=r%2B1&resource=https%3A%2F%2Fh%2Fm";
    let none = ask(&public("c"));
    assert_eq!(none.form.expose(), format!("{fields}&client_id=c"));
    assert_eq!(none.authorisation, None);
    let secret = |authentication| Client {
        secret: Some(Secret::new("s:1")),
        authentication,
        ..public("c:1")
    };
    let basic = ask(&secret(ClientAuthentication::Basic));
    assert_eq!(basic.form.expose(), fields);
    // "c%3A1:s%3A1"
    assert_eq!(basic.authorisation, Some(Secret::new("Basic YyUzQTE6cyUzQTE=")));
    let post = ask(&secret(ClientAuthentication::Post));
    assert_eq!(post.form.expose(), format!("{fields}&client_id=c%3A1&client_secret=s%3A1"));
}

#[test]
fn a_token_is_taken_only_as_a_header_can_carry_it() {
    let granted = |body: Value| token::granted(200, body.to_string().as_bytes(), NOW);
    let good = json!({"access_token": "a", "token_type": "bearer", "expires_in": 60});
    let read = granted(good.clone()).unwrap();
    assert_eq!(read.expires_at, Some(NOW.after(60 * SECOND)));
    assert_eq!((read.token_type.as_str(), read.refresh_token), ("Bearer", None));
    for (life, expected) in [
        (json!("3600"), Some(3_600)),
        (json!(1.5), Some(1)),
        (json!(-5), Some(0)),
        (json!(null), None),
        (json!("soon"), None),
        (json!(u64::MAX), Some(3_650 * 24 * 3_600)),
    ] {
        let read = granted(with(good.clone(), "expires_in", life.clone())).unwrap();
        assert_eq!(read.expires_at, expected.map(|it| NOW.after(it * SECOND)), "{life}");
    }
    for (key, value) in [
        ("access_token", json!("")),
        ("access_token", json!("a\r\nX: y")),
        ("access_token", json!("x".repeat(20_000))),
        ("access_token", Value::Null),
        ("token_type", json!("DPoP")),
        ("refresh_token", json!("a b")),
    ] {
        let read = granted(with(good.clone(), key, value));
        assert!(matches!(read, Err(Problem::Unacceptable(_))), "{key}");
    }
    assert!(matches!(token::granted(200, b"<html>", NOW), Err(Problem::Unacceptable(_))));
}

#[test]
fn only_the_authorisation_servers_own_no_ends_a_grant() {
    for (status, body, expected) in [
        (400, r#"{"error":"invalid_grant","error_description":"<b>"}"#, Consequence::Over),
        (401, r#"{"error":"invalid_client"}"#, Consequence::Over),
        (400, r#"{"error":"invalid_request"}"#, Consequence::Later),
        (502, r#"{"error":"invalid_grant"}"#, Consequence::Later),
        (429, "", Consequence::Later),
        (403, "<html>proxy</html>", Consequence::Later),
        (407, "", Consequence::Later),
        (200, "<html>captive portal</html>", Consequence::Later),
    ] {
        let problem = token::granted(status, body.as_bytes(), NOW).unwrap_err();
        assert_eq!(consequence(&problem), expected, "{status} {body}");
        assert!(!problem.message().contains('<'), "{problem}");
    }
}

#[test]
fn a_client_registers_itself_and_its_reply_is_judged() {
    let issuer = read(&metadata()).unwrap();
    let redirect = "http://127.0.0.1:3000/connect/callback";
    let sent = client::registration(&issuer, "http://127.0.0.1:3000", redirect);
    let sent: Value = serde_json::from_slice(&sent).unwrap();
    assert_eq!(sent["token_endpoint_auth_method"], "client_secret_post");
    assert_eq!(sent["redirect_uris"], json!([redirect]));
    assert_eq!(sent["application_type"], "native");
    let read = |body: Value| client::registered(201, body.to_string().as_bytes());
    let secret = json!({"client_id": "c", "client_secret": "s", "client_secret_expires_at": 0});
    let registered = read(secret.clone()).unwrap();
    assert_eq!(registered.authentication, ClientAuthentication::Basic);
    assert!(registered.is_usable(NOW));
    let ends = read(with(secret.clone(), "client_secret_expires_at", json!(1))).unwrap();
    assert!(!ends.is_usable(NOW));
    assert_eq!(read(json!({"client_id": "c"})), Ok(public("c")));
    for bad in [
        json!({"client_id": ""}),
        json!({"client_id": "a b"}),
        json!({"client_id": "c", "token_endpoint_auth_method": "private_key_jwt"}),
        json!({"client_id": "c", "token_endpoint_auth_method": "client_secret_basic"}),
        json!({"client_secret": "s"}),
    ] {
        assert!(read(bad.clone()).is_err(), "{bad}");
    }
}

#[test]
fn a_client_document_is_used_where_it_is_taken_and_can_be_fetched() {
    let issuer = Issuer { takes_client_documents: true, ..read(&metadata()).unwrap() };
    let address = "https://b.example/connect/client.json";
    let Ok(Way::Document(client)) = client::choose(&issuer, Some(address)) else {
        panic!("no document")
    };
    assert_eq!(client, public(address));
    assert!(matches!(client::choose(&issuer, None), Ok(Way::Register(_))));
    let by_hand = Issuer { registration_endpoint: None, takes_client_documents: false, ..issuer };
    assert!(client::choose(&by_hand, Some(address)).is_err());
    let document = client::document(address, "https://b.example", "https://b.example/back");
    let document: Value = serde_json::from_slice(&document).unwrap();
    assert_eq!(document["client_id"], address);
    assert_eq!(document["token_endpoint_auth_method"], "none");
}

#[test]
fn a_token_is_renewed_shortly_before_its_end() {
    let life = Life { issued_at: NOW, expires_at: Some(NOW.after(HOUR)) };
    assert_eq!(life.standing(NOW.after(HOUR - 61 * SECOND)), Standing::Fresh);
    assert_eq!(life.standing(NOW.after(HOUR - 60 * SECOND)), Standing::Due);
    assert_eq!(life.standing(NOW.after(HOUR)), Standing::Ended);
    let short = Life { issued_at: NOW, expires_at: Some(NOW.after(10 * SECOND)) };
    assert_eq!(short.standing(NOW.after(8 * SECOND)), Standing::Fresh);
    assert_eq!(short.standing(NOW.after(9 * SECOND)), Standing::Due);
    let endless = Life { issued_at: NOW, expires_at: None };
    assert_eq!(endless.standing(NOW.after(u64::MAX)), Standing::Fresh);
    assert_eq!(endless.refused(NOW.after(HOUR)), Standing::Ended);
    assert_eq!(life.refused(NOW.after(SECOND)), Standing::Fresh, "another would fare no better");
}

proptest! {
    #[test]
    fn no_document_and_no_reply_makes_a_reader_panic(
        body in prop::collection::vec(any::<u8>(), 0..200),
        text in ".{0,200}",
        status in any::<u16>(),
    ) {
        let server = target("https://h.example/mcp");
        let rules = Rules::default();
        let _ = resource::read(&body, &server, &rules);
        let _ = issuer::read(&body, AS, &rules);
        let _ = client::registered(status, &body);
        let _ = token::granted(status, &body, NOW);
        let _ = challenge::read([text.as_str()]);
        let _ = Answer::read(&text).map(|answer| answer.code(AS, true));
        let _ = endpoint("it", &text, &rules);
    }

    #[test]
    fn whatever_the_values_are_an_address_names_each_parameter_once(
        state in "\\PC{0,40}",
        client in "\\PC{0,40}",
        scope in "[!-~]{0,20}",
    ) {
        let issuer = read(&metadata()).unwrap();
        let (state, verifier) = (Secret::new(state), Secret::new("v"));
        let scopes: [String; 1] = [scope];
        let request = authorisation::Request {
            client: &client,
            redirect: "https://b.example/back",
            state: &state,
            verifier: &verifier,
            resource: "https://h.example/mcp",
            scopes: &scopes,
        };
        let address = authorisation::address(&issuer, &request).unwrap();
        let back = Answer::read(address.split_once('?').unwrap().1).unwrap();
        prop_assert_eq!(back.state, Some(state));
        prop_assert_eq!(address.matches("&state=").count(), 1);
        prop_assert_eq!(address.matches("&client_id=").count(), 1);
        prop_assert!(endpoint("it", &address, &Rules::default()).is_ok());
    }
}
