//! The one published view: made after each event that changed something, read by everybody else.

use alloc::collections::BTreeSet;
use alloc::format;
use alloc::string::String;
use alloc::sync::Arc;

use super::{Control, watermark};
use crate::view::{
    InstanceStatus, LinkView, PlacesView, SatelliteHealth, SatelliteStatus, ServerView, View,
};

impl Control {
    pub(super) fn publish(&mut self) {
        let link = LinkView { configuration_fresh: self.configuration_fresh, ..self.link.view() };
        let outbox = self.outbox.view();
        let places = self.places.view(self.settings.place_wait_ms);
        let health = self.health(&places);
        let old = &*self.view;
        let same = self.changed.is_empty()
            && old.link == link
            && old.outbox == outbox
            && Arc::ptr_eq(&old.figures, self.measuring.instances())
            && Arc::ptr_eq(&old.calls, self.measuring.calls())
            && old.places == places
            && old.health == health
            && old.error_count == self.errors
            && old.refused == self.refused
            && old.satellite == self.identity
            && old.draining == self.ending.is_some()
            && old.servers.len() == self.servers.len();
        if same {
            return;
        }
        let mut view = View::clone(old);
        for key in core::mem::take(&mut self.changed) {
            if let Some(before) = view.instances.remove(&key)
                && let Some(address) = &before.address
            {
                view.paths.remove(&address.path);
            }
            if let Some(instance) = self.instances.get(&key) {
                let published = Arc::new(instance.view());
                if let Some(address) = &published.address {
                    view.paths.insert(address.path.clone(), key.clone());
                }
                view.instances.insert(key, published);
            }
        }
        view.servers = self
            .servers
            .iter()
            .map(|(id, installed)| {
                let server = ServerView {
                    team: installed.team.clone(),
                    status: installed.machine.status(),
                    names: Arc::clone(&installed.names),
                };
                (id.clone(), server)
            })
            .collect();
        view.revision = view.revision.wrapping_add(1);
        view.satellite = self.identity.clone();
        view.link = link;
        view.health = health;
        view.outbox = outbox;
        view.figures = Arc::clone(self.measuring.instances());
        view.teams = Arc::clone(self.measuring.teams());
        view.calls = Arc::clone(self.measuring.calls());
        view.places = places;
        view.error_count = self.errors;
        view.refused = self.refused.clone();
        view.draining = self.ending.is_some();
        self.view = Arc::new(view);
    }

    fn health(&self, places: &PlacesView) -> SatelliteHealth {
        let mut reasons = BTreeSet::new();
        let failed = self.instances.values().filter(|instance| {
            matches!(instance.status(), InstanceStatus::Error | InstanceStatus::PermanentlyFailed)
        });
        let failed = failed.count();
        if failed > 0 {
            reasons.insert(format!("{failed} of {} instances failed", self.instances.len()));
        }
        let outbox = self.outbox.view();
        if outbox.is_half_full() {
            let dropped = match outbox.dropped {
                0 => String::new(),
                dropped => format!(", and {dropped} were dropped"),
            };
            reasons.insert(format!("the event outbox is half full{dropped}"));
        }
        let PlacesView { held, capacity, waiting, .. } = *places;
        if held >= capacity && waiting > 0 {
            reasons
                .insert(format!("all {held} process places are taken, and {waiting} starts wait"));
        } else if watermark::is_near(held, capacity) {
            reasons.insert(format!("{held} of {capacity} process places are taken"));
        }
        reasons.extend(self.measuring.warnings());
        if let Some(quota) = places.team_quota.filter(|_| !places.full_teams.is_empty()) {
            let (teams, waiting) =
                (places.full_teams.len(), places.full_teams.values().sum::<usize>());
            reasons.insert(format!(
                "{teams} of the teams have taken the {quota} process places that a team may, and \
                 {waiting} of their starts wait"
            ));
        }
        if self.identity.is_some() && !self.link.is_reachable() {
            reasons.insert(String::from("the Backend does not answer"));
        }
        for error in self.persist_errors.values() {
            reasons.insert(format!("the state directory cannot be written: {error}"));
        }
        if let Some(error) = self.journal.failure() {
            reasons.insert(format!("commands are not begun and events only in memory: {error}"));
        }
        reasons.extend(self.settings.isolation.degradation());
        let status =
            if reasons.is_empty() { SatelliteStatus::Active } else { SatelliteStatus::Degraded };
        SatelliteHealth { status, reasons }
    }
}
