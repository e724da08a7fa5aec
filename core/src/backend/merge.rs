//! The configuration of one user's instance, out of three tiers: the server's template, the team's
//! installation, the user's own settings. A later tier wins.

use alloc::borrow::ToOwned;
use alloc::collections::BTreeMap;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use crate::id::{InstallationId, InstanceId, TeamId, UserId};
use crate::limits::ENDPOINTS_MAX;
use crate::query::with_query;
use crate::secret::Secret;
use crate::view::{InstanceStatus, Transport};
use crate::wire::admin::{CreateServer, Field, UserSettings};
use crate::wire::configuration::{SecretNames, ServerEntry, ServerSettings, is_http_url};

/// How long a request to a remote server may take, as the configuration says it.
pub const REMOTE_TIMEOUT_MS: u64 = 45_000;
/// Where a team's arguments begin among all of them, unless the schema orders them.
const TEAM_ORDER: i64 = 100;
/// Where a user's arguments begin among all of them, unless the schema orders them.
const USER_ORDER: i64 = 200;

/// What a team fills in.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct TeamTier {
    /// Arguments, in the order of the team's schema.
    pub args: Vec<Option<String>>,
    /// Environment variables.
    pub env: BTreeMap<String, Secret>,
    /// Headers.
    pub headers: BTreeMap<String, Secret>,
    /// Query parameters.
    pub query: BTreeMap<String, Secret>,
}

/// Whose instance it is.
#[derive(Clone, Debug, PartialEq)]
pub struct Instance {
    /// Its installation.
    pub installation: InstallationId,
    /// What the team calls the installation.
    pub installation_name: String,
    /// The installation's settings.
    pub settings: ServerSettings,
    /// Its team.
    pub team: TeamId,
    /// The team's name in keys.
    pub team_slug: String,
    /// Its user.
    pub user: UserId,
    /// Its id, path and SHA-256 of its token, once there are any.
    pub id: Option<InstanceId>,
    /// Its path segment under `/i/`.
    pub path: Option<String>,
    /// SHA-256 of its token, in hexadecimal.
    pub token_hash: Option<String>,
    /// Its status.
    pub status: Option<InstanceStatus>,
    /// Tools an administrator switched off.
    pub disabled_tools: Vec<String>,
    /// Grows when it must be started anew.
    pub generation: u64,
}

/// The server's name in tool paths: its own, or one made of its name.
pub fn server_slug(template: &CreateServer) -> String {
    template.slug.clone().unwrap_or_else(|| slug(&template.name))
}

/// A text as a name in keys: lower case, its runs of anything but letters and digits as one `-`.
pub fn slug(name: &str) -> String {
    let words = name.split(|c: char| !c.is_ascii_alphanumeric()).filter(|word| !word.is_empty());
    words.map(str::to_ascii_lowercase).collect::<Vec<_>>().join("-")
}

/// The key under which the entry stands: `{server_slug}-{team_slug}-{user_id}-{installation_id}`.
pub fn process_key(template: &CreateServer, instance: &Instance) -> String {
    format!(
        "{}-{}-{}-{}",
        server_slug(template),
        instance.team_slug,
        instance.user,
        instance.installation
    )
}

/// What the user has still to fill in: names of required fields without a value. While there is
/// any, the instance is `awaiting_user_config`, and its entry is withheld from satellites.
pub fn missing_from_user<'a>(template: &'a CreateServer, user: &UserSettings) -> Vec<&'a str> {
    let schema = &template.user_schema;
    let absent = |fields: &'a [Field], filled: &dyn Fn(&str) -> bool| {
        fields
            .iter()
            .filter(|field| field.required && !filled(&field.name))
            .map(|field| field.name.as_str())
            .collect::<Vec<_>>()
    };
    let has = |values: &BTreeMap<String, Secret>, name: &str| {
        values.get(name).is_some_and(|value| !value.is_empty())
    };
    let mut missing = absent(&schema.args, &|name| {
        user.user_args.get(name).is_some_and(|value| !value.is_empty())
    });
    missing.extend(absent(&schema.env, &|name| has(&user.user_env, name)));
    missing.extend(absent(&schema.headers, &|name| has(&user.user_headers, name)));
    missing.extend(absent(&schema.query_params, &|name| has(&user.user_url_query_params, name)));
    missing
}

/// Merges the tiers into the entry a satellite gets.
///
/// # Errors
///
/// The template names no remote although its transport needs one.
pub fn merge(
    template: &CreateServer,
    team: &TeamTier,
    user: &UserSettings,
    instance: &Instance,
) -> Result<ServerEntry, String> {
    let mut entry = named(template, instance);
    let mut secrets = SecretNames::default();
    match template.transport_type {
        Transport::Stdio => {
            let package = template.packages.first().map(|package| &package.transport);
            let command = package.and_then(|transport| transport.command.clone());
            entry.command = Some(command.unwrap_or_else(|| "npx".to_owned()));
            let (args, secret) = args(template, team, user);
            secrets.args = secret;
            entry.args = Some(args);
            let mut env = package.map(|transport| transport.env.clone()).unwrap_or_default();
            env.extend(team.env.clone());
            env.extend(user.user_env.clone());
            secrets.env = secret_names(&template.team_schema.env, &template.user_schema.env, &env);
            entry.env = Some(env);
        }
        Transport::Http | Transport::Sse => {
            let remote = template.remotes.first().ok_or_else(|| {
                format!("the server {} has no remote; add one to its template", template.name)
            })?;
            let mut headers = remote.headers.clone();
            extend_headers(&mut headers, &team.headers);
            extend_headers(&mut headers, &user.user_headers);
            let mut query = team.query.clone();
            query.extend(user.user_url_query_params.clone());
            secrets.headers = secret_names(
                &template.team_schema.headers,
                &template.user_schema.headers,
                &headers,
            );
            secrets.query_params = secret_names(
                &template.team_schema.query_params,
                &template.user_schema.query_params,
                &query,
            );
            let address = |url: &Secret| Secret::new(with_query(url.expose(), &query));
            entry.url = Some(address(&remote.url));
            let others: Vec<Secret> = remote.urls.iter().map(address).collect();
            entry.urls = (!others.is_empty()).then_some(others);
            entry.headers = Some(headers);
            entry.timeout = Some(REMOTE_TIMEOUT_MS);
        }
    }
    entry.secret_metadata = (!secrets.is_empty()).then_some(secrets);
    Ok(entry)
}

