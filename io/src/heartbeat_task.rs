//! The heartbeat's own task: it reads the published view and is held up by nothing else.

use std::convert::Infallible;
use std::sync::Arc;

use satellite_core::control;
use satellite_core::credentials::Credentials;
use satellite_core::heartbeat::{Effect, Event, Heartbeat};
use satellite_core::limits::{BACKEND_BODY_MAX_BYTES, Settings};
use satellite_core::view::View;
use tokio::sync::{mpsc, watch};

use crate::clock::Clock;
use crate::driver::{self, Inbox, Performed, World};
use crate::host_sample::Sampler;
use crate::http_client::{HttpClient, exchange};
use crate::telemetry;
use crate::world::Outlook;

/// What the heartbeat's world is made of.
#[derive(Debug)]
pub struct Parts<C, P> {
    /// Reaches the Backend.
    pub client: C,
    /// Measures the machine.
    pub sampler: P,
    /// The Backend's address, without a trailing slash.
    pub backend_url: String,
    /// What the control machine publishes.
    pub outlook: Outlook,
    /// The control machine's inbox.
    pub control: Inbox<control::Event>,
    /// The time.
    pub clock: Clock,
}

/// Sends heartbeats from the pairing on, until the task is aborted.
pub async fn run<C: HttpClient, P: Sampler>(settings: &Settings, parts: Parts<C, P>) {
    let (inbox, events) = mpsc::unbounded_channel();
    let Parts { client, sampler, backend_url, outlook, control, clock } = parts;
    let Outlook { view, credentials, .. } = outlook;
    let paired = pass_on_pairings(view.clone(), credentials, inbox.clone());
    let world = HeartbeatWorld { client, sampler, backend_url, view, control, inbox };
    let beating = driver::run(Heartbeat::new(settings), events, clock, world);
    tokio::select! {
        biased;
        never = beating => match never {},
        () = paired => {}
    }
}

/// Tells the heartbeat of each pairing once the control machine stands by it, which stored
/// credentials of another satellite never reach. Ends with the control machine.
async fn pass_on_pairings(
    mut view: watch::Receiver<Arc<View>>,
    mut credentials: watch::Receiver<Option<Credentials>>,
    inbox: Inbox<Event>,
) {
    let mut told = None;
    loop {
        let current = credentials.borrow_and_update().clone();
        let is_confirmed = {
            let view = view.borrow_and_update();
            let satellite = view.satellite.as_ref().map(|satellite| &satellite.id);
            current.is_some() && satellite == current.as_ref().map(|paired| &paired.satellite_id)
        };
        if is_confirmed && told != current {
            told.clone_from(&current);
            if let Some(paired) = current
                && inbox.send(Event::Paired(paired)).is_err()
            {
                return;
            }
        }
        let changed = tokio::select! {
            biased;
            changed = view.changed() => changed,
            changed = credentials.changed() => changed,
        };
        if changed.is_err() {
            return;
        }
    }
}

struct HeartbeatWorld<C, P> {
    client: C,
    sampler: P,
    backend_url: String,
    view: watch::Receiver<Arc<View>>,
    control: Inbox<control::Event>,
    inbox: Inbox<Event>,
}

impl<C: HttpClient, P: Sampler> World<Heartbeat> for HeartbeatWorld<C, P> {
    type End = Infallible;

    fn tick(&self) -> Event {
        Event::Tick
    }

