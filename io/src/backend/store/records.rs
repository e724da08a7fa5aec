//! The rows of the Backend, as the transactions take and give them.
//!
//! They serialise as the administration API shows them; what is secret is left out.

mod accounts;
mod commands;
mod connections;
mod events;
mod health;
mod jobs;
mod json_text;
mod page;
mod satellites;
mod servers;

pub use accounts::{AccessToken, Member, Team, TokenOwner, User};
pub use commands::{
    Completed, Completion, Delivery, Drawn, NewCommand, Notice, SatelliteCommand, Take, Taken, draw,
};
pub use connections::{
    Credential, OauthClient, OauthFlow, OauthToken, Sealed, SealedGrant, StartedFlow, Unrenewed,
};
pub use events::{
    ClientActivity, EventEffect, EventOutcome, EventQuery, EventRecord, RequestLog, ServerLog,
    StoredEvent, ToolUse,
};
pub use health::{Heartbeat, HeartbeatRecord, Process, Retained, Retention};
pub use jobs::{JobEnd, JobRun, JobState};
pub use json_text::JsonText;
pub use page::{Bound, Filter, ListOf, Page, Place};
pub use satellite_core::backend::processes::ReportedProcess;
pub use satellites::{
    AdminState, KeyHolder, KeyState, Registered, Registration, RegistrationToken, Satellite,
    SatellitePatch, namesakes_of, owner_of,
};
pub use servers::{
    ConfigurationInput, ConfigurationSource, Installation, InstallationPatch, Instance, Server,
    Tool, Tools, UserConfiguration,
};
