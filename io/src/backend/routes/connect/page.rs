//! HTML without scripts.

use std::sync::LazyLock;

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use ring::digest::{SHA256, digest};

/// How pages look, in light and in dark.
const STYLE: &str = include_str!("page.css");

/// Nothing but text, this look, and this page's own form. What comes next is a link, not the form's
/// doing.
static POLICY: LazyLock<String> = LazyLock::new(|| {
    let style = STANDARD.encode(digest(&SHA256, STYLE.as_bytes()));
    format!(
        "default-src 'none'; style-src 'sha256-{style}'; img-src data:; form-action 'self'; base-uri 'none'; \
         frame-ancestors 'none'"
    )
});

/// A link out of a page.
pub(super) struct Link<'a> {
    pub(super) text: &'a str,
    pub(super) address: &'a str,
}

/// A page: a heading, lines, and at most one thing to press.
pub(super) struct Page {
    status: StatusCode,
    heading: String,
    body: String,
}

impl Page {
    pub(super) fn new(status: StatusCode, heading: impl AsRef<str>) -> Page {
        Page { status, heading: escape(heading.as_ref()), body: String::new() }
    }

    pub(super) fn line(mut self, text: impl AsRef<str>) -> Page {
        self.body += &format!("<p>{}</p>\n", escape(text.as_ref()));
        self
    }

    /// Names and what they stand for.
    pub(super) fn table(mut self, rows: &[(&str, &str)]) -> Page {
        self.body.push_str("<dl>\n");
        for (name, value) in rows {
            let (name, value) = (escape(name), escape(value));
            self.body += &format!("<dt>{name}</dt><dd>{value}</dd>\n");
        }
        self.body.push_str("</dl>\n");
        self
    }

    /// A command to be typed.
    pub(super) fn command(mut self, text: &str) -> Page {
        self.body += &format!("<pre><code>{}</code></pre>\n", escape(text));
        self
    }

    pub(super) fn link(mut self, link: &Link<'_>) -> Page {
        let (address, text) = (escape(link.address), escape(link.text));
        self.body += &format!(
            "<p><a class=\"button\" rel=\"noreferrer\" href=\"{address}\">{text}</a></p>\n"
        );
        self
    }

    /// A button that posts to the page's own address.
    pub(super) fn button(mut self, text: &str) -> Page {
        let text = escape(text);
        self.body += &format!("<form method=\"post\"><button>{text}</button></form>\n");
        self
    }
}

impl IntoResponse for Page {
    fn into_response(self) -> Response {
        let Page { status, heading, body } = self;
        let html = format!(
            "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\
             <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\
             <link rel=\"icon\" href=\"data:,\">\
             <title>{heading} - Satellite</title><style>{STYLE}</style></head>\n\
             <body><main><h1>{heading}</h1>\n{body}</main></body></html>\n"
        );
        let headers = [
            (header::CONTENT_TYPE, "text/html; charset=utf-8"),
            (header::CACHE_CONTROL, "no-store"),
            (header::REFERRER_POLICY, "no-referrer"),
            (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
            (header::X_FRAME_OPTIONS, "DENY"),
        ];
        let headers = headers.map(|(name, value)| (name, HeaderValue::from_static(value)));
        let mut response = (status, headers, html).into_response();
        if let Ok(policy) = HeaderValue::try_from(POLICY.as_str()) {
            response.headers_mut().insert(header::CONTENT_SECURITY_POLICY, policy);
        }
        response
    }
}

fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            other => escaped.push(other),
        }
    }
    escaped
}
