//! Lists of a server that is out of reach are served all the same, and say how old they are.

use alloc::borrow::ToOwned;
use alloc::boxed::Box;
use alloc::format;
use alloc::string::String;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::protocol::raw;
use crate::json;
use crate::time::Timestamp;
use crate::view::{InstanceStatus, InstanceView};

/// The key in `_meta` under which a list, or what stands in it, says that it may be out of date:
/// an object with `ageMs`, the milliseconds since the server listed it.
pub const STALE: &str = "satellite/stale";

/// Whether a list is what the server offers at this moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Freshness {
    /// It is.
    Current,
    /// The server is not online; this is what it offered.
    Stale {
        /// How long ago, in milliseconds.
        age_ms: u64,
    },
}

/// How the lists of `instance` are shown; not at all where they are unknown, or where no call would
/// be let through until a person has done something.
pub fn of(instance: &InstanceView, now: Timestamp) -> Option<Freshness> {
    match instance.status {
        InstanceStatus::Online => Some(Freshness::Current),
        InstanceStatus::RequiresReauth
        | InstanceStatus::PermanentlyFailed
        | InstanceStatus::AwaitingUserConfig => None,
        InstanceStatus::Provisioning
        | InstanceStatus::CommandReceived
        | InstanceStatus::Connecting
        | InstanceStatus::DiscoveringTools
        | InstanceStatus::SyncingTools
        | InstanceStatus::Restarting
        | InstanceStatus::Offline
        | InstanceStatus::Error => {
            let age_ms = now.since(instance.inventory.discovered_at);
            is_known(instance).then_some(Freshness::Stale { age_ms })
        }
    }
}

fn is_known(instance: &InstanceView) -> bool {
    let inventory = &instance.inventory;
    inventory.initialize.is_some()
        || !inventory.tools.is_empty()
        || !inventory.resources.is_empty()
        || !inventory.resource_templates.is_empty()
        || !inventory.prompts.is_empty()
}

impl Freshness {
    /// `object`, a definition or a result, with the mark in its `_meta` if it is stale, and else
    /// word for word.
    pub fn mark(self, object: &RawValue) -> Box<RawValue> {
        #[derive(Deserialize)]
        struct Marked<'a> {
            #[serde(borrow, default, rename = "_meta")]
            meta: Option<&'a RawValue>,
        }
        let text = object.get();
        let present = serde_json::from_str(text).ok().and_then(|Marked { meta }: Marked<'_>| meta);
        let Some(meta) = self.mark_meta(present) else { return object.to_owned() };
        match present.and_then(|present| json::span_within(text, present.get())) {
            Some(span) => raw(json::replaced(text, span, meta.get())),
            None => with_member(text, "_meta", meta.get()),
        }
    }

    /// `meta`, the value of a `_meta`, with the mark if this is stale; nothing if it is current and
    /// nothing was there.
    pub fn mark_meta(self, meta: Option<&RawValue>) -> Option<Box<RawValue>> {
        let Freshness::Stale { age_ms } = self else { return meta.map(ToOwned::to_owned) };
        let mark = format!("{{\"ageMs\":{age_ms}}}");
        // Anything but an object is no `_meta`.
        let meta = meta.map_or("{}", RawValue::get);
        let meta = if meta.starts_with('{') { meta } else { "{}" };
        Some(with_member(meta, STALE, &mark))
    }
}

/// An object with one more member, the last: it counts where a key comes twice.
fn with_member(object: &str, key: &str, value: &str) -> Box<RawValue> {
    let body = object.strip_suffix('}').unwrap_or("{").trim_end();
    let comma = if body.ends_with('{') { "" } else { "," };
    let mut text = String::with_capacity(object.len() + key.len() + value.len() + 4);
    for piece in [body, comma, "\"", key, "\":", value, "}"] {
        text.push_str(piece);
    }
    raw(text)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::router::catalogue::tests::instance;

    const STALE_5_S: Freshness = Freshness::Stale { age_ms: 5_000 };

    fn marked(text: &str) -> Value {
        let object = RawValue::from_string(String::from(text)).unwrap();
        serde_json::from_str(STALE_5_S.mark(&object).get()).unwrap()
    }

    #[test]
    fn the_mark_joins_what_a_server_says_of_its_own() {
        let mark = json!({"ageMs": 5_000});
        assert_eq!(marked("{}"), json!({"_meta": {STALE: mark}}));
        assert_eq!(marked(r#"{"a":1 }"#), json!({"a": 1, "_meta": {STALE: mark}}));
        assert_eq!(
            marked(r#"{"_meta":{"x":[1]},"a":"}"}"#),
            json!({"a": "}", "_meta": {"x": [1], STALE: mark}})
        );
        assert_eq!(marked(r#"{"_meta":7}"#), json!({"_meta": {STALE: mark}}));
        // A server cannot unsay it.
        let own = marked(&format!(r#"{{"_meta":{{"{STALE}":"no"}}}}"#));
        assert_eq!(own["_meta"][STALE], mark);
    }

    #[test]
    fn what_is_current_is_passed_on_word_for_word() {
        let object = RawValue::from_string(String::from(r#"{"b":1.50, "_meta" : {}}"#)).unwrap();
        assert_eq!(Freshness::Current.mark(&object).get(), object.get());
        assert!(Freshness::Current.mark_meta(None).is_none());
    }

    #[test]
    fn lists_are_shown_unless_they_are_unknown_or_only_a_person_can_help() {
        let now = Timestamp(9_000);
        let mut server = instance("t", "i", "u", "docs", &["read"]);
        let mut shown = |status| {
            server.status = status;
            of(&server, now)
        };
        let stale = Some(Freshness::Stale { age_ms: 9_000 });
        assert_eq!(shown(InstanceStatus::Online), Some(Freshness::Current));
        for status in [
            InstanceStatus::Offline,
            InstanceStatus::Error,
            InstanceStatus::Connecting,
            InstanceStatus::DiscoveringTools,
            InstanceStatus::Restarting,
        ] {
            assert_eq!(shown(status), stale, "{status:?}");
        }
        for status in [
            InstanceStatus::RequiresReauth,
            InstanceStatus::PermanentlyFailed,
            InstanceStatus::AwaitingUserConfig,
        ] {
            assert_eq!(shown(status), None, "{status:?}");
        }
        server.inventory = alloc::sync::Arc::default();
        server.status = InstanceStatus::Offline;
        assert_eq!(of(&server, now), None);
    }
}
