//! Builds the core's tests with every mutation in them.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value;

use crate::File;
use crate::weave::{Woven, weave};

/// The switch: the number of the mutation that is on comes from outside, and each that is passed
/// is noted once if a trace is wanted.
const SWITCH: &str = r#"
extern crate std;

/// Whether a mutation is on.
pub(crate) fn mutant(id: usize) -> bool {
    use std::io::Write;
    use std::sync::OnceLock;
    use std::sync::atomic::{AtomicBool, Ordering};
    static ON: OnceLock<usize> = OnceLock::new();
    static TRACE: OnceLock<Option<std::fs::File>> = OnceLock::new();
    static SEEN: [AtomicBool; COUNT] = [const { AtomicBool::new(false) }; COUNT];
    let trace = TRACE.get_or_init(|| {
        let path = std::env::var_os("MUTANT_TRACE")?;
        std::fs::OpenOptions::new().append(true).open(path).ok()
    });
    if let Some(mut file) = trace.as_ref()
        && !SEEN[id].swap(true, Ordering::Relaxed)
    {
        let _ = file.write_all(std::format!("{id}\n").as_bytes());
    }
    let on = ON.get_or_init(|| {
        let id = std::env::var("MUTANT").ok().and_then(|id| id.parse().ok());
        if id.is_some() {
            // One test that fails is enough: the others need not run.
            std::panic::set_hook(std::boxed::Box::new(|_| std::process::exit(101)));
        }
        id.unwrap_or(usize::MAX)
    });
    *on == id
}
"#;

/// The workspace as far as it is needed: the core, and the tables of its states.
const MEMBERS: &str = r#"members = ["core", "tests"]"#;
const TABLES: &str = r#"[package]
name = "satellite-tests"
version = "0.0.0"
edition.workspace = true
autotests = false

[lib]
path = "lib.rs"
test = false

[[test]]
name = "tables"
path = "tables.rs"

[dependencies]
satellite-core.workspace = true
"#;

/// Copies the workspace, weaves the mutations in and builds. Gives the test binaries and the
/// mutations that do not compile.
pub fn build(
    root: &Path,
    work: &Path,
    files: &[File],
    count: usize,
) -> (Vec<PathBuf>, BTreeSet<usize>) {
    let tree = work.join("tree");
    copy(root, &tree);
    let lib = tree.join("core/src/lib.rs");
    let text = fs::read_to_string(&lib).expect("the core can be read");
    fs::write(&lib, text + &SWITCH.replace("COUNT", &count.to_string())).expect("it can be written");
    let workspace = tree.join("Cargo.toml");
    let text = fs::read_to_string(&workspace).expect("the workspace can be read");
    let few: Vec<&str> = text
        .lines()
        .map(|line| if line.starts_with("members = ") { MEMBERS } else { line })
        .filter(|line| !line.starts_with("default-members"))
        .collect();
    fs::write(&workspace, few.join("\n")).expect("the workspace can be written");
    fs::write(tree.join("tests/Cargo.toml"), TABLES).expect("a package can be written");
    let mut unviable = BTreeSet::new();
    loop {
        let woven: Vec<Woven> = files
            .iter()
            .map(|file| weave(&file.source, &file.sites, |id| !unviable.contains(&id)))
            .collect();
        for (file, woven) in files.iter().zip(&woven) {
            fs::write(tree.join(&file.path), &woven.text).expect("a source file can be written");
        }
        match compile(&tree, &work.join("target")) {
            Ok(binaries) => return (binaries, unviable),
            Err(errors) => {
                let mut blamed = BTreeSet::new();
                for spans in &errors {
                    blamed.extend(blame(files, &woven, spans));
                }
                println!("{} errors, {} mutations to blame", errors.len(), blamed.len());
                assert!(!blamed.is_empty(), "the errors are not the mutations': {errors:?}");
                unviable.extend(blamed);
            }
        }
    }
}

/// Where an error points to: file, first and last byte.
type Spans = Vec<(String, usize, usize)>;

/// The mutations an error points to; if it points beside them, those of the innermost site around.
fn blame(files: &[File], woven: &[Woven], spans: &Spans) -> BTreeSet<usize> {
    let mut blamed = BTreeSet::new();
    let mut around: Option<(usize, &Vec<usize>)> = None;
    for (path, start, end) in spans {
        let Some(at) = files.iter().position(|file| file.path == *path) else { continue };
        for (id, place) in &woven[at].places {
            if place.start < *end && *start < place.end && end - start <= place.len() {
                blamed.insert(*id);
            }
        }
        for (ids, site) in &woven[at].sites {
            if site.start <= *start
                && *end <= site.end
                && around.is_none_or(|(length, _)| site.len() < length)
            {
                around = Some((site.len(), ids));
            }
        }
    }
    if blamed.is_empty() {
        blamed.extend(around.map(|(_, ids)| ids).into_iter().flatten());
    }
    blamed
}

fn compile(tree: &Path, target: &Path) -> Result<Vec<PathBuf>, Vec<Spans>> {
    let output = Command::new("cargo")
        .args(["test", "-p", "satellite-core", "-p", "satellite-tests", "--lib", "--test", "tables"])
        .args(["--no-run", "--offline"])
        .arg("--message-format=json")
        .current_dir(tree)
        .env("CARGO_TARGET_DIR", target)
        .env("CARGO_PROFILE_TEST_DEBUG", "0")
        .env("RUSTFLAGS", "--cap-lints allow")
        .stderr(Stdio::inherit())
        .output()
        .expect("cargo can be run");
    let mut errors = Vec::new();
    let mut binaries = Vec::new();
    for line in String::from_utf8_lossy(&output.stdout).lines() {
        let Ok(message) = serde_json::from_str::<Value>(line) else { continue };
        if message["reason"] == "compiler-artifact"
            && let Some(path) = message["executable"].as_str()
        {
            binaries.push(PathBuf::from(path));
        }
        if message["reason"] == "compiler-message" && message["message"]["level"] == "error" {
            let spans: Spans = message["message"]["spans"]
                .as_array()
                .into_iter()
                .flatten()
                .map(|span| {
                    let number = |name: &str| span[name].as_u64().unwrap_or_default() as usize;
                    let path = span["file_name"].as_str().unwrap_or_default().to_string();
                    (path, number("byte_start"), number("byte_end"))
                })
                .collect();
            if !spans.is_empty() {
                errors.push(spans);
            }
        }
    }
    if output.status.success() {
        return Ok(binaries);
    }
    assert!(!errors.is_empty(), "cargo failed without naming a place");
    Err(errors)
}

/// Copies what the build needs, and nothing that was built.
fn copy(from: &Path, to: &Path) {
    let _ = fs::remove_dir_all(to);
    let mut open = vec![PathBuf::new()];
    while let Some(folder) = open.pop() {
        fs::create_dir_all(to.join(&folder)).expect("a folder can be made");
        for entry in fs::read_dir(from.join(&folder)).expect("a folder can be listed").flatten() {
            let name = entry.file_name();
            let path = folder.join(&name);
            let is_built = entry.path().join("CACHEDIR.TAG").exists();
            if is_built || [".git", "node_modules"].iter().any(|left_out| name == *left_out) {
                continue;
            }
            if entry.path().is_dir() {
                open.push(path);
            } else {
                fs::copy(entry.path(), to.join(&path)).expect("a file can be copied");
            }
        }
    }
}
