//! What an installed npm package offers to start (`package.json`, field `bin`).

use alloc::collections::BTreeMap;
use alloc::format;
use alloc::string::{String, ToString};

use serde::Deserialize;

use super::record::is_within;
use crate::wire;

/// Why nothing of a package can be started. Says what to do about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ManifestError(pub String);

#[derive(Deserialize)]
struct Manifest {
    #[serde(default)]
    name: String,
    #[serde(default)]
    version: String,
    #[serde(default)]
    bin: Option<Bin>,
}

/// A text names the only executable, which is called like the package.
struct Bin(BTreeMap<String, String>, Option<String>);

impl<'de> Deserialize<'de> for Bin {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let value = serde_json::Value::deserialize(deserializer)?;
        Ok(match value {
            serde_json::Value::String(only) => Bin(BTreeMap::new(), Some(only)),
            serde_json::Value::Object(all) => {
                let texts = all
                    .into_iter()
                    .filter_map(|(name, path)| Some((name, path.as_str()?.to_string())));
                Bin(texts.collect(), None)
            }
            _ => Bin(BTreeMap::new(), None),
        })
    }
}

/// The file to start, relative to the package's directory, and the version installed. Chooses as
/// `npx` does: the executable asked for, else the only one, else the one called like the package.
///
/// # Errors
///
/// When the manifest cannot be read, offers nothing of that name, or leads out of its package.
pub fn executable(manifest: &[u8], asked: Option<&str>) -> Result<(String, String), ManifestError> {
    let manifest: Manifest = wire::decode("package.json", manifest).map_err(ManifestError)?;
    let own = manifest.name.rsplit('/').next().unwrap_or_default().to_string();
    let all = match manifest.bin {
        Some(Bin(_, Some(only))) => BTreeMap::from([(own.clone(), only)]),
        Some(Bin(all, None)) => all,
        None => BTreeMap::new(),
    };
    let found = match asked {
        Some(asked) => all.get(asked),
        None if all.len() == 1 => all.values().next(),
        None => all.get(&own),
    };
    let Some(path) = found else {
        let names = all.keys().map(String::as_str).collect::<alloc::vec::Vec<_>>().join(", ");
        let names = if names.is_empty() { String::from("none") } else { names };
        return Err(ManifestError(format!(
            "the package {} has no executable {}; it has {names}: name one with `npx -p {} NAME`",
            manifest.name,
            asked.unwrap_or(&own),
            manifest.name,
        )));
    };
    let path = path.strip_prefix("./").unwrap_or(path);
    if !is_within(path) {
        return Err(ManifestError(format!(
            "the package {} starts {path:?}, which is not within it; report that to its author",
            manifest.name
        )));
    }
    Ok((path.to_string(), manifest.version))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_executable_is_chosen_as_npx_does() {
        let found = |manifest: &str, asked: Option<&str>| {
            executable(manifest.as_bytes(), asked).map(|(path, _)| path).ok()
        };
        let one = r#"{"name":"@a/files","version":"1.0.0","bin":"dist/index.js"}"#;
        assert_eq!(found(one, None).as_deref(), Some("dist/index.js"));
        assert_eq!(found(one, Some("files")).as_deref(), Some("dist/index.js"));
        assert_eq!(found(one, Some("other")), None);
        let named = r#"{"name":"@a/files","bin":{"mcp-files":"./cli.js"}}"#;
        assert_eq!(found(named, None).as_deref(), Some("cli.js"));
        let two = r#"{"name":"files","bin":{"files":"a.js","tool":"b.js"}}"#;
        assert_eq!(found(two, None).as_deref(), Some("a.js"));
        assert_eq!(found(two, Some("tool")).as_deref(), Some("b.js"));
        let neither = r#"{"name":"files","bin":{"x":"a.js","y":"b.js"}}"#;
        let error = executable(neither.as_bytes(), None).unwrap_err().0;
        assert!(error.contains("it has x, y"), "{error}");
    }

    #[test]
    fn an_executable_outside_of_its_package_is_refused() {
        for bin in
            [r#""/bin/sh""#, r#""../../../bin/sh""#, r#"{"a":"x/../../y"}"#, r#""""#, "7", "null"]
        {
            let manifest = format!(r#"{{"name":"a","bin":{bin}}}"#);
            assert!(executable(manifest.as_bytes(), None).is_err(), "{bin}");
        }
        for manifest in ["", "{", "[]", r#"{"name":7}"#] {
            assert!(executable(manifest.as_bytes(), None).is_err(), "{manifest}");
        }
    }

    #[test]
    fn the_installed_version_is_told() {
        let manifest = br#"{"name":"a","version":"2.3.4","bin":"a.js"}"#;
        assert_eq!(executable(manifest, None).unwrap().1, "2.3.4");
    }
}
