//! Conversations with servers elsewhere: each is a task of its own, reached like a process's relay.

use std::fmt::Debug;
use std::pin::Pin;

use satellite_core::id::InstanceKey;
use satellite_core::random::Random;
use satellite_core::relay::Report;
use satellite_core::remote::{Peer, RemoteSpec};

use crate::clock::Clock;
use crate::http_client::HttpClient;
use crate::relays::RelayInbox;
use crate::remote_task::{self, TokenSource};

/// A conversation that is to be held.
pub struct Conversation {
    /// Its instance.
    pub key: InstanceKey,
    /// With whom.
    pub remote: RemoteSpec,
    /// Decides when it tries again.
    pub random: Random,
    /// Where calls come from.
    pub inbox: RelayInbox,
    /// Where reports go.
    pub report: Box<dyn Fn(Report) + Send>,
    /// The time.
    pub clock: Clock,
}

/// A conversation under way; it ends when it is told to close.
pub type Held = Pin<Box<dyn Future<Output = ()> + Send>>;

/// Who holds conversations with servers elsewhere.
pub trait RemoteHost: Debug + Send + Sync {
    /// Holds one, from its first message to its last.
    fn hold(&self, conversation: Conversation) -> Held;
}

/// Holds conversations over HTTP.
#[derive(Clone, Debug)]
pub struct Remotes<C, T> {
    /// Reaches the servers.
    pub client: C,
    /// Has the access tokens of users.
    pub tokens: T,
}

impl<C, T> RemoteHost for Remotes<C, T>
where
    C: HttpClient + Debug,
    T: TokenSource + Debug,
{
    fn hold(&self, conversation: Conversation) -> Held {
        let Conversation { key, remote, random, inbox, report, clock } = conversation;
        let (client, tokens) = (self.client.clone(), self.tokens.clone());
        let peer = Peer::new(remote, random);
        Box::pin(remote_task::run(peer, client, tokens, key, inbox, report, clock))
    }
}
