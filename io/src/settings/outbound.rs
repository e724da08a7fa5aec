//! How connections to others are made, and whom they may reach.

use std::path::PathBuf;

use satellite_core::egress::{AllowList, Rules, Target};
use satellite_core::secret::Secret;

use super::check;
use super::sources::Sources;
use crate::egress::EgressOptions;
use crate::exit::{Exit, usage};
use crate::http_client::{ClientOptions, ProxyVariables};

/// How connections to others are made, and whom addresses that somebody else supplied may name.
#[derive(Clone, Debug, Default)]
pub struct OutboundSettings {
    /// Proxies and certificates, for every connection.
    pub client: ClientOptions,
    /// What may be reached beside the public Internet.
    pub allow: AllowList,
    /// Whether that may be reached at `http://`.
    pub allow_http: bool,
}

impl OutboundSettings {
    /// Reads them.
    pub fn read(sources: &Sources) -> Result<Self, Exit> {
        let proxy = |name: &str| sources.given(name).map(Secret::new);
        let proxies = ProxyVariables {
            all: proxy("ALL_PROXY"),
            http: proxy("HTTP_PROXY"),
            https: proxy("HTTPS_PROXY"),
            no: sources.text("NO_PROXY"),
        };
        let ca_file = sources.given("SATELLITE_CA_FILE").map(PathBuf::from);
        let entries = check::list(sources, "SATELLITE_EGRESS_ALLOW");
        let allow = AllowList::parse(entries.iter().map(String::as_str)).map_err(|bad| {
            usage(
                format!("SATELLITE_EGRESS_ALLOW: {bad}"),
                "name hosts, host:port, addresses and networks, with commas between",
            )
        })?;
        Ok(OutboundSettings {
            client: ClientOptions { proxies, ca_file, ..ClientOptions::default() },
            allow,
            allow_http: check::boolean(sources, "SATELLITE_EGRESS_ALLOW_HTTP")?,
        })
    }

    /// Lists the servers that a developer named, at `http://` too: whoever may start any command
    /// here may reach any address. What is no URL is left to be refused where it is used.
    pub fn allow_named<'a>(&mut self, urls: impl IntoIterator<Item = &'a str>) {
        for target in urls.into_iter().filter_map(|it| Target::parse(it).ok()) {
            self.allow.add(&target);
            self.allow_http = true;
        }
    }

    /// The options of a client for addresses that somebody else supplied. It reaches neither
    /// `ourselves`, the URLs of the Backend and of this process, nor the port this process listens
    /// at, unless they are listed.
    pub fn egress<'a>(
        &self,
        ourselves: impl IntoIterator<Item = &'a str>,
        listener: Option<u16>,
    ) -> EgressOptions {
        EgressOptions {
            rules: Rules {
                allow: self.allow.clone(),
                allow_http: self.allow_http,
                ourselves: ourselves.into_iter().filter_map(|it| Target::parse(it).ok()).collect(),
                listener,
            },
            client: self.client.clone(),
            ..EgressOptions::default()
        }
    }
}
