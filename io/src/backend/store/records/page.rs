//! Parts of lists: which rows come after a place, in the list's order.

use std::cmp::{Ordering, Reverse};

use satellite_core::time::IsoTime;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// A list of the Backend: the rows of a table, or those of one owner in it.
#[derive(Clone, Copy, Debug)]
pub struct ListOf {
    /// The table, as SQL writes it.
    table: &'static str,
    /// The column that names the owner.
    owner: Option<&'static str>,
    order: Order,
}

/// What a list is ordered by; there is an index for each.
#[derive(Clone, Copy, Debug)]
enum Order {
    /// By a name of which there is one, at least for each owner.
    Name(&'static str),
    /// By a moment, the latest first; among those of one moment by id, rising or falling.
    Latest(&'static str, &'static str),
}

impl ListOf {
    /// All teams.
    pub const TEAMS: ListOf = ListOf::of_all("teams", Order::Name("slug"));
    /// All users.
    pub const USERS: ListOf = ListOf::of_all("users", Order::Name("username"));
    /// All server templates.
    pub const SERVERS: ListOf = ListOf::of_all(r#""mcpServers""#, Order::Name("slug"));
    /// All satellites.
    pub const SATELLITES: ListOf = ListOf::of_all("satellites", Order::Name("name"));
    /// All registration tokens.
    pub const REGISTRATION_TOKENS: ListOf =
        ListOf::of_all(r#""satelliteRegistrationTokens""#, Order::Latest("created_at", "ASC"));
    /// A user's access tokens.
    pub const ACCESS_TOKENS: ListOf =
        ListOf::of_one(r#""accessTokens""#, "user_id", Order::Latest("created_at", "ASC"));
    /// A team's installations.
    pub const INSTALLATIONS: ListOf =
        ListOf::of_one(r#""mcpServerInstallations""#, "team_id", Order::Name("installation_name"));
    /// A satellite's commands.
    pub const COMMANDS: ListOf = ListOf::of_one(
        r#""satelliteCommands""#,
        "satellite_id",
        Order::Latest("created_at", "ASC"),
    );
    /// A satellite's heartbeats.
    pub const HEARTBEATS: ListOf = ListOf::of_one(
        r#""satelliteHeartbeats""#,
        "satellite_id",
        Order::Latest("timestamp", "DESC"),
    );

    const fn of_all(table: &'static str, order: Order) -> ListOf {
        ListOf { table, owner: None, order }
    }

    const fn of_one(table: &'static str, owner: &'static str, order: Order) -> ListOf {
        ListOf { table, owner: Some(owner), order }
    }
}

/// Which part of a list is asked for.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Page {
    /// What comes after this.
    pub after: Option<Place>,
    /// So many rows at most.
    pub limit: u32,
    /// Only rows that pass all of these.
    pub filters: Vec<Filter>,
}

/// A place in a list: what its row is ordered by.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Place {
    /// In a list by name.
    Name(String),
    /// In a list of the latest first: the moment, and the id.
    Moment(IsoTime, String),
    /// In a list in the order of arrival.
    Number(u64),
}

/// A condition on a column.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Filter {
    /// It holds this text.
    Is(&'static str, String),
    /// It holds this moment or a later one.
    Since(&'static str, IsoTime),
    /// It holds an earlier moment.
    Until(&'static str, IsoTime),
}

/// What a statement is given in place of its numbers.
#[derive(Clone, Debug)]
pub enum Bound {
    /// A text.
    Text(String),
    /// A moment.
    Moment(IsoTime),
    /// A number.
    Number(u32),
}

impl ListOf {
    /// The statement for `page` and what it is given, in the order of its numbers, which begin with
    /// `mark`.
    pub fn statement(&self, owner: Option<&str>, page: &Page, mark: char) -> (String, Vec<Bound>) {
        let mut bounds = Vec::new();
        let mut put = |bound: Bound| {
            bounds.push(bound);
            format!("{mark}{}", bounds.len())
        };
        let mut conditions: Vec<String> = Vec::new();
        if let (Some(column), Some(owner)) = (self.owner, owner) {
            conditions.push(format!("{column} = {}", put(Bound::Text(owner.to_owned()))));
        }
        for filter in &page.filters {
            conditions.push(match filter {
                Filter::Is(column, text) => {
                    format!("{column} = {}", put(Bound::Text(text.clone())))
                }
                Filter::Since(column, at) => format!("{column} >= {}", put(Bound::Moment(*at))),
                Filter::Until(column, at) => format!("{column} < {}", put(Bound::Moment(*at))),
            });
        }
        match (self.order, &page.after) {
            (Order::Name(column), Some(Place::Name(name))) => {
                conditions.push(format!("{column} > {}", put(Bound::Text(name.clone()))));
            }
            (Order::Latest(column, ids), Some(Place::Moment(at, id))) => {
                let (at, id) = (put(Bound::Moment(*at)), put(Bound::Text(id.clone())));
                let after = if ids == "ASC" { '>' } else { '<' };
                conditions
                    .push(format!("{column} <= {at} AND ({column} < {at} OR id {after} {id})"));
            }
            _ => {}
        }
        let order = match self.order {
            Order::Name(column) => column.to_owned(),
            Order::Latest(column, ids) => format!("{column} DESC, id {ids}"),
        };
        let limit = put(Bound::Number(page.limit));
        let which = if conditions.is_empty() {
            String::new()
        } else {
            format!(" WHERE {}", conditions.join(" AND "))
        };
        let sql = format!("SELECT * FROM {}{which} ORDER BY {order} LIMIT {limit}", self.table);
        (sql, bounds)
    }

    /// Whether a place is one of this list.
    pub fn has(&self, place: &Place) -> bool {
        matches!(
            (self.order, place),
            (Order::Name(_), Place::Name(_)) | (Order::Latest(..), Place::Moment(..))
        )
    }

    /// Where a row stands.
    pub fn place<T: Serialize>(&self, row: &T) -> Option<Place> {
        self.place_of(&serde_json::to_value(row).ok()?)
    }

    fn place_of(&self, row: &Value) -> Option<Place> {
        let text = |column: &str| row.get(column).and_then(Value::as_str).map(str::to_owned);
        Some(match self.order {
            Order::Name(column) => Place::Name(text(column)?),
            Order::Latest(column, _) => {
                Place::Moment(serde_json::from_value(row.get(column)?.clone()).ok()?, text("id")?)
            }
        })
    }

    fn compare(&self, left: &Place, right: &Place) -> Ordering {
        match (left, right) {
            (Place::Name(left), Place::Name(right)) => left.cmp(right),
            (Place::Moment(left, one), Place::Moment(right, other)) => {
                let falling = matches!(self.order, Order::Latest(_, "DESC"));
                let ids = if falling { other.cmp(one) } else { one.cmp(other) };
                Reverse(left).cmp(&Reverse(right)).then(ids)
            }
            _ => Ordering::Equal,
        }
    }

    /// What the statement gives, of rows in memory.
    pub fn part_of<'a, T: Serialize + Clone + 'a>(
        &self,
        rows: impl Iterator<Item = &'a T>,
        owner: Option<&str>,
        page: &Page,
    ) -> Vec<T> {
        let told = rows.filter_map(|row| Some((serde_json::to_value(row).ok()?, row)));
        let mut rows: Vec<(Place, &T)> = told
            .filter(|(told, _)| self.owner.is_none_or(|column| told[column].as_str() == owner))
            .filter(|(told, _)| page.filters.iter().all(|filter| filter.passes(told)))
            .filter_map(|(told, row)| Some((self.place_of(&told)?, row)))
            .filter(|(place, _)| {
                page.after.as_ref().is_none_or(|after| self.compare(place, after).is_gt())
            })
            .collect();
        rows.sort_by(|(left, _), (right, _)| self.compare(left, right));
        rows.into_iter().take(page.limit as usize).map(|(_, row)| row.clone()).collect()
    }
}

impl Filter {
    fn passes(&self, row: &Value) -> bool {
        let moment = |column: &str| {
            row.get(column).and_then(|it| serde_json::from_value::<IsoTime>(it.clone()).ok())
        };
        match self {
            Filter::Is(column, text) => row[*column].as_str() == Some(text),
            Filter::Since(column, at) => moment(column).is_some_and(|moment| moment >= *at),
            Filter::Until(column, at) => moment(column).is_some_and(|moment| moment < *at),
        }
    }
}
