use alloc::string::ToString;

use proptest::prelude::*;
use serde_json::value::RawValue;

use super::*;
use crate::backend::instance_token;
use crate::id::{Incarnation, TeamId};
use crate::time::Timestamp;
use crate::view::{HealthStatus, InstanceAddress, Inventory, ServerNames, Transport};

/// An instance that is online with `tools`.
pub(crate) fn instance(
    team: &str,
    installation: &str,
    user: &str,
    slug: &str,
    tools: &[&str],
) -> InstanceView {
    let tool = |name: &&str| {
        let raw = format!(
            r#"{{"name":"{name}","description":"does {name}","inputSchema":{{"type":"object"}}}}"#
        );
        Tool {
            name: name.to_string(),
            description: format!("does {name}"),
            repeatable: false,
            raw: RawValue::from_string(raw).unwrap(),
        }
    };
    let resource = Resource {
        uri: String::from("file:///a"),
        name: String::from("a"),
        description: String::new(),
        mime_type: Some(String::from("text/plain")),
        raw: RawValue::from_string(String::from(r#"{"name":"a", "uri" : "file:///a","x":[1.50]}"#))
            .unwrap(),
    };
    InstanceView {
        key: InstanceKey {
            team: TeamId::new(team),
            installation: InstallationId::new(installation),
            user: UserId::new(user),
        },
        instance_id: None,
        names: Arc::new(ServerNames {
            process: format!("{slug}-{team}-{user}-{installation}"),
            server: slug.to_string(),
            slug: slug.to_string(),
            team_slug: team.to_string(),
            installation: installation.to_string(),
        }),
        transport: Transport::Stdio,
        call_timeout_ms: crate::limits::CALL_TIMEOUT_MS,
        status: InstanceStatus::Online,
        status_message: None,
        process: None,
        dormant_since: None,
        frozen_since: None,
        waits_since: None,
        ready: Some(Incarnation(1)),
        inventory: Arc::new(Inventory {
            tools: tools.iter().map(tool).collect(),
            resources: Vec::from([resource]),
            ..Inventory::default()
        }),
        disabled_tools: Arc::default(),
        address: Some(InstanceAddress {
            path: format!("path-{installation}-{user}"),
            token_hash: instance_token::hash(&token(installation, user)),
        }),
        request_logging: true,
        redaction: Arc::default(),
        message_count: 0,
        error_count: 0,
        last_activity: Timestamp(0),
        health: HealthStatus::Unknown,
        health_at: None,
        restarts: 0,
    }
}

/// The instance token of [`instance`].
pub(crate) fn token(installation: &str, user: &str) -> String {
    let number = installation
        .bytes()
        .chain(user.bytes())
        .fold(7_u64, |hash, byte| hash.wrapping_mul(31).wrapping_add(u64::from(byte)));
    format!("{}{number:064x}", instance_token::PREFIX)
}

/// A view of these instances.
pub(crate) fn view(instances: impl IntoIterator<Item = InstanceView>) -> View {
    let mut view = View::default();
    for instance in instances {
        if let Some(address) = &instance.address {
            view.paths.insert(address.path.clone(), instance.key.clone());
        }
        view.instances.insert(instance.key.clone(), Arc::new(instance));
    }
    view
}

/// A user who may do everything.
pub(crate) fn subject(team: &str, user: &str) -> Subject {
    Subject {
        user: UserId::new(user),
        team: TeamId::new(team),
        client: None,
        scopes: ["mcp:read", "mcp:tools:execute"].map(String::from).into(),
        expires: None,
    }
}

fn paths(view: &View, team: &str, user: &str) -> Vec<String> {
    Catalogue::of(view, &subject(team, user), Timestamp(0))
        .tools()
        .map(|tool| tool.path())
        .collect()
}

#[test]
fn a_user_sees_the_instances_of_that_user_in_that_team_only() {
    let view = view([
        instance("t1", "i1", "u1", "files", &["read", "write"]),
        instance("t1", "i1", "u2", "files", &["read"]),
        instance("t2", "i2", "u1", "files", &["secret"]),
    ]);
    assert_eq!(paths(&view, "t1", "u1"), ["files:read", "files:write"]);
    assert_eq!(paths(&view, "t2", "u1"), ["files:secret"]);
    assert!(paths(&view, "t", "u1").is_empty());
    let subject = subject("t1", "u2");
    let catalogue = Catalogue::of(&view, &subject, Timestamp(0));
    let denial = catalogue.tool("files:secret").unwrap_err();
    assert_eq!(denial.kind, DenialKind::TargetUnknown);
    assert!(!denial.text.contains("write"), "{}", denial.text);
}

#[test]
fn what_is_switched_off_is_hidden_and_what_is_out_of_reach_is_marked() {
    let mut off = instance("t", "i1", "u", "a", &["on", "off"]);
    off.disabled_tools = Arc::new([String::from("off")].into());
    let mut offline = instance("t", "i2", "u", "b", &["x"]);
    offline.status = InstanceStatus::Offline;
    let mut unknown = instance("t", "i3", "u", "c", &[]);
    (unknown.status, unknown.inventory) = (InstanceStatus::Offline, Arc::default());
    let mut blocked = instance("t", "i4", "u", "d", &["y"]);
    blocked.status = InstanceStatus::RequiresReauth;
    let view = view([off, offline, unknown, blocked]);
    assert_eq!(paths(&view, "t", "u"), ["a:on", "b:x"]);
    let subject = subject("t", "u");
    let catalogue = Catalogue::of(&view, &subject, Timestamp(7));
    let freshness: Vec<_> = catalogue.tools().map(|tool| tool.freshness).collect();
    assert_eq!(freshness, [Freshness::Current, Freshness::Stale { age_ms: 7 }]);
    assert_eq!(catalogue.tool("a:off").unwrap_err().kind, DenialKind::ToolDisabled);
    assert_eq!(catalogue.tool("a:none").unwrap_err().kind, DenialKind::TargetUnknown);
    assert!(catalogue.tool("b:x").is_ok(), "a call is how an offline server recovers");
    assert_eq!(catalogue.resources().count(), 2);
}

#[test]
fn a_server_that_only_a_person_can_help_says_so() {
    for status in [
        InstanceStatus::RequiresReauth,
        InstanceStatus::PermanentlyFailed,
        InstanceStatus::AwaitingUserConfig,
    ] {
        let mut blocked = instance("t", "i", "u", "a", &["x"]);
        blocked.status = status;
        blocked.status_message = Some(String::from("exited with code 1"));
        let view = view([blocked]);
        let subject = subject("t", "u");
        let catalogue = Catalogue::of(&view, &subject, Timestamp(0));
        let denial = catalogue.tool("a:x").unwrap_err();
        assert_eq!(denial.kind, DenialKind::InstanceBlocked(status));
        assert!(denial.text.contains("exited with code 1"), "{}", denial.text);
        assert_eq!(catalogue.resource("a|file:///a").unwrap_err().kind, denial.kind);
    }
}

#[test]
fn a_slug_that_two_installations_share_never_leads_to_the_wrong_one() {
    let view = view([
        instance("t", "i1", "u", "files", &["read"]),
        instance("t", "i2", "u", "files", &["read"]),
    ]);
    assert_eq!(paths(&view, "t", "u"), ["files@i1:read", "files@i2:read"]);
    let subject = subject("t", "u");
    let catalogue = Catalogue::of(&view, &subject, Timestamp(0));
    let (instance, tool) = catalogue.tool("files@i2:read").unwrap();
    assert_eq!((instance.key.installation.as_str(), tool), ("i2", "read"));
    let denial = catalogue.tool("files:read").unwrap_err();
    assert!(denial.text.contains("files@i1 or files@i2"), "{}", denial.text);
}

#[test]
fn a_path_is_split_at_its_first_separator() {
    let view = view([instance("t", "i", "u", "a", &["b:c"])]);
    let subject = subject("t", "u");
    let catalogue = Catalogue::of(&view, &subject, Timestamp(0));
    assert_eq!(catalogue.tool("a:b:c").unwrap().1, "b:c");
    assert_eq!(catalogue.resource("a|x|y:z").unwrap().1, "x|y:z");
    let long = "é".repeat(10_000);
    assert!(catalogue.tool(&long).unwrap_err().text.len() < 500);
    assert!(catalogue.resource(&long).is_err());
}

proptest! {
    /// Whatever the view and whoever asks: each tool shown or resolved belongs to an instance of
    /// the asker, and each tool shown resolves to its own instance.
    #[test]
    fn nothing_of_another_identity_is_ever_shown_or_reached(
        instances in prop::collection::vec((0..3_u8, 0..4_u8, 0..3_u8, 0..3_u8), 0..20),
        team in 0..3_u8,
        user in 0..3_u8,
    ) {
        let view = view(instances.iter().map(|(team, installation, user, slug)| {
            instance(
                &format!("t{team}"),
                &format!("i{team}{installation}"),
                &format!("u{user}"),
                &format!("s{slug}"),
                &["a", "b"],
            )
        }));
        let subject = subject(&format!("t{team}"), &format!("u{user}"));
        let catalogue = Catalogue::of(&view, &subject, Timestamp(0));
        for tool in catalogue.tools() {
            prop_assert_eq!(&tool.server.instance.key.user, &subject.user);
            prop_assert_eq!(&tool.server.instance.key.team, &subject.team);
            let path = tool.path();
            let (instance, _) = catalogue.tool(&path).unwrap();
            prop_assert_eq!(&instance.key, &tool.server.instance.key);
        }
        for slug in 0..3 {
            if let Ok((instance, _)) = catalogue.tool(&format!("s{slug}:a")) {
                prop_assert!(authorise::owns(&subject, &instance.key));
            }
        }
        let found = crate::router::search::search(&catalogue, "does a", 100);
        for hit in found.hits {
            prop_assert!(authorise::owns(&subject, &hit.tool.server.instance.key));
        }
    }
}
