//! Pairing: which names are allowed, and whose satellite a name means.

use alloc::borrow::ToOwned;
use alloc::format;
use alloc::string::String;

use super::Owner;
use crate::id::SatelliteId;
use crate::wire::error::{ErrorBody, code};

/// The shortest name, in characters.
pub const NAME_MIN: usize = 10;
/// The longest name, in characters.
pub const NAME_MAX: usize = 32;

/// Checks a satellite's name: 10 to 32 of `a-z0-9_-`.
///
/// # Errors
///
/// What is wrong with it, and what is allowed.
pub fn check_name(name: &str) -> Result<(), String> {
    let length = name.chars().count();
    if !(NAME_MIN..=NAME_MAX).contains(&length) {
        return Err(format!(
            "the satellite's name has {length} characters; it must have {NAME_MIN} to {NAME_MAX}"
        ));
    }
    let allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '_' | '-');
    if let Some(bad) = name.chars().find(|c| !allowed(*c)) {
        return Err(format!(
            "the satellite's name holds {bad:?}; it may hold a-z, 0-9, _ and - only"
        ));
    }
    Ok(())
}

/// A satellite's public base URL: what was sent, without a slash at its end; nothing if it is empty
/// or cannot be one. None is ever made up.
pub fn base_url(url: Option<&str>) -> Option<String> {
    let url = url?.trim().trim_end_matches('/');
    let host = url.strip_prefix("https://").or_else(|| url.strip_prefix("http://"))?;
    let plain = !host.is_empty()
        && !host.contains(|c: char| c.is_whitespace() || c.is_control() || "/?#@\\".contains(c));
    plain.then(|| url.to_owned())
}

/// A satellite that already bears the name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Namesake {
    /// Its id.
    pub id: SatelliteId,
    /// Its owner.
    pub owner: Owner,
}

/// What a registration does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Decision {
    /// It makes a satellite.
    Create,
    /// It pairs a satellite again: same id, another key, the one before void.
    Replace(SatelliteId),
    /// It is refused with 409: the name is another owner's. The token stays unused.
    Conflict,
}

/// Decides on a registration for `owner`, given every satellite of that name.
pub fn decide(owner: &Owner, namesakes: &[Namesake]) -> Decision {
    match namesakes.iter().find(|namesake| namesake.owner == *owner) {
        Some(own) => Decision::Replace(own.id.clone()),
        None if namesakes.is_empty() => Decision::Create,
        None => Decision::Conflict,
    }
}

/// The body of the 409. It does not say whose the name is.
pub fn conflict(name: &str) -> ErrorBody {
    ErrorBody::new(code::SATELLITE_NAME_TAKEN)
        .with_message(format!("the name {name} belongs to another owner's satellite"))
        .with_instructions("Set DEPLOYSTACK_SATELLITE_NAME to another name.")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_have_a_length_and_an_alphabet() {
        for good in ["edge-satellite-01", "ten_chars_", "0123456789abcdefghijklmnopqrstuv"] {
            assert_eq!(check_name(good), Ok(()));
        }
        for bad in
            ["short", "", "0123456789abcdefghijklmnopqrstuvw", "Edge-Satellite", "edge satellite"]
        {
            assert!(check_name(bad).is_err(), "{bad}");
        }
        assert!(check_name("édge-satellite").unwrap_err().contains('é'));
    }

    #[test]
    fn a_name_means_a_satellite_of_the_same_owner_only() {
        let team = |id: &str| Owner::Team(id.into());
        let of = |owner: Owner| [Namesake { id: "s".into(), owner }];
        assert_eq!(decide(&Owner::Global, &[]), Decision::Create);
        assert_eq!(decide(&team("a"), &of(team("a"))), Decision::Replace("s".into()));
        assert_eq!(decide(&team("b"), &of(team("a"))), Decision::Conflict);
        assert_eq!(decide(&Owner::Global, &of(team("a"))), Decision::Conflict);
        assert_eq!(decide(&team("a"), &of(Owner::Global)), Decision::Conflict);
    }

    #[test]
    fn a_base_url_is_taken_as_sent_or_not_at_all() {
        assert_eq!(
            base_url(Some("https://sat.example.com/")).as_deref(),
            Some("https://sat.example.com")
        );
        assert_eq!(
            base_url(Some("http://127.0.0.1:3001")).as_deref(),
            Some("http://127.0.0.1:3001")
        );
        for bad in
            ["", "  ", "sat.example.com", "ftp://x", "https://", "https://a/b", "https://u@h"]
        {
            assert_eq!(base_url(Some(bad)), None, "{bad}");
        }
        assert_eq!(base_url(None), None);
    }
}
