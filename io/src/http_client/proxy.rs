//! Which proxy a request goes through.

use std::net::IpAddr;

use http::Uri;
use hyper_util::client::proxy::matcher::{Intercept, Matcher};
use satellite_core::http::HttpFailure;
use satellite_core::secret::Secret;

/// What the variables for proxies say. A proxy's URL may hold a user and a password.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ProxyVariables {
    /// `ALL_PROXY`
    pub all: Option<Secret>,
    /// `HTTP_PROXY`, for `http://`
    pub http: Option<Secret>,
    /// `HTTPS_PROXY`, for `https://`
    pub https: Option<Secret>,
    /// `NO_PROXY`: hosts with everything below them, addresses and networks to reach directly, with
    /// commas between; `*` for everything.
    pub no: String,
}

/// The variables, understood. Loopback is always reached directly.
#[derive(Debug)]
pub(crate) struct Proxies(Matcher);

impl Proxies {
    /// Fails on a proxy that would be ignored: requests that were to go through it would go
    /// directly.
    pub(crate) fn new(variables: &ProxyVariables) -> Result<Self, HttpFailure> {
        for (name, value) in [
            ("ALL_PROXY", &variables.all),
            ("HTTP_PROXY", &variables.http),
            ("HTTPS_PROXY", &variables.https),
        ] {
            if value.as_ref().is_some_and(|it| !is_proxy(it.expose())) {
                return Err(HttpFailure::Other(format!(
                    "{name} is no proxy's URL: write it as http://host:port or \
                     http://user:password@host:port"
                )));
            }
        }
        let text = |it: &Option<Secret>| it.as_ref().map_or("", Secret::expose).to_owned();
        let matcher = Matcher::builder()
            .all(text(&variables.all))
            .http(text(&variables.http))
            .https(text(&variables.https))
            .no(variables.no.as_str())
            .build();
        Ok(Proxies(matcher))
    }

    /// The proxy for `uri`; `None` is the direct way.
    pub(crate) fn of(&self, uri: &Uri) -> Option<Intercept> {
        if is_loopback(uri) { None } else { self.0.intercept(uri) }
    }
}

/// Whether a variable names a proxy that is spoken to in HTTP.
fn is_proxy(text: &str) -> bool {
    let Ok(uri) = text.parse::<Uri>() else { return false };
    matches!(uri.scheme_str(), None | Some("http" | "https"))
        && uri.host().is_some_and(|it| !it.is_empty())
}

/// Whether a URL's host is this machine itself.
pub(super) fn is_loopback(uri: &Uri) -> bool {
    let Some(host) = uri.host() else { return false };
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    bare.eq_ignore_ascii_case("localhost")
        || bare.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(variables: &ProxyVariables, uri: &'static str) -> Option<String> {
        let proxies = Proxies::new(variables).unwrap();
        proxies.of(&Uri::from_static(uri)).map(|it| it.uri().to_string())
    }

    #[test]
    fn each_scheme_has_its_proxy_and_no_proxy_comes_first() {
        let variables = ProxyVariables {
            all: Some(Secret::new("http://all:1")),
            https: Some(Secret::new("http://user:word@secure:2")),
            http: None,
            no: String::from("corp.example, .inner.example,10.0.0.0/8,192.168.1.1"),
        };
        for (uri, proxy) in [
            ("https://a.example/", Some("http://secure:2/")),
            ("http://a.example/", Some("http://all:1/")),
            ("https://corp.example/", None),
            ("https://a.corp.example/", None),
            ("https://notcorp.example/", Some("http://secure:2/")),
            ("https://a.inner.example/", None),
            ("https://10.1.2.3/", None),
            ("https://192.168.1.1:8443/", None),
            ("https://192.168.1.2/", Some("http://secure:2/")),
            ("https://localhost:1/", None),
            ("http://127.0.0.9/", None),
            ("http://[::1]:3/", None),
        ] {
            assert_eq!(of(&variables, uri).as_deref(), proxy, "{uri}");
        }
        assert_eq!(of(&ProxyVariables::default(), "https://a.example/"), None);
        let none = ProxyVariables { no: String::from("*"), ..variables };
        assert_eq!(of(&none, "https://a.example/"), None);
    }

    #[test]
    fn a_proxy_that_cannot_be_used_is_an_error_and_not_the_direct_way() {
        for url in ["socks5://user:CaNaRy@p:1", "ftp://CaNaRy:1", "http://", "not a url CaNaRy"] {
            let variables =
                ProxyVariables { https: Some(Secret::new(url)), ..ProxyVariables::default() };
            let failure = Proxies::new(&variables).unwrap_err().to_string();
            assert!(failure.contains("HTTPS_PROXY") && !failure.contains("CaNaRy"), "{failure}");
        }
    }

    #[test]
    fn credentials_go_into_a_header_and_are_not_shown() {
        let variables = ProxyVariables {
            all: Some(Secret::new("proxy.corp:3128")),
            https: Some(Secret::new("http://user:p%40ss@proxy.corp:3128")),
            ..ProxyVariables::default()
        };
        let proxies = Proxies::new(&variables).unwrap();
        let proxy = proxies.of(&Uri::from_static("https://a.example/")).unwrap();
        assert_eq!(proxy.basic_auth().unwrap(), "Basic dXNlcjpwQHNz");
        let shown = format!("{variables:?} {proxies:?} {proxy:?}");
        assert!(!shown.contains("p%40ss") && !shown.contains("dXNlcjpwQHNz"), "{shown}");
    }
}
