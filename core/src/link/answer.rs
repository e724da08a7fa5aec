//! What an answer that is not the hoped-for one says.

use alloc::format;
use alloc::string::{String, ToString};

use crate::backoff::retry_after;
use crate::http::{HttpAnswer, HttpFailure};
use crate::time::Timestamp;
use crate::wire::error::ErrorBody;

/// Longest text of the other side that is repeated in a log line or an exit message.
const QUOTE_MAX_CHARS: usize = 300;

/// The error in an answer, as far as a log line should repeat it.
pub(crate) fn error_body(answer: &HttpAnswer) -> ErrorBody {
    let mut body = ErrorBody::read(answer.status, &answer.body);
    body.error = printable(&body.error);
    body.message = body.message.as_deref().map(printable);
    body
}

/// What went wrong, in one line: `HTTP 503: registration_failed: the database is away`, or the
/// failure to get an answer at all.
pub(crate) fn describe(answer: &Result<HttpAnswer, HttpFailure>) -> String {
    let answer = match answer {
        Err(failure) => return failure.to_string(),
        Ok(answer) => answer,
    };
    let status = format!("HTTP {}", answer.status);
    let body = error_body(answer).to_string();
    if body == status { status } else { format!("{status}: {body}") }
}

/// How long the other side asks to be left alone, in milliseconds.
pub(crate) fn asked_wait(answer: &Result<HttpAnswer, HttpFailure>, now: Timestamp) -> Option<u64> {
    let value = answer.as_ref().ok()?.retry_after.as_deref()?;
    retry_after::parse(value, now)
}

/// `text` as far as a log line should repeat it.
fn printable(text: &str) -> String {
    text.chars().filter(|character| !character.is_control()).take(QUOTE_MAX_CHARS).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(body: &str) -> HttpAnswer {
        HttpAnswer { status: 503, body: body.as_bytes().to_vec(), ..HttpAnswer::default() }
    }

    #[test]
    fn both_shapes_of_error_are_read() {
        for (body, text) in [
            (r#"{"success":false,"error":"no such satellite"}"#, "HTTP 503: no such satellite"),
            (
                r#"{"statusCode":400,"code":"FST_ERR","error":"Bad Request","message":"body/name"}"#,
                "HTTP 503: Bad Request: body/name",
            ),
            ("<html>gateway</html>", "HTTP 503"),
            ("[]", "HTTP 503"),
            (r#"{"error":{"deep":true}}"#, "HTTP 503"),
            (r#"{"error":"HTTP 503"}"#, "HTTP 503"),
            ("", "HTTP 503"),
        ] {
            assert_eq!(describe(&Ok(answer(body))), text);
        }
    }

    #[test]
    fn the_other_side_cannot_flood_or_break_a_log_line() {
        let long = "x".repeat(10_000);
        for (body, start) in [
            (format!(r#"{{"error":"a\nb{long}"}}"#), "HTTP 503: abx"),
            (format!(r#"{{"error":"away","message":"a\nb{long}"}}"#), "HTTP 503: away: abx"),
        ] {
            let text = describe(&Ok(answer(&body)));
            assert!(text.starts_with(start) && !text.contains('\n'), "{text}");
            assert!(text.len() < 400, "{text}");
        }
    }
}
