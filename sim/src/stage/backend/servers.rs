//! The servers that the Backend has its satellites run.

use satellite_core::id::InstanceKey;
use serde_json::{Value, json};

use super::ModelBackend;
use crate::stage::SECRET;
use crate::stage::remotes::server::{address, kind};

/// What is done to an instance's entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// It is taken away.
    Removed,
    /// Its command line, or what its requests bear, is another one.
    CommandLine,
    /// Its name is another one.
    Name,
}

impl ModelBackend {
    /// Bounds the processes of its satellites, or lets them have as many as their operators do.
    pub fn bound_processes(&mut self, most: Option<u64>) {
        self.version += 1;
        self.processes_max = most;
    }

    /// Adds a stdio server whose process behaves as `behaviour` says, or changes it.
    pub fn serve(&mut self, slug: &str, behaviour: &str) {
        self.serve_for(slug, behaviour, "u1");
    }

    /// The same for one of the installation's users.
    pub fn serve_for(&mut self, slug: &str, behaviour: &str, user: &str) {
        self.serve_in("t1", slug, behaviour, user);
    }

    /// The same in another team.
    pub fn serve_in(&mut self, team: &str, slug: &str, behaviour: &str, user: &str) {
        self.version += 1;
        let installation = format!("i-{slug}");
        self.servers.insert(
            format!("{slug}-acme-{user}-{installation}"),
            json!({"installation_id": installation, "instance_id": format!("inst-{slug}-{user}"),
                "team_id": team, "team_slug": "acme", "server_name": slug, "server_slug": slug,
                "installation_name": slug, "transport_type": "stdio", "enabled": true,
                "user_id": user, "user_slug": user, "instance_status": "provisioning",
                "requires_oauth": false, "source": "manual", "command": "node",
                "args": [behaviour], "env": {"API_TOKEN": format!("{SECRET}-of-{slug}")}}),
        );
    }

    /// Adds a server elsewhere for a user, or adds it again.
    pub fn serve_far(&mut self, slug: &str, user: &str) {
        let Some(kind) = kind(slug) else { return };
        self.version += 1;
        let installation = format!("i-{slug}");
        let others: Vec<String> = (1..kind.hosts).map(|host| address(slug, host)).collect();
        let secret = format!("{SECRET}-of-{slug}-{user}");
        self.servers.insert(
            format!("{slug}-acme-{user}-{installation}"),
            json!({"installation_id": installation, "instance_id": format!("inst-{slug}-{user}"),
                "team_id": "t1", "team_slug": "acme", "server_name": slug, "server_slug": slug,
                "installation_name": slug, "transport_type": kind.transport, "enabled": true,
                "user_id": user, "user_slug": user, "instance_status": "provisioning",
                "requires_oauth": kind.needs_token, "source": "manual",
                "url": address(slug, 0), "urls": others,
                "headers": {"X-User-Key": secret}, "url_query_params": {"key": secret}}),
        );
    }

    /// Removes a server, for all of its users.
    pub fn remove(&mut self, slug: &str) {
        self.version += 1;
        let installation = format!("i-{slug}");
        self.servers.retain(|_, entry| entry["installation_id"] != installation.as_str());
    }

    /// Removes a server for one of its users.
    pub fn remove_for(&mut self, slug: &str, user: &str) {
        self.version += 1;
        self.servers.remove(&format!("{slug}-acme-{user}-i-{slug}"));
    }

    /// Changes an instance's entry; returns what it was, if there is one.
    pub fn change(&mut self, key: &InstanceKey, change: Change) -> Option<(String, Value)> {
        let (name, entry) = self.servers.iter_mut().find(|(_, entry)| {
            entry["installation_id"] == key.installation.as_str()
                && entry["user_id"] == key.user.as_str()
        })?;
        let before = (name.clone(), entry.clone());
        self.version += 1;
        let text = |value: &Value| value.as_str().unwrap_or_default().to_string();
        match change {
            Change::Removed => {
                self.servers.remove(&before.0);
            }
            Change::CommandLine if entry["url"].is_string() => {
                entry["headers"]["X-Version"] = json!(self.version.to_string());
            }
            Change::CommandLine => {
                entry["args"] = json!([text(&entry["args"][0]), self.version.to_string()])
            }
            Change::Name => {
                entry["server_name"] = json!(format!("{} again", text(&entry["server_slug"])));
            }
        }
        Some(before)
    }

    /// Puts an entry back as it was.
    pub fn put_back(&mut self, (name, entry): (String, Value)) {
        self.version += 1;
        self.servers.insert(name, entry);
    }
}
