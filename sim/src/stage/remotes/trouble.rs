//! Faults of servers elsewhere that last: they go and come back, hang, forget, and change.

use satellite_core::http::HttpFailure;
use satellite_core::remote::Event;
use satellite_core::time::{MINUTE, SECOND, Timestamp};

use super::server::Form;
use super::{Stage, Told};
use crate::stage::faults::Fault;

impl Stage {
    /// What may befall each server now and then, until `calm` at the latest.
    pub(in crate::stage) fn trouble_remotes(&mut self, calm: Timestamp) {
        let left = calm.since(self.now);
        let slugs: Vec<String> = self.remotes.servers.keys().cloned().collect();
        for slug in slugs {
            let hosts = self.remotes.servers.get(&slug).map_or(0, |server| server.hosts.len());
            for host in 0..hosts {
                self.trouble_host(&slug, host, left);
            }
            if self.strikes_all(Fault::SessionsLost) {
                self.lose_sessions(&slug);
            }
            if self.strikes_all(Fault::ListsChange) {
                self.change_lists(&slug);
            }
            let server = self.remotes.servers.get(&slug);
            let users: Vec<String> =
                server.map_or_else(Vec::new, |server| server.access.keys().cloned().collect());
            for user in users {
                if self.strikes_all(Fault::AccessEnded) {
                    self.end_access(&slug, &user);
                    let lasts = self.dice.between(SECOND, 40 * MINUTE);
                    if lasts < left {
                        let slug = slug.clone();
                        self.later(lasts, move |stage| stage.give_access(&slug, &user));
                    }
                }
            }
        }
    }

    fn trouble_host(&mut self, slug: &str, host: usize, left: u64) {
        if self.strikes_all(Fault::HostDown) {
            let lasts = self.dice.between(SECOND, 20 * MINUTE).min(left);
            self.host_goes(slug, host, lasts);
        }
        if self.strikes_all(Fault::HostFlaps) {
            let mut at = 0;
            for _ in 0..self.dice.between(2, 12) {
                let lasts = self.dice.between(SECOND / 10, 20 * SECOND);
                let slug = slug.to_string();
                if at + lasts < left {
                    self.later(at, move |stage| stage.host_goes(&slug, host, lasts));
                }
                at += lasts + self.dice.between(SECOND / 10, 20 * SECOND);
            }
        }
        if self.strikes_all(Fault::HostHangs) {
            let lasts = self.dice.between(SECOND, 10 * MINUTE).min(left);
            self.host_hangs(slug, host, lasts);
        }
    }

    /// One of a server's hosts ends, and is back after a while; what it had open ends with it.
    pub fn host_goes(&mut self, slug: &str, host: usize, for_ms: u64) {
        let until = self.now.after(for_ms);
        let Some(server) = self.remotes.servers.get_mut(slug) else { return };
        let Some(place) = server.hosts.get_mut(host) else { return };
        place.down_until = place.down_until.max(until);
        let open = std::mem::take(&mut place.open);
        let forgets = server.kind.form == Form::Legacy || self.remotes.random.chance(3, 4);
        if forgets {
            server.sessions.retain(|_, (_, at)| *at != host);
            server.kept.clear();
        }
        for it in open.into_values() {
            let exchange = it.origin.exchange;
            let reset = String::from("connection reset");
            let failure =
                if it.has_head { HttpFailure::Cut(reset) } else { HttpFailure::Reset(reset) };
            let way = self.remotes.random.between(1, 40);
            let (satellite, number) = (it.origin.satellite, it.origin.conversation);
            let failed = Told::Event(Event::Failed { exchange, failure });
            self.tell_conversation(satellite, number, way, failed);
        }
    }

    /// One of a server's hosts takes requests and answers none, for a while.
    pub fn host_hangs(&mut self, slug: &str, host: usize, for_ms: u64) {
        let until = self.now.after(for_ms);
        let server = self.remotes.servers.get_mut(slug);
        if let Some(place) = server.and_then(|server| server.hosts.get_mut(host)) {
            place.hangs_until = place.hangs_until.max(until);
        }
    }

    /// A server forgets every session.
    fn lose_sessions(&mut self, slug: &str) {
        if let Some(server) = self.remotes.servers.get_mut(slug)
            && server.kind.form == Form::Stateful
        {
            server.sessions.clear();
            server.kept.clear();
        }
    }

    /// A server offers something else, and says so where it can.
    pub fn change_lists(&mut self, slug: &str) {
        let Some(server) = self.remotes.servers.get_mut(slug) else { return };
        server.lists += 1;
        let says = r#"{"jsonrpc":"2.0","method":"notifications/tools/list_changed"}"#;
        for (_, origin) in server.streams() {
            let way = self.remotes.random.between(1, 40);
            let bytes = format!("data: {says}\n\n").into_bytes();
            let chunk = Event::Chunk { exchange: origin.exchange, bytes };
            self.tell_conversation(origin.satellite, origin.conversation, way, Told::Event(chunk));
        }
    }

    /// Ends every fault of servers.
    pub(in crate::stage) fn calm_remotes(&mut self) {
        let now = self.now;
        for server in self.remotes.servers.values_mut() {
            for host in &mut server.hosts {
                host.down_until = host.down_until.min(now);
                host.hangs_until = host.hangs_until.min(now);
            }
        }
    }
}
