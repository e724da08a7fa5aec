//! The decoder of the credentials file.

use satellite_core::credentials::Credentials;
use satellite_core::secret::Secret;

/// Decodes any bytes: what is accepted means the same when it is written and read again, and what
/// is refused is said without the key.
///
/// # Panics
///
/// When a promise is broken.
pub fn run(data: &[u8]) {
    match Credentials::decode(data) {
        Ok(Some(credentials)) => {
            let written = credentials.encode();
            assert_eq!(Credentials::decode(&written), Ok(Some(credentials.clone())));
            assert_eq!(credentials.encode(), written);
            // What is shown is the same whatever the key is.
            let other = Credentials { api_key: Secret::new("another"), ..credentials.clone() };
            assert_eq!(format!("{credentials:?}"), format!("{other:?}"), "the key is shown");
        }
        // What grammar allows, JSON is, also a number that no type here can hold.
        Ok(None) => assert!(serde_json::from_slice::<&serde_json::value::RawValue>(data).is_ok()),
        Err(error) => assert!(!error.is_empty()),
    }
}
