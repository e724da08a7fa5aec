//! The record of who was given what is secret: each time, by name, and never by value.

use alloc::string::String;
use alloc::vec::Vec;

use super::{Control, Effect};
use crate::id::{Incarnation, InstanceKey};
use crate::instance::COMMAND_ID;
use crate::process::ProcessSpec;
use crate::remote::RemoteSpec;
use crate::secret::Secret;
use crate::time::Timestamp;
use crate::wire::event::{CredentialsAccessed, EventData};

impl Control {
    /// A process of an instance is about to be given its environment. Every value that the
    /// configuration puts there may be secret.
    pub(super) fn record_environment(
        &mut self,
        now: Timestamp,
        key: &InstanceKey,
        incarnation: Incarnation,
        process: &ProcessSpec,
        out: &mut Vec<Effect>,
    ) {
        let Some(mut record) = self.record_of(key, incarnation) else { return };
        record.environment = names(&process.env);
        record.environment.retain(|name| name != COMMAND_ID);
        self.put_on_record(now, record, out);
    }

    /// A conversation of an instance is about to be given what each of its requests bears.
    pub(super) fn record_requests(
        &mut self,
        now: Timestamp,
        key: &InstanceKey,
        incarnation: Incarnation,
        remote: &RemoteSpec,
        out: &mut Vec<Effect>,
    ) {
        let Some(mut record) = self.record_of(key, incarnation) else { return };
        record.headers = names(&remote.headers);
        record.query_parameters = remote.named_query.clone();
        record.access_token = remote.requires_oauth;
        self.put_on_record(now, record, out);
    }

    fn record_of(
        &self,
        key: &InstanceKey,
        incarnation: Incarnation,
    ) -> Option<CredentialsAccessed> {
        let spec = &self.instances.get(key)?.lifecycle().spec;
        Some(CredentialsAccessed {
            team_id: key.team.clone(),
            user_id: key.user.clone(),
            installation_id: key.installation.clone(),
            server_slug: spec.names.process.clone(),
            incarnation: incarnation.0,
            environment: Vec::new(),
            headers: Vec::new(),
            query_parameters: Vec::new(),
            access_token: false,
        })
    }

    fn put_on_record(
        &mut self,
        now: Timestamp,
        record: CredentialsAccessed,
        out: &mut Vec<Effect>,
    ) {
        let CredentialsAccessed { environment, headers, query_parameters, access_token, .. } =
            &record;
        let lists = [environment, headers, query_parameters];
        if *access_token || lists.iter().any(|names| !names.is_empty()) {
            self.emit(now, EventData::CredentialsAccessed(record), out);
        }
    }
}

fn names(values: &[(String, Secret)]) -> Vec<String> {
    values.iter().map(|(name, _)| name.clone()).collect()
}
