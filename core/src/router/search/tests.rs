use alloc::format;
use alloc::sync::Arc;

use proptest::prelude::*;

use super::*;
use crate::router::catalogue::tests::{instance, subject, view};
use crate::time::Timestamp;

fn find(tools: &[&str], query: &str) -> Vec<String> {
    let view = view([instance("t", "i", "u", "files", tools)]);
    let subject = subject("t", "u");
    let catalogue = Catalogue::of(&view, &subject, Timestamp(0));
    let hits = search(&catalogue, query, LIMIT_DEFAULT).hits;
    hits.iter().map(|hit| hit.tool.tool.name.clone()).collect()
}

#[test]
fn exact_names_come_first() {
    let tools = ["read_file_lines", "read_many", "read", "spread"];
    assert_eq!(find(&tools, "read").first().map(String::as_str), Some("read"));
    assert_eq!(find(&tools, "READ")[0], "read");
    assert_eq!(find(&tools, "files:read")[0], "read");
}

#[test]
fn words_are_found_in_any_case_style_and_despite_a_slip() {
    for name in ["create_issue", "createIssue", "create-issue", "CreateIssue"] {
        for query in ["create issue", "issue create", "isuse", "issues", "creat", "createIssue"] {
            assert_eq!(find(&["unlike", name], query).first().map(String::as_str), Some(name));
        }
    }
}

#[test]
fn the_server_s_name_counts_and_nonsense_finds_nothing() {
    assert_eq!(find(&["a", "b"], "files"), ["a", "b"]);
    assert!(find(&["read", "write"], "xylophone").is_empty());
    assert!(find(&["read"], "").is_empty());
    assert!(find(&["read"], "  ?!  ").is_empty());
}

#[test]
fn everything_is_capped_and_the_total_still_told() {
    let names: Vec<String> = (0..30).map(|number| format!("tool{number}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let view = view([instance("t", "i", "u", "s", &names)]);
    let subject = subject("t", "u");
    let catalogue = Catalogue::of(&view, &subject, Timestamp(0));
    let found = search(&catalogue, "*", LIMIT_MAX);
    assert_eq!((found.hits.len(), found.total), (EVERYTHING_MAX, 30));
    assert_eq!(search(&catalogue, "*", 3).hits.len(), 3);
    assert_eq!(search(&catalogue, "does", 5).hits.len(), 5);
    assert_eq!(search(&catalogue, "does", 5).total, 30);
}

#[test]
fn a_slip_is_one_insertion_deletion_replacement_or_swap() {
    for (left, right) in [("issue", "isue"), ("issue", "isssue"), ("issue", "iszue")] {
        assert!(is_within_slips(left, right, 1), "{left} {right}");
    }
    assert!(is_within_slips("issue", "isseu", 1));
    assert!(!is_within_slips("issue", "ussie", 1));
    assert!(is_within_slips("repository", "repoistroy", 2));
    assert!(!is_within_slips(&"a".repeat(40), &"a".repeat(40), 2), "too long to be a word");
}

proptest! {
    #[test]
    fn no_query_panics_and_the_same_query_finds_the_same(
        query in "\\PC{0,60}",
        names in prop::collection::vec("[a-zA-Zäß_:. -]{1,30}", 0..12),
        description in "\\PC{0,200}",
        limit in 0..200_usize,
    ) {
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let mut server = instance("t", "i", "u", "s", &names);
        let inventory = Arc::get_mut(&mut server.inventory).unwrap();
        for tool in &mut inventory.tools {
            tool.description.clone_from(&description);
        }
        let view = view([server]);
        let subject = subject("t", "u");
        let catalogue = Catalogue::of(&view, &subject, Timestamp(0));
        let found = search(&catalogue, &query, limit);
        prop_assert!(found.hits.len() <= limit);
        prop_assert!(found.hits.len() <= found.total && found.total <= names.len());
        prop_assert!(found.hits.is_sorted_by_key(|hit| Reverse(hit.relevance)));
        let again = search(&catalogue, &query, limit);
        let paths = |found: &Found<'_>| -> Vec<(String, u32)> {
            found.hits.iter().map(|hit| (hit.tool.path(), hit.relevance)).collect()
        };
        prop_assert_eq!(paths(&found), paths(&again));
    }
}
