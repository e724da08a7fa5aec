//! Name resolution whose failure is a type of its own, so that nobody has to read error texts.

use std::fmt;

use reqwest::dns::{Addrs, Name, Resolve, Resolving};

/// The system's resolver.
#[derive(Debug)]
pub(super) struct SystemResolver;

/// A name that has no address.
#[derive(Debug)]
pub(super) struct Unresolved {
    name: String,
    source: std::io::Error,
}

impl fmt::Display for Unresolved {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.name, self.source)
    }
}

// The operating system's own words are already in the text.
impl std::error::Error for Unresolved {}

impl Resolve for SystemResolver {
    fn resolve(&self, name: Name) -> Resolving {
        Box::pin(async move {
            // Port 0 stands for the port of the URL.
            match tokio::net::lookup_host((name.as_str(), 0)).await {
                Ok(addresses) => Ok(Box::new(addresses.collect::<Vec<_>>().into_iter()) as Addrs),
                Err(source) => {
                    let name = name.as_str().to_owned();
                    Err(Box::new(Unresolved { name, source })
                        as Box<dyn std::error::Error + Send + Sync>)
                }
            }
        })
    }
}
