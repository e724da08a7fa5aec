//! Paths of the Backend's routes. Ids are opaque, so they are escaped.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use crate::id::{InstallationId, SatelliteId, TeamId};

/// `GET`: whether the Backend answers.
pub const HEALTH: &str = "/api/health";
/// `POST`: pairing.
pub const REGISTER: &str = "/api/satellites/register";
/// `POST`: introspection of MCP clients' tokens.
pub const INTROSPECT: &str = "/api/oauth2/introspect";

/// `POST`: a heartbeat.
pub fn heartbeat(satellite: &SatelliteId) -> String {
    of_satellite(satellite, "heartbeat")
}

/// `GET`: the configuration.
pub fn config(satellite: &SatelliteId) -> String {
    of_satellite(satellite, "config")
}

/// `POST`: a command's result.
pub fn command_result(satellite: &SatelliteId) -> String {
    of_satellite(satellite, "command-result")
}

/// `POST`: a batch of events.
pub fn events(satellite: &SatelliteId) -> String {
    of_satellite(satellite, "events")
}

/// `GET`: the command poll, on the path that serves every kind of satellite.
pub fn commands_flat(satellite: &SatelliteId) -> String {
    of_satellite(satellite, "commands")
}

/// `GET`: the command poll, on the path that names whom the satellite serves.
pub fn commands_scoped(satellite: &SatelliteId, team: Option<&TeamId>) -> String {
    let satellite = escape(satellite.as_str());
    match team {
        Some(team) => {
            format!("/api/teams/{}/satellites/{satellite}/commands", escape(team.as_str()))
        }
        None => format!("/api/satellites/global/{satellite}/commands"),
    }
}

/// `POST`: whether there is an OAuth token for a server.
pub fn tokens_status(satellite: &SatelliteId) -> String {
    of_satellite(satellite, "tokens/status")
}

/// `POST`: an OAuth token for a server.
pub fn tokens_retrieve(satellite: &SatelliteId) -> String {
    of_satellite(satellite, "tokens/retrieve")
}

/// `GET`: a token for a server's GitHub repository.
pub fn github_token(satellite: &SatelliteId, installation: &InstallationId) -> String {
    of_satellite(satellite, &format!("github-token/{}", escape(installation.as_str())))
}

fn of_satellite(satellite: &SatelliteId, rest: &str) -> String {
    format!("/api/satellites/{}/{rest}", escape(satellite.as_str()))
}

/// Escapes text for one path segment or one query value: all but RFC 3986's unreserved characters.
pub fn escape(text: &str) -> String {
    const HEX: [char; 16] =
        ['0', '1', '2', '3', '4', '5', '6', '7', '8', '9', 'A', 'B', 'C', 'D', 'E', 'F'];
    let mut escaped = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~') {
            escaped.push(char::from(byte));
        } else {
            escaped.push('%');
            for nibble in [byte >> 4, byte & 0xf] {
                escaped.extend(HEX.get(usize::from(nibble)));
            }
        }
    }
    escaped
}

/// The bytes that escaped text stands for, in a query: a `+` is a space.
pub(crate) fn unescape(text: &str) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        let mut ahead = rest.clone();
        let digits = ahead.next().and_then(nibble).zip(ahead.next().and_then(nibble));
        match (byte, digits) {
            (b'%', Some((high, low))) => {
                bytes.push(high << 4 | low);
                rest = ahead;
            }
            (b'+', _) => bytes.push(b' '),
            _ => bytes.push(byte),
        }
    }
    bytes
}

fn nibble(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).and_then(|value| u8::try_from(value).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_cannot_leave_its_segment() {
        assert_eq!(
            heartbeat(&SatelliteId::from("../a?b#c d")),
            "/api/satellites/..%2Fa%3Fb%23c%20d/heartbeat"
        );
        assert_eq!(
            commands_scoped(&SatelliteId::from("s"), Some(&TeamId::from("é"))),
            "/api/teams/%C3%A9/satellites/s/commands"
        );
        assert_eq!(
            commands_scoped(&SatelliteId::from("s"), None),
            "/api/satellites/global/s/commands"
        );
    }
}