    fn name(&self, event: &Event) -> &'static str {
        match event {
            Event::Paired(_) => "paired",
            Event::Sampled { .. } => "sampled",
            Event::Answered { .. } => "answered",
            Event::Tick => "tick",
        }
    }

    async fn perform(&mut self, effect: Effect) -> Performed<Event, Infallible> {
        match effect {
            Effect::Sample => {
                let sample = self.sampler.sample();
                let view = Arc::clone(&self.view.borrow());
                return Performed::Answered(Event::Sampled { view, sample });
            }
            Effect::Send { request, http } => {
                let (client, base) = (self.client.clone(), self.backend_url.clone());
                let inbox = self.inbox.clone();
                tokio::spawn(async move {
                    let answer = exchange(&client, &base, http, BACKEND_BODY_MAX_BYTES).await;
                    // Nobody listens once the daemon ends.
                    let _ = inbox.send(Event::Answered { request, answer });
                });
            }
            Effect::Answered(answer) => {
                let _ = self.control.send(control::Event::HeartbeatAnswered { answer });
            }
            Effect::Log(line) => telemetry::log(&line),
        }
        Performed::Done
    }

    fn publish(&mut self, _: &Heartbeat) {}
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use satellite_core::heartbeat::HostSample;
    use satellite_core::http::HttpFailure;
    use satellite_core::secret::Secret;
    use satellite_core::time::Timestamp;
    use satellite_core::view::SatelliteIdentity;
    use tokio::time::{Duration, Instant};

    use super::*;
    use crate::http_client::Chunks;
    use crate::relays::Relays;

    struct Steady;

    impl Sampler for Steady {
        fn sample(&mut self) -> HostSample {
            HostSample {
                cpu_percent: 12.5,
                memory_mb: 7.0,
                disk_percent: 40.0,
                ..HostSample::default()
            }
        }
    }

    /// Notes when it was asked, and never answers the second request.
    #[derive(Clone)]
    struct Backend(mpsc::UnboundedSender<(Instant, String, Bytes)>);

    struct Empty;

    impl Chunks for Empty {
        async fn next(&mut self) -> Option<Result<Bytes, HttpFailure>> {
            None
        }
    }

    impl HttpClient for Backend {
        type Body = Empty;

        async fn send(
            &self,
            request: http::Request<Bytes>,
        ) -> Result<http::Response<Empty>, HttpFailure> {
            let bearer = request.headers()["authorization"].to_str().unwrap_or_default().to_owned();
            let _ = self.0.send((Instant::now(), bearer, request.into_body()));
            std::future::pending().await
        }
    }

    fn pairing(satellite: &str) -> Credentials {
        Credentials {
            api_key: Secret::new("key"),
            satellite_id: satellite.into(),
            satellite_name: "name".into(),
            team_id: None,
            backend_url: None,
            registered_at: Default::default(),
            last_verified: Default::default(),
        }
    }

    #[tokio::test(start_paused = true)]
    async fn heartbeats_begin_with_the_confirmed_pairing_and_go_on_every_30_seconds_unanswered() {
        let (asked, mut requests) = mpsc::unbounded_channel();
        let (view, viewed) = watch::channel(Arc::new(View::default()));
        let (_credentials, current) = watch::channel(Some(pairing("sat-1")));
        let (control, mut answers) = mpsc::unbounded_channel();
        let clock = Clock::starting_at(Timestamp(1_000));
        let users = crate::mcp::Users::new(
            current.clone(),
            control.clone(),
            clock,
            Arc::new(crate::entropy::Kernel),
        );
        let relays = Relays::default();
        let outlook = Outlook { view: viewed, credentials: current, relays, users };
        let parts = Parts {
            client: Backend(asked),
            sampler: Steady,
            backend_url: "http://backend".into(),
            outlook,
            control,
            clock,
        };
        let task = tokio::spawn(async move { run(&Settings::default(), parts).await });
        tokio::time::sleep(Duration::from_secs(100)).await;
        assert!(requests.try_recv().is_err(), "stored credentials alone are not enough");

        let paired_at = Instant::now();
        let identity = SatelliteIdentity { id: "sat-1".into(), name: "name".into(), team: None };
        view.send_replace(Arc::new(View { satellite: Some(identity), ..View::default() }));
        for beat in 0..4_u32 {
            let (at, bearer, body) = requests.recv().await.unwrap();
            assert_eq!(at - paired_at, Duration::from_secs(30) * beat);
            assert_eq!(bearer, "Bearer key");
            let body: serde_json::Value = serde_json::from_slice(&body).unwrap();
            assert_eq!(body["system_metrics"]["cpu_usage_percent"], 12.5, "{body}");
        }
        let control::Event::HeartbeatAnswered { answer } = answers.recv().await.unwrap() else {
            panic!("another event")
        };
        assert_eq!(answer, Err(HttpFailure::TimedOut));
        drop(view);
        tokio::time::timeout(Duration::from_secs(1), task).await.unwrap().unwrap();
    }
}
