//! What administration offers: every operation, with its permission, what it takes and what it shows.

use axum::http::StatusCode;
use satellite_core::backend::roles::Permission::{
    ActForUser, Administer, ManageTeam, OwnUser, SeeTeam,
};
use satellite_core::wire::Acknowledgement;
use satellite_core::wire::admin::{
    AccessTokenData, AccessTokensData, CommandData, CommandsData, ConnectLinkData,
    CreateAccessToken, CreateCommand, CreateInstallation, CreateServer, CreateTeam, CreateUser,
    EventsData, HeartbeatsData, InstallationData, InstallationsData, InstanceTokenData, JobData,
    JobsData, SatelliteData, SatellitesData, ServerData, ServersData, SetMember, TeamData,
    TeamsData, UpdateInstallation, UpdateSatellite, UserData, UserSettings, UsersData,
};
use satellite_core::wire::registration_token::{CreateToken, TokenList, TokenReply};

use super::pages::{
    OfAccessTokens, OfCommands, OfEvents, OfHeartbeats, OfInstallations, OfRegistrationTokens,
    OfSatellites, Whole,
};
use super::{connections, installations, jobs, people, registration_tokens, satellites, servers};
use crate::backend::authority::Guarded;
use crate::backend::routes::operation::{Access, Operation, Shows, about};

const INSTALLATIONS: &str = "/api/teams/{team}/mcp/installations";
const SATELLITES: &str = "/api/satellites/manage";

/// All of it. What an operation answers stands beside its handler; that it does is tested from outside,
/// by the document.
pub(in crate::backend::routes) fn operations() -> Vec<Operation<Guarded>> {
    [of_everybody(), of_teams(), of_installations(), of_satellites()].concat()
}

const ADMINISTRATOR: Access = Access::Administration(Administer);
const TAKEN: &str = "Something of that name exists already, or is in use.";

fn of_everybody() -> Vec<Operation<Guarded>> {
    use people as h;
    let own = Access::Administration(OwnUser);
    let teams = vec![
        Operation::get(
            "/api/teams",
            ADMINISTRATOR,
            "All teams",
            Shows::data::<TeamsData>(),
            h::teams,
        )
        .asks::<Whole>(),
        Operation::post(
            "/api/teams",
            ADMINISTRATOR,
            "Make a team",
            Shows::made::<TeamData>(),
            h::create_team,
        )
        .takes::<CreateTeam>()
        .or(StatusCode::CONFLICT, TAKEN),
    ];
    let users = vec![
        Operation::get(
            "/api/users",
            ADMINISTRATOR,
            "All users",
            Shows::data::<UsersData>(),
            h::users,
        )
        .asks::<Whole>(),
        Operation::post(
            "/api/users",
            ADMINISTRATOR,
            "Make a user",
            Shows::made::<UserData>(),
            h::create_user,
        )
        .takes::<CreateUser>()
        .or(StatusCode::CONFLICT, TAKEN),
        Operation::delete(
            "/api/users/{user}",
            ADMINISTRATOR,
            "Delete a user and all that is theirs",
            Shows::json::<Acknowledgement>(),
            h::delete_user,
        ),
        Operation::get("/api/users/{user}", own, "A user", Shows::data::<UserData>(), h::user),
    ];
    let tokens = vec![
        Operation::post(
            "/api/users/{user}/tokens",
            ADMINISTRATOR,
            "Make an access token for a user's MCP clients, or for administration",
            Shows::made::<AccessTokenData>(),
            h::create_token,
        )
        .takes::<CreateAccessToken>(),
        Operation::get(
            "/api/users/{user}/tokens",
            own,
            "A user's access tokens, without their texts",
            Shows::data::<AccessTokensData>(),
            h::tokens,
        )
        .asks::<OfAccessTokens>(),
        Operation::delete(
            "/api/users/{user}/tokens/{token}",
            own,
            "Revoke an access token",
            Shows::json::<Acknowledgement>(),
            h::revoke_token,
        ),
    ];
    let servers = vec![
        Operation::get(
            "/api/servers",
            ADMINISTRATOR,
            "All servers",
            Shows::data::<ServersData>(),
            servers::list,
        )
        .asks::<Whole>(),
        Operation::post(
            "/api/servers",
            ADMINISTRATOR,
            "Make a server",
            Shows::made::<ServerData>(),
            servers::create,
        )
        .takes::<CreateServer>()
        .or(StatusCode::CONFLICT, TAKEN),
        Operation::get(
            "/api/servers/{server}",
            ADMINISTRATOR,
            "A server",
            Shows::data::<ServerData>(),
            servers::get,
        ),
        Operation::delete(
            "/api/servers/{server}",
            ADMINISTRATOR,
            "Delete a server that no team has installed",
            Shows::json::<Acknowledgement>(),
            servers::delete,
        )
        .or(StatusCode::CONFLICT, TAKEN),
    ];
    let jobs = vec![
        Operation::get(
            "/api/jobs",
            ADMINISTRATOR,
            "All background jobs",
            Shows::data::<JobsData>(),
            jobs::list,
        ),
        Operation::post(
            "/api/jobs/{job}/run",
            ADMINISTRATOR,
            "Run a job now; answers once it has ended",
            Shows::data::<JobData>(),
            jobs::run,
        ),
    ];
    [
        about("Teams", teams),
        about("Users", users),
        about("Access tokens", tokens),
        about("Servers", servers),
        about("Background jobs", jobs),
    ]
    .concat()
}

