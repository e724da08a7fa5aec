//! Accounts of teams. Each bears the mark of the satellite that made it, so that no other is ever
//! removed.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::Path;
use std::process::{Command, Stdio};

use nix::unistd::Group;
use satellite_core::team_user::PREFIX;

/// The accounts that one satellite makes.
#[derive(Debug)]
pub(super) struct Accounts {
    /// What they have as their comment: the satellite, by the marker of its state directory.
    comment: String,
}

/// An account of a team.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Account {
    pub(super) name: String,
    pub(super) user: u32,
    pub(super) home: String,
}

impl Accounts {
    pub(super) fn new(marker: &str) -> Self {
        // The file of accounts has no way to write these.
        let marker = marker.replace([':', ',', '\n'], "-");
        Accounts { comment: format!("Team of the satellite {marker}") }
    }

    /// Makes a system account without password and shell.
    pub(super) fn make(&self, name: &str, home: &Path) -> Result<(), String> {
        let mut useradd = Command::new("useradd");
        useradd.args(["--system", "--user-group", "--no-create-home"]);
        useradd.args(["--shell", "/usr/sbin/nologin", "--comment", &self.comment]);
        run(useradd.arg("--home-dir").arg(home).arg("--").arg(name))
    }

    /// Those that this satellite made for none of the users `kept`.
    pub(super) fn others(&self, kept: &BTreeSet<String>) -> io::Result<Vec<Account>> {
        Ok(self.others_in(&fs::read_to_string("/etc/passwd")?, kept))
    }

    /// The same of such a file.
    fn others_in(&self, text: &str, kept: &BTreeSet<String>) -> Vec<Account> {
        let account = |line: &str| {
            let mut fields = line.split(':');
            let name = fields.next()?;
            let user = fields.nth(1)?.parse().ok()?;
            let comment = fields.nth(1)?;
            let is_ours = name.starts_with(PREFIX) && comment == self.comment && user != 0;
            (is_ours && !kept.contains(name)).then(|| Account {
                name: name.to_owned(),
                user,
                home: fields.next().unwrap_or_default().to_owned(),
            })
        };
        text.lines().filter_map(account).collect()
    }

    /// Removes an account and its group. It fails while a process runs as it.
    pub(super) fn remove(&self, account: &Account) -> Result<(), String> {
        run(Command::new("userdel").arg("--").arg(&account.name))?;
        // Most systems have removed it with the account.
        match Group::from_name(&account.name) {
            Ok(Some(_)) => run(Command::new("groupdel").arg("--").arg(&account.name)),
            _ => Ok(()),
        }
    }
}

fn run(command: &mut Command) -> Result<(), String> {
    let program = command.get_program().to_string_lossy().into_owned();
    let output = command.stdin(Stdio::null()).output();
    let output = output.map_err(|error| format!("{program}: {error}"))?;
    if output.status.success() {
        return Ok(());
    }
    Err(String::from_utf8_lossy(&output.stderr).trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_this_satellite_made_and_nobody_needs_is_found() {
        let accounts = Accounts::new("ab:12");
        let text = "root:x:0:0:Team of the satellite ab-12:/root:/bin/sh\n\
            satellite-team-root:x:0:0:Team of the satellite ab-12:/root:/bin/sh\n\
            satellite-team-kept:x:990:990:Team of the satellite ab-12:/a:/usr/sbin/nologin\n\
            satellite-team-gone:x:991:991:Team of the satellite ab-12:/b:/usr/sbin/nologin\n\
            satellite-team-foreign:x:992:992:Team of the satellite ab-123:/c:/usr/sbin/nologin\n\
            satellite-team-own:x:993:993::/d:/usr/sbin/nologin\n\
            someone:x:994:994:Team of the satellite ab-12:/e:/bin/sh\n\
            satellite-team-odd\n";
        let kept = [String::from("satellite-team-kept")].into();
        let gone = Account {
            name: String::from("satellite-team-gone"),
            user: 991,
            home: String::from("/b"),
        };
        assert_eq!(accounts.others_in(text, &kept), [gone]);
    }
}
