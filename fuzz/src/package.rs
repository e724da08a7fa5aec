//! What is read of packages: command lines of wrappers, manifests, and our own records.

use satellite_core::package::{Record, executable, parse};

/// Reads any bytes as all three; what is accepted never leads out of its installation, and no part
/// of a command line can be taken for a flag of an installer.
///
/// # Panics
///
/// When a promise is broken.
pub fn run(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let words: Vec<String> = text.split('\n').map(String::from).collect();
    for command in ["npx", "uvx"] {
        if let Some(wanted) = parse(command, &words) {
            let package = &wanted.package;
            for requirement in [&package.requirement].into_iter().chain(&package.with) {
                assert!(!requirement.starts_with(['-', '.', '/']), "{requirement:?}");
                assert!(!requirement.contains("://") && !requirement.contains('\0'));
            }
            if let Some(executable) = &package.executable {
                assert!(!executable.contains('/') && !executable.starts_with(['.', '-']));
            }
            assert!(package.requirement.starts_with(package.name.as_str()));
            assert!(words.ends_with(&wanted.arguments));
        }
    }
    let inside = |path: &str| !path.starts_with('/') && !path.split('/').any(|part| part == "..");
    for asked in [None, Some("files")] {
        if let Ok((path, _)) = executable(data, asked) {
            assert!(inside(&path), "{path:?}");
        }
    }
    if let Ok(record) = Record::decode(data) {
        assert!(inside(&record.executable));
        assert!(record.files.iter().all(|file| inside(&file.path)));
    }
}
