//! What a server offers: its lists, page by page, within bounds.

use alloc::borrow::{Cow, ToOwned};
use alloc::boxed::Box;
use alloc::collections::BTreeSet;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::inventory::{resource, tool};
use super::reporting::Reporting;
use crate::json::{append_string, elements, present, text_of};
use crate::limits::{DISCOVERY_PAGES_MAX, INVENTORY_MAX_BYTES, TOOLS_MAX};
use crate::time::Timestamp;
use crate::view::Inventory;

/// Longest cursor that is followed, in bytes.
const CURSOR_MAX_BYTES: usize = 64 * 1024;

/// The lists of MCP.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum List {
    Tools,
    Resources,
    Templates,
    Prompts,
}

impl List {
    pub(crate) fn method(self) -> &'static str {
        match self {
            List::Tools => "tools/list",
            List::Resources => "resources/list",
            List::Templates => "resources/templates/list",
            List::Prompts => "prompts/list",
        }
    }
}

/// The first list that could not be had although a server is of no use without it.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) step: &'static str,
    pub(crate) reason: String,
}

/// A walk through the lists of a server, one request at a time.
#[derive(Debug)]
pub(crate) struct Discovery {
    /// The lists still to be asked for, the current one first.
    lists: Vec<List>,
    cursor: Option<String>,
    cursors: BTreeSet<String>,
    pages: usize,
    bytes: usize,
    tool_names: BTreeSet<String>,
    inventory: Inventory,
    /// When it began.
    pub(crate) began: Timestamp,
}

impl Discovery {
    pub(crate) fn new(now: Timestamp, lists: &[List], initialize: Option<Box<RawValue>>) -> Self {
        Discovery {
            lists: lists.to_owned(),
            cursor: None,
            cursors: BTreeSet::new(),
            pages: 0,
            bytes: 0,
            tool_names: BTreeSet::new(),
            inventory: Inventory { initialize, ..Inventory::default() },
            began: now,
        }
    }

    /// The next question, as method and parameters; `None` when every list is known.
    pub(crate) fn question(&self) -> Option<(&'static str, Option<String>)> {
        let list = self.lists.first()?;
        let params = self.cursor.as_ref().and_then(|cursor| {
            let mut text = Vec::from(&b"{\"cursor\":"[..]);
            append_string(&mut text, cursor);
            text.push(b'}');
            String::from_utf8(text).ok()
        });
        Some((list.method(), params))
    }

    /// Takes the answer to the question, or why there is none.
    ///
    /// Tools are why a server is there: without their list the walk fails. Without another list it
    /// goes on, and the list stays as far as it was read.
    pub(crate) fn answered(
        &mut self,
        answer: Result<&RawValue, String>,
        reporting: &mut Reporting,
    ) -> Result<(), Failure> {
        let Some(list) = self.lists.first().copied() else { return Ok(()) };
        match answer.and_then(|result| self.page(list, result, reporting)) {
            Ok(Some(cursor)) => self.cursor = Some(cursor),
            Ok(None) => self.next_list(),
            Err(reason) if list == List::Tools => {
                return Err(Failure { step: list.method(), reason });
            }
            Err(_) => {
                reporting.violated("a declared list could not be had");
                self.next_list();
            }
        }
        Ok(())
    }

    /// Time is up: what has been learnt is all.
    pub(crate) fn cut(&mut self) {
        self.lists.clear();
    }

    /// What was learnt.
    pub(crate) fn finish(mut self, now: Timestamp) -> Inventory {
        self.inventory.discovered_at = now;
        self.inventory
    }

    fn next_list(&mut self) {
        if !self.lists.is_empty() {
            self.lists.remove(0);
        }
        self.cursor = None;
        self.cursors.clear();
        self.pages = 0;
    }

    /// Takes one page, and gives the cursor of the next.
    fn page(
        &mut self,
        list: List,
        result: &RawValue,
        reporting: &mut Reporting,
    ) -> Result<Option<String>, String> {
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase", expecting = "an object")]
        struct Page<'a> {
            #[serde(borrow, default, deserialize_with = "present")]
            tools: Option<&'a RawValue>,
            #[serde(borrow, default, deserialize_with = "present")]
            resources: Option<&'a RawValue>,
            #[serde(borrow, default, deserialize_with = "present")]
            resource_templates: Option<&'a RawValue>,
            #[serde(borrow, default, deserialize_with = "present")]
            prompts: Option<&'a RawValue>,
            #[serde(borrow, default, deserialize_with = "present")]
            next_cursor: Option<&'a RawValue>,
        }
        let wrong = |error| format!("the answer is not as MCP wants it: {error}");
        let page: Page<'_> = serde_json::from_str(result.get()).map_err(wrong)?;
        let (key, found) = match list {
            List::Tools => ("tools", page.tools),
            List::Resources => ("resources", page.resources),
            List::Templates => ("resourceTemplates", page.resource_templates),
            List::Prompts => ("prompts", page.prompts),
        };
        let found = found.ok_or_else(|| format!("the answer has no `{key}`"))?;
        let room = TOOLS_MAX.saturating_sub(self.length(list));
        let (entries, whole) = elements(found.get(), room).map_err(wrong)?;
        let mut fits = whole;
        for entry in entries {
            let bytes = self.bytes.saturating_add(entry.get().len());
            if bytes > INVENTORY_MAX_BYTES {
                fits = false;
                break;
            }
            if self.take(list, entry) {
                self.bytes = bytes;
            } else {
                reporting.violated("a list has an entry that is malformed or comes twice");
            }
        }
        self.pages += 1;
        // An empty cursor is how some servers say that there is none.
        let next = page.next_cursor.and_then(text_of).filter(|cursor| !cursor.is_empty());
        let Some(cursor) = next.map(Cow::into_owned) else {
            if !fits {
                reporting.violated("a list is longer than is taken");
            }
            return Ok(None);
        };
        if !fits || self.pages >= DISCOVERY_PAGES_MAX {
            reporting.violated("a list is longer than is taken");
            return Ok(None);
        }
        if cursor.len() > CURSOR_MAX_BYTES || !self.cursors.insert(cursor.clone()) {
            reporting.violated("a list has a cursor that leads nowhere");
            return Ok(None);
        }
        Ok(Some(cursor))
    }

    fn length(&self, list: List) -> usize {
        match list {
            List::Tools => self.inventory.tools.len(),
            List::Resources => self.inventory.resources.len(),
            List::Templates => self.inventory.resource_templates.len(),
            List::Prompts => self.inventory.prompts.len(),
        }
    }

    fn take(&mut self, list: List, entry: &RawValue) -> bool {
        match list {
            List::Tools => {
                let Some(tool) = tool(entry) else { return false };
                if !self.tool_names.insert(tool.name.clone()) {
                    return false;
                }
                self.inventory.tools.push(tool);
            }
            List::Resources | List::Templates => {
                let Some(resource) = resource(entry) else { return false };
                match list {
                    List::Resources => self.inventory.resources.push(resource),
                    _ => self.inventory.resource_templates.push(resource),
                }
            }
            List::Prompts => {
                if !entry.get().starts_with('{') {
                    return false;
                }
                self.inventory.prompts.push(entry.to_owned());
            }
        }
        true
    }
}
