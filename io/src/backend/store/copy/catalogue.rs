//! Which tables and columns there are. Both databases are asked, and must agree: what a later step
//! of the schema adds is copied as well, or nothing is.

use std::collections::{BTreeMap, BTreeSet};

use super::CopyError;

/// The columns of each table.
pub(super) type Columns = BTreeMap<String, BTreeSet<String>>;

/// A table as the target describes it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Table {
    pub(super) name: String,
    /// In the order in which their values travel.
    pub(super) columns: Vec<String>,
    /// What its rows are told apart by, as places among the columns.
    pub(super) key: Vec<usize>,
    /// The column whose numbers the database gives out.
    pub(super) numbered: Option<String>,
    /// Tables that must be filled before it.
    pub(super) references: BTreeSet<String>,
}

impl Table {
    /// Its name as SQL writes it.
    pub(super) fn quoted(&self) -> String {
        quoted(&self.name)
    }

    /// Its columns as SQL lists them.
    pub(super) fn list(&self) -> String {
        self.columns.iter().map(|column| quoted(column)).collect::<Vec<_>>().join(", ")
    }

    /// The query of all its rows in the order of their keys. Both databases order text by its bytes.
    pub(super) fn query(&self) -> String {
        let key = self.key.iter().filter_map(|place| self.columns.get(*place));
        let key: Vec<String> = key.map(|column| quoted(column)).collect();
        format!("SELECT {} FROM {} ORDER BY {}", self.list(), self.quoted(), key.join(", "))
    }
}

/// A name as SQL writes it where it is no plain word.
pub(super) fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// The tables in an order in which they can be filled.
pub(super) fn agreed(source: &Columns, target: Vec<Table>) -> Result<Vec<Table>, CopyError> {
    let described = target
        .iter()
        .map(|table| (table.name.clone(), table.columns.iter().cloned().collect()))
        .collect::<Columns>();
    if let Some(difference) = difference(source, &described) {
        return Err(unfit(&difference));
    }
    if let Some(table) = target.iter().find(|table| table.key.is_empty()) {
        return Err(unfit(&format!("{} has no key", table.name)));
    }
    let mut waiting = target;
    let mut filled = BTreeSet::new();
    let mut ordered = Vec::new();
    while !waiting.is_empty() {
        let ready = |table: &Table| {
            table.references.iter().all(|it| *it == table.name || filled.contains(it))
        };
        let (next, rest): (Vec<Table>, Vec<Table>) = waiting.into_iter().partition(ready);
        if next.is_empty() {
            let names: Vec<&str> = rest.iter().map(|table| table.name.as_str()).collect();
            return Err(unfit(&format!("{} refer to each other", names.join(", "))));
        }
        filled.extend(next.iter().map(|table| table.name.clone()));
        ordered.extend(next);
        waiting = rest;
    }
    Ok(ordered)
}

/// The first thing that one of them has alone.
fn difference(source: &Columns, target: &Columns) -> Option<String> {
    let names: BTreeSet<&String> = source.keys().chain(target.keys()).collect();
    names.into_iter().find_map(|name| match (source.get(name), target.get(name)) {
        (None, _) => Some(format!("only the target has a table {name}")),
        (_, None) => Some(format!("only the source has a table {name}")),
        (Some(one), Some(other)) => one
            .symmetric_difference(other)
            .next()
            .map(|column| format!("only one of them has {name}.{column}")),
    })
}

fn unfit(why: &str) -> CopyError {
    CopyError::choice(
        format!("the two databases are not made alike: {why}"),
        "copy into a database that nothing but this program has made tables in",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(name: &str, columns: &[&str], references: &[&str]) -> Table {
        Table {
            name: name.to_owned(),
            columns: columns.iter().map(|it| (*it).to_owned()).collect(),
            key: vec![0],
            numbered: None,
            references: references.iter().map(|it| (*it).to_owned()).collect(),
        }
    }

    fn columns(tables: &[Table]) -> Columns {
        tables.iter().map(|it| (it.name.clone(), it.columns.iter().cloned().collect())).collect()
    }

    #[test]
    fn tables_come_after_those_they_refer_to() {
        let tables = vec![
            table("c", &["id"], &["b", "c"]),
            table("b", &["id"], &["a"]),
            table("a", &["id"], &[]),
        ];
        let ordered = agreed(&columns(&tables), tables).unwrap();
        let names: Vec<&str> = ordered.iter().map(|it| it.name.as_str()).collect();
        assert_eq!(names, ["a", "b", "c"]);
    }

    #[test]
    fn what_one_of_them_has_alone_is_named_and_nothing_is_copied() {
        let both = [table("a", &["id", "name"], &[]), table("b", &["id"], &[])];
        for (target, expected) in [
            (vec![both[0].clone()], "only the source has a table b"),
            (
                vec![both[0].clone(), both[1].clone(), table("c", &["id"], &[])],
                "only the target has a table c",
            ),
            (vec![table("a", &["id"], &[]), both[1].clone()], "only one of them has a.name"),
            (vec![table("a", &["id", "name"], &["b"]), table("b", &["id"], &["a"])], "a, b refer"),
        ] {
            let error = agreed(&columns(&both), target).unwrap_err();
            assert!(error.error.contains(expected), "{error}");
        }
    }
}
