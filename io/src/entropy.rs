//! Where secrets and ids come from.

/// A source of random bytes.
pub trait Entropy: Send + Sync + std::fmt::Debug {
    /// Fills `bytes`.
    fn fill(&self, bytes: &mut [u8]);
}

/// The kernel's source.
#[derive(Clone, Copy, Debug, Default)]
pub struct Kernel;

impl Entropy for Kernel {
    fn fill(&self, bytes: &mut [u8]) {
        if let Err(error) = getrandom::fill(bytes) {
            // Going on would mean secrets that can be guessed.
            tracing::error!(%error, "the kernel gives no random bytes");
            std::process::abort();
        }
    }
}
