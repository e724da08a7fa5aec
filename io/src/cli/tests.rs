use clap::CommandFactory;

use super::*;

#[test]
fn the_command_line_is_consistent() {
    Arguments::command().debug_assert();
}

#[test]
fn every_command_explains_itself_and_most_by_example() {
    let command = Arguments::command();
    for it in command.get_subcommands().filter(|it| !it.is_hide_set()) {
        assert!(it.get_about().is_some(), "{}", it.get_name());
        let after = it.get_after_help().map(ToString::to_string).unwrap_or_default();
        assert!(after.contains("Example"), "{} shows no example", it.get_name());
    }
}

#[test]
fn the_long_help_lists_the_exit_codes() {
    let help = Arguments::command().render_long_help().to_string();
    for code in ["0 ", "1 ", "2 ", "3 ", "4 ", "5 ", "75 ", "130 "] {
        assert!(help.lines().any(|line| line.trim_start().starts_with(code)), "{code}");
    }
}

/// What a shell would make of a line, for the quoting that the README uses.
fn words(line: &str) -> Vec<String> {
    let (mut words, mut word, mut quote, mut inside) = (Vec::new(), String::new(), None, false);
    for c in line.chars() {
        match (quote, c) {
            (None, '\'' | '"') => (quote, inside) = (Some(c), true),
            (Some(open), c) if c == open => quote = None,
            (None, ' ') if inside => {
                words.push(std::mem::take(&mut word));
                inside = false;
            }
            (None, ' ') => {}
            (_, c) => {
                word.push(c);
                inside = true;
            }
        }
    }
    if inside {
        words.push(word);
    }
    words
}

/// The commands of the README: lines and code spans that begin with the program, or with the
/// environment it is given.
fn readme_commands() -> Vec<Vec<String>> {
    let readme = include_str!("../../../README.md");
    let spans = readme.lines().flat_map(|line| line.split('`'));
    spans
        .map(words)
        .filter_map(|words| {
            let start = words.iter().position(|word| !word.contains('='))?;
            let command = words.get(start..)?.to_vec();
            let run = ["cargo", "run", "--release", "--"].map(String::from);
            match command.strip_prefix(run.as_slice()) {
                Some(rest) => Some([vec![String::from("satellite")], rest.to_vec()].concat()),
                None => (command.len() > 1 && command[0] == "satellite").then_some(command),
            }
        })
        .collect()
}

#[test]
fn every_command_of_the_readme_is_one() {
    let commands = readme_commands();
    assert!(commands.len() >= 6, "{commands:?}");
    for command in commands {
        if let Err(error) = Arguments::try_parse_from(&command) {
            let asked = matches!(error.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion);
            assert!(asked, "{}: {error}", command.join(" "));
        }
    }
}