/// Whether satellites can use the addresses of a template.
///
/// # Errors
///
/// What is wrong with them.
pub fn check_addresses(template: &CreateServer) -> Result<(), String> {
    if template.transport_type == Transport::Stdio {
        return Ok(());
    }
    let remote = template.remotes.first();
    let remote = remote.ok_or("`remotes`: must name a URL for this transport")?;
    let listed = 1 + remote.urls.len();
    if listed > ENDPOINTS_MAX {
        return Err(format!("`remotes`: lists {listed} URLs; list at most {ENDPOINTS_MAX}"));
    }
    let mut all = core::iter::once(&remote.url).chain(&remote.urls);
    match all.position(|url| !is_http_url(url.expose())) {
        Some(at) => Err(format!("`remotes`: URL {} is no http or https URL", at + 1)),
        None => Ok(()),
    }
}

fn named(template: &CreateServer, instance: &Instance) -> ServerEntry {
    ServerEntry {
        installation_id: Some(instance.installation.clone()),
        instance_id: instance.id.clone(),
        team_id: Some(instance.team.clone()),
        team_slug: Some(instance.team_slug.clone()),
        server_name: Some(template.name.clone()),
        server_slug: Some(server_slug(template)),
        installation_name: Some(instance.installation_name.clone()),
        transport_type: Some(template.transport_type.as_str().to_owned()),
        enabled: Some(true),
        user_id: Some(instance.user.clone()),
        user_slug: Some(instance.user.to_string()),
        instance_status: instance.status.map(|status| status.as_str().to_owned()),
        requires_oauth: Some(template.requires_oauth),
        source: Some(template.source.clone().unwrap_or_else(|| "manual".to_owned())),
        language: template.language.clone(),
        runtime: template.runtime.clone(),
        settings: (instance.settings != ServerSettings::default())
            .then(|| instance.settings.clone()),
        git_commit_sha: template.git_commit_sha.clone(),
        repository_url: template.repository_url.clone(),
        git_branch: template.git_branch.clone(),
        instance_path: instance.path.clone(),
        instance_token_hash: instance.token_hash.clone(),
        disabled_tools: (!instance.disabled_tools.is_empty())
            .then(|| instance.disabled_tools.clone()),
        generation: Some(instance.generation),
        ..ServerEntry::default()
    }
}

/// The arguments of all tiers by their order; without one they stand tier after tier. And which of
/// them a schema calls secret.
fn args(
    template: &CreateServer,
    team: &TeamTier,
    user: &UserSettings,
) -> (Vec<String>, Vec<usize>) {
    let at = |index: usize| i64::try_from(index).unwrap_or(i64::MAX);
    let mut ordered: Vec<(i64, &str, bool)> = Vec::new();
    for (index, arg) in template.template_args.iter().enumerate() {
        ordered.push((arg.order.unwrap_or_else(|| at(index)), &arg.value, false));
    }
    for (index, value) in team.args.iter().enumerate() {
        let field = template.team_schema.args.get(index);
        let order = field.and_then(|field| field.order);
        let order = order.unwrap_or_else(|| TEAM_ORDER.saturating_add(at(index)));
        let value = value.as_deref().unwrap_or_default();
        ordered.push((order, value, field.is_some_and(Field::is_secret)));
    }
    for (index, field) in template.user_schema.args.iter().enumerate() {
        let value = user.user_args.get(&field.name).map(String::as_str).unwrap_or_default();
        let order = field.order.unwrap_or_else(|| USER_ORDER.saturating_add(at(index)));
        ordered.push((order, value, field.is_secret()));
    }
    ordered.retain(|(_, value, _)| !value.is_empty());
    ordered.sort_by_key(|(order, ..)| *order);
    let is_secret = |(position, (.., secret)): (usize, &(_, _, bool))| secret.then_some(position);
    let secret = ordered.iter().enumerate().filter_map(is_secret).collect();
    (ordered.into_iter().map(|(_, value, _)| value.to_owned()).collect(), secret)
}

/// Header names do not differ by case (RFC 9110, section 5.1): a later tier replaces either way.
fn extend_headers(headers: &mut BTreeMap<String, Secret>, later: &BTreeMap<String, Secret>) {
    for (name, value) in later {
        headers.retain(|known, _| !known.eq_ignore_ascii_case(name));
        headers.insert(name.clone(), value.clone());
    }
}

/// Names of set values that a schema of any tier calls secret.
fn secret_names(team: &[Field], user: &[Field], set: &BTreeMap<String, Secret>) -> Vec<String> {
    let secret = |name: &String| {
        team.iter()
            .chain(user)
            .any(|field| field.is_secret() && field.name.eq_ignore_ascii_case(name))
    };
    set.keys().filter(|name| secret(name)).cloned().collect()
}

#[cfg(test)]
mod tests;
