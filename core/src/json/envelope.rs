//! Which message a text is, its parts borrowed from it.

use alloc::borrow::Cow;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

use serde::de::{IgnoredAny, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

use super::codes::{CODE_INVALID_REQUEST, CODE_PARSE_ERROR};
use super::depth::check_depth;
use crate::limits::{MESSAGE_BATCH_MAX, MESSAGE_MAX_DEPTH};

/// What a text turned out to be.
#[derive(Clone, Debug)]
pub enum Parsed<'a> {
    /// One message.
    Single(Message<'a>),
    /// An array of messages, each of which is to be parsed by itself. Revision 2025-03-26 of MCP
    /// allows it, the others do not.
    Batch(Vec<&'a RawValue>),
}

/// A JSON-RPC 2.0 message over the text it was read from.
#[derive(Clone, Debug)]
pub enum Message<'a> {
    /// It wants an answer.
    Request {
        /// The sender's name for it.
        id: Id<'a>,
        /// The method.
        method: Cow<'a, str>,
        /// The parameters, an object or an array.
        params: Option<&'a RawValue>,
    },
    /// It wants none.
    Notification {
        /// The method.
        method: Cow<'a, str>,
        /// The parameters, an object or an array.
        params: Option<&'a RawValue>,
    },
    /// It is one.
    Response {
        /// The request it answers; `None` where the peer could not tell.
        id: Option<Id<'a>>,
        /// The answer.
        answer: Answer<'a>,
    },
}

/// What a response says.
#[derive(Clone, Copy, Debug)]
pub enum Answer<'a> {
    /// `result`
    Result(&'a RawValue),
    /// `error`
    Error(&'a RawValue),
}

/// A request's id as its sender wrote it: the token of a JSON string or number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Id<'a>(&'a str);

impl<'a> Id<'a> {
    /// Takes `token` if it is a JSON string or number.
    pub fn from_token(token: &'a RawValue) -> Option<Id<'a>> {
        let text = token.get();
        text.starts_with(|c: char| c == '"' || c == '-' || c.is_ascii_digit()).then_some(Id(text))
    }

    /// The token, quotes included: what an answer must repeat.
    pub fn token(self) -> &'a str {
        self.0
    }

    /// The number it names, also where a peer sent our integer back as `7.0` or `"7"`.
    pub fn number(self) -> Option<u64> {
        number(self.0)
    }
}

/// The whole number that an id's token names, if it names one.
pub(crate) fn number(token: &str) -> Option<u64> {
    let text = token.strip_prefix('"').and_then(|t| t.strip_suffix('"')).unwrap_or(token);
    let text = text.strip_suffix(".0").unwrap_or(text);
    if text.bytes().all(|b| b.is_ascii_digit()) { text.parse().ok() } else { None }
}

/// Why a text is no message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Invalid<'a> {
    /// What kind of fault it is.
    pub fault: Fault,
    /// What is wrong, for people.
    pub reason: Cow<'static, str>,
    /// The id, where one could be made out.
    pub id: Option<Id<'a>>,
}

/// Kinds of faults.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Not JSON.
    Syntax,
    /// JSON, but nested too deep, or not a JSON-RPC 2.0 message.
    Request,
}

impl Fault {
    /// The code of JSON-RPC 2.0 §5.1.
    pub fn code(self) -> i64 {
        match self {
            Fault::Syntax => CODE_PARSE_ERROR,
            Fault::Request => CODE_INVALID_REQUEST,
        }
    }
}

impl Invalid<'_> {
    fn new(fault: Fault, reason: impl Into<Cow<'static, str>>) -> Self {
        Invalid { fault, reason: reason.into(), id: None }
    }

    fn of(error: &serde_json::Error) -> Self {
        let fault = if error.is_data() { Fault::Request } else { Fault::Syntax };
        Invalid::new(fault, format!("{error}"))
    }
}

impl fmt::Display for Invalid<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.reason)
    }
}

/// Every key is matched exactly, and serde refuses one that comes twice. The values are looked at
/// afterwards, so that a fault in one of them does not hide the id.
#[derive(Deserialize)]
#[serde(expecting = "a JSON-RPC message")]
struct Envelope<'a> {
    #[serde(borrow, default, deserialize_with = "present")]
    jsonrpc: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "present")]
    id: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "present")]
    method: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "present")]
    params: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "present")]
    result: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "present")]
    error: Option<&'a RawValue>,
}

/// Keeps a present `null` apart from an absent key.
pub(crate) fn present<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<&'de RawValue>, D::Error> {
    <&RawValue>::deserialize(deserializer).map(Some)
}