fn of_teams() -> Vec<Operation<Guarded>> {
    let manage = Access::Administration(ManageTeam);
    let see = Access::Administration(SeeTeam);
    let teams = vec![
        Operation::get("/api/teams/{team}", see, "A team", Shows::data::<TeamData>(), people::team),
        Operation::delete(
            "/api/teams/{team}",
            ADMINISTRATOR,
            "Delete a team and all that is its",
            Shows::json::<Acknowledgement>(),
            people::delete_team,
        ),
        Operation::put(
            "/api/teams/{team}/members/{user}",
            manage,
            "Put a user into a team, or change the role",
            Shows::data::<TeamData>(),
            people::set_member,
        )
        .may_take::<SetMember>(),
        Operation::delete(
            "/api/teams/{team}/members/{user}",
            manage,
            "Take a user out of a team",
            Shows::json::<Acknowledgement>(),
            people::remove_member,
        ),
    ];
    let tokens = vec![
        Operation::post(
            "/api/teams/{team}/satellites/registration-tokens",
            manage,
            "Make a registration token for a satellite of a team",
            Shows::json::<TokenReply>(),
            registration_tokens::create_team,
        )
        .may_take::<CreateToken>(),
    ];
    let events = vec![
        // What its members' servers were called with is not for every member.
        Operation::get(
            "/api/teams/{team}/events",
            manage,
            "What a team's servers told and were given",
            Shows::data::<EventsData>(),
            satellites::team_events,
        )
        .asks::<OfEvents>(),
    ];
    [about("Teams", teams), about("Registration tokens", tokens), about("Events", events)].concat()
}

fn of_installations() -> Vec<Operation<Guarded>> {
    use installations as h;
    let at = |rest: &str| format!("{INSTALLATIONS}/{{installation}}{rest}");
    let manage = Access::Administration(ManageTeam);
    let see = Access::Administration(SeeTeam);
    let act = Access::Administration(ActForUser);
    let shown = Shows::data::<InstallationData>;
    let done = Shows::json::<Acknowledgement>;
    let installations = vec![
        Operation::get(
            INSTALLATIONS,
            see,
            "A team's installations",
            Shows::data::<InstallationsData>(),
            h::list,
        )
        .asks::<OfInstallations>(),
        Operation::post(
            INSTALLATIONS,
            manage,
            "Install a server",
            Shows::made::<InstallationData>(),
            h::create,
        )
        .takes::<CreateInstallation>()
        .or(StatusCode::CONFLICT, TAKEN),
        Operation::get(&at(""), see, "An installation", shown(), h::get),
        Operation::patch(&at(""), manage, "Change an installation", shown(), h::update)
            .takes::<UpdateInstallation>()
            .or(StatusCode::CONFLICT, TAKEN),
        Operation::delete(&at(""), manage, "Remove an installation", done(), h::delete),
        Operation::post(
            &at("/redeploy"),
            manage,
            "End every instance of an installation and start it anew",
            shown(),
            h::redeploy,
        ),
        Operation::put(
            &at("/users/{user}"),
            act,
            "Set what a user adds to an installation",
            done(),
            h::set_user,
        )
        .takes::<UserSettings>(),
        Operation::post(
            &at("/users/{user}/token"),
            act,
            "Give a user's instance a token, in place of any other",
            Shows::made::<InstanceTokenData>(),
            h::issue_token,
        ),
        Operation::post(
            &at("/users/{user}/connect"),
            act,
            "Make a link by which a user connects to a server that wants OAuth",
            Shows::made::<ConnectLinkData>(),
            connections::invite,
        )
        .or(StatusCode::NOT_IMPLEMENTED, "This Backend has no secret to seal tokens with."),
        Operation::patch(
            &at("/tools/{tool}"),
            manage,
            "Switch a tool on or off for a whole installation",
            Shows::data::<h::ToolSet>(),
            h::set_tool,
        )
        .takes::<h::SetTool>(),
    ];
    about("Installations", installations)
}

