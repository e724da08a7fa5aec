"""The wire between a satellite and a Backend, as shapes that a message is held to. Both peers use it.
Written from the published documents, not from the program under test. Standard library only.

A shape is a function of (value, path, notes). It yields a sentence for each thing that is wrong, and
adds to `notes` the paths of fields that no document names."""

import datetime
import re

TIMESTAMP = re.compile(r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$")


def problems(shape, value, where, notes=None):
    """All that is wrong with a value, as sentences."""
    return list(shape(value, where, set() if notes is None else notes))


def kind(name, holds):
    def shape(value, path, notes):
        if not holds(value):
            yield f"{path}: {value!r:.120} is no {name}"
    return shape


def is_number(value):
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def is_integer(value):
    return isinstance(value, int) and not isinstance(value, bool)


def is_timestamp(value):
    if not isinstance(value, str) or not TIMESTAMP.match(value):
        return False
    try:
        return bool(datetime.datetime.fromisoformat(value.replace("Z", "+00:00")))
    except ValueError:
        return False


ANY = kind("value", lambda value: True)
TEXT = kind("text", lambda value: isinstance(value, str))
NAME = kind("text with something in it", lambda value: isinstance(value, str) and value != "")
BOOLEAN = kind("boolean", lambda value: isinstance(value, bool))
NUMBER = kind("number", is_number)
AMOUNT = kind("number of 0 or more", lambda value: is_number(value) and value >= 0)
COUNT = kind("integer of 0 or more", lambda value: is_integer(value) and value >= 0)
ORDINAL = kind("integer of 1 or more", lambda value: is_integer(value) and value >= 1)
PERCENT = kind("number from 0 to 100", lambda value: is_number(value) and 0 <= value <= 100)
TIME = kind("UTC time with milliseconds", is_timestamp)
OBJECT = kind("object", lambda value: isinstance(value, dict))


def one_of(*values):
    return kind(f"one of {', '.join(map(str, values))}", lambda value: value in values and value is not None)


def matching(pattern):
    return kind(f"text like {pattern}",
                lambda value: isinstance(value, str) and re.fullmatch(pattern, value) is not None)


def nullable(inner):
    def shape(value, path, notes):
        if value is not None:
            yield from inner(value, path, notes)
    return shape


def list_of(inner, least=0, most=None):
    def shape(value, path, notes):
        if not isinstance(value, list):
            yield f"{path}: {value!r:.120} is no list"
            return
        if len(value) < least or (most is not None and len(value) > most):
            yield f"{path}: has {len(value)} entries"
        for index, entry in enumerate(value):
            yield from inner(entry, f"{path}[{index}]", notes)
    return shape


def map_of(inner):
    def shape(value, path, notes):
        if not isinstance(value, dict):
            yield f"{path}: {value!r:.120} is no object"
            return
        for key, entry in value.items():
            problem_path = f"{path}.{key}"
            inner_notes = set()
            yield from inner(entry, problem_path, inner_notes)
            notes.update(note.replace(problem_path, f"{path}.*", 1) for note in inner_notes)
    return shape


def record(fields, closed=False):
    """An object. A name that ends in `?` may be left out. A field that is not named is noted, or
    wrong where the object is `closed`."""
    def shape(value, path, notes):
        if not isinstance(value, dict):
            yield f"{path}: {value!r:.120} is no object"
            return
        for name, inner in fields.items():
            key = name.rstrip("?")
            if key in value:
                yield from inner(value[key], f"{path}.{key}", notes)
            elif not name.endswith("?"):
                yield f"{path}: {key} is missing"
        for key in value:
            if key not in fields and f"{key}?" not in fields:
                notes.add(re.sub(r"\[\d+\]", "[]", f"{path}.{key}"))
                if closed:
                    yield f"{path}: {key} is in no document"
    return shape


# Refusals: the Backend's own body, or its framework's.

REFUSAL = record({"success": one_of(False), "error": NAME})
PAIRING_REFUSAL = record({"success": one_of(False), "error": NAME, "message": NAME, "instructions": NAME})


FRAMEWORK_REFUSAL = record({"statusCode": one_of(400), "code": NAME, "error": NAME, "message": NAME})


def REFUSAL_400(value, path, notes):
    if problems(FRAMEWORK_REFUSAL, value, path):
        yield from REFUSAL(value, path, notes)


# Pairing.

CAPABILITIES = list_of(NAME)

REGISTRATION = record({
    "name": matching(r"[a-z0-9_-]{10,32}"),
    "capabilities?": CAPABILITIES,
    "satellite_url?": TEXT,
    "region?": TEXT,
    "system_info?": record({"os?": TEXT, "arch?": TEXT, "node_version?": TEXT, "memory_mb?": AMOUNT}),
})


def registered(scope, team):
    """The reply to a pairing with a token of this scope."""
    return record({
        "success": one_of(True),
        "satellite": record({
            "id": NAME, "name": NAME, "satellite_type": one_of(scope),
            "team_id": one_of(team) if team else nullable(one_of()),
            "status": one_of("inactive"),
            "api_key": matching(rf"deploystack_satellite_api_{scope}_[A-Za-z0-9_-]{{32,}}"),
        }),
        "message": NAME,
    })


REGISTRATION_STATUS = record({
    "registration_method": one_of("token_based"), "token_required": one_of(True),
    "supported_prefixes": list_of(one_of("deploystack_satellite_global_", "deploystack_satellite_team_"), 2, 2),
    "instructions": NAME,
})

TOKEN_CLAIMS = record({
    "iss": one_of("deploystack.io"), "aud": one_of("satellite-registration"), "iat": COUNT, "exp": COUNT,
    "jti": matching(r"[gt]sat_reg_[A-Za-z0-9_-]{12}"), "scope": one_of("global", "team"),
    "team_id?": NAME, "created_by": NAME, "permissions": list_of(NAME, 1),
})

DONE = record({"success": one_of(True), "message": TEXT})

# Commands.

COMMAND_TYPES = ("configure", "spawn", "kill", "restart", "health_check", "invalidate_user_token_cache")
COMMANDS = record({
    "commands": list_of(record({
        "id": NAME, "command_type": one_of(*COMMAND_TYPES),
        "priority": one_of("immediate", "high", "normal", "low"),
        "payload": OBJECT, "correlation_id?": NAME,
    }), most=50),
    "polling_mode": one_of("immediate", "normal", "slow"),
    "next_poll_interval": ORDINAL,
})

RESULT = record({
    "command_id": NAME, "status": one_of("acknowledged", "executing", "completed", "failed"),
    "result?": OBJECT, "error_message?": NAME,
})

MILLISECONDS = AMOUNT
# What a command that has succeeded reports. A command that is not here may report any object.
RESULTS = {
    "configure": record({"configuration_applied": one_of(True), "total_servers": COUNT,
                         "enabled_servers": COUNT, "startup_time_ms": MILLISECONDS}),
    "update_tool_status": record({"tool_name": NAME, "is_disabled": BOOLEAN, "message": NAME}),
    "mcp_redeploy": record({"redeploy_triggered": one_of(True), "installation_id": NAME,
                            "instance_count": COUNT, "instance_names": list_of(NAME),
                            "restart_time_ms?": MILLISECONDS}),
    "health_check": record({
        "health_check_results": list_of(record({
            "server_name": NAME, "process_id": NAME, "status": NAME, "health_status": NAME,
            "response_time_ms?": MILLISECONDS, "error?": TEXT})),
        "total_servers": COUNT, "healthy_servers": COUNT}),
    "credential_validation": record({"credential_validation": record({
        "installation_id": NAME, "valid": BOOLEAN, "error?": TEXT, "needs_reauth?": BOOLEAN,
        "response_time_ms?": MILLISECONDS, "skipped?": BOOLEAN, "reason?": TEXT})}),
    "invalidate_user_token_cache": record({"user_id": NAME, "user_email?": nullable(TEXT),
                                           "invalidated_count": COUNT, "message": NAME}),
}

# Heartbeat.

TRANSPORT = one_of("stdio", "http", "sse")
HEALTH = one_of("healthy", "unhealthy", "unknown")

PROCESS = record({
    "id": NAME, "server_name": NAME,
    "status": one_of("pending", "starting", "running", "stopping", "stopped", "failed"),
    "health_status": HEALTH,
    "performance_metrics?": record({"total_requests?": COUNT, "avg_response_time_ms?": AMOUNT,
                                    "error_count?": COUNT, "memory_usage_mb?": AMOUNT}),
})
STDIO_PROCESS = record({
    "installation_id": NAME, "installation_name": NAME,
    "status": one_of("starting", "running", "terminating", "terminated", "failed"),
    "pid?": ORDINAL, "uptime_seconds": COUNT, "message_count": COUNT, "error_count": COUNT,
    "health_status": HEALTH, "last_activity": TIME,
})
MCP_STATUS = record({
    "summary": record({name: COUNT for name in (
        "total_instances", "active_instances", "dormant_instances", "total_tools", "online_servers",
        "offline_servers", "error_servers")}),
    "instances": list_of(record({
        "installation_id": NAME, "installation_name": NAME, "instance_id": NAME, "user_id": NAME,
        "team_id": NAME, "status": one_of("starting", "running", "failed"), "transport_type": TRANSPORT,
        "uptime_seconds": COUNT, "message_count": COUNT, "error_count": COUNT, "health_status": HEALTH,
        "pid?": ORDINAL})),
    "tool_names": list_of(record({"namespaced_name": matching(r"[^:]+:.+"), "server_slug": NAME,
                                  "transport": TRANSPORT})),
    "server_status_counts": record({name: COUNT for name in (
        "online", "offline", "error", "requires_reauth")}),
})
NORMALIZED = record({
    "timestamp": TIME,
    "satellite_info": record({"satellite_id": NAME, "version": NAME, "uptime_ms": AMOUNT}),
    "summary": record({name: COUNT for name in (
        "total_teams", "total_servers", "total_tools", "running_servers", "healthy_servers")}),
    "teams": map_of(OBJECT), "servers": map_of(OBJECT), "tools": map_of(OBJECT),
})
# All of it, as a published satellite sends it. What its Backend does not name, it drops.
HEARTBEAT = record({
    "status": one_of("active", "degraded", "error"),
    "system_metrics": record({
        "cpu_usage_percent": PERCENT, "memory_usage_mb": AMOUNT, "disk_usage_percent": PERCENT,
        "uptime_seconds": AMOUNT, "network_rx_bytes?": COUNT, "network_tx_bytes?": COUNT}),
    "processes": list_of(PROCESS),
    "processes_by_team": map_of(list_of(STDIO_PROCESS)),
    "normalized_data?": NORMALIZED, "mcp_status?": MCP_STATUS,
    "error_count": COUNT, "version": NAME, "satellite_url?": TEXT,
})

# Configuration.

SERVER = record({
    **{name: NAME for name in ("installation_id", "team_id", "team_slug", "server_name", "server_slug",
                               "installation_name", "user_id", "user_slug")},
    "instance_id?": NAME, "instance_status?": NAME, "transport_type": TRANSPORT, "enabled": BOOLEAN,
    "requires_oauth": BOOLEAN, "source": nullable(one_of("manual", "github", "official_registry")),
    "language?": NAME, "runtime?": NAME, "command?": NAME, "args?": list_of(TEXT), "env?": map_of(TEXT),
    "url?": NAME, "headers?": map_of(TEXT), "timeout?": ORDINAL,
    "secret_metadata?": record({name: list_of(NAME) for name in ("query_params?", "headers?", "env?")}),
    "settings?": OBJECT, "git_commit_sha?": NAME, "repository_url?": NAME, "git_branch?": NAME,
    "instance_path?": NAME, "instance_token_hash?": matching("[0-9a-f]{64}"), "url_query_params?": map_of(TEXT),
})
CONFIG = record({
    "mcp_servers": map_of(SERVER),
    "satellite_config": record({
        "polling_intervals": record({"normal": ORDINAL, "immediate": ORDINAL, "error_backoff_max": ORDINAL}),
        "resource_limits": record({"max_processes": ORDINAL, "max_memory_per_process": matching(r"\d+[KMG]B"),
                                   "max_cpu_percent": AMOUNT}),
        "team_settings": record({"allowed_servers": list_of(NAME), "security_policies": list_of(ANY),
                                 "isolation_level": one_of("none", "process", "container")}),
        "logging": record({"level": NAME, "enable_audit": BOOLEAN, "retention_days": ORDINAL}),
        "network": record({"timeout_seconds": ORDINAL, "retry_attempts": COUNT, "proxy_url?": NAME}),
    }),
})
