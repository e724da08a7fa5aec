//! What a jail is told: the steps into it and the server to run, in memory that only it is given.
//!
//! Never in arguments or files: the server's environment holds credentials.

use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Read, Seek, Write};
use std::os::fd::OwnedFd;
use std::path::PathBuf;

use nix::fcntl::{FcntlArg, SealFlag, fcntl};
use nix::sys::memfd::{MFdFlags, memfd_create};
use serde::{Deserialize, Serialize};

use super::step::Step;

/// What a jail is told.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Specification {
    /// The way in.
    pub(crate) steps: Vec<Step>,
    /// The server's executable, as it is seen inside.
    pub(crate) program: PathBuf,
    /// What follows its name.
    pub(crate) arguments: Vec<OsString>,
    /// Its whole environment.
    pub(crate) environment: Vec<(OsString, OsString)>,
}

impl Specification {
    /// Writes it to memory that nobody can change any more.
    pub(crate) fn seal(&self) -> io::Result<OwnedFd> {
        let flags = MFdFlags::MFD_CLOEXEC | MFdFlags::MFD_ALLOW_SEALING;
        let mut memory = File::from(memfd_create(c"satellite-jail", flags)?);
        memory.write_all(&serde_json::to_vec(self)?)?;
        memory.rewind()?;
        let seals = SealFlag::F_SEAL_GROW
            | SealFlag::F_SEAL_SHRINK
            | SealFlag::F_SEAL_WRITE
            | SealFlag::F_SEAL_SEAL;
        fcntl(&memory, FcntlArg::F_ADD_SEALS(seals))?;
        Ok(memory.into())
    }

    /// Reads what [`Specification::seal`] wrote.
    pub(crate) fn unseal(memory: OwnedFd) -> io::Result<Self> {
        let mut text = Vec::new();
        File::from(memory).read_to_end(&mut text)?;
        Ok(serde_json::from_slice(&text)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_sealed_is_read_and_cannot_be_changed() {
        let specification = Specification {
            steps: vec![Step::Tie, Step::User { user: 7, group: 8 }],
            program: "/bin/cat".into(),
            arguments: vec!["-".into()],
            environment: vec![("TOKEN".into(), "t0ken".into())],
        };
        let sealed = specification.seal().unwrap();
        let mut again = File::from(sealed.try_clone().unwrap());
        assert!(again.write_all(b"{}").is_err());
        assert!(Specification::unseal(sealed).unwrap() == specification);
    }
}
