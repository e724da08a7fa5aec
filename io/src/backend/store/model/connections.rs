//! Users' connections to remotes.

use satellite_core::time::{IsoTime, Timestamp};
use satellite_core::view::InstanceStatus;

use super::super::StoreError;
use super::super::records::{
    Credential, Instance, Notice, OauthClient, OauthFlow, OauthToken, SealedGrant, StartedFlow,
    Unrenewed,
};
use super::tables::Tables;

pub(in super::super) fn create_oauth_flow(
    tables: &mut Tables,
    flow: OauthFlow,
    now: Timestamp,
) -> Result<(), StoreError> {
    tables.instance_of(&flow.credential)?;
    tables.oauth_flows.retain(|_, known| {
        now < known.expires_at.0
            && (&known.credential.installation_id, &known.credential.user_id)
                != (&flow.credential.installation_id, &flow.credential.user_id)
    });
    tables.oauth_flows.insert(flow.id.clone(), flow);
    Ok(())
}

pub(in super::super) fn oauth_flow(
    tables: &mut Tables,
    link_hash: String,
    now: Timestamp,
) -> Result<Option<OauthFlow>, StoreError> {
    let mut flows = tables.oauth_flows.values();
    let open = |flow: &&OauthFlow| flow.link_hash == link_hash && now < flow.expires_at.0;
    Ok(flows.find(open).filter(|flow| flow.started.is_none()).cloned())
}

pub(in super::super) fn start_oauth_flow(
    tables: &mut Tables,
    link_hash: String,
    started: StartedFlow,
    now: Timestamp,
) -> Result<bool, StoreError> {
    let Some(mut flow) = oauth_flow(tables, link_hash, now)? else { return Ok(false) };
    flow.started = Some(started);
    tables.oauth_flows.insert(flow.id.clone(), flow);
    Ok(true)
}

pub(in super::super) fn take_oauth_flow(
    tables: &mut Tables,
    state_hash: String,
    now: Timestamp,
) -> Result<Option<OauthFlow>, StoreError> {
    let found = tables
        .oauth_flows
        .values()
        .find(|flow| flow.started.as_ref().is_some_and(|started| started.state_hash == state_hash));
    let Some(id) = found.map(|flow| flow.id.clone()) else { return Ok(None) };
    Ok(tables.oauth_flows.remove(&id).filter(|flow| now < flow.expires_at.0))
}

pub(in super::super) fn oauth_client(
    tables: &mut Tables,
    issuer: String,
    redirect_uri: String,
) -> Result<Option<OauthClient>, StoreError> {
    Ok(tables.oauth_clients.get(&(issuer, redirect_uri)).cloned())
}

pub(in super::super) fn put_oauth_client(
    tables: &mut Tables,
    client: OauthClient,
) -> Result<(), StoreError> {
    let key = (client.issuer.clone(), client.redirect_uri.clone());
    tables.oauth_clients.insert(key, client);
    Ok(())
}

pub(in super::super) fn forget_oauth_client(
    tables: &mut Tables,
    issuer: String,
    redirect_uri: String,
) -> Result<(), StoreError> {
    tables.oauth_clients.remove(&(issuer, redirect_uri));
    Ok(())
}

pub(in super::super) fn connect(
    tables: &mut Tables,
    token: OauthToken,
    notice: Notice,
) -> Result<(), StoreError> {
    let credential = token.credential.clone();
    let instance = tables.instance_of(&credential)?;
    if instance.status == InstanceStatus::RequiresReauth.as_str() {
        set_status(instance, InstanceStatus::Connecting, None, notice.now);
    }
    let pin = tables.installation(&credential.installation_id)?.satellite_id.clone();
    tables.oauth_tokens.insert(key(&credential), token);
    tables.file_notice(&credential.team_id, &[pin], &notice)
}

pub(in super::super) fn oauth_token(
    tables: &mut Tables,
    credential: Credential,
) -> Result<Option<OauthToken>, StoreError> {
    let found = tables.oauth_tokens.get(&key(&credential));
    Ok(found.filter(|token| token.credential == credential).cloned())
}

pub(in super::super) fn lease_renewal(
    tables: &mut Tables,
    credential: Credential,
    holder: String,
    now: Timestamp,
    until: Timestamp,
) -> Result<Option<OauthToken>, StoreError> {
    let Some(token) = tables.oauth_tokens.get_mut(&key(&credential)) else { return Ok(None) };
    let taken = token.leased_until.is_some_and(|until| now < until.0);
    if taken || token.granted.refresh_token.is_none() || token.credential != credential {
        return Ok(None);
    }
    token.leased_until = Some(IsoTime(until));
    token.lease_holder = Some(holder);
    Ok(Some(token.clone()))
}

