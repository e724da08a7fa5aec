//! What satellites call.

use std::sync::Arc;

use axum::http::StatusCode;
use satellite_core::schema::EventBatch;
use satellite_core::wire::Acknowledgement;
use satellite_core::wire::command::{CommandResult, PollQuery, PollReply};
use satellite_core::wire::configuration::ConfigurationReply;
use satellite_core::wire::event::EventsReply;
use satellite_core::wire::health::Health;
use satellite_core::wire::heartbeat::{Heartbeat, HeartbeatReply, StatusReply};
use satellite_core::wire::introspection::{Introspection, IntrospectionRequest};
use satellite_core::wire::path;
use satellite_core::wire::registration::{
    RegistrationReply, RegistrationRequest, RegistrationStatus,
};
use satellite_core::wire::tokens::{GithubToken, Tokens, TokensRequest, TokensStatus};

use super::operation::{Access, Operation, Shows, about};
use super::{commands, configuration, events, heartbeat, introspection, pairing, tokens};
use crate::backend::open::Backend;

/// The one route whose bodies may be large.
pub(super) const EVENTS: &str = "/api/satellites/{satellite}/events";

pub(super) fn operations() -> Vec<Operation<Arc<Backend>>> {
    let own = Access::Satellite;
    let at = |rest: &str| format!("/api/satellites/{{satellite}}/{rest}");
    let poll = "Fetch commands; may be held until there is one";
    let polled = Shows::json::<PollReply>;
    let pairing = vec![
        Operation::get(
            path::HEALTH,
            Access::Open,
            "Whether the Backend answers",
            Shows::json::<Health>(),
            pairing::health,
        ),
        Operation::post(
            path::REGISTER,
            Access::Registration,
            "Pair a satellite",
            Shows::json::<RegistrationReply>(),
            pairing::register,
        )
        .takes::<RegistrationRequest>()
        .or(StatusCode::CONFLICT, "The name belongs to another owner's satellite."),
        Operation::get(
            "/api/satellites/register/status",
            Access::Open,
            "How satellites are paired",
            Shows::json::<RegistrationStatus>(),
            pairing::register_status,
        ),
    ];
    let life = vec![
        Operation::post(
            &at("heartbeat"),
            own,
            "Tell how the satellite is",
            Shows::json::<HeartbeatReply>(),
            heartbeat::beat,
        )
        .takes::<Heartbeat>(),
        Operation::get(
            &at("status"),
            Access::SatelliteOrAdministrator,
            "A satellite in brief",
            Shows::json::<StatusReply>(),
            heartbeat::status,
        ),
        Operation::get(
            &at("config"),
            own,
            "The configuration",
            Shows::json::<ConfigurationReply>(),
            configuration::fetch,
        )
        .or(StatusCode::NOT_MODIFIED, "`If-None-Match` names what is in force."),
        Operation::post(
            EVENTS,
            own,
            "Tell what happened; each event is taken or refused by itself",
            Shows::json::<EventsReply>(),
            events::report,
        )
        .takes::<EventBatch>(),
    ];
    let commands = vec![
        Operation::get(&at("commands"), own, poll, polled(), commands::poll).asks::<PollQuery>(),
        Operation::get(
            "/api/satellites/global/{satellite}/commands",
            own,
            poll,
            polled(),
            commands::poll_global,
        )
        .asks::<PollQuery>(),
        Operation::get(
            "/api/teams/{team}/satellites/{satellite}/commands",
            own,
            poll,
            polled(),
            commands::poll_team,
        )
        .asks::<PollQuery>(),
        Operation::post(
            &at("command-result"),
            own,
            "Tell how far a command got",
            Shows::json::<Acknowledgement>(),
            commands::result,
        )
        .takes::<CommandResult>(),
    ];
    let limited = "The satellite asks too often; `Retry-After` says when to try again.";
    let tokens = vec![
        Operation::post(
            &at("tokens/status"),
            own,
            "Whether there is a user's token for a server",
            Shows::json::<TokensStatus>(),
            tokens::status,
        )
        .takes::<TokensRequest>(),
        Operation::post(
            &at("tokens/retrieve"),
            own,
            "A user's token for a server",
            Shows::json::<Tokens>(),
            tokens::retrieve,
        )
        .takes::<TokensRequest>()
        .or(StatusCode::TOO_MANY_REQUESTS, limited),
        Operation::get(
            &at("github-token/{installation}"),
            own,
            "A token for GitHub",
            Shows::json::<GithubToken>(),
            tokens::github,
        ),
        Operation::post(
            path::INTROSPECT,
            own,
            "Whose token an MCP client presented (RFC 7662)",
            Shows::json::<Introspection>(),
            introspection::introspect,
        )
        .takes::<IntrospectionRequest>(),
    ];
    [
        about("Pairing", pairing),
        about("Life of a satellite", life),
        about("Commands for satellites", commands),
        about("Tokens for satellites", tokens),
    ]
    .concat()
}
