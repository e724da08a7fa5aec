//! The user of each team: an account of its own, or where none can be made, a number of its own.
//!
//! A number is taken for good by the owner of the team's directory, so that no other record of it
//! can get lost.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::ops::RangeInclusive;
use std::os::unix::fs::{MetadataExt, lchown};
use std::path::{Path, PathBuf};

use nix::unistd::{Uid, User};
use satellite_core::id::TeamId;
use satellite_core::team_user::team_user;

use super::accounts::{Account, Accounts};
use crate::jail::TeamUser;

const ROOT: TeamUser = TeamUser { user: 0, group: 0 };

/// Numbers for teams without an account: nobody else uses them (systemd's "Users, Groups, UIDs and
/// GIDs" lists them as unused).
const NUMBERS: RangeInclusive<u32> = 60_578..=61_183;

/// A team's user, and why it is not an account if one was to be made.
#[derive(Debug)]
pub(super) struct Prepared {
    pub(super) user: TeamUser,
    pub(super) refused: Option<String>,
}

/// The user of `team`, whose directory is `own`; made if need be, as an account where `accounts` are
/// made, and the directory becomes the user's. `homes` holds the directories of all teams.
///
/// An error says what could not be done and what to do about it. The caller lets one in at a time.
pub(super) fn prepare(
    team: &TeamId,
    homes: &Path,
    own: &Path,
    accounts: Option<&Accounts>,
) -> Result<Prepared, String> {
    let name = team_user(team);
    let account = || User::from_name(&name).ok().flatten();
    let (mut found, mut refused) = (account(), None);
    if let (None, Some(accounts)) = (&found, accounts) {
        refused = accounts.make(&name, own).err();
        found = account();
    }
    if found.is_some() {
        refused = None;
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
    Ok(Prepared { user, refused })
}

/// Removes the accounts that were made for others than `teams`. What such a team has left becomes
/// root's first, so that nobody who gets its number gets that as well; it is the team's again when
/// the team is back. The caller lets one in at a time.
pub(super) fn release(accounts: &Accounts, homes: &Path, teams: &BTreeSet<TeamId>) {
    let kept = teams.iter().map(team_user).collect();
    let others = accounts.others(&kept).unwrap_or_else(|error| {
        tracing::warn!(error = %error, "Cannot read the accounts of this machine");
        Vec::new()
    });
    for account in others {
        match retire(accounts, homes, &account) {
            Ok(()) => tracing::info!(
                operation = "remove account",
                user = account.name,
                "Removed the account of a team that has no server here any more"
            ),
            Err(error) => tracing::warn!(
                operation = "remove account",
                user = account.name,
                error,
                "The account of a team that has no server here stays; once nothing runs as it, the \
                 next start removes it, as does `userdel {}`",
                account.name
            ),
        }
    }
}

fn retire(accounts: &Accounts, homes: &Path, account: &Account) -> Result<(), String> {
    let is_its = |place: &PathBuf| {
        fs::symlink_metadata(place).is_ok_and(|found| found.uid() == account.user)
    };
    let below = fs::read_dir(homes).into_iter().flatten().flatten().map(|entry| entry.path());
    let places: BTreeSet<PathBuf> =
        below.chain([PathBuf::from(&account.home)]).filter(is_its).collect();
    let mut taken = Vec::new();
    let outcome = places.into_iter().try_for_each(|place| {
        let group = fs::symlink_metadata(&place).map(|found| found.gid());
        let cannot = |error: io::Error| format!("cannot take {} back: {error}", place.display());
        let owner = TeamUser { user: account.user, group: group.map_err(cannot)? };
        hand_over(&place, ROOT).map_err(cannot)?;
        taken.push((place, owner));
        Ok(())
    });
    outcome.and_then(|()| accounts.remove(account)).inspect_err(|_| {
        for (place, owner) in taken {
            // What is not given back is when a server of the team starts.
            let _ = hand_over(&place, owner);
        }
    })
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
            prepare(&team.into(), &homes, &own(team), None).unwrap().user
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
    struct Removed(String);

    impl Drop for Removed {
        fn drop(&mut self) {
            let _ = std::process::Command::new("userdel").arg(&self.0).output();
        }
    }

    #[test]
    fn an_account_is_made_for_a_team_found_again_and_removed_when_the_team_is_gone() {
        let team = TeamId::from(format!("test-{}", std::process::id()));
        let account = Removed(team_user(&team));
        let homes = std::env::temp_dir().join(format!("satellite-accounts-{}", std::process::id()));
        let own = homes.join("own");
        fs::create_dir_all(own.join("home")).unwrap();
        let marker = format!("users-test-{}", std::process::id());
        let (ours, others) = (Accounts::new(&marker), Accounts::new("another"));
        let made = prepare(&team, &homes, &own, Some(&ours)).unwrap();
        assert_eq!(made.refused, None);
        let account = || User::from_name(&account.0).unwrap();
        let found = account().unwrap();
        let made = made.user;
        assert_eq!((found.uid.as_raw(), found.gid.as_raw()), (made.user, made.group));
        assert!(made.user != 0 && !NUMBERS.contains(&made.user), "{made:?}");
        // Found without leave to make one.
        assert_eq!(prepare(&team, &homes, &own, None).unwrap().user, made);
        let owner = || fs::symlink_metadata(own.join("home")).unwrap().uid();
        assert_eq!(owner(), made.user);
        release(&ours, &homes, &[team.clone()].into());
        release(&others, &homes, &BTreeSet::new());
        assert!(account().is_some(), "it is needed, and not another satellite's to remove");
        release(&ours, &homes, &BTreeSet::new());
        assert_eq!((account(), owner()), (None, 0));
        let group = nix::unistd::Group::from_name(&team_user(&team)).unwrap();
        assert!(group.is_none(), "its group is left");
        // The team is back.
        let again = prepare(&team, &homes, &own, Some(&ours)).unwrap().user;
        assert_eq!(owner(), again.user);
        release(&ours, &homes, &BTreeSet::new());
        fs::remove_dir_all(homes).unwrap();
    }

    #[test]
    fn a_team_whose_account_cannot_be_made_gets_a_number_and_the_reason_is_told() {
        let name = format!("satellite-refused-{}", std::process::id());
        let homes = std::env::temp_dir().join(name);
        let own = homes.join("own");
        fs::create_dir_all(&own).unwrap();
        // useradd takes no colon in a home directory.
        let odd = own.join("a:b");
        fs::create_dir_all(&odd).unwrap();
        let accounts = Accounts::new("users-test");
        let team = TeamId::from(format!("refused-{}", std::process::id()));
        let prepared = prepare(&team, &homes, &odd, Some(&accounts)).unwrap();
        assert!(NUMBERS.contains(&prepared.user.user));
        assert!(prepared.refused.is_some_and(|why| !why.is_empty()));
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
