//! Finding out who lets users into a remote.

use satellite_core::backend::oauth::issuer::{self, Issuer};
use satellite_core::backend::oauth::resource::{self, Resource};
use satellite_core::backend::oauth::{Problem, challenge, endpoint};
use satellite_core::egress::Target;

use super::Oauth;

/// Who lets users into a remote, and what to ask for there.
#[derive(Debug)]
pub(super) struct Discovered {
    pub(super) resource: Resource,
    pub(super) issuer: Issuer,
    /// The scopes that the remote asked for when it refused.
    pub(super) challenged: Vec<String>,
}

impl Oauth {
    /// Asks the remote at `server`, and whom it trusts.
    pub(super) async fn discover(&self, server: &str) -> Result<Discovered, Problem> {
        let target = self.rules.admit(server).map_err(|refusal| {
            Problem::Unacceptable(format!("the remote's address cannot be used: {refusal}"))
        })?;
        let refused = self.knock(server).await?;
        let challenge = match refused.status {
            401 | 403 => challenge::read(refused.challenges.iter().map(String::as_str)),
            _ => challenge::Challenge::default(),
        };
        let resource = self.resource(&target, challenge.resource_metadata.as_deref()).await?;
        let issuer = self.issuer(&resource).await?;
        Ok(Discovered { resource, issuer, challenged: challenge.scopes })
    }

    async fn resource(
        &self,
        server: &Target,
        challenged: Option<&str>,
    ) -> Result<Resource, Problem> {
        let mut addresses = resource::addresses(server);
        if let Some(named) = challenged {
            let named = endpoint("the address of the server's metadata", named, &self.rules)?;
            addresses.insert(0, named.to_string());
        }
        let read = |body: &[u8]| resource::read(body, server, &self.rules);
        match self.first(&addresses, read).await? {
            Some(resource) => Ok(resource),
            None => Ok(resource::assumed(server)),
        }
    }

    async fn issuer(&self, resource: &Resource) -> Result<Issuer, Problem> {
        let mut problem = None;
        for named in &resource.issuers {
            let target = endpoint("the authorisation server", named, &self.rules)?;
            let read = |body: &[u8]| issuer::read(body, named, &self.rules);
            match self.first(&issuer::addresses(&target), read).await {
                Ok(Some(issuer)) => return Ok(issuer),
                Ok(None) => {
                    problem.get_or_insert(Problem::Unacceptable(format!(
                        "the authorisation server {} publishes no metadata (RFC 8414), so that \
                         nobody can be sent there",
                        target.origin()
                    )));
                }
                Err(found) => {
                    problem.get_or_insert(found);
                }
            }
        }
        Err(problem.unwrap_or_else(|| {
            Problem::Unacceptable("the remote names no authorisation server".to_owned())
        }))
    }

    /// The first document that can be read. Nothing if there is none at all; a fault only if there
    /// is no better one.
    async fn first<T>(
        &self,
        addresses: &[String],
        read: impl Fn(&[u8]) -> Result<T, Problem>,
    ) -> Result<Option<T>, Problem> {
        let mut problem = None;
        for address in addresses {
            let reply = match self.document(address).await {
                Ok(reply) => reply,
                Err(found) => {
                    problem.get_or_insert(found);
                    continue;
                }
            };
            match reply.status {
                200 => match read(&reply.body) {
                    Ok(document) => return Ok(Some(document)),
                    Err(found) => {
                        problem.get_or_insert(found);
                    }
                },
                429 | 500..=599 => {
                    let text = format!("a metadata document is refused with {}", reply.status);
                    problem.get_or_insert(Problem::Temporary(text));
                }
                _ => {}
            }
        }
        problem.map_or(Ok(None), Err)
    }
}
