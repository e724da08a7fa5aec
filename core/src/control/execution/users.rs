//! `invalidate_user_token_cache`: what the surface remembers of a user is forgotten.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use serde_json::json;

use super::{Deed, Execution};
use crate::commands::{Outcome, Payload};
use crate::control::{Control, Effect};
use crate::id::{CommandId, TeamId, UserId};
use crate::time::Timestamp;
use crate::{Refusal, Verdict};

/// What the surface forgot of a user.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Forgotten {
    pub(super) identities: u64,
    pub(super) sessions: u64,
}

impl Control {
    pub(super) fn forget_user(
        &mut self,
        now: Timestamp,
        id: CommandId,
        payload: Payload,
        out: &mut Vec<Effect>,
    ) {
        let Some(user) = payload.user_id.clone() else {
            let error = String::from("the payload names no user; add `user_id`");
            return self.refuse(now, id, Refusal::Unknown, error, out);
        };
        let mut execution = Execution::new(now, id, Deed::ForgetUser, payload);
        execution.awaits_users = Some(self.ask_to_forget(user, None, out));
        self.executions.running.push(execution);
    }

    /// Has the surface forget a user, or the user as a member of a team. Returns the question's
    /// number.
    pub(super) fn ask_to_forget(
        &mut self,
        user: UserId,
        team: Option<TeamId>,
        out: &mut Vec<Effect>,
    ) -> u64 {
        self.executions.questions += 1;
        let request = self.executions.questions;
        out.push(Effect::ForgetUser { request, user, team });
        request
    }

    /// The surface has forgotten a user.
    pub(in crate::control) fn user_forgotten(
        &mut self,
        request: u64,
        identities: u64,
        sessions: u64,
    ) -> Verdict {
        let mut running = self.executions.running.iter_mut();
        let Some(execution) = running.find(|one| one.awaits_users == Some(request)) else {
            return Verdict::Ignored("late");
        };
        execution.awaits_users = None;
        execution.forgotten = Forgotten { identities, sessions };
        Verdict::Handled
    }
}

pub(super) fn forgotten(now: Timestamp, execution: &Execution) -> Outcome {
    if execution.awaits_users.is_some() {
        let error = "the satellite's surface did not answer in time; send it again";
        return Outcome::failed(execution.started_at, error);
    }
    let Forgotten { identities, sessions } = execution.forgotten;
    let result = json!({
        "user_id": execution.payload.user_id,
        "user_email": execution.payload.user_email,
        "invalidated_count": identities,
        "sessions_ended": sessions,
        "message": format!("{identities} cached tokens dropped, {sessions} sessions ended"),
    });
    Outcome::completed(execution.started_at, now, result)
}