pub(in super::super) fn renewed(
    tables: &mut Tables,
    credential: Credential,
    holder: String,
    granted: SealedGrant,
) -> Result<bool, StoreError> {
    let found = tables.oauth_tokens.get_mut(&key(&credential));
    let held = found.filter(|token| token.lease_holder == Some(holder));
    let Some(token) = held else { return Ok(false) };
    let kept = token.granted.refresh_token.take();
    let scope = token.granted.scope.take();
    token.granted = granted;
    token.granted.refresh_token = token.granted.refresh_token.take().or(kept);
    token.granted.scope = token.granted.scope.take().or(scope);
    token.leased_until = None;
    token.lease_holder = None;
    Ok(true)
}

pub(in super::super) fn unrenewed(
    tables: &mut Tables,
    failure: Unrenewed,
) -> Result<bool, StoreError> {
    let found = tables.oauth_tokens.get_mut(&key(&failure.credential));
    let held = found.filter(|token| token.lease_holder.as_ref() == Some(&failure.holder));
    let Some(token) = held else { return Ok(false) };
    token.lease_holder = None;
    token.leased_until = failure.next.as_ref().ok().map(|at| IsoTime(*at));
    if let Err(message) = failure.next {
        token.granted.refresh_token = None;
        let instance = tables.instance_of(&failure.credential)?;
        if waits_for_its_user(&instance.status) {
            set_status(instance, InstanceStatus::RequiresReauth, Some(message), failure.now);
        }
    }
    Ok(true)
}

pub(in super::super) fn renewals_due(
    tables: &mut Tables,
    before: Timestamp,
    now: Timestamp,
    limit: u32,
) -> Result<Vec<Credential>, StoreError> {
    let mut due: Vec<&OauthToken> = tables
        .oauth_tokens
        .values()
        .filter(|token| {
            token.granted.refresh_token.is_some()
                && token.granted.expires_at.is_some_and(|end| end.0 < before)
                && token.leased_until.is_none_or(|until| until.0 <= now)
        })
        .collect();
    due.sort_by_key(|token| token.granted.expires_at.map(|end| end.0));
    Ok(due.into_iter().take(limit as usize).map(|token| token.credential.clone()).collect())
}

pub(in super::super) fn lapse_tokens(
    tables: &mut Tables,
    message: String,
    now: Timestamp,
) -> Result<u64, StoreError> {
    let ended: Vec<Credential> = tables
        .oauth_tokens
        .values()
        .filter(|token| {
            token.granted.refresh_token.is_none()
                && token.granted.expires_at.is_some_and(|end| end.0 <= now)
        })
        .map(|token| token.credential.clone())
        .collect();
    let mut lapsed = 0;
    for credential in ended {
        let instance = tables.instance_of(&credential)?;
        if waits_for_its_user(&instance.status) {
            set_status(instance, InstanceStatus::RequiresReauth, Some(message.clone()), now);
            lapsed += 1;
        }
    }
    Ok(lapsed)
}

type Key = (satellite_core::id::InstallationId, satellite_core::id::UserId);

fn key(credential: &Credential) -> Key {
    (credential.installation_id.clone(), credential.user_id.clone())
}

/// Whether an instance of this status begins to wait for its user: not if it does already, and not
/// if something else is missing first.
fn waits_for_its_user(status: &str) -> bool {
    let other = [
        InstanceStatus::RequiresReauth,
        InstanceStatus::AwaitingUserConfig,
        InstanceStatus::PermanentlyFailed,
    ];
    !other.iter().any(|it| it.as_str() == status)
}

fn set_status(
    instance: &mut Instance,
    status: InstanceStatus,
    message: Option<String>,
    now: Timestamp,
) {
    instance.status = status.as_str().to_owned();
    instance.status_message = message;
    instance.status_updated_at = Some(IsoTime(now));
    instance.updated_at = IsoTime(now);
}

impl Tables {
    /// The instance that uses a credential, if its team is that of the installation.
    fn instance_of(&mut self, credential: &Credential) -> Result<&mut Instance, StoreError> {
        if self.installation(&credential.installation_id)?.team_id != credential.team_id {
            return Err(StoreError::Missing("installation"));
        }
        let of = |one: &&mut Instance| {
            one.installation_id == credential.installation_id && one.user_id == credential.user_id
        };
        self.instances.values_mut().find(of).ok_or(StoreError::Missing("instance"))
    }

    /// Removes the connections of instances that are gone.
    pub(super) fn drop_loose_connections(&mut self) {
        let instances = &self.instances;
        let kept = |credential: &Credential| {
            instances.values().any(|one| {
                one.installation_id == credential.installation_id
                    && one.user_id == credential.user_id
            })
        };
        self.oauth_tokens.retain(|_, token| kept(&token.credential));
        self.oauth_flows.retain(|_, flow| kept(&flow.credential));
    }
}
