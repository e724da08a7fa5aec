use alloc::vec;

use proptest::prelude::*;

use super::*;
use crate::wire::admin::{Argument, Package, PackageTransport, Remote, Schema};
use crate::wire::configuration::{Configuration, ConfigurationReply, Launch, SatelliteConfig};

fn template(transport_type: Transport) -> CreateServer {
    let json =
        alloc::format!(r#"{{"name":"My Files","transport_type":"{}"}}"#, transport_type.as_str());
    crate::wire::decode("server", json.as_bytes()).unwrap()
}

fn instance() -> Instance {
    Instance {
        installation: "i1".into(),
        installation_name: "Our files".into(),
        settings: ServerSettings::default(),
        team: "t1".into(),
        team_slug: "acme".into(),
        user: "u1".into(),
        id: Some("inst_x".into()),
        path: None,
        token_hash: None,
        status: Some(InstanceStatus::Provisioning),
        disabled_tools: Vec::new(),
        generation: 0,
    }
}

fn texts(pairs: &[(&str, &str)]) -> BTreeMap<String, Secret> {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), Secret::new(*value))).collect()
}

fn field(name: &str, kind: &str) -> Field {
    Field { name: name.to_owned(), kind: kind.to_owned(), required: true, order: None }
}

#[test]
fn a_later_tier_wins_and_secrets_of_every_tier_are_named() {
    let mut template = template(Transport::Stdio);
    template.packages = vec![Package {
        transport: PackageTransport {
            command: None,
            env: texts(&[("A", "template"), ("B", "template"), ("C", "template")]),
        },
    }];
    template.team_schema = Schema { env: vec![field("B", "secret")], ..Schema::default() };
    template.user_schema =
        Schema { env: vec![field("C", "password"), field("D", "secret")], ..Schema::default() };
    let team = TeamTier { env: texts(&[("B", "team"), ("C", "team")]), ..TeamTier::default() };
    let user = UserSettings { user_env: texts(&[("C", "user")]), ..UserSettings::default() };
    let entry = merge(&template, &team, &user, &instance()).unwrap();
    assert_eq!(entry.env, Some(texts(&[("A", "template"), ("B", "team"), ("C", "user")])));
    assert_eq!(entry.secret_metadata.unwrap().env, ["B", "C"]);
    assert_eq!(entry.command.as_deref(), Some("npx"));
    assert_eq!(process_key(&template, &instance()), "my-files-acme-u1-i1");
    assert_eq!(missing_from_user(&template, &user), ["D"]);
}

#[test]
fn arguments_stand_tier_after_tier_unless_they_are_ordered_and_secret_ones_are_named() {
    let mut template = template(Transport::Stdio);
    let arg = |value: &str, order| Argument { value: value.to_owned(), order };
    template.template_args = vec![arg("-y", None), arg("pkg", None), arg("last", Some(999))];
    template.team_schema.args = vec![field("dir", "secret"), field("mode", "string")];
    template.user_schema.args = vec![
        Field { order: Some(-1), ..field("first", "string") },
        field("home", "password"),
        field("unset", "string"),
    ];
    let team = TeamTier {
        args: vec![Some("/data".into()), None, Some("".into()), Some("extra".into())],
        ..TeamTier::default()
    };
    let user = UserSettings {
        user_args: BTreeMap::from([
            ("home".to_owned(), "/home".to_owned()),
            ("first".to_owned(), "--first".to_owned()),
            ("not in the schema".to_owned(), "x".to_owned()),
        ]),
        ..UserSettings::default()
    };
    let entry = merge(&template, &team, &user, &instance()).unwrap();
    assert_eq!(entry.args.unwrap(), ["--first", "-y", "pkg", "/data", "extra", "/home", "last"]);
    assert_eq!(entry.secret_metadata.unwrap().args, [3, 5], "what the schemas call secret");
}

