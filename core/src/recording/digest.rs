//! Digests that tell two decisions apart. They guard against accident, not against malice.

use alloc::collections::BTreeMap;
use alloc::sync::Arc;
use core::fmt::{self, Write};

use crate::control::Effect;
use crate::id::InstanceKey;
use crate::view::{InstanceView, View};

/// FNV-1a, 64 bits; shown as 16 hexadecimal digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Digest(u64);

impl Default for Digest {
    fn default() -> Self {
        Digest(0xcbf2_9ce4_8422_2325)
    }
}

impl Digest {
    pub(super) fn of(bytes: &[u8]) -> Digest {
        let mut digest = Digest::default();
        digest.add(bytes);
        digest
    }

    /// Of effects, in their order.
    pub(super) fn of_effects(effects: &[Effect]) -> Digest {
        let mut digest = Digest::default();
        for effect in effects {
            digest.add(&crate::wire::encode(effect));
            digest.add(b"\n");
        }
        digest
    }

    fn of_debug(value: &impl fmt::Debug) -> Digest {
        let mut digest = Digest::default();
        // Adding to a number has no way to fail.
        let _ = write!(digest, "{value:?}");
        digest
    }

    fn add(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = (self.0 ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3);
        }
    }
}

impl Write for Digest {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.add(text.as_bytes());
        Ok(())
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

/// Digests of views, one after the other: only what has changed is read again.
#[derive(Debug, Default)]
pub(super) struct Views {
    last: Option<(Arc<View>, Digest)>,
    instances: BTreeMap<InstanceKey, (Arc<InstanceView>, Digest)>,
}

impl Views {
    pub(super) fn digest(&mut self, view: Arc<View>) -> Digest {
        if let Some((last, digest)) = &self.last
            && Arc::ptr_eq(last, &view)
        {
            return *digest;
        }
        let bare = View { instances: BTreeMap::new(), ..(*view).clone() };
        let mut digest = Digest::of_debug(&bare);
        let mut instances = BTreeMap::new();
        for (key, instance) in &view.instances {
            let known = self.instances.remove(key);
            let known = known.filter(|(known, _)| Arc::ptr_eq(known, instance));
            let known = known.unwrap_or_else(|| (Arc::clone(instance), Digest::of_debug(instance)));
            // As above.
            let _ = write!(digest, "{key}={}", known.1);
            instances.insert(key.clone(), known);
        }
        self.instances = instances;
        self.last = Some((view, digest));
        digest
    }
}
