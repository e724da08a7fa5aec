//! From a library's error to the core's [`HttpFailure`], by type and never by words.

use std::error::Error;
use std::fmt;
use std::io;

use rustls::CertificateError;
use satellite_core::egress::Refusal;
use satellite_core::http::HttpFailure;

/// How far an exchange had come when it failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stage {
    /// There was no connection yet.
    Connecting,
    /// The answer's head was not there yet.
    Head,
    /// The body was being read.
    Body,
}

/// A failure already named, on its way through a library.
#[derive(Clone, Debug)]
pub(crate) struct ConnectFailed(pub(crate) HttpFailure);

impl fmt::Display for ConnectFailed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl Error for ConnectFailed {}

/// A request that a rule forbids.
#[expect(clippy::needless_pass_by_value, reason = "a step of map_err")]
pub(crate) fn forbidden(refusal: Refusal) -> HttpFailure {
    HttpFailure::Forbidden { what: refusal.to_string() }
}

/// Names what went wrong in reqwest.
pub(super) fn classify_reqwest(error: &reqwest::Error, stage: Stage) -> HttpFailure {
    let stage = if error.is_connect() { Stage::Connecting } else { stage };
    if error.is_timeout() {
        return timed_out(stage);
    }
    // The outermost layer names the URL, whose query may be secret.
    error.source().map_or_else(
        || HttpFailure::Other(String::from("the request could not be sent")),
        |cause| classify(cause, stage),
    )
}

/// Names what went wrong in a pool of connections.
pub(crate) fn classify_pooled(
    error: &hyper_util::client::legacy::Error,
    stage: Stage,
) -> HttpFailure {
    let stage = if error.is_connect() { Stage::Connecting } else { stage };
    classify(error, stage)
}

/// Names what went wrong, by the first cause that says it.
pub(crate) fn classify(error: &(dyn Error + 'static), stage: Stage) -> HttpFailure {
    let detail = innermost_text(error);
    let mut next = Some(error);
    while let Some(cause) = next {
        if let Some(named) = named(cause, stage, &detail) {
            return named;
        }
        next = cause.source();
    }
    match stage {
        Stage::Body => HttpFailure::Cut(detail),
        Stage::Connecting | Stage::Head => HttpFailure::Other(detail),
    }
}

/// What one cause says, if it says anything.
fn named(cause: &(dyn Error + 'static), stage: Stage, detail: &str) -> Option<HttpFailure> {
    let detail = || String::from(detail);
    let ended = || match stage {
        Stage::Connecting | Stage::Head => HttpFailure::Reset(detail()),
        Stage::Body => HttpFailure::Cut(detail()),
    };
    if let Some(ConnectFailed(failure)) = cause.downcast_ref() {
        return Some(failure.clone());
    }
    if let Some(cause) = cause.downcast_ref::<rustls::Error>() {
        return Some(tls(cause));
    }
    if let Some(cause) = cause.downcast_ref::<io::Error>() {
        if let Some(cause) = wrapped::<rustls::Error>(cause) {
            return Some(tls(cause));
        }
        return match cause.kind() {
            io::ErrorKind::ConnectionRefused
            | io::ErrorKind::HostUnreachable
            | io::ErrorKind::NetworkUnreachable
            | io::ErrorKind::AddrNotAvailable => Some(HttpFailure::Refused(detail())),
            io::ErrorKind::ConnectionReset
            | io::ErrorKind::ConnectionAborted
            | io::ErrorKind::BrokenPipe
            | io::ErrorKind::UnexpectedEof => Some(ended()),
            io::ErrorKind::TimedOut => Some(timed_out(stage)),
            _ => None,
        };
    }
    let cause = cause.downcast_ref::<hyper::Error>()?;
    if cause.is_incomplete_message() || cause.is_closed() || cause.is_canceled() {
        return Some(ended());
    }
    match stage {
        Stage::Head if cause.is_parse() => Some(HttpFailure::Malformed(detail())),
        _ => None,
    }
}

fn timed_out(stage: Stage) -> HttpFailure {
    match stage {
        Stage::Connecting => HttpFailure::ConnectTimedOut,
        Stage::Head | Stage::Body => HttpFailure::TimedOut,
    }
}

/// A failure of TLS. What is wrong with a certificate is said for people: the library counts in
/// seconds since 1970.
fn tls(error: &rustls::Error) -> HttpFailure {
    let rustls::Error::InvalidCertificate(problem) = error else {
        return HttpFailure::Tls(error.to_string());
    };
    HttpFailure::Certificate(match problem {
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
            String::from("it has expired: have the server's operator renew it")
        }
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
            String::from("it is not valid yet: check this machine's clock")
        }
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
            String::from("it is for another name: check the URL")
        }
        CertificateError::UnknownIssuer => String::from(
            "its issuer is unknown: name a file with the issuer's certificate in SATELLITE_CA_FILE",
        ),
        other => format!("{other}: have the server's operator look at it"),
    })
}

/// The error of type `E` that an `io::Error` was made of; `source` would skip it.
fn wrapped<E: Error + 'static>(error: &io::Error) -> Option<&E> {
    let inner = error.get_ref()?;
    match inner.downcast_ref::<E>() {
        Some(found) => Some(found),
        None => wrapped(inner.downcast_ref::<io::Error>()?),
    }
}

/// The text nearest to the cause: outer layers only say that a request failed.
fn innermost_text(error: &(dyn Error + 'static)) -> String {
    let mut innermost = error;
    while let Some(cause) = innermost.source() {
        innermost = cause;
    }
    innermost.to_string()
}
