//! `satellite tools` and `satellite call`.

use satellite_core::secret::Secret;
use serde_json::{Value, json};

use super::arguments::{CallArguments, Endpoint, ToolsArguments};
use super::dev_file::DevFile;
use super::output;
use crate::client::McpClient;
use crate::exit::{Exit, fault, usage};
use crate::http_client::ReqwestClient;
use crate::settings::{OutboundSettings, Sources};

/// Tools found in one answer at most; a satellite with more is asked by word.
const DISCOVER_MAX: usize = 1_000;

/// Lists every tool the satellite offers.
pub(super) async fn tools(arguments: &ToolsArguments, sources: &Sources) -> Result<(), Exit> {
    let mut client = connect(&arguments.endpoint, sources).await?;
    let tools = client.list("tools/list", "tools").await?;
    let rows = if is_router(&tools) {
        let mut rows = discover(&mut client).await?;
        rows.sort_by(|left, right| left["tool_path"].as_str().cmp(&right["tool_path"].as_str()));
        rows
    } else {
        tools
    };
    client.close().await;
    if arguments.json {
        output::line(&json!({"tools": rows}).to_string());
    } else if rows.is_empty() {
        output::note("there are no tools; see what runs with `satellite status`");
    } else {
        let name =
            if rows.iter().any(|it| it.get("tool_path").is_some()) { "tool_path" } else { "name" };
        output::line(&output::table(&rows, &[name, "description"]));
    }
    Ok(())
}

/// Calls one tool and prints what it answers.
pub(super) async fn call(arguments: &CallArguments, sources: &Sources) -> Result<(), Exit> {
    let Ok(Value::Object(given)) = serde_json::from_str(&arguments.arguments) else {
        let hint = format!("write satellite call {} '{{\"text\": \"hello\"}}'", arguments.tool);
        return Err(usage("the arguments are no JSON object", hint));
    };
    let mut client = connect(&arguments.endpoint, sources).await?;
    // An instance's own endpoint has no meta tools: there the tool goes by its own name.
    let is_router = is_router(&client.list("tools/list", "tools").await?);
    let (name, given) = if is_router {
        ("execute_mcp_tool", json!({"tool_path": arguments.tool, "arguments": given}))
    } else {
        (arguments.tool.as_str(), Value::Object(given))
    };
    let params = json!({"name": name, "arguments": given, "_meta": {"progressToken": "call"}});
    let result = client.request("tools/call", params, &mut progress).await?;
    client.close().await;
    let is_error = result.get("isError").and_then(Value::as_bool).unwrap_or_default();
    if arguments.json {
        output::line(&result.to_string());
        return if is_error { Err(fault("", "")) } else { Ok(()) };
    }
    let said = text(&result);
    if is_error {
        let hint = format!("see its arguments: satellite tools --json | grep {}", arguments.tool);
        return Err(fault(format!("{} answered: {said}", arguments.tool), hint));
    }
    output::line(&said);
    Ok(())
}

async fn connect(endpoint: &Endpoint, sources: &Sources) -> Result<McpClient<ReqwestClient>, Exit> {
    let (url, token) = match (&endpoint.url, &endpoint.token) {
        (Some(url), Some(token)) => (url.clone(), Secret::new(token.clone())),
        _ => {
            let dev = DevFile::read(&endpoint.dir)?;
            (dev.mcp_url, dev.token)
        }
    };
    let client = ReqwestClient::new(&OutboundSettings::read(sources)?.client)
        .map_err(|failure| fault(format!("cannot make HTTP requests: {failure}"), ""))?;
    McpClient::connect(client, url, token).await
}

/// Whether the endpoint is the one with meta tools, behind which all servers are.
fn is_router(tools: &[Value]) -> bool {
    tools.iter().any(|it| it["name"] == "execute_mcp_tool")
}

async fn discover(client: &mut McpClient<ReqwestClient>) -> Result<Vec<Value>, Exit> {
    let arguments = json!({"query": "*", "limit": DISCOVER_MAX});
    let params = json!({"name": "discover_mcp_tools", "arguments": arguments});
    let result = client.request("tools/call", params, &mut |_| {}).await?;
    let answer: Value = serde_json::from_str(&text(&result))
        .map_err(|error| fault(format!("the list of tools is no JSON: {error}"), ""))?;
    match answer.get("tools") {
        Some(Value::Array(tools)) => Ok(tools.clone()),
        _ => Err(fault("the answer holds no list of tools", "is this a satellite?")),
    }
}

fn progress(message: &Value) {
    let part = |key: &str| message.pointer(&format!("/params/{key}")).cloned().unwrap_or_default();
    if message["method"] == "notifications/progress" {
        let total = match part("total") {
            Value::Null => String::new(),
            total => format!("/{total}"),
        };
        let said = part("message").as_str().map(|it| format!(" {it}")).unwrap_or_default();
        output::note(&format!("{}{total}{said}", part("progress")));
    }
}

/// The texts of a result; what is no text is named.
fn text(result: &Value) -> String {
    let Some(items) = result.get("content").and_then(Value::as_array) else {
        return result.to_string();
    };
    let texts = items.iter().map(|item| match (item["type"].as_str(), item["text"].as_str()) {
        (Some("text"), Some(text)) => String::from(text),
        (kind, _) => format!("[{}; print it with --json]", kind.unwrap_or("something")),
    });
    texts.collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_result_is_shown_as_its_texts() {
        let result = json!({"content": [{"type": "text", "text": "a"}, {"type": "image"}]});
        assert_eq!(text(&result), "a\n[image; print it with --json]");
        assert_eq!(text(&json!({"x": 1})), "{\"x\":1}");
    }
}
