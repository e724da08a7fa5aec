//! Messages made from parts of others.

use alloc::borrow::ToOwned;
use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt::Write as _;
use core::ops::Range;

use memchr::memmem;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::envelope::{Answer, Id, present};
use super::line::append_one_line;

/// An object names a key twice, and readers differ in which one counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ambiguous;

/// A progress token inside the text of its parameters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProgressToken<'a> {
    /// The token as written: of a JSON string or number.
    pub token: Id<'a>,
    /// Where it stands in the parameters' text, in bytes.
    pub span: Range<usize>,
}

/// Finds `_meta.progressToken` in the parameters of a request.
///
/// # Errors
///
/// [`Ambiguous`] if one of the two keys comes twice.
pub fn progress_token(params: &RawValue) -> Result<Option<ProgressToken<'_>>, Ambiguous> {
    #[derive(Deserialize)]
    struct Params<'a> {
        #[serde(borrow, default, rename = "_meta", deserialize_with = "present")]
        meta: Option<&'a RawValue>,
    }
    #[derive(Deserialize)]
    struct Meta<'a> {
        #[serde(borrow, default, rename = "progressToken", deserialize_with = "present")]
        token: Option<&'a RawValue>,
    }
    let text = params.get();
    // Most calls have none; a key written with escapes is still found by reading properly.
    let bytes = text.as_bytes();
    let possible =
        memmem::find(bytes, b"progressToken").is_some() || memmem::find(bytes, b"\\u").is_some();
    if !possible || !text.starts_with('{') {
        return Ok(None);
    }
    let Params { meta } = serde_json::from_str(text).map_err(|_| Ambiguous)?;
    let Some(meta) = meta.filter(|meta| meta.get().starts_with('{')) else { return Ok(None) };
    let Meta { token } = serde_json::from_str(meta.get()).map_err(|_| Ambiguous)?;
    Ok(token.and_then(Id::from_token).and_then(|token| {
        span_within(text, token.token()).map(|span| ProgressToken { token, span })
    }))
}

/// Where `part` stands in `whole`, in bytes, if it is borrowed from it.
pub fn span_within(whole: &str, part: &str) -> Option<Range<usize>> {
    let start = part.as_ptr().addr().checked_sub(whole.as_ptr().addr())?;
    let end = start.checked_add(part.len())?;
    (end <= whole.len()).then_some(start..end)
}

/// `text` with its bytes in `span` replaced; unchanged if there is no such span.
pub fn replaced(text: &str, span: Range<usize>, with: &str) -> String {
    let (Some(before), Some(after)) = (text.get(..span.start), text.get(span.end..)) else {
        return text.to_owned();
    };
    let mut out = String::with_capacity(before.len() + with.len() + after.len());
    out.push_str(before);
    out.push_str(with);
    out.push_str(after);
    out
}

/// A request as one line, newline included.
///
/// Where `token` gives the span of a [`ProgressToken`], the request's own id takes its place.
pub fn request_line(
    id: u64,
    method: &str,
    params: Option<&RawValue>,
    token: Option<Range<usize>>,
) -> Vec<u8> {
    let params = params.map(RawValue::get);
    let length = params.map_or(0, str::len) + method.len() + 96;
    let mut out = Vec::with_capacity(length);
    out.extend_from_slice(b"{\"jsonrpc\":\"2.0\",\"id\":");
    append_number(&mut out, id);
    out.extend_from_slice(b",\"method\":");
    append_string(&mut out, method);
    if let Some(params) = params {
        out.extend_from_slice(b",\"params\":");
        let parts =
            token.and_then(|span| Some((params.get(..span.start)?, params.get(span.end..)?)));
        match parts {
            Some((before, after)) => {
                append_one_line(&mut out, before);
                append_number(&mut out, id);
                append_one_line(&mut out, after);
            }
            None => append_one_line(&mut out, params),
        }
    }
    out.extend_from_slice(b"}\n");
    out
}

/// A notification as one line, newline included. `params` is valid JSON.
pub fn notification_line(method: &str, params: Option<&str>) -> Vec<u8> {
    let mut out = Vec::with_capacity(params.map_or(0, str::len) + method.len() + 48);
    out.extend_from_slice(b"{\"jsonrpc\":\"2.0\",\"method\":");
    append_string(&mut out, method);
    if let Some(params) = params {
        out.extend_from_slice(b",\"params\":");
        append_one_line(&mut out, params);
    }
    out.extend_from_slice(b"}\n");
    out
}

/// A response on one line, without a newline, under the asker's own id; `null` if it has none.
pub fn response(id: Option<Id<'_>>, answer: Answer<'_>) -> Vec<u8> {
    let (key, value): (&[u8], _) = match answer {
        Answer::Result(value) => (b",\"result\":", value.get()),
        Answer::Error(value) => (b",\"error\":", value.get()),
    };
    let id = id.map_or("null", Id::token);
    let mut out = Vec::with_capacity(value.len() + id.len() + 40);
    out.extend_from_slice(b"{\"jsonrpc\":\"2.0\",\"id\":");
    out.extend_from_slice(id.as_bytes());
    out.extend_from_slice(key);
    append_one_line(&mut out, value);
    out.push(b'}');
    out
}

/// A JSON-RPC error object.
pub fn error_object(code: i64, message: &str, data: Option<&RawValue>) -> Box<RawValue> {
    let mut text = String::with_capacity(message.len() + 48);
    // Writing to a string cannot fail.
    let _ = write!(text, "{{\"code\":{code},\"message\":");
    let mut bytes = text.into_bytes();
    append_string(&mut bytes, message);
    if let Some(data) = data {
        bytes.extend_from_slice(b",\"data\":");
        append_one_line(&mut bytes, data.get());
    }
    bytes.push(b'}');
    String::from_utf8(bytes)
        .ok()
        .and_then(|text| RawValue::from_string(text).ok())
        .unwrap_or_else(|| RawValue::NULL.to_owned())
}

/// Appends `text` as a JSON string, quotes included.
pub fn append_string(out: &mut Vec<u8>, text: &str) {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    out.push(b'"');
    for byte in text.bytes() {
        match byte {
            b'"' | b'\\' => out.extend_from_slice(&[b'\\', byte]),
            b'\n' => out.extend_from_slice(b"\\n"),
            b'\r' => out.extend_from_slice(b"\\r"),
            b'\t' => out.extend_from_slice(b"\\t"),
            0..0x20 => {
                out.extend_from_slice(b"\\u00");
                for nibble in [byte >> 4, byte & 0xf] {
                    out.push(HEX.get(usize::from(nibble)).copied().unwrap_or(b'0'));
                }
            }
            _ => out.push(byte),
        }
    }
    out.push(b'"');
}

fn append_number(out: &mut Vec<u8>, number: u64) {
    let mut digits = [0_u8; 20];
    let mut rest = number;
    let mut count = 0;
    for digit in digits.iter_mut().rev() {
        *digit = b'0' + (rest % 10) as u8;
        count += 1;
        rest /= 10;
        if rest == 0 {
            break;
        }
    }
    out.extend_from_slice(digits.get(20 - count..).unwrap_or_default());
}