#[test]
fn a_remote_gets_its_headers_and_its_query() {
    let mut template = template(Transport::Http);
    assert!(merge(&template, &TeamTier::default(), &UserSettings::default(), &instance()).is_err());
    template.remotes = vec![Remote {
        url: Secret::new("https://h/mcp?keep=1"),
        urls: vec![Secret::new("https://g/mcp#part")],
        headers: texts(&[("authorization", "template")]),
    }];
    template.user_schema = Schema {
        headers: vec![field("Authorization", "secret")],
        query_params: vec![field("key", "secret")],
        ..Schema::default()
    };
    let user = UserSettings {
        user_headers: texts(&[("Authorization", "Bearer u")]),
        user_url_query_params: texts(&[("key", "k&")]),
        ..UserSettings::default()
    };
    let entry = merge(&template, &TeamTier::default(), &user, &instance()).unwrap();
    assert_eq!(entry.headers, Some(texts(&[("Authorization", "Bearer u")])));
    assert_eq!(entry.url.unwrap().expose(), "https://h/mcp?keep=1&key=k%26");
    assert_eq!(entry.urls.unwrap(), [Secret::new("https://g/mcp?key=k%26#part")]);
    let secrets = entry.secret_metadata.unwrap();
    assert_eq!(secrets.headers, ["Authorization"]);
    assert_eq!(secrets.query_params, ["key"]);
    assert_eq!(entry.timeout, Some(45_000));
}

#[test]
fn a_template_names_addresses_that_satellites_can_use() {
    let mut template = template(Transport::Http);
    let mut check = |urls: &[&str]| {
        let urls = urls.iter().map(|url| Secret::new(*url));
        let remote =
            |mut urls: Vec<Secret>| Remote { url: urls.remove(0), urls, headers: BTreeMap::new() };
        template.remotes = vec![remote(urls.collect())];
        check_addresses(&template)
    };
    assert_eq!(check(&["https://a/mcp"; 8]), Ok(()));
    assert!(check(&["https://a/mcp"; 9]).unwrap_err().contains("at most 8"));
    assert!(check(&["a/mcp"]).unwrap_err().contains("URL 1 is no"));
    assert!(check(&["https://a/", "file:///a?s3cret"]).unwrap_err().contains("URL 2 is no"));
    template.remotes.clear();
    assert!(check_addresses(&template).unwrap_err().contains("must name a URL"));
    template.transport_type = Transport::Stdio;
    assert_eq!(check_addresses(&template), Ok(()));
}

fn any_tier() -> impl Strategy<Value = BTreeMap<String, Secret>> {
    proptest::collection::btree_map("[A-E]", "[a-z]{0,3}".prop_map(Secret::new), 0..5)
}

proptest! {
    #[test]
    fn every_value_is_that_of_the_last_tier_that_has_one(
        first in any_tier(), second in any_tier(), third in any_tier(),
    ) {
        let mut template = template(Transport::Stdio);
        template.packages =
            vec![Package { transport: PackageTransport { command: None, env: first.clone() } }];
        let team = TeamTier { env: second.clone(), ..TeamTier::default() };
        let user = UserSettings { user_env: third.clone(), ..UserSettings::default() };
        let env = merge(&template, &team, &user, &instance()).unwrap().env.unwrap();
        for name in ["A", "B", "C", "D", "E"] {
            let wanted = third.get(name).or_else(|| second.get(name)).or_else(|| first.get(name));
            prop_assert_eq!(env.get(name), wanted);
        }
    }

    #[test]
    fn a_satellite_accepts_what_is_merged(
        args in proptest::collection::vec(proptest::option::of("[a-z-]{0,4}"), 0..5),
        env in any_tier(),
    ) {
        let template = template(Transport::Stdio);
        let team = TeamTier { args: args.clone(), env, ..TeamTier::default() };
        let entry = merge(&template, &team, &UserSettings::default(), &instance()).unwrap();
        let reply = ConfigurationReply {
            mcp_servers: BTreeMap::from([(process_key(&template, &instance()), entry)]),
            satellite_config: SatelliteConfig::default(),
            version: None,
        };
        let read = Configuration::decode(&crate::wire::encode(&reply)).unwrap();
        prop_assert_eq!(read.rejected, []);
        let Launch::Stdio { args: got, env, .. } = &read.servers[0].launch else {
            panic!("another transport")
        };
        prop_assert_eq!(env, &team.env);
        let wanted: Vec<_> = args.into_iter().flatten().filter(|arg| !arg.is_empty()).collect();
        prop_assert_eq!(got, &wanted);
    }
}
