//! Members of teams, and users' access tokens.

use clap::Subcommand;
use http::Method;
use satellite_core::backend::{access_token, roles};
use satellite_core::wire::admin::CreateAccessToken;
use satellite_core::wire::path::escape;
use serde_json::json;

use super::requests::{ApiRequest, Shown, create, delete, list};
use super::{Access, Listed};
use crate::exit::{Exit, usage};

#[derive(Debug, Subcommand)]
pub(in crate::cli) enum MemberCommand {
    /// Put a user into a team, or change their role.
    Set {
        /// The user.
        #[arg(value_name = "USER")]
        user: String,
        /// The team.
        #[arg(long, value_name = "ID")]
        team: String,
        /// team_user, or team_admin who may change what is the team's.
        #[arg(long, value_name = "ROLE", default_value = "team_user")]
        role: String,
        #[command(flatten)]
        access: Access,
    },
    /// Take a user out of a team; their tokens and instances there end.
    Remove {
        /// The user.
        #[arg(value_name = "USER")]
        user: String,
        /// The team.
        #[arg(long, value_name = "ID")]
        team: String,
        #[command(flatten)]
        access: Access,
    },
}

#[derive(Debug, Subcommand)]
pub(in crate::cli) enum AccessCommand {
    /// A user's tokens.
    List {
        /// The user.
        #[arg(long, value_name = "ID")]
        user: String,
        #[command(flatten)]
        listed: Listed,
    },
    /// Issue one; it is shown this once.
    Create {
        /// The user.
        #[arg(long, value_name = "ID")]
        user: String,
        /// The team it is for; the user must be a member.
        #[arg(long, value_name = "ID")]
        team: String,
        /// For the administration API, not for MCP clients.
        #[arg(long)]
        manage: bool,
        /// Its life in days [default: 30]
        #[arg(long, value_name = "DAYS")]
        expires_in_days: Option<u64>,
        #[command(flatten)]
        access: Access,
    },
    /// End one, at the Backend and at its team's satellites.
    Revoke {
        /// The token's id.
        #[arg(value_name = "ID")]
        id: String,
        /// Its user.
        #[arg(long, value_name = "ID")]
        user: String,
        #[command(flatten)]
        access: Access,
    },
}

impl MemberCommand {
    pub(super) fn access(&self) -> &Access {
        match self {
            MemberCommand::Set { access, .. } | MemberCommand::Remove { access, .. } => access,
        }
    }

    pub(super) fn request(&self) -> ApiRequest {
        let members = |team: &str| format!("/api/teams/{}/members", escape(team));
        match self {
            MemberCommand::Set { user, team, role, .. } => ApiRequest {
                method: Method::PUT,
                path: format!("{}/{}", members(team), escape(user)),
                body: Some(json!({"role": role})),
                shown: Shown::One("/data/team"),
            },
            MemberCommand::Remove { user, team, .. } => delete(&members(team), user),
        }
    }
}

impl AccessCommand {
    pub(super) fn access(&self) -> &Access {
        match self {
            AccessCommand::List { listed, .. } => &listed.access,
            AccessCommand::Create { access, .. } | AccessCommand::Revoke { access, .. } => access,
        }
    }

    pub(super) fn request(&self) -> Result<ApiRequest, Exit> {
        let tokens = |user: &str| format!("/api/users/{}/tokens", escape(user));
        Ok(match self {
            AccessCommand::List { user, .. } => list(
                &tokens(user),
                "/data/access_tokens",
                &["id", "team_id", "client_id", "scope", "created_at", "expires_at"],
            ),
            AccessCommand::Create { user, team, manage, expires_in_days, .. } => {
                let seconds = |days: &u64| {
                    days.checked_mul(24 * 3600)
                        .ok_or_else(|| usage("--expires-in-days is too large", "at most 366"))
                };
                let scope = if *manage { roles::SCOPE } else { access_token::STANDARD_SCOPE };
                let body = CreateAccessToken {
                    team_id: team.as_str().into(),
                    scope: Some(scope.to_owned()),
                    resource: Vec::new(),
                    expires_in: expires_in_days.as_ref().map(seconds).transpose()?,
                };
                create(&tokens(user), &body, "/data/access_token")?
            }
            AccessCommand::Revoke { id, user, .. } => delete(&tokens(user), id),
        })
    }
}