/// Satellites may be everybody's: all of these are the administrator's.
fn of_satellites() -> Vec<Operation<Guarded>> {
    use satellites as h;
    let at = |rest: &str| format!("{SATELLITES}/{{satellite}}{rest}");
    let shown = Shows::data::<SatelliteData>;
    let done = Shows::json::<Acknowledgement>;
    let tokens = vec![
        Operation::post(
            "/api/satellites/global/registration-tokens",
            ADMINISTRATOR,
            "Make a registration token for a satellite of all teams",
            Shows::json::<TokenReply>(),
            registration_tokens::create_global,
        )
        .may_take::<CreateToken>(),
        Operation::get(
            "/api/satellites/registration-tokens",
            ADMINISTRATOR,
            "All registration tokens, without their texts",
            Shows::json::<TokenList>(),
            registration_tokens::list,
        )
        .asks::<OfRegistrationTokens>(),
        Operation::delete(
            "/api/satellites/registration-tokens/{token}",
            ADMINISTRATOR,
            "Revoke a registration token that is not used",
            done(),
            registration_tokens::delete,
        ),
    ];
    let satellites = vec![
        Operation::get(
            SATELLITES,
            ADMINISTRATOR,
            "All satellites",
            Shows::data::<SatellitesData>(),
            h::list,
        )
        .asks::<OfSatellites>(),
        Operation::get(&at(""), ADMINISTRATOR, "A satellite", shown(), h::get),
        Operation::patch(&at(""), ADMINISTRATOR, "Change a satellite", shown(), h::update)
            .takes::<UpdateSatellite>(),
        Operation::delete(
            &at(""),
            ADMINISTRATOR,
            "Delete a satellite; its key is void",
            done(),
            h::delete,
        ),
        Operation::patch(
            &at("/status"),
            ADMINISTRATOR,
            "Set a satellite's status in a word",
            shown(),
            h::set_status,
        )
        .takes::<h::SetStatus>(),
        Operation::get(
            &at("/heartbeats"),
            ADMINISTRATOR,
            "A satellite's heartbeats, the latest first",
            Shows::data::<HeartbeatsData>(),
            h::heartbeats,
        )
        .asks::<OfHeartbeats>(),
    ];
    let commands = vec![
        Operation::get(
            &at("/commands"),
            ADMINISTRATOR,
            "A satellite's commands, the latest first",
            Shows::data::<CommandsData>(),
            h::commands,
        )
        .asks::<OfCommands>(),
        Operation::post(
            &at("/commands"),
            ADMINISTRATOR,
            "Send a satellite a command",
            Shows::made::<CommandData>(),
            h::create_command,
        )
        .takes::<CreateCommand>(),
        Operation::get(
            &at("/commands/{command}"),
            ADMINISTRATOR,
            "A command and how far it got",
            Shows::data::<CommandData>(),
            h::command,
        ),
    ];
    let events = vec![
        Operation::get(
            &at("/events"),
            ADMINISTRATOR,
            "What a satellite told",
            Shows::data::<EventsData>(),
            h::events,
        )
        .asks::<OfEvents>(),
        Operation::get(
            "/api/events",
            ADMINISTRATOR,
            "What all satellites told",
            Shows::data::<EventsData>(),
            h::all_events,
        )
        .asks::<OfEvents>(),
    ];
    [
        about("Registration tokens", tokens),
        about("Satellites", satellites),
        about("Commands", commands),
        about("Events", events),
    ]
    .concat()
}
