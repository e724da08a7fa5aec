mod journal;

use satellite_core::secret::Secret;

use super::*;

struct Place(PathBuf);

impl Place {
    fn new(name: &str) -> Self {
        let path =
            std::env::temp_dir().join(format!("satellite-state-{name}-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&path);
        Place(path)
    }

    fn mode(&self, name: &str) -> u32 {
        self.0.join(name).metadata().unwrap().permissions().mode() & 0o777
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn pairing(key: &str) -> Credentials {
    Credentials {
        api_key: Secret::new(key),
        satellite_id: "sat-1".into(),
        satellite_name: "satellite-one".into(),
        team_id: None,
        backend_url: None,
        registered_at: Default::default(),
        last_verified: Default::default(),
    }
}

#[tokio::test]
async fn records_come_back_after_a_restart_and_nobody_else_may_read_them() {
    let place = Place::new("records");
    let marker = {
        let state = StateDir::open(&place.0).unwrap();
        assert!(state.load().unwrap().credentials.is_none());
        state.persist(Record::Credentials(pairing("key-1"))).await.unwrap();
        state.persist(Record::Configuration(b"{\"secret\":\"s3cr3t\"}".to_vec())).await.unwrap();
        state.marker().to_owned()
    };
    assert_eq!((place.mode(""), place.mode(CREDENTIALS)), (0o700, 0o600));
    assert_eq!((place.mode(CONFIGURATION), place.mode(IDENTITY)), (0o600, 0o600));
    let sealed = std::fs::read(place.0.join(CONFIGURATION)).unwrap();
    assert!(!String::from_utf8_lossy(&sealed).contains("s3cr3t"));

    let state = StateDir::open(&place.0).unwrap();
    assert_eq!(state.marker(), marker);
    let stored = state.load().unwrap();
    assert_eq!(stored.credentials, Some(pairing("key-1")));
    assert_eq!(stored.configuration.as_deref(), Some(&b"{\"secret\":\"s3cr3t\"}"[..]));

    state.persist(Record::Unpaired).await.unwrap();
    state.persist(Record::Unpaired).await.unwrap();
    let stored = state.load().unwrap();
    assert!(stored.credentials.is_none() && stored.configuration.is_none());
}

#[test]
fn a_second_daemon_is_turned_away_and_told_what_to_do() {
    let place = Place::new("lock");
    let first = StateDir::open(&place.0).unwrap();
    let refused = StateDir::open(&place.0).unwrap_err();
    assert!(refused.error.contains(&std::process::id().to_string()), "{}", refused.error);
    assert!(refused.hint.contains("--state-dir"), "{}", refused.hint);
    drop(first);
    StateDir::open(&place.0).unwrap();
}

#[test]
fn damaged_credentials_stop_the_start_and_name_the_file() {
    let place = Place::new("damaged");
    let state = StateDir::open(&place.0).unwrap();
    for damage in ["", "{\"api_key\":", "[]", "\u{0}\u{0}"] {
        std::fs::write(place.0.join(CREDENTIALS), damage).unwrap();
        let refused = state.load().unwrap_err();
        assert!(refused.error.contains(CREDENTIALS), "{}", refused.error);
        assert!(refused.hint.contains("registration token"), "{}", refused.hint);
    }
}

#[tokio::test]
async fn a_configuration_of_another_pairing_or_changed_on_disk_is_left_out() {
    let place = Place::new("foreign");
    let state = StateDir::open(&place.0).unwrap();
    assert!(state.persist(Record::Configuration(b"{}".to_vec())).await.is_err());
    state.persist(Record::Credentials(pairing("key-1"))).await.unwrap();
    state.persist(Record::Configuration(b"{}".to_vec())).await.unwrap();
    assert!(state.load().unwrap().configuration.is_some());

    let path = place.0.join(CONFIGURATION);
    let whole = std::fs::read(&path).unwrap();
    for at in 0..whole.len() {
        let mut changed = whole.clone();
        changed[at] ^= 1;
        std::fs::write(&path, changed).unwrap();
        assert!(state.load().unwrap().configuration.is_none(), "byte {at}");
        std::fs::write(&path, &whole[..at]).unwrap();
        assert!(state.load().unwrap().configuration.is_none(), "cut at {at}");
    }
    std::fs::write(&path, whole).unwrap();
    state.persist(Record::Credentials(pairing("key-2"))).await.unwrap();
    let stored = state.load().unwrap();
    assert!(stored.credentials.is_some() && stored.configuration.is_none());
}

#[tokio::test]
async fn a_temporary_file_of_a_crash_is_no_obstacle_and_a_directory_that_cannot_be_written_is_named()
 {
    let place = Place::new("crash");
    let state = StateDir::open(&place.0).unwrap();
    std::fs::write(place.0.join(format!("{CREDENTIALS}.tmp")), "half").unwrap();
    state.persist(Record::Credentials(pairing("key-1"))).await.unwrap();
    assert_eq!(state.load().unwrap().credentials, Some(pairing("key-1")));

    let file = place.0.join("file");
    std::fs::write(&file, "").unwrap();
    let refused = StateDir::open(&file.join("below")).unwrap_err();
    assert!(refused.error.contains("file/below"), "{}", refused.error);
}

#[test]
fn a_copied_directory_has_a_marker_of_its_own_and_loose_permissions_are_tightened() {
    let (place, copy) = (Place::new("original"), Place::new("copy"));
    let original = StateDir::open(&place.0).unwrap();
    DirBuilder::new().mode(0o755).create(&copy.0).unwrap();
    std::fs::copy(place.0.join(IDENTITY), copy.0.join(IDENTITY)).unwrap();
    let copied = StateDir::open(&copy.0).unwrap();
    assert_ne!(original.marker(), copied.marker());
    assert_eq!(copy.mode(""), 0o700);
}
