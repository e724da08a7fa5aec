//! The list of transactions. Each line is a method of [`Store`], and a function of the same name in
//! each implementation's folder, where its whole text is found.

use std::future::Future;
use std::ops::ControlFlow;

use satellite_core::id::{CommandId, InstallationId, InstanceId, SatelliteId, TeamId, UserId};
use satellite_core::time::Timestamp;

use super::records::{
    AccessToken, Completed, Completion, ConfigurationSource, Credential, EventOutcome, EventQuery,
    EventRecord, Heartbeat, HeartbeatRecord, Installation, InstallationPatch, Instance, JobEnd,
    JobState, KeyHolder, Member, NewCommand, Notice, OauthClient, OauthFlow, OauthToken, Page,
    Process, Registered, Registration, RegistrationToken, Retained, Retention, Satellite,
    SatelliteCommand, SatellitePatch, SealedGrant, Server, StartedFlow, StoredEvent, Take, Taken,
    Team, TokenOwner, Tool, Unrenewed, User, UserConfiguration,
};
use super::{AnyStore, Model, Postgres, Sqlite, StoreError, model, postgres, sqlite};

macro_rules! transactions {
    ($($(#[$doc:meta])* $topic:ident::$name:ident($($arg:ident: $kind:ty),*) -> $output:ty;)*) => {
        /// Everything the Backend keeps. Every method is one transaction.
        ///
        /// # Errors
        ///
        /// [`StoreError`]: what is missing, what is in the way, or how the storage failed.
        pub trait Store: Send + Sync {$(
            $(#[$doc])*
            fn $name(
                &self, $($arg: $kind),*
            ) -> impl Future<Output = Result<$output, StoreError>> + Send;
        )*}

        impl Store for AnyStore {$(
            async fn $name(&self, $($arg: $kind),*) -> Result<$output, StoreError> {
                match self {
                    AnyStore::Model(store) => store.$name($($arg),*).await,
                    AnyStore::Sqlite(store) => store.$name($($arg),*).await,
                    AnyStore::Postgres(store) => store.$name($($arg),*).await,
                }
            }
        )*}

        impl Store for Model {$(
            async fn $name(&self, $($arg: $kind),*) -> Result<$output, StoreError> {
                self.run(|tables| model::$topic::$name(tables, $($arg),*))
            }
        )*}

        impl Store for Sqlite {$(
            async fn $name(&self, $($arg: $kind),*) -> Result<$output, StoreError> {
                self.run(move |tx| sqlite::$topic::$name(tx, $($arg),*)).await
            }
        )*}

        impl Store for Postgres {$(
            async fn $name(&self, $($arg: $kind),*) -> Result<$output, StoreError> {
                let mut tries = postgres::Tries::default();
                loop {
                    let outcome = async {
                        let mut connection = self.connection().await?;
                        let tx = connection.transaction().await?;
                        let output = postgres::$topic::$name(&tx, $(&$arg),*).await?;
                        tx.commit().await.map_err(postgres::Fault::of_commit)?;
                        Ok(output)
                    };
                    if let ControlFlow::Break(result) = tries.judge(outcome.await).await {
                        return result;
                    }
                }
            }
        )*}
    };
}

transactions! {
    /// Stores an issued registration token.
    pairing::create_registration_token(token: RegistrationToken) -> ();
    /// All registration tokens, newest first.
    pairing::registration_tokens() -> Vec<RegistrationToken>;
    /// Removes a registration token that is not spent; false if there is none.
    pairing::delete_registration_token(id: String) -> bool;
    /// Spends a token and creates or renews its satellite, whose former key stops working.
    pairing::register_satellite(registration: Registration) -> Registered;
    /// Whose key is found by `lookup`.
    pairing::key_holder(lookup: String) -> Option<KeyHolder>;
    /// The secret `name`; `candidate` becomes it if there is none yet. Says whether it did.
    pairing::secret(name: String, candidate: String) -> (String, bool);

    /// All satellites, by name.
    satellites::satellites() -> Vec<Satellite>;
    /// One satellite.
    satellites::satellite(id: SatelliteId) -> Option<Satellite>;
    /// Changes what an administrator may change of a satellite.
    satellites::update_satellite(id: SatelliteId, patch: SatellitePatch, now: Timestamp) -> Satellite;
    /// Removes a satellite and all that is its; its key is remembered as deleted.
    satellites::delete_satellite(id: SatelliteId, now: Timestamp) -> bool;
    /// Makes every active satellite `inactive` that was last heard of before `before`.
    satellites::mark_silent(before: Timestamp) -> Vec<SatelliteId>;

    /// Puts commands into the queue.
    commands::file_commands(commands: Vec<NewCommand>) -> ();
    /// Hands out waiting commands under a lease, most urgent first, oldest first.
    commands::take_commands(take: Take) -> Taken;
    /// Stores what a satellite reports of a command. The first reported end stands.
    commands::complete_command(completion: Completion) -> Completed;
    /// One command of a satellite.
    commands::command(satellite: SatelliteId, id: CommandId) -> Option<SatelliteCommand>;
    /// A satellite's commands, newest first.
    commands::commands(satellite: SatelliteId, limit: u32) -> Vec<SatelliteCommand>;
    /// Ends what went stale and takes back what was not reported in time; says how many.
    commands::lapse_commands(now: Timestamp) -> u64;

    /// The five steps of a heartbeat: the satellite exists, its last heartbeat and status, the row,
    /// its MCP status, its processes.
    health::record_heartbeat(record: HeartbeatRecord) -> Satellite;
    /// A satellite's heartbeats, newest first.
    health::heartbeats(satellite: SatelliteId, limit: u32) -> Vec<Heartbeat>;
    /// A satellite's processes, by id.
    health::processes(satellite: SatelliteId) -> Vec<Process>;
    /// Removes what is not to be kept.
    health::retain(retention: Retention) -> Retained;

    /// Begins a run of a job that is due and that nobody runs; false otherwise.
    jobs::begin_job(name: String, holder: String, now: Timestamp, until: Timestamp) -> bool;
    /// Ends a run; false if it is not `holder`'s any more.
    jobs::end_job(end: JobEnd) -> bool;
    /// Makes a job due; false if it never ran.
    jobs::ask_job(name: String, now: Timestamp) -> bool;
    /// All jobs that ever ran, by name.
    jobs::jobs() -> Vec<JobState>;

    /// Stores an event once, with what it changes.
    events::record_event(event: EventRecord) -> EventOutcome;
    /// Events in the order of their arrival.
    events::events(query: EventQuery) -> Vec<StoredEvent>;

    /// Creates a team.
    accounts::create_team(team: Team) -> ();
    /// All teams, by slug.
    accounts::teams() -> Vec<Team>;
    /// One team.
    accounts::team(id: TeamId) -> Option<Team>;
    /// Removes a team and all that is its, and files the notice to the satellites that go on.
    accounts::delete_team(id: TeamId, notice: Notice) -> bool;
    /// Creates a user.
    accounts::create_user(user: User) -> ();
    /// All users, by name.
    accounts::users() -> Vec<User>;
    /// One user.
    accounts::user(id: UserId) -> Option<User>;
    /// Removes a user and all that is theirs, and files the notices to the satellites of their teams.
    accounts::delete_user(id: UserId, notices: Vec<Notice>) -> bool;
    /// Puts a user into a team, or changes the role; gives them an instance of each installation.
    accounts::put_member(member: Member, instance_prefix: String, notice: Notice) -> ();
    /// A team's members, by user id.
    accounts::members(team: TeamId) -> Vec<Member>;
    /// Takes a user out of a team, with their instances and tokens there.
    accounts::remove_member(team: TeamId, user: UserId, notice: Notice) -> bool;
    /// Stores an issued access token.
    accounts::create_access_token(token: AccessToken) -> ();
    /// A user's access tokens, newest first.
    accounts::access_tokens(user: UserId) -> Vec<AccessToken>;
    /// Removes an access token of a user and files the notice to the satellites of its team; false if
    /// there is none.
    accounts::delete_access_token(user: UserId, id: String, notice: Notice) -> bool;
    /// Whose token has this hash.
    accounts::introspect(token_hash: String) -> Option<TokenOwner>;

    /// Creates a server template.
    servers::create_server(server: Server) -> ();
    /// All server templates, by slug.
    servers::servers() -> Vec<Server>;
    /// One server template.
    servers::server(id: String) -> Option<Server>;
    /// Removes a server template that no team has installed.
    servers::delete_server(id: String) -> bool;
    /// Installs a server for a team, with an instance for each member, and files the notice.
    installations::create_installation(
        installation: Installation, instance_prefix: String, notice: Notice
    ) -> ();
    /// All installations, or a team's, by id.
    installations::installations(team: Option<TeamId>) -> Vec<Installation>;
    /// One installation.
    installations::installation(id: InstallationId) -> Option<Installation>;
    /// Changes an installation and files the notice.
    installations::update_installation(
        id: InstallationId, patch: InstallationPatch, notice: Notice
    ) -> Installation;
    /// Removes an installation and files the notice.
    installations::delete_installation(id: InstallationId, notice: Notice) -> bool;
    /// Stores what a user adds to an installation and files the notice.
    installations::put_user_configuration(configuration: UserConfiguration, notice: Notice) -> ();
    /// What users added to an installation, by user id.
    installations::user_configurations(installation: InstallationId) -> Vec<UserConfiguration>;
    /// An installation's instances, by user id.
    instances::instances(installation: InstallationId) -> Vec<Instance>;
    /// Gives an instance a token, and a path if it has none, and files the notice.
    instances::set_instance_token(
        id: InstanceId, path: String, token_hash: String, notice: Notice
    ) -> Instance;
    /// The tools last found in an installation, by name.
    instances::tools(installation: InstallationId) -> Vec<Tool>;
    /// Switches a tool on or off for a whole installation and files the notice.
    instances::set_tool_disabled(
        installation: InstallationId, tool: String, disabled: bool, notice: Notice
    ) -> ();

    /// Stores a way through an authorisation server, in place of any other of the same instance.
    connections::create_oauth_flow(flow: OauthFlow, now: Timestamp) -> ();
    /// The way that a link begins, if it has not begun.
    connections::oauth_flow(link_hash: String, now: Timestamp) -> Option<OauthFlow>;
    /// Begins the way of a link; false if that cannot be, or has been.
    connections::start_oauth_flow(link_hash: String, started: StartedFlow, now: Timestamp) -> bool;
    /// Ends the way that a state belongs to.
    connections::take_oauth_flow(state_hash: String, now: Timestamp) -> Option<OauthFlow>;
    /// As whom the Backend is known to an issuer.
    connections::oauth_client(issuer: String, redirect_uri: String) -> Option<OauthClient>;
    /// Stores as whom it is known, in place of what was.
    connections::put_oauth_client(client: OauthClient) -> ();
    /// Forgets it: the issuer has.
    connections::forget_oauth_client(issuer: String, redirect_uri: String) -> ();
    /// Stores a user's token in place of any other, lets the instance that waited for it connect,
    /// and files the notice.
    connections::connect(token: OauthToken, notice: Notice) -> ();
    /// A user's token.
    connections::oauth_token(credential: Credential) -> Option<OauthToken>;
    /// Lets `holder` alone renew a token until `until`, unless somebody else may, or nobody can.
    connections::lease_renewal(
        credential: Credential, holder: String, now: Timestamp, until: Timestamp
    ) -> Option<OauthToken>;
    /// Stores what a renewal brought; false if `holder` may not any more.
    connections::renewed(credential: Credential, holder: String, granted: SealedGrant) -> bool;
    /// Ends a renewal that brought nothing; false if its holder may not any more.
    connections::unrenewed(failure: Unrenewed) -> bool;
    /// Whose tokens end before `before` and may be renewed, the earliest first.
    connections::renewals_due(before: Timestamp, now: Timestamp, limit: u32) -> Vec<Credential>;
    /// Has the instances wait for their users whose tokens have ended and cannot be renewed; says
    /// how many.
    connections::lapse_tokens(message: String, now: Timestamp) -> u64;

    /// Everything the satellite's configuration is made of. `in_force` is the version that the
    /// satellite says it has.
    installations::configuration_source(
        satellite: SatelliteId, in_force: Option<u64>
    ) -> ConfigurationSource;

    /// A part of teams, by slug.
    lists::teams_page(page: Page) -> Vec<Team>;
    /// A part of users, by name.
    lists::users_page(page: Page) -> Vec<User>;
    /// A part of server templates, by slug.
    lists::servers_page(page: Page) -> Vec<Server>;
    /// A part of satellites, by name.
    lists::satellites_page(page: Page) -> Vec<Satellite>;
    /// A part of registration tokens, newest first.
    lists::registration_tokens_page(page: Page) -> Vec<RegistrationToken>;
    /// A part of a user's access tokens, newest first.
    lists::access_tokens_page(user: UserId, page: Page) -> Vec<AccessToken>;
    /// A part of a team's installations, by name.
    lists::installations_page(team: TeamId, page: Page) -> Vec<Installation>;
    /// A part of a satellite's commands, newest first.
    lists::commands_page(satellite: SatelliteId, page: Page) -> Vec<SatelliteCommand>;
    /// A part of a satellite's heartbeats, newest first.
    lists::heartbeats_page(satellite: SatelliteId, page: Page) -> Vec<Heartbeat>;
}
