//! Links that let users connect to remotes.

use axum::extract::Path;
use satellite_core::id::{InstallationId, TeamId, UserId};
use satellite_core::secret::Secret;
use satellite_core::time::IsoTime;
use satellite_core::wire::admin::{ConnectLink, ConnectLinkData};

use super::created;
use super::installations::{find, instance_of};
use crate::backend::answer::Answer;
use crate::backend::authority::Authorised;
use crate::backend::routes::connect::not_set_up;
use crate::backend::store::records::Credential;

/// Makes a link that is good once, for 15 minutes.
pub(crate) async fn invite(
    backend: Authorised,
    Path((team, id, user)): Path<(TeamId, InstallationId, UserId)>,
) -> Answer {
    if backend.oauth.is_none() {
        return Err(not_set_up());
    }
    let installation = find(&backend, &team, id).await?;
    instance_of(&backend, &installation.id, &user).await?;
    let credential = Credential { installation_id: installation.id, user_id: user, team_id: team };
    let (url, ends) = backend.invite(credential).await?;
    let link = ConnectLink { url: Secret::new(url), expires_at: IsoTime(ends) };
    Ok(created(ConnectLinkData { connect: link }))
}