/// Reads `text` as a message or a batch.
///
/// # Errors
///
/// [`Invalid`] if it is not UTF-8, not JSON, nested deeper than [`MESSAGE_MAX_DEPTH`], not a
/// JSON-RPC 2.0 message, names a key of the envelope twice, or is a batch that is empty or has more
/// than [`MESSAGE_BATCH_MAX`] members.
pub fn parse(text: &[u8]) -> Result<Parsed<'_>, Invalid<'_>> {
    check_depth(text, MESSAGE_MAX_DEPTH)
        .map_err(|deep| Invalid::new(Fault::Request, format!("the message is {deep}")))?;
    let text = core::str::from_utf8(text).map_err(|error| {
        let at = error.valid_up_to();
        Invalid::new(Fault::Syntax, format!("the message is not UTF-8 at byte {at}"))
    })?;
    match text.trim_ascii_start().as_bytes().first() {
        Some(b'{') => single(text).map(Parsed::Single),
        Some(b'[') => batch(text).map(Parsed::Batch),
        _ => match serde_json::from_str::<IgnoredAny>(text) {
            Ok(_) => Err(Invalid::new(Fault::Request, "a message is a JSON object")),
            Err(error) => Err(Invalid::of(&error)),
        },
    }
}

fn batch(text: &str) -> Result<Vec<&RawValue>, Invalid<'_>> {
    let (members, whole) =
        elements(text, MESSAGE_BATCH_MAX).map_err(|error| Invalid::of(&error))?;
    if !whole {
        let reason = format!("the batch has more than {MESSAGE_BATCH_MAX} messages");
        return Err(Invalid::new(Fault::Request, reason));
    }
    if members.is_empty() {
        return Err(Invalid::new(Fault::Request, "the batch is empty"));
    }
    Ok(members)
}

fn single(text: &str) -> Result<Message<'_>, Invalid<'_>> {
    let envelope: Envelope<'_> = serde_json::from_str(text).map_err(|error| Invalid::of(&error))?;
    let id = envelope.id.and_then(Id::from_token);
    message(&envelope, id).map_err(|reason| Invalid {
        fault: Fault::Request,
        reason: Cow::Borrowed(reason),
        id,
    })
}

fn message<'a>(envelope: &Envelope<'a>, id: Option<Id<'a>>) -> Result<Message<'a>, &'static str> {
    if envelope.jsonrpc.map(RawValue::get) != Some("\"2.0\"") {
        return Err("`jsonrpc` must be \"2.0\"");
    }
    let Some(method) = envelope.method else {
        // Peers that fill in both keys set the one they do not mean to null.
        let answer = match (envelope.result, envelope.error) {
            (Some(result), None) => Answer::Result(result),
            (Some(result), Some(error)) if is_null(error) => Answer::Result(result),
            (None, Some(error)) if !is_null(error) => Answer::Error(error),
            (Some(result), Some(error)) if is_null(result) => Answer::Error(error),
            (Some(_), Some(_)) => return Err("a response has either `result` or `error`"),
            (None, _) => return Err("a message has `method`, `result` or `error`"),
        };
        return match envelope.id {
            Some(token) if id.is_none() && !is_null(token) => Err("`id` must be text or a number"),
            _ => Ok(Message::Response { id, answer }),
        };
    };
    if envelope.result.is_some() || envelope.error.is_some() {
        return Err("a message with `method` has neither `result` nor `error`");
    }
    let method = text_of(method).ok_or("`method` must be text")?;
    let params = envelope.params.filter(|params| !is_null(params));
    if params.is_some_and(|params| !params.get().starts_with(['{', '['])) {
        return Err("`params` must be an object");
    }
    match (envelope.id, id) {
        (None, _) => Ok(Message::Notification { method, params }),
        (Some(_), Some(id)) => Ok(Message::Request { id, method, params }),
        (Some(_), None) => Err("`id` must be text or a number"),
    }
}

fn is_null(value: &RawValue) -> bool {
    value.get() == "null"
}

/// The text of a JSON string.
pub(crate) fn text_of(value: &RawValue) -> Option<Cow<'_, str>> {
    let inner = value.get().strip_prefix('"')?.strip_suffix('"')?;
    if inner.contains('\\') {
        serde_json::from_str::<String>(value.get()).ok().map(Cow::Owned)
    } else {
        Some(Cow::Borrowed(inner))
    }
}

/// The first `limit` elements of a JSON array, and whether these are all.
///
/// # Errors
///
/// The parser's, if `text` is not an array.
pub fn elements(text: &str, limit: usize) -> Result<(Vec<&RawValue>, bool), serde_json::Error> {
    struct Elements {
        limit: usize,
    }
    impl<'de> Visitor<'de> for Elements {
        type Value = (Vec<&'de RawValue>, bool);

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("an array")
        }

        fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
            let mut taken = Vec::new();
            while taken.len() < self.limit {
                match seq.next_element()? {
                    Some(element) => taken.push(element),
                    None => return Ok((taken, true)),
                }
            }
            let mut whole = true;
            while seq.next_element::<IgnoredAny>()?.is_some() {
                whole = false;
            }
            Ok((taken, whole))
        }
    }
    let mut deserializer = serde_json::Deserializer::from_str(text);
    let found = deserializer.deserialize_seq(Elements { limit })?;
    deserializer.end()?;
    Ok(found)
}
