use super::*;
use crate::router::catalogue::tests::{instance, subject, view};
use crate::view::InstanceStatus;

const NOW: Timestamp = Timestamp(0);

fn params(text: &str) -> Box<RawValue> {
    raw(String::from(text))
}

fn all(view: &View, subject: &Subject, method: &str, text: &str) -> Result<Step, Denial> {
    all_instances(view, subject, NOW, method, Some(&params(text)))
}

#[test]
fn every_method_of_the_router_of_all_needs_the_read_scope_and_execution_its_own() {
    let view = view([instance("t", "i", "u", "files", &["read"])]);
    let mut subject = subject("t", "u");
    let execute = r#"{"name":"execute_mcp_tool","arguments":{"tool_path":"files:read"}}"#;
    assert!(matches!(all(&view, &subject, "tools/call", execute), Ok(Step::Call(_))));
    subject.scopes = [String::from("mcp:read")].into();
    let denial = all(&view, &subject, "tools/call", execute).unwrap_err();
    assert_eq!(denial.kind, DenialKind::ScopeMissing(Scope::Execute));
    subject.scopes.clear();
    for method in ["ping", "tools/list", "tools/call", "resources/list", "resources/read", "x"] {
        let denial = all(&view, &subject, method, "{}").unwrap_err();
        assert_eq!(denial.kind, DenialKind::ScopeMissing(Scope::Read), "{method}");
    }
}

#[test]
fn no_method_reaches_what_is_another_users() {
    let view = view([instance("t", "i", "other", "files", &["read"])]);
    let subject = subject("t", "u");
    let reach = [
        ("tools/call", r#"{"name":"execute_mcp_tool","arguments":{"tool_path":"files:read"}}"#),
        ("tools/call", r#"{"name":"read_mcp_resource","arguments":{"uri":"files|file:///a"}}"#),
        ("resources/read", r#"{"uri":"files|file:///a"}"#),
    ];
    for (method, text) in reach {
        let denial = all(&view, &subject, method, text).unwrap_err();
        assert_eq!(denial.kind, DenialKind::TargetUnknown, "{text}");
    }
    for method in ["resources/list", "resources/templates/list"] {
        let Ok(Step::Answer(answer)) = all(&view, &subject, method, "{}") else { panic!() };
        assert!(!answer.get().contains("file"), "{answer}");
    }
}

#[test]
fn a_call_of_one_instance_passes_its_parameters_untouched() {
    let instance = Arc::new(instance("t", "i", "u", "files", &["read"]));
    let text = r#"{"name" : "read","arguments":{"n":1.50},"_meta":{"x":1}}"#;
    let Ok(Step::Call(plan)) = one_instance(&instance, NOW, "tools/call", Some(&params(text)))
    else {
        panic!()
    };
    assert_eq!(plan.params.as_deref().map(RawValue::get), Some(text));
    assert_eq!((plan.form, plan.is_repeatable), (Form::Tool, false));
}

#[test]
fn a_tool_cannot_be_smuggled_past_its_switch() {
    let mut server = instance("t", "i", "u", "files", &["read", "write"]);
    server.disabled_tools = Arc::new([String::from("write")].into());
    let server = Arc::new(server);
    let cases = [
        (r#"{"name":"write"}"#, DenialKind::ToolDisabled),
        (r#"{"n\u0061me":"wr\u0069te"}"#, DenialKind::ToolDisabled),
        (r#"{"name":"read","name":"write"}"#, DenialKind::Arguments),
        (r#"["write"]"#, DenialKind::Arguments),
        (r#"{}"#, DenialKind::Arguments),
    ];
    for (text, kind) in cases {
        let denial = one_instance(&server, NOW, "tools/call", Some(&params(text))).unwrap_err();
        assert_eq!(denial.kind, kind, "{text}");
    }
    assert!(one_instance(&server, NOW, "tools/call", None).is_err());
}

#[test]
fn lists_wait_for_a_server_that_has_not_listed_yet() {
    let mut server = instance("t", "i", "u", "files", &["read"]);
    let unlisted = Arc::new(server.clone());
    let inventory = Arc::make_mut(&mut server.inventory);
    inventory.initialize = Some(params("{}"));
    let listed = Arc::new(server);
    for method in ["tools/list", "resources/list", "resources/templates/list", "prompts/list"] {
        assert!(
            matches!(one_instance(&unlisted, NOW, method, None), Ok(Step::Start(_))),
            "{method}"
        );
        assert!(
            matches!(one_instance(&listed, NOW, method, None), Ok(Step::Answer(_))),
            "{method}"
        );
    }
    assert!(matches!(one_instance(&listed, NOW, "resources/subscribe", None), Ok(Step::NoMethod)));
}

#[test]
fn lists_of_a_server_out_of_reach_are_marked_and_withheld_where_only_a_person_can_help() {
    let mut server = instance("t", "i", "u", "files", &["read"]);
    Arc::make_mut(&mut server.inventory).initialize = Some(params("{}"));
    for method in ["tools/list", "resources/list", "resources/templates/list", "prompts/list"] {
        let list = |status| {
            let server = Arc::new(InstanceView { status, ..server.clone() });
            match one_instance(&server, Timestamp(3_000), method, None) {
                Ok(Step::Answer(result)) => Ok(String::from(result.get())),
                Ok(step) => panic!("{step:?}"),
                Err(denial) => Err(denial.kind),
            }
        };
        let mark = r#""_meta":{"satellite/stale":{"ageMs":3000}}"#;
        assert!(list(InstanceStatus::Offline).unwrap().contains(mark), "{method}");
        assert!(list(InstanceStatus::Error).unwrap().contains(mark), "{method}");
        assert!(!list(InstanceStatus::Online).unwrap().contains("stale"), "{method}");
        for status in [InstanceStatus::RequiresReauth, InstanceStatus::PermanentlyFailed] {
            assert_eq!(list(status), Err(DenialKind::InstanceBlocked(status)), "{method}");
        }
    }
}

#[test]
fn a_read_through_the_router_of_all_keeps_the_client_s_meta() {
    let view = view([instance("t", "i", "u", "files", &[])]);
    let subject = subject("t", "u");
    let text = r#"{"uri":"files|file:///a","_meta":{"progressToken":"p"}}"#;
    let Ok(Step::Call(plan)) = all(&view, &subject, "resources/read", text) else { panic!() };
    assert_eq!(
        plan.params.as_deref().map(RawValue::get),
        Some(r#"{"uri":"file:///a","_meta":{"progressToken":"p"}}"#)
    );
}
