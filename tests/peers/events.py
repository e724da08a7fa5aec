"""Events on the wire: their envelope, the reply, and the data of each type. Written from the
published documents, as `contract.py` is."""

from contract import (
    AMOUNT, ANY, BOOLEAN, COUNT, NAME, NUMBER, OBJECT, ORDINAL, TEXT, TIME, list_of, nullable, one_of,
    record)

STATUSES = ("provisioning", "command_received", "connecting", "discovering_tools", "syncing_tools",
            "online", "restarting", "offline", "error", "requires_reauth", "permanently_failed")


def data(**fields):
    return record({name.replace("_or_not", "?"): shape for name, shape in fields.items()}, closed=True)


def ignored(**fields):
    """Data that nobody reads, so that more of it hurts nobody."""
    return record({name.replace("_or_not", "?"): shape for name, shape in fields.items()})


def lifecycle(**fields):
    return data(server_id=NAME, server_slug=NAME, team_id=NAME, user_id_or_not=NAME, **fields)


# Types for which a published Backend has a handler: it validates `data`, and acts.
HANDLED = {
    "mcp.server.status_changed": data(
        installation_id=NAME, team_id=NAME, user_id=NAME, status=one_of(*STATUSES),
        status_message_or_not=TEXT, timestamp=TIME),
    "mcp.server.started": lifecycle(
        process_id=COUNT, transport=one_of("stdio", "http"), tool_count=COUNT, spawn_duration_ms=AMOUNT),
    "mcp.server.crashed": lifecycle(
        process_id=COUNT, exit_code=NUMBER, signal=NAME, uptime_seconds=AMOUNT, crash_count=ORDINAL,
        will_restart=BOOLEAN),
    "mcp.server.restarted": lifecycle(
        old_process_id=COUNT, new_process_id=COUNT,
        restart_reason=one_of("crash", "health_check_failed"), attempt_number=ORDINAL),
    "mcp.server.dormant": lifecycle(
        process_id=COUNT, idle_duration_seconds=AMOUNT, last_activity_at=TIME),
    "mcp.server.respawned": lifecycle(
        process_id=COUNT, dormant_duration_seconds=AMOUNT, respawn_duration_ms=AMOUNT),
    "mcp.server.logs": data(
        installation_id=NAME, team_id=NAME, user_id_or_not=NAME, logs=list_of(data(
            level=one_of("info", "warn", "error", "debug"), message=TEXT, metadata_or_not=OBJECT,
            timestamp=TIME), 1)),
    "mcp.request.logs": data(
        installation_id=NAME, team_id=NAME, requests=list_of(data(
            user_id_or_not=NAME, tool_name=NAME, tool_params=OBJECT, tool_response_or_not=ANY,
            response_time_ms=AMOUNT, success=BOOLEAN, error_message_or_not=TEXT, timestamp=TIME), 1)),
    "mcp.tools.discovered": data(
        installation_id=NAME, installation_name=NAME, team_id=NAME, server_slug=NAME, tool_count=COUNT,
        # Sent by a satellite of ours and in no document; a published Backend drops what it does not name.
        user_id_or_not=NAME,
        total_tokens=COUNT, tools=list_of(data(
            tool_name=NAME, description=TEXT, input_schema=OBJECT, token_count=COUNT)),
        discovered_at=TIME),
    "mcp.tool.executed": data(
        # Sent by a satellite of ours and in no document, as above.
        user_id_or_not=NAME, outcome_or_not=TEXT,
        tool_name=NAME, server_id=NAME, team_id=NAME, duration_ms=AMOUNT, success=BOOLEAN,
        error_message_or_not=TEXT),
    "mcp.client.activity": data(
        user_id=NAME, team_id=NAME, oauth_client_id=NAME, client_name_or_not=TEXT,
        user_agent_or_not=TEXT, ip_address_or_not=TEXT, session_id_or_not=NAME, request_count=ORDINAL,
        tool_call_count=COUNT, last_activity_at=TIME),
}

# Types that are declared, but that no published Backend handles: it counts them as failed.
DECLARED = {
    "mcp.server.permanently_failed": ignored(
        server_id=NAME, server_slug=NAME, team_id=NAME, user_id_or_not=NAME, total_crashes=COUNT, last_error=TEXT,
        failed_at=TIME),
    "mcp.server.log_rate_limit_exceeded": ignored(
        installation_id=NAME, dropped_count=COUNT, time_window_seconds=AMOUNT, rate_limit=COUNT),
    "mcp.client.connected": ignored(
        session_id=NAME, client_type=one_of("vscode", "cursor", "claude", "unknown"), user_agent=TEXT,
        team_id=NAME, transport=one_of("sse", "http"), ip_address=TEXT),
    "mcp.client.disconnected": ignored(
        session_id=NAME, team_id=NAME, connection_duration_seconds=AMOUNT, tool_execution_count=COUNT,
        disconnect_reason=one_of("client_close", "timeout", "error")),
    "mcp.server.stopped": ignored(server_id=NAME, server_name=NAME, team_id=NAME, reason=TEXT),
    "mcp.tools.updated": ignored(
        server_id=NAME, server_slug=NAME, team_id=NAME, added_tools=list_of(NAME),
        removed_tools=list_of(NAME), total_tools=COUNT),
    "config.refreshed": ignored(
        config_hash=TEXT, server_count=COUNT, teams_count=COUNT, change_detected=BOOLEAN,
        fetch_duration_ms=AMOUNT),
    "config.error": ignored(
        error_type=one_of("network", "auth", "server_error"), error_message=TEXT,
        status_code=nullable(COUNT), retry_in=AMOUNT),
    "security.auth.failed": ignored(
        team_id_or_not=NAME, client_id_or_not=NAME, reason=TEXT, ip_address_or_not=TEXT),
    "resource.limit.exceeded": ignored(
        team_id=NAME, resource_type=one_of("cpu", "memory", "processes"), current_value=NUMBER,
        limit_value=NUMBER),
}

EVENT = record({"type": NAME, "timestamp": TIME, "data": OBJECT})
BATCH = record({"events": list_of(EVENT, 1, 100)})

PROCESSED = record({
    "success": one_of(True), "processed": COUNT, "failed": COUNT, "event_ids": list_of(NAME),
    "failures?": list_of(record({"index": COUNT, "type": TEXT, "error": NAME}), 1),
})
