//! From a library's error to the core's [`HttpFailure`], by type and never by words.

use std::error::Error;
use std::io;

use satellite_core::http::HttpFailure;

use super::resolve::Unresolved;

/// How far an exchange had come when it failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    /// The answer's head was not there yet.
    Head,
    /// The body was being read.
    Body,
}

/// Names what went wrong.
pub(super) fn classify(error: &reqwest::Error, stage: Stage) -> HttpFailure {
    let detail = innermost_text(error);
    let ended = |detail| match stage {
        Stage::Head => HttpFailure::Reset(detail),
        Stage::Body => HttpFailure::Cut(detail),
    };
    if error.is_timeout() {
        return HttpFailure::TimedOut;
    }
    let mut source = error.source();
    while let Some(cause) = source {
        if cause.is::<Unresolved>() {
            return HttpFailure::Unresolved(detail);
        }
        if cause.is::<rustls::Error>() {
            return HttpFailure::Tls(detail);
        }
        if let Some(cause) = cause.downcast_ref::<io::Error>() {
            if let Some(tls) = wrapped::<rustls::Error>(cause) {
                return HttpFailure::Tls(tls.to_string());
            }
            match cause.kind() {
                io::ErrorKind::ConnectionRefused
                | io::ErrorKind::HostUnreachable
                | io::ErrorKind::NetworkUnreachable
                | io::ErrorKind::AddrNotAvailable => return HttpFailure::Refused(detail),
                io::ErrorKind::ConnectionReset
                | io::ErrorKind::ConnectionAborted
                | io::ErrorKind::BrokenPipe
                | io::ErrorKind::UnexpectedEof => return ended(detail),
                io::ErrorKind::TimedOut => return HttpFailure::TimedOut,
                _ => {}
            }
        }
        if let Some(cause) = cause.downcast_ref::<hyper::Error>()
            && (cause.is_incomplete_message() || cause.is_closed() || cause.is_canceled())
        {
            return ended(detail);
        }
        source = cause.source();
    }
    match stage {
        Stage::Body => HttpFailure::Cut(detail),
        Stage::Head => HttpFailure::Other(detail),
    }
}

/// The error of type `E` that an `io::Error` was made of; `source` would skip it.
fn wrapped<E: Error + 'static>(error: &io::Error) -> Option<&E> {
    let inner = error.get_ref()?;
    match inner.downcast_ref::<E>() {
        Some(found) => Some(found),
        None => wrapped(inner.downcast_ref::<io::Error>()?),
    }
}

/// The text nearest to the cause: outer layers only say that a request failed, and name its URL.
fn innermost_text(error: &reqwest::Error) -> String {
    let mut text = None;
    let mut source = error.source();
    while let Some(cause) = source {
        text = Some(cause.to_string());
        source = cause.source();
    }
    text.unwrap_or_else(|| String::from("the request could not be sent"))
}
