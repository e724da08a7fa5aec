//! From the entry of a server elsewhere to how it is reached.

use alloc::collections::BTreeMap;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use crate::limits;
use crate::remote::RemoteSpec;
use crate::secret::Secret;
use crate::view::Transport;
use crate::wire::path::unescape;

/// What the entry says of it.
pub(super) struct Entry<'a> {
    pub(super) transport: Transport,
    pub(super) urls: Vec<&'a Secret>,
    pub(super) headers: &'a BTreeMap<String, Secret>,
    pub(super) query: &'a BTreeMap<String, Secret>,
    pub(super) timeout_ms: Option<u64>,
    pub(super) requires_oauth: bool,
}

/// Reads it. What an address has for a query may be secret and is kept as parameters; one that the
/// entry names goes before one of the same name in an address.
pub(super) fn read(entry: &Entry<'_>) -> Result<RemoteSpec, String> {
    if entry.urls.len() > limits::ENDPOINTS_MAX {
        return Err(format!(
            "it lists {} addresses; list at most {}",
            entry.urls.len(),
            limits::ENDPOINTS_MAX
        ));
    }
    let (mut endpoints, mut query) = (Vec::new(), Vec::new());
    for url in &entry.urls {
        let url = url.expose().split('#').next().unwrap_or_default();
        let (base, own) = url.split_once('?').unwrap_or((url, ""));
        endpoints.push(String::from(base));
        for pair in own.split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let parameter = (text(name), Secret::new(text(value)));
            if !entry.query.contains_key(&parameter.0) && !query.contains(&parameter) {
                query.push(parameter);
            }
        }
    }
    query.extend(entry.query.iter().map(|(name, value)| (name.clone(), value.clone())));
    let headers = entry.headers.iter();
    Ok(RemoteSpec {
        transport: entry.transport,
        endpoints,
        headers: headers.map(|(name, value)| (name.clone(), value.clone())).collect(),
        query,
        named_query: entry.query.keys().cloned().collect(),
        requires_oauth: entry.requires_oauth,
        call_timeout_ms: entry.timeout_ms.unwrap_or(limits::CALL_TIMEOUT_MS),
        handshake_timeout_ms: limits::HANDSHAKE_TIMEOUT_MS,
    })
}

fn text(escaped: &str) -> String {
    String::from_utf8_lossy(&unescape(escaped)).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec;

    fn entry<'a>(
        urls: &'a [Secret],
        headers: &'a BTreeMap<String, Secret>,
        query: &'a BTreeMap<String, Secret>,
    ) -> Entry<'a> {
        Entry {
            transport: Transport::Http,
            urls: urls.iter().collect(),
            headers,
            query,
            timeout_ms: None,
            requires_oauth: false,
        }
    }

    #[test]
    fn what_an_address_asks_for_is_kept_apart_from_it_and_the_entry_s_own_word_goes_first() {
        let none = BTreeMap::new();
        let urls = [Secret::new("https://a.example/mcp?key=a%20b&mode=x#top")];
        let query = BTreeMap::from([(String::from("mode"), Secret::new("y"))]);
        let spec = read(&entry(&urls, &none, &query)).unwrap();
        assert_eq!(spec.endpoints, ["https://a.example/mcp"]);
        let expected = vec![
            (String::from("key"), Secret::new("a b")),
            (String::from("mode"), Secret::new("y")),
        ];
        assert_eq!(spec.query, expected);
    }

    #[test]
    fn several_addresses_are_one_server_s_and_not_without_bound() {
        let none = BTreeMap::new();
        let urls: Vec<Secret> =
            (0..9).map(|one| Secret::new(format!("https://h{one}.example/mcp?k=v"))).collect();
        let spec = read(&entry(&urls[..8], &none, &none)).unwrap();
        assert_eq!((spec.endpoints.len(), spec.query.len()), (8, 1));
        let reason = read(&entry(&urls, &none, &none)).unwrap_err();
        assert!(reason.contains("at most 8"), "{reason}");
    }
}
