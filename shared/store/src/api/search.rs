//! Lists that filter: a page looks at a bounded number of rows, and says how far it came.

use tokio_postgres::Row;

use super::page::Page;
use crate::StoreError;
use crate::types::column;

/// Rows that one page looks at, all workflows of the organization together, but one more than the
/// page may give of each. A page that finds fewer than asked for among them ends there, and the next
/// one goes on behind them.
pub(super) const SEARCH_ROWS_MAX: i64 = 10_000;

/// The lowest id.
const FIRST_ID: &str = "00000000-0000-0000-0000-000000000000";
/// The highest id.
const LAST_ID: &str = "ffffffff-ffff-ffff-ffff-ffffffffffff";

/// A list over a table of the work, newest first. Parameters of its statement: `$1` is the
/// organization, `$2` the workflow, `$3` the id before which the page begins, `$4` the number of
/// rows, `$5` the bytes of large columns.
pub(super) struct Search {
    /// The first comment of the statement.
    pub(super) name: &'static str,
    /// The table of the rows, which are `x`.
    pub(super) table: &'static str,
    /// The columns of a row, with those of `joins`.
    pub(super) columns: &'static str,
    /// The large columns' bytes.
    pub(super) bytes: &'static str,
    /// Joins to `x`.
    pub(super) joins: &'static str,
    /// A condition for the workflows.
    pub(super) workflows: String,
    /// The table whose index the search goes along, as `x` or with a join to `x`.
    pub(super) along: Along,
    /// The columns that the index has in front of the id, each with its value in the rows that are
    /// looked at of a workflow `w`.
    pub(super) looked_at: Vec<(&'static str, String)>,
    /// The conditions for `x`, each with `AND` before it.
    pub(super) filters: String,
    /// Whether there are rows before which the page begins.
    pub(super) has_before: bool,
}

/// The table whose index a search goes along.
#[derive(Clone, Copy)]
pub(super) struct Along {
    /// The table.
    pub(super) from: &'static str,
    /// The join to the rows of the list; empty where the table is theirs.
    pub(super) join: &'static str,
    /// The id of the list's row, in the table.
    pub(super) id: &'static str,
}

impl Search {
    /// The statement. Each workflow gives its newest rows that match, out of those that it may look
    /// at. A workflow that had more to look at cuts the page at the last row that it looked at: a
    /// match of it may come right behind.
    pub(super) fn statement(&self) -> String {
        let Self { name, table, columns, bytes, joins, workflows, filters, .. } = self;
        let Along { from, join, id } = self.along;
        let walk = self.walk();
        let order = walk.order(id);
        let from_first = walk.compare(id, ">=", &format!("'{FIRST_ID}'"));
        let cut = format!("coalesce((SELECT id FROM cut), '{FIRST_ID}')");
        let from_cut = walk.compare(id, ">=", &cut);
        let to_last = if self.has_before {
            walk.compare(id, "<", "$3")
        } else {
            walk.compare(id, "<=", &format!("'{LAST_ID}'"))
        };
        let (of_workflow, order_of_found) = (walk.of_workflow(), walk.order("x.id"));
        // Without a filter every row matches, and a page looks at no more rows than it gives.
        let looks = if filters.is_empty() { 0 } else { SEARCH_ROWS_MAX };
        format!(
            "/* {name} */
             WITH wanted AS MATERIALIZED (
                 SELECT w.id, greatest($4::int8 + 1, {looks} / count(*) OVER ()) AS looks
                 FROM workflows w
                 WHERE w.organization_id = $1::uuid{workflows}
                   AND (SELECT true FROM {from} WHERE {from_first} AND {to_last} {order} LIMIT 1)),
             cut AS MATERIALIZED (
                 SELECT last.id
                 FROM wanted w
                 CROSS JOIN LATERAL (
                     SELECT {id} AS id FROM {from} WHERE {from_first} AND {to_last}
                     {order} OFFSET w.looks - 1 LIMIT 1) last
                 ORDER BY last.id DESC LIMIT 1),
             found AS MATERIALIZED (
                 SELECT x.id
                 FROM wanted w
                 CROSS JOIN LATERAL (
                     SELECT x.id
                     FROM (SELECT x.* FROM {from} {join}
                           WHERE {from_cut} AND {to_last}
                           {order} LIMIT w.looks) x
                     WHERE {of_workflow}{filters}
                     {order_of_found} LIMIT $4 + 1) x
                 ORDER BY x.id DESC LIMIT $4 + 1)
             SELECT page.*, (SELECT id FROM cut) AS looked_to
             FROM (SELECT) one
             LEFT JOIN (
                 SELECT q.*
                 FROM (SELECT {columns}, count(*) OVER () AS candidates,
                              row_number() OVER (ORDER BY x.id DESC) AS place,
                              sum({bytes}) OVER (ORDER BY x.id DESC) AS bytes
                       FROM found
                       JOIN {table} x ON x.id = found.id
                       {joins}) q
                 WHERE q.place = 1 OR (q.place <= $4 AND q.bytes <= $5::int8)) page ON true
             ORDER BY page.id DESC"
        )
    }

