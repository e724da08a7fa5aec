//! Search over one user's tools: lexical, forgiving of small slips, and deterministic.
//!
//! Each word of the query is held against a tool's name (weight 0.4), description (0.35) and server
//! (0.25). It sees nothing but the catalogue it is given, which holds one identity's tools only.

use alloc::string::String;
use alloc::vec::Vec;
use core::cmp::Reverse;

use super::catalogue::{Catalogue, ListedTool};

/// The query that means everything.
pub const EVERYTHING: &str = "*";
/// Hits of [`EVERYTHING`] at most.
pub const EVERYTHING_MAX: usize = 20;
/// Hits when the client does not say how many.
pub const LIMIT_DEFAULT: usize = 10;
/// Hits a client may ask for.
pub const LIMIT_MAX: usize = 100;

const NAME_WEIGHT: u32 = 400;
const DESCRIPTION_WEIGHT: u32 = 350;
const SERVER_WEIGHT: u32 = 250;
/// A word that is there.
const EXACT: u32 = 1_000;
/// A word that begins so.
const PREFIX: u32 = 850;
/// A word that contains it.
const WITHIN: u32 = 650;
/// A word that differs by a slip of the finger.
const SLIP: u32 = 500;
/// Words of a query, and characters of a description, that are looked at.
const QUERY_WORDS_MAX: usize = 12;
const DESCRIPTION_MAX_BYTES: usize = 4_000;

/// A tool that was found.
#[derive(Clone, Copy, Debug)]
pub struct Hit<'c> {
    /// The tool.
    pub tool: ListedTool<'c>,
    /// How well it fits, in thousandths.
    pub relevance: u32,
}

/// What a search found.
#[derive(Clone, Debug)]
pub struct Found<'c> {
    /// The best hits, best first; equals in the catalogue's order.
    pub hits: Vec<Hit<'c>>,
    /// How many there were before the limit.
    pub total: usize,
}

/// Searches `catalogue` for `query` and keeps the best `limit` hits.
pub fn search<'c>(catalogue: &'c Catalogue<'_>, query: &str, limit: usize) -> Found<'c> {
    let query = query.trim();
    if query == EVERYTHING {
        let mut hits: Vec<_> =
            catalogue.tools().map(|tool| Hit { tool, relevance: EXACT }).collect();
        let total = hits.len();
        hits.truncate(limit.min(EVERYTHING_MAX));
        return Found { hits, total };
    }
    let lowered = query.to_lowercase();
    let mut wanted = words(query);
    wanted.truncate(QUERY_WORDS_MAX);
    let mut hits: Vec<_> = catalogue
        .tools()
        .filter_map(|tool| {
            let relevance = relevance(&tool, &lowered, &wanted);
            (relevance > 0).then_some(Hit { tool, relevance })
        })
        .collect();
    let total = hits.len();
    // The sort is stable: equals stay in the catalogue's order.
    hits.sort_by_key(|hit| Reverse(hit.relevance));
    hits.truncate(limit);
    Found { hits, total }
}

fn relevance(listed: &ListedTool<'_>, query: &str, wanted: &[String]) -> u32 {
    let name = listed.tool.name.to_lowercase();
    if !query.is_empty() && (name == query || is_path(listed, query, &name)) {
        return EXACT;
    }
    if wanted.is_empty() {
        return 0;
    }
    let names = words(&listed.tool.name);
    let server = words(&listed.server.label);
    let mut end = listed.tool.description.len().min(DESCRIPTION_MAX_BYTES);
    while !listed.tool.description.is_char_boundary(end) {
        end -= 1;
    }
    let description = words(listed.tool.description.get(..end).unwrap_or_default());
    let mut sum = 0;
    for word in wanted {
        sum += NAME_WEIGHT * best(word, &names)
            + DESCRIPTION_WEIGHT * best(word, &description)
            + SERVER_WEIGHT * best(word, &server);
    }
    let mean = sum / (wanted.len() as u32 * EXACT);
    // The full mark is kept for exact names, so that these come first.
    mean.min(EXACT - 1)
}

fn is_path(listed: &ListedTool<'_>, query: &str, name: &str) -> bool {
    query
        .split_once(super::catalogue::TOOL_SEPARATOR)
        .is_some_and(|(server, tool)| tool == name && server == listed.server.label.to_lowercase())
}

/// How well `wanted` fits the best of `present`.
fn best(wanted: &str, present: &[String]) -> u32 {
    let mut best = 0;
    for word in present {
        let fit = fit(wanted, word);
        if fit == EXACT {
            return EXACT;
        }
        best = best.max(fit);
    }
    best
}

fn fit(wanted: &str, word: &str) -> u32 {
    if wanted == word {
        return EXACT;
    }
    // One letter fits nearly everything.
    if wanted.len() < 2 {
        return 0;
    }
    // `files` finds `file` as well as the other way round.
    if word.starts_with(wanted) || (word.len() > 2 && wanted.starts_with(word)) {
        return PREFIX;
    }
    if wanted.len() > 2 && word.contains(wanted) {
        return WITHIN;
    }
    let slips = match wanted.len() {
        0..4 => return 0,
        4..8 => 1,
        _ => 2,
    };
    if is_within_slips(wanted, word, slips) { SLIP } else { 0 }
}

/// Whether at most `slips` insertions, deletions, replacements or swaps of neighbours turn one
/// word into the other.
fn is_within_slips(left: &str, right: &str, slips: usize) -> bool {
    const LONGEST: usize = 32;
    let (left, right) = (left.as_bytes(), right.as_bytes());
    if left.len().abs_diff(right.len()) > slips || left.len().max(right.len()) > LONGEST {
        return false;
    }
    let mut before = [0; LONGEST + 1];
    let mut last: [usize; LONGEST + 1] = core::array::from_fn(|column| column);
    let mut previous = None;
    for (row, l) in left.iter().enumerate() {
        let mut line = [row + 1; LONGEST + 1];
        let mut neighbour = None;
        for (column, r) in right.iter().enumerate() {
            let at = |line: &[usize; LONGEST + 1], column: usize| {
                line.get(column).copied().unwrap_or(usize::MAX - 1)
            };
            let mut cost = (at(&last, column) + usize::from(l != r))
                .min(at(&last, column + 1) + 1)
                .min(at(&line, column) + 1);
            if previous == Some(r) && neighbour == Some(l) {
                cost = cost.min(at(&before, column.saturating_sub(1)) + 1);
            }
            if let Some(cell) = line.get_mut(column + 1) {
                *cell = cost;
            }
            neighbour = Some(r);
        }
        previous = Some(l);
        before = last;
        last = line;
    }
    last.get(right.len()).is_some_and(|cost| *cost <= slips)
}

/// The words of `text` in lower case: split at everything but letters and digits, and where
/// `camelCase` begins a word.
fn words(text: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut word = String::new();
    let mut was_lower = false;
    for c in text.chars() {
        let begins = c.is_uppercase() && was_lower;
        if (!c.is_alphanumeric() || begins) && !word.is_empty() {
            words.push(core::mem::take(&mut word));
        }
        if c.is_alphanumeric() {
            word.extend(c.to_lowercase());
        }
        was_lower = c.is_lowercase() || c.is_numeric();
    }
    if !word.is_empty() {
        words.push(word);
    }
    words
}

#[cfg(test)]
mod tests;
