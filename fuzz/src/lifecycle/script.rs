//! Bytes as choices, and what a Backend says by them.

use serde_json::{Value, json};

/// The bytes that are still to be played. At their end every choice is the first.
pub(crate) struct Script<'a> {
    rest: &'a [u8],
}

impl<'a> Script<'a> {
    pub(crate) fn new(data: &'a [u8]) -> Self {
        Script { rest: data }
    }

    pub(crate) fn is_over(&self) -> bool {
        self.rest.is_empty()
    }

    pub(crate) fn byte(&mut self) -> u8 {
        let Some((first, rest)) = self.rest.split_first() else { return 0 };
        self.rest = rest;
        *first
    }

    /// One of `count`.
    pub(crate) fn choice(&mut self, count: usize) -> usize {
        usize::from(self.byte()) % count.max(1)
    }

    /// One of these.
    pub(crate) fn pick<T: Copy>(&mut self, values: &[T]) -> T {
        values[self.choice(values.len())]
    }

    /// A few of the bytes as they are: what a decoder meets on a bad day.
    pub(crate) fn raw(&mut self) -> Vec<u8> {
        let length = usize::from(self.byte()).min(self.rest.len());
        let (raw, rest) = self.rest.split_at(length);
        self.rest = rest;
        raw.to_vec()
    }
}

/// A reply to a poll, with up to three commands of few ids.
pub(crate) fn poll(script: &mut Script<'_>) -> Value {
    let types = [
        "configure",
        "spawn",
        "kill",
        "restart",
        "health_check",
        "invalidate_user_token_cache",
        "dance",
    ];
    let commands: Vec<Value> = (0..script.choice(4))
        .map(|_| {
            let payload = match script.choice(6) {
                0 => json!({}),
                1 => json!({"installation_id": "i0"}),
                2 => json!({"installation_id": "i1", "team_id": "t", "user_id": "u0"}),
                3 => json!({"installation_id": "i0", "team_id": "x"}),
                4 => json!({
                    "action": "update_tool_status", "installation_id": "i0", "team_id": "t",
                    "tool_name": "tool", "is_disabled": script.choice(2) == 0,
                }),
                _ => json!({"event": "mcp_recovery", "installation_id": "i0", "team_id": "t"}),
            };
            json!({
                "id": format!("c{}", script.choice(9)),
                "command_type": script.pick(&types),
                "priority": script.pick(&["immediate", "high", "normal", "low"]),
                "payload": payload,
                "attempt": 1 + script.choice(3),
                "expires_in": script.pick(&[None, Some(0), Some(5), Some(600)]),
            })
        })
        .collect();
    json!({
        "commands": commands,
        "next_poll_interval": script.pick(&[Some(2), Some(30), Some(60), Some(4_000), None]),
        "maintenance": script.choice(8) == 7,
    })
}

/// A configuration of up to four servers.
pub(crate) fn configuration(script: &mut Script<'_>) -> Value {
    let mut servers = serde_json::Map::new();
    for _ in 0..script.choice(5) {
        let (installation, user) = (script.choice(3), script.choice(2));
        let key = format!("files-t-u{user}-i{installation}");
        let entry = json!({
            "installation_id": format!("i{installation}"), "user_id": format!("u{user}"),
            "team_id": if script.choice(9) == 8 { "x" } else { "t" }, "server_slug": "files",
            "transport_type": script.pick(&["stdio", "stdio", "stdio", "http"]),
            "command": script.pick(&["node", "node", "npx", "rm"]),
            "args": [format!("{}.js", script.choice(3))],
            "env": {"TOKEN": super::host::SECRET}, "url": "https://remote.example/mcp",
            "enabled": script.choice(6) != 5,
            "server_name": format!("Files {}", script.choice(3)),
            "generation": script.choice(3),
        });
        servers.insert(key, entry);
    }
    json!({"mcp_servers": servers, "satellite_config": {}})
}
