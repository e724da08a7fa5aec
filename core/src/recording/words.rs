//! Words of ours that events hold as `&'static str`.

use alloc::string::String;

use serde::{Deserialize, Deserializer};

/// A text of the program's own. (serde reads a field written as a reference only from texts that
/// live for ever.)
pub type Word = &'static str;

/// Every one of them. A word that is missing here is read as [`OTHER`], and a recording says that
/// the daemon decided otherwise where that matters.
const WORDS: [Word; 24] = [
    "a batch, which its revision does not have",
    "a declared list could not be had",
    "a line beyond the size limit",
    "a line that is not JSON",
    "a list has a cursor that leads nowhere",
    "a list has an entry that is malformed or comes twice",
    "a list is longer than is taken",
    "a message that is not JSON-RPC 2.0",
    "an answer to nothing",
    "configuration",
    "credentials",
    "initialize",
    "instance_path_unknown",
    "instance_token_invalid",
    "insufficient_scope",
    "journal",
    "progress of nothing",
    "prompts/list",
    "resources/list",
    "resources/templates/list",
    "token_invalid",
    "tools/list",
    "unpaired",
    "wrong_team",
];

/// Stands for a word that is not on the list.
pub const OTHER: Word = "something else";

/// Reads a word.
///
/// # Errors
///
/// It is no text.
pub fn read<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Word, D::Error> {
    let text = String::deserialize(deserializer)?;
    Ok(WORDS.into_iter().find(|word| *word == text).unwrap_or(OTHER))
}
