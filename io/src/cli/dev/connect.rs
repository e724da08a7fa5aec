//! How to connect a client, in commands and files that can be copied.

use serde_json::{Value, json};

use super::super::dev_file::DevFile;

/// The text that `dev` prints when everything runs.
pub(super) fn instructions(dev: &DevFile, directory: &str) -> String {
    let (url, token) = (&dev.mcp_url, dev.token.expose());
    let bearer = format!("Bearer {token}");
    let cursor = json!({"mcpServers": {"satellite": {
        "url": url, "headers": {"Authorization": bearer},
    }}});
    let code = json!({"servers": {"satellite": {
        "type": "http", "url": url, "headers": {"Authorization": bearer},
    }}});
    let mut text = format!(
        "\
Claude Code:
  claude mcp add --transport http satellite {url} --header \"Authorization: {bearer}\"

Cursor, ~/.cursor/mcp.json:
{cursor}

VS Code, .vscode/mcp.json:
{code}

curl:
  {curl}

Here:
  satellite tools --dir {directory}
",
        cursor = indented(&cursor),
        code = indented(&code),
        curl = curl(url, token),
    );
    for instance in &dev.instances {
        if let Some(link) = &instance.connect_url {
            text.push_str(&format!(
                "\nSign in to {} in a browser, within 15 minutes (restart this for another link):\n  {}\n",
                instance.server,
                link.expose()
            ));
        }
    }
    if let Some(instance) = dev.instances.first() {
        text.push_str(&format!(
            "\nOne server alone, with its own tools ({}):\n  {}\n  Authorization: Bearer {}\n",
            instance.server,
            instance.instance_url,
            instance.instance_token.expose()
        ));
    }
    text
}

/// A command that lists the tools of an endpoint without a session having been made before.
fn curl(url: &str, token: &str) -> String {
    let initialize = json!({"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": {
        "protocolVersion": "2025-11-25",
        "capabilities": {},
        "clientInfo": {"name": "curl", "version": "1"},
    }});
    format!(
        "curl -i {url} -H \"Authorization: Bearer {token}\" -H \"Content-Type: application/json\" \\\n    \
         -H \"Accept: application/json, text/event-stream\" -d '{initialize}'"
    )
}

fn indented(value: &Value) -> String {
    let json = serde_json::to_string_pretty(value).unwrap_or_default();
    json.lines().map(|line| format!("  {line}")).collect::<Vec<_>>().join("\n")
}
