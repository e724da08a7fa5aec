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
