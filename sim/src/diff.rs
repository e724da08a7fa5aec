//! Where two runs part.

use std::fmt::Write;

/// Lines shown before the one at which they part.
const LINES_BEFORE: usize = 3;

/// Compares the traces of two runs. Says which step is the first that differs, with what led to it;
/// nothing if they are the same.
pub fn part(left: &str, right: &str) -> Option<String> {
    let (mut lefts, mut rights) = (left.lines(), right.lines());
    let mut before: Vec<&str> = Vec::new();
    for step in 0.. {
        let (here, there) = (lefts.next(), rights.next());
        if here == there {
            before.push(here?);
            if before.len() > LINES_BEFORE {
                before.remove(0);
            }
            continue;
        }
        let mut text = format!("the runs part at step {step}\n");
        for line in &before {
            // Writing to a text has no way to fail.
            let _ = writeln!(text, "  both  {line}");
        }
        for (name, line) in [("first", here), ("second", there)] {
            let _ = writeln!(text, "{name:>6}  {}", line.unwrap_or("(the run has ended)"));
        }
        return Some(text);
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_part_at_the_first_line_that_differs_or_is_missing() {
        assert_eq!(part("a\nb\n", "a\nb\n"), None);
        let text = part("a\nb\nc\n", "a\nb\nd\n").unwrap_or_default();
        assert!(text.starts_with("the runs part at step 2\n  both  a\n  both  b\n"), "{text}");
        assert!(text.ends_with(" first  c\nsecond  d\n"), "{text}");
        let text = part("a\n", "a\nb\n").unwrap_or_default();
        assert!(text.contains("at step 1") && text.contains("(the run has ended)"), "{text}");
    }
}
