//! The user of each team: an account of its own, or where none can be made, a number of its own.
//!
//! A number is taken for good by the owner of the team's directory, so that no other record of it
//! can get lost.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::ops::RangeInclusive;
use std::os::unix::fs::{MetadataExt, lchown};
use std::path::Path;
use std::process::{Command, Stdio};

use nix::unistd::{Uid, User};
use satellite_core::id::TeamId;
use satellite_core::team_user::team_user;

use crate::jail::TeamUser;

/// Numbers for teams without an account: nobody else uses them (systemd's "Users, Groups, UIDs and
/// GIDs" lists them as unused).
const NUMBERS: RangeInclusive<u32> = 60_578..=61_183;

/// The user of `team`, whose directory is `own`; made if need be, and the directory becomes the
/// user's. `homes` holds the directories of all teams.
///
/// An error says what could not be done and what to do about it. The caller lets one in at a time.
pub(super) fn prepare(
    team: &TeamId,
    homes: &Path,
    own: &Path,
    makes_accounts: bool,
) -> Result<TeamUser, String> {
    let name = team_user(team);
    let account = || User::from_name(&name).ok().flatten();
    let mut found = account();
    if found.is_none() && makes_accounts {
        if let Err(error) = make_account(&name, own) {
            tracing::debug!(user = name, error, "No account for a team; a number will do");
        }
        found = account();
    }
    let user = match found {
        Some(account) => TeamUser { user: account.uid.as_raw(), group: account.gid.as_raw() },
        None => numbered(homes, own).map_err(|error| {
            format!("no user for the team: {error}; make an account {name} for it")
        })?,
    };
    if user.user == 0 {
        return Err(format!("the account {name} is an administrator's; give it another number"));
    }
    let given = hand_over(own, user);
    given.map_err(|error| format!("cannot give {} to its team: {error}", own.display()))?;
    Ok(user)
}

/// Makes a system account without password and shell.
fn make_account(name: &str, home: &Path) -> Result<(), String> {
    let output = Command::new("useradd")
        .args(["--system", "--user-group", "--no-create-home", "--shell", "/usr/sbin/nologin"])
        .arg("--home-dir")
        .arg(home)
        .arg("--")
        .arg(name)
        .stdin(Stdio::null())
        .output()
        .map_err(|error| format!("useradd: {error}"))?;
    if output.status.success() {
        return Ok(());
    }
    Err(String::from_utf8_lossy(&output.stderr).trim().to_owned())
}

/// The number of the team's directory, or one that no directory has.
fn numbered(homes: &Path, own: &Path) -> io::Result<TeamUser> {
    let owner = fs::symlink_metadata(own)?.uid();
    if NUMBERS.contains(&owner) {
        return Ok(TeamUser { user: owner, group: owner });
    }
    let mut taken = BTreeSet::new();
    for entry in fs::read_dir(homes)? {
        taken.insert(entry?.metadata()?.uid());
    }
    let is_free = |number: &u32| {
        !taken.contains(number) && matches!(User::from_uid(Uid::from_raw(*number)), Ok(None))
    };
    let number = NUMBERS.into_iter().find(is_free);
    let number = number.ok_or_else(|| io::Error::other("all numbers for teams are taken"))?;
    Ok(TeamUser { user: number, group: number })
}

/// Makes everything in `own` the user's. No link is followed.
fn hand_over(own: &Path, user: TeamUser) -> io::Result<()> {
    if fs::symlink_metadata(own)?.uid() == user.user {
        return Ok(());
    }
    let mut left = vec![own.to_owned()];
    // The directory itself comes last: until then it tells that this is not done.
    let mut done = Vec::new();
    while let Some(place) = left.pop() {
        if fs::symlink_metadata(&place)?.is_dir() {
            for entry in fs::read_dir(&place)? {
                left.push(entry?.path());
            }
        }
        done.push(place);
    }
    for place in done.iter().rev() {
        lchown(place, Some(user.user), Some(user.group))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn teams_without_accounts_get_numbers_of_their_own_and_keep_them() {
        let name = format!("satellite-users-{}", std::process::id());
        let homes = std::env::temp_dir().join(name);
        let own = |team: &str| homes.join(team);
        let user_of = |team: &str| {
            fs::create_dir_all(own(team).join("home/deep")).unwrap();
            prepare(&team.into(), &homes, &own(team), false).unwrap()
        };
        let (a, b) = (user_of("no-account-a"), user_of("no-account-b"));
        assert!(NUMBERS.contains(&a.user) && NUMBERS.contains(&b.user) && a.user != b.user);
        assert_eq!(user_of("no-account-a"), a);
        let owner = |place: &str| fs::symlink_metadata(homes.join(place)).unwrap().uid();
        assert_eq!(owner("no-account-a/home/deep"), a.user);
        assert_eq!(owner("no-account-b"), b.user);
        fs::remove_dir_all(homes).unwrap();
    }

    /// Takes the account away again, whatever becomes of the test.
    struct Account(String);

    impl Drop for Account {
        fn drop(&mut self) {
            let _ = Command::new("userdel").arg(&self.0).output();
        }
    }

    #[test]
    fn an_account_is_made_for_a_team_and_found_again() {
        let team = TeamId::from(format!("test-{}", std::process::id()));
        let account = Account(team_user(&team));
        let homes = std::env::temp_dir().join(format!("satellite-accounts-{}", std::process::id()));
        let own = homes.join("own");
        fs::create_dir_all(&own).unwrap();
        let made = prepare(&team, &homes, &own, true).unwrap();
        let found = User::from_name(&account.0).unwrap().unwrap();
        assert_eq!((found.uid.as_raw(), found.gid.as_raw()), (made.user, made.group));
        assert!(made.user != 0 && !NUMBERS.contains(&made.user), "{made:?}");
        // Found without leave to make one.
        assert_eq!(prepare(&team, &homes, &own, false), Ok(made));
        assert_eq!(fs::symlink_metadata(&own).unwrap().uid(), made.user);
        fs::remove_dir_all(homes).unwrap();
    }

    #[test]
    fn what_a_link_leads_to_keeps_its_owner() {
        let name = format!("satellite-links-{}", std::process::id());
        let root = std::env::temp_dir().join(name);
        fs::create_dir_all(root.join("own")).unwrap();
        fs::write(root.join("foreign"), "").unwrap();
        std::os::unix::fs::symlink("../foreign", root.join("own/link")).unwrap();
        hand_over(&root.join("own"), TeamUser { user: 60_600, group: 60_600 }).unwrap();
        let owner = |place: &str| fs::symlink_metadata(root.join(place)).unwrap().uid();
        assert_eq!((owner("own"), owner("own/link")), (60_600, 60_600));
        assert_ne!(owner("foreign"), 60_600);
        fs::remove_dir_all(root).unwrap();
    }
}
