//! Error bodies of the Backend: its own, and those of the framework some Backends run on.

use alloc::borrow::ToOwned;
use alloc::format;
use alloc::string::String;

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Codes that stand in `error`.
pub mod code {
    /// The registration carried no token.
    pub const REGISTRATION_TOKEN_REQUIRED: &str = "registration_token_required";
    /// The token is not one of this Backend's.
    pub const INVALID_REGISTRATION_TOKEN: &str = "invalid_registration_token";
    /// The token's time is over.
    pub const TOKEN_EXPIRED: &str = "token_expired";
    /// A satellite has used the token.
    pub const TOKEN_ALREADY_USED: &str = "token_already_used";
    /// The token is for the other kind of satellite.
    pub const TOKEN_INVALID_SCOPE: &str = "token_invalid_scope";
    /// The name belongs to another owner's satellite.
    pub const SATELLITE_NAME_TAKEN: &str = "satellite_name_taken";
    /// The registration could not be stored.
    pub const REGISTRATION_FAILED: &str = "registration_failed";
    /// The pairing is void: an administrator revoked the key.
    pub const API_KEY_REVOKED: &str = "api_key_revoked";
    /// The pairing is void: an administrator deleted the satellite.
    pub const SATELLITE_DELETED: &str = "satellite_deleted";
}

/// The Backend's own error body.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct ErrorBody {
    /// Always `false`.
    #[serde(default)]
    pub success: bool,
    /// A code of [`code`] where the contract names one, else a text.
    pub error: String,
    /// What happened, for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// What to do about it, for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub instructions: Option<String>,
}

impl ErrorBody {
    /// An error without a message.
    pub fn new(error: impl Into<String>) -> Self {
        ErrorBody { error: error.into(), ..ErrorBody::default() }
    }

    /// The error with a text of what happened.
    #[must_use]
    pub fn with_message(mut self, message: impl Into<String>) -> Self {
        self.message = Some(message.into());
        self
    }

    /// The error with a text of what to do.
    #[must_use]
    pub fn with_instructions(mut self, instructions: impl Into<String>) -> Self {
        self.instructions = Some(instructions.into());
        self
    }

    /// Reads whatever came with a status that is not 2xx: this shape, the framework's
    /// (`statusCode, code, error, message`), an OAuth error (`error, error_description`), or none,
    /// in which case the error is `HTTP {status}`.
    pub fn read(status: u16, body: &[u8]) -> ErrorBody {
        let nothing = || ErrorBody::new(format!("HTTP {status}"));
        let Ok(Value::Object(fields)) = serde_json::from_slice::<Value>(body) else {
            return nothing();
        };
        let text =
            |name: &str| fields.get(name).and_then(Value::as_str).filter(|text| !text.is_empty());
        let Some(error) = text("error").or_else(|| text("code")).or_else(|| text("message")) else {
            return nothing();
        };
        ErrorBody {
            success: false,
            error: error.to_owned(),
            message: text("message").or_else(|| text("error_description")).map(ToOwned::to_owned),
            instructions: text("instructions").map(ToOwned::to_owned),
        }
    }

    /// Whether it says that the pairing is void. Nothing else ever does: a bare 401 may be a
    /// hiccup of something in between.
    pub fn voids_pairing(&self) -> bool {
        matches!(self.error.as_str(), code::API_KEY_REVOKED | code::SATELLITE_DELETED)
    }
}

impl core::fmt::Display for ErrorBody {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match &self.message {
            Some(message) if *message != self.error => write!(f, "{}: {message}", self.error),
            _ => f.write_str(&self.error),
        }
    }
}

/// The same as a problem (RFC 9457): what routes of administration answer. Its additional members
/// are the fields of [`ErrorBody`], so that whoever reads those alone misses nothing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Problem {
    /// `about:blank`: what kind it is says the status, and more exactly `error`.
    #[serde(rename = "type")]
    pub kind: String,
    /// The status's name.
    pub title: String,
    /// The status code again.
    pub status: u16,
    /// What happened, for people.
    pub detail: String,
    /// The error as everywhere else.
    #[serde(flatten)]
    pub body: ErrorBody,
}

impl Problem {
    /// `body` as the problem of a reply with `status`, which is called `title`.
    pub fn new(status: u16, title: &str, body: ErrorBody) -> Problem {
        let detail = body.message.clone().unwrap_or_else(|| body.error.clone());
        Problem { kind: "about:blank".to_owned(), title: title.to_owned(), status, detail, body }
    }
}

/// The body of a request that fails a schema check, in the framework's shape.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct ValidationBody {
    /// The status code again.
    pub status_code: u16,
    /// `FST_ERR_VALIDATION`
    pub code: String,
    /// The status's name.
    pub error: String,
    /// Which field is wrong.
    pub message: String,
}

impl ValidationBody {
    /// A 400 that says `message`.
    pub fn new(message: impl Into<String>) -> Self {
        ValidationBody {
            status_code: 400,
            code: String::from("FST_ERR_VALIDATION"),
            error: String::from("Bad Request"),
            message: message.into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_shapes_and_none_are_read() {
        let own = ErrorBody::read(
            401,
            br#"{"success":false,"error":"token_expired","message":"ended yesterday"}"#,
        );
        assert_eq!(own.error, "token_expired");
        assert_eq!(alloc::string::ToString::to_string(&own), "token_expired: ended yesterday");

        let body = super::super::encode(&ValidationBody::new("body/name must be string"));
        let framework = ErrorBody::read(400, &body);
        assert_eq!(framework.error, "Bad Request");
        assert_eq!(framework.message.as_deref(), Some("body/name must be string"));

        for body in [&b"<html>502</html>"[..], b"", b"[]", b"{}", b"{\"error\":7}", b"\xff"] {
            assert_eq!(ErrorBody::read(502, body).error, "HTTP 502");
        }
    }

    #[test]
    fn a_problem_is_read_as_the_error_it_is() {
        let body = ErrorBody::new("validation failed (400)").with_message("team: `name`: missing");
        let problem = Problem::new(400, "Bad Request", body.clone());
        assert_eq!(problem.detail, "team: `name`: missing");
        let written = super::super::encode(&problem);
        assert_eq!(ErrorBody::read(400, &written), body);
        assert_eq!(Problem::new(404, "Not Found", ErrorBody::new("gone")).detail, "gone");
    }

    #[test]
    fn only_two_codes_void_a_pairing() {
        assert!(ErrorBody::new(code::API_KEY_REVOKED).voids_pairing());
        assert!(ErrorBody::new(code::SATELLITE_DELETED).voids_pairing());
        assert!(!ErrorBody::read(401, b"{\"error\":\"Unauthorized\"}").voids_pairing());
        assert!(!ErrorBody::read(401, b"").voids_pairing());
    }
}