    fn walk(&self) -> Walk<'_> {
        let is_of_list = self.along.join.is_empty() && self.looked_at[0].0 == "x.workflow_id";
        if is_of_list { Walk::Rows(&self.looked_at) } else { Walk::Equal(&self.looked_at) }
    }
}

/// The way along an index: the columns in front of the id, and their values.
enum Walk<'s> {
    /// The columns are equal to the values.
    Equal(&'s [(&'static str, String)]),
    /// Columns and id are compared as one row, and ordered by. With equal columns the planner could
    /// go along the primary key: it would walk over the rows of all other workflows, where the
    /// statistics know of one workflow only.
    Rows(&'s [(&'static str, String)]),
}

impl Walk<'_> {
    /// The condition that the id is before or after this one.
    fn compare(&self, id: &str, than: &str, value: &str) -> String {
        match self {
            Self::Equal(columns) => {
                let equal = columns.iter().map(|(name, value)| format!("{name} = {value} AND "));
                let equal: String = equal.collect();
                format!("{equal}{id} {than} {value}")
            }
            Self::Rows(columns) => {
                let names: String = columns.iter().map(|(column, _)| format!("{column}, ")).collect();
                let values: String = columns.iter().map(|(_, value)| format!("{value}, ")).collect();
                format!("({names}{id}) {than} ({values}{value})")
            }
        }
    }

    fn order(&self, id: &str) -> String {
        match self {
            Self::Equal(_) => format!("ORDER BY {id} DESC"),
            Self::Rows(columns) => {
                let names: String = columns.iter().map(|(column, _)| format!("{column} DESC, ")).collect();
                format!("ORDER BY {names}{id} DESC")
            }
        }
    }

    /// The condition that a row is of the workflow, beside that for the id.
    fn of_workflow(&self) -> &'static str {
        match self {
            Self::Equal(_) => "x.workflow_id = w.id",
            // A second condition for the column would make another order of it.
            Self::Rows(_) => "true",
        }
    }
}

/// Reads the page of a [`Search`]: one row without an id where nothing was found.
pub(super) fn read_search<T>(
    rows: &[Row],
    from_row: impl Fn(&Row) -> Result<T, StoreError>,
) -> Result<Page<T>, StoreError> {
    let first = rows.first().ok_or(StoreError::Corrupt("looked_to"))?;
    let looked_to = column(first, "looked_to")?;
    let Some(candidates) = column::<Option<i64>>(first, "candidates")? else {
        return Ok(Page { rows: Vec::new(), next: looked_to });
    };
    let next = match rows.last() {
        Some(last) if i64::try_from(rows.len()).is_ok_and(|given| given < candidates) => {
            Some(column(last, "id")?)
        }
        _ => looked_to,
    };
    Ok(Page { rows: rows.iter().map(from_row).collect::<Result<_, _>>()?, next })
}
