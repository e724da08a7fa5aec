use alloc::string::ToString;

use proptest::prelude::*;

use super::*;

const NOW: Timestamp = Timestamp(1_769_850_902_123);

fn key() -> Secret {
    Secret::new("0123456789abcdef0123456789abcdef")
}

fn team_claims() -> Claims {
    let owner = Owner::Team("team_9".into());
    Claims::new(&owner, "user_1".into(), None, NOW, b"123456789").unwrap()
}

fn forge(header: &str, claims: &str, prefix: &str) -> String {
    let signed = format!("{}.{}", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(claims));
    let mut mac = keyed(&key()).unwrap();
    mac.update(signed.as_bytes());
    format!("{prefix}{signed}.{}", URL_SAFE_NO_PAD.encode(mac.finalize().into_bytes()))
}

#[test]
fn a_token_that_was_issued_is_accepted_until_its_end() {
    let claims = team_claims();
    assert!(claims.jti.starts_with("tsat_reg_") && claims.jti.len() == 9 + 12);
    let token = issue(&key(), &claims).unwrap();
    assert!(token.expose().starts_with("deploystack_satellite_team_eyJ"));
    assert_eq!(verify(&key(), token.expose(), NOW), Ok(claims.clone()));
    assert_eq!(claims.owner(), Some(Owner::Team("team_9".into())));
    let end = claims.expires_at();
    assert!(verify(&key(), token.expose(), Timestamp(end.0 - 1)).is_ok());
    assert_eq!(verify(&key(), token.expose(), end), Err(TokenFault::Expired { at: end }));
}

#[test]
fn a_signature_of_another_implementation_is_accepted() {
    // The example of RFC 7515, appendix A.1, checked for its signature alone: its claims are not
    // ours, so the refusal must come from there.
    let key_bytes = URL_SAFE_NO_PAD
        .decode("AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow")
        .unwrap();
    let mut mac = Hmac::<Sha256>::new_from_slice(&key_bytes).unwrap();
    mac.update(
        concat!(
            "eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9.",
            "eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFt",
            "cGxlLmNvbS9pc19yb290Ijp0cnVlfQ"
        )
        .as_bytes(),
    );
    assert_eq!(
        URL_SAFE_NO_PAD.encode(mac.finalize().into_bytes()),
        "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"
    );
}

#[test]
fn each_forgery_is_refused_for_its_own_reason() {
    let claims = crate::wire::encode(&team_claims());
    let claims = core::str::from_utf8(&claims).unwrap();
    let header = r#"{"alg":"HS256","typ":"JWT"}"#;
    let refused = |token: &str| verify(&key(), token, NOW).unwrap_err().to_string();

    let none = forge(r#"{"alg":"none"}"#, claims, TEAM_PREFIX);
    assert!(refused(&none).contains("HS256"));
    let unsigned = none.rsplit_once('.').unwrap().0;
    assert!(refused(&format!("{unsigned}.")).contains("HS256"));
    let issuer = claims.replace(ISSUER, "somebody.else");
    assert!(refused(&forge(header, &issuer, TEAM_PREFIX)).contains("issuer"));
    let audience = claims.replace(AUDIENCE, "mcp");
    assert!(refused(&forge(header, &audience, TEAM_PREFIX)).contains("purpose"));
    let other_key = Secret::new("another key of at least 32 bytes!");
    let foreign = issue(&other_key, &team_claims()).unwrap();
    assert!(refused(foreign.expose()).contains("signature"));
    assert!(refused("deploystack_satellite_galactic_x").contains("prefix"));
    assert!(refused("deploystack_satellite_team_x").contains("JWT"));
    assert_eq!(verify(&key(), "", NOW), Err(TokenFault::Missing));
    assert_eq!(
        verify(&key(), &forge(header, claims, GLOBAL_PREFIX), NOW),
        Err(TokenFault::InvalidScope)
    );
    let no_team = claims.replace(r#""team_id":"team_9","#, "");
    assert_eq!(
        verify(&key(), &forge(header, &no_team, TEAM_PREFIX), NOW),
        Err(TokenFault::InvalidScope)
    );
}

#[test]
fn a_life_out_of_range_is_refused() {
    let make = |owner: &Owner, hours| {
        Claims::new(owner, "u".into(), hours, NOW, b"123456789")
            .map(|claims| claims.exp - claims.iat)
    };
    assert_eq!(make(&Owner::Global, None), Ok(3_600));
    assert_eq!(make(&Owner::Global, Some(24)), Ok(24 * 3_600));
    assert!(make(&Owner::Global, Some(25)).is_err());
    assert!(make(&Owner::Global, Some(0)).is_err());
    let team = Owner::Team("t".into());
    assert_eq!(make(&team, None), Ok(24 * 3_600));
    assert!(make(&team, Some(73)).is_err());
}

#[test]
fn a_short_key_signs_nothing() {
    assert!(issue(&Secret::new("short"), &team_claims()).is_err());
}

proptest! {
    #[test]
    fn a_changed_token_is_never_accepted(at in 0usize..200, to in "[A-Za-z0-9_.-]") {
        let token = issue(&key(), &team_claims()).unwrap();
        let mut changed: Vec<char> = token.expose().chars().collect();
        let at = at % changed.len();
        changed[at] = to.chars().next().unwrap();
        let changed: String = changed.into_iter().collect();
        prop_assume!(changed != token.expose());
        prop_assert!(verify(&key(), &changed, NOW).is_err());
    }
}
