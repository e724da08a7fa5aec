//! What a command's payload says, as far as its execution reads it.

use alloc::format;
use alloc::string::String;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::id::{InstallationId, InstanceId, TeamId, UserId};
use crate::wire::lenient;

/// The payloads of every command, in one: which fields matter follows from the command.
///
/// Nothing else of a payload is kept: other fields, such as `env` and `headers`, hold secrets.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Payload {
    /// What happened at the Backend.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub event: Option<String>,
    /// What is wanted within the type.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub action: Option<String>,
    /// What is to be checked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub check_type: Option<String>,
    /// The installation it is about.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub installation_id: Option<InstallationId>,
    /// The instance it is about, if it is about one only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub instance_id: Option<InstanceId>,
    /// The instance it is about, by its key in the configuration.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub process_id: Option<String>,
    /// The server it is about, by a name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub server_name: Option<String>,
    /// The team it is for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub team_id: Option<TeamId>,
    /// The user it is about.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user_id: Option<UserId>,
    /// The user's address, to be said again in the result.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user_email: Option<String>,
    /// The tool it is about.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tool_name: Option<String>,
    /// Whether that tool is to be off.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub is_disabled: Option<bool>,
    /// The version of the first configuration that holds what this is about (addition
    /// `config-version`).
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "lenient::hint")]
    pub config_version: Option<u64>,
    /// The generation of the installation that whoever filed it had in mind.
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "lenient::hint")]
    pub generation: Option<u64>,
}

impl Payload {
    /// Reads a payload.
    ///
    /// # Errors
    ///
    /// A field is not of its type, in words for people.
    pub fn read(payload: &Map<String, Value>) -> Result<Payload, String> {
        serde_json::from_value(Value::Object(payload.clone()))
            .map_err(|error| format!("payload is not readable: {error}"))
    }

    /// The payload with the fields that are read, and no other.
    pub fn kept(&self) -> Map<String, Value> {
        match serde_json::to_value(self) {
            Ok(Value::Object(payload)) => payload,
            // Texts and switches have no other form.
            _ => Map::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_no_execution_reads_is_not_kept() {
        let payload = json!({
            "installation_id": "i", "team_id": "t", "tool_name": "a", "is_disabled": true,
            "env": {"API_KEY": "hush"}, "headers": {"Authorization": "hush"}, "event": null,
        });
        let payload = Payload::read(payload.as_object().unwrap()).unwrap();
        let expected = json!({
            "installation_id": "i", "team_id": "t", "tool_name": "a", "is_disabled": true,
        });
        assert_eq!(Value::Object(payload.kept()), expected);
    }
}
