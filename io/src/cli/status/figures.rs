//! What instances use, from the satellite's page of metrics.

use std::collections::BTreeMap;

use serde_json::{Value, json};

/// A column's name, its metric, and what its values are divided by.
const COLUMNS: [(&str, &str, f64); 5] = [
    ("cpu_s", "satellite_instance_cpu_seconds_total", 1.0),
    ("held_back_s", "satellite_instance_cpu_throttled_seconds_total", 1.0),
    ("memory_mb", "satellite_instance_memory_bytes", 1024.0 * 1024.0),
    ("of_mb", "satellite_instance_memory_limit_bytes", 1024.0 * 1024.0),
    ("processes", "satellite_instance_processes", 1.0),
];

/// The names of the columns of [`rows`].
pub(super) const NAMES: [&str; 7] =
    ["server", "user", "cpu_s", "held_back_s", "memory_mb", "of_mb", "processes"];

/// A row for each instance with a process that was measured.
pub(super) fn rows(page: &str) -> Vec<Value> {
    let mut rows: BTreeMap<&str, Value> = BTreeMap::new();
    for line in page.lines().filter(|line| !line.starts_with('#')) {
        let Some((name, rest)) = line.split_once('{') else { continue };
        let Some((column, _, unit)) = COLUMNS.iter().find(|(_, metric, _)| *metric == name) else {
            continue;
        };
        let Some((labels, value)) = rest.rsplit_once("} ") else { continue };
        let Ok(value) = value.parse::<f64>() else { continue };
        let row = rows.entry(labels).or_insert_with(
            || json!({"server": label(labels, "server"), "user": label(labels, "user")}),
        );
        row[*column] = json!((value / unit * 10.0).round() / 10.0);
    }
    rows.into_values().collect()
}

/// The value of a label, as it is written.
fn label<'a>(labels: &'a str, name: &str) -> &'a str {
    let found = labels.split("\",").find_map(|it| it.strip_prefix(name)?.strip_prefix("=\""));
    found.unwrap_or_default().trim_end_matches('"')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_samples_of_an_instance_are_one_row() {
        let own = "team=\"t\",installation=\"i\",user=\"u\",server=\"files\"";
        let page = format!(
            "# TYPE satellite_instance_memory_bytes gauge\n\
             satellite_instance_memory_bytes{{{own}}} 1572864\n\
             satellite_instance_cpu_seconds_total{{{own}}} 2.04\n\
             satellite_instance_ends_total{{{own},reason=\"exit\"}} 1\n\
             satellite_degraded 0\nnonsense{{\n"
        );
        let expected = json!({"server": "files", "user": "u", "memory_mb": 1.5, "cpu_s": 2.0});
        assert_eq!(rows(&page), [expected]);
        assert_eq!(rows(""), [Value::Null; 0]);
    }
}
