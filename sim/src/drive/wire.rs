//! Requests over TCP. Each satellite has connections of its own and keeps them, as it would from its
//! own machine.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use satellite_core::http::{HttpAnswer, HttpFailure, HttpRequest, Method};
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::{Instant, timeout};

/// How long a connection may take.
const CONNECT: Duration = Duration::from_secs(5);
/// Descriptors that are left for everything else.
const SPARE: usize = 200;
/// Addresses of this machine that connections to it leave from: one has ports for 28,000 of them.
const SOURCES: usize = 16;

/// The way to the Backend.
pub(super) struct Wire {
    targets: Vec<SocketAddr>,
    host: String,
    turn: AtomicUsize,
    counts: Arc<Counts>,
    /// Connections from which on a second one of a satellite is not kept.
    kept_max: usize,
}

/// Connections.
#[derive(Default)]
pub(super) struct Counts {
    open: AtomicUsize,
    pub(super) most: AtomicUsize,
    pub(super) opened: AtomicU64,
    pub(super) refused: AtomicU64,
}

/// One more connection that is open, until this is dropped.
struct Open(Arc<Counts>);

impl Open {
    fn new(counts: &Arc<Counts>) -> Open {
        let open = counts.open.fetch_add(1, Ordering::Relaxed) + 1;
        counts.most.fetch_max(open, Ordering::Relaxed);
        counts.opened.fetch_add(1, Ordering::Relaxed);
        Open(Arc::clone(counts))
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.0.open.fetch_sub(1, Ordering::Relaxed);
    }
}

/// The connections of one satellite that nothing uses at the moment.
pub(super) struct Lines {
    idle: Mutex<Vec<SendRequest<Full<Bytes>>>>,
    source: Option<IpAddr>,
}

impl Wire {
    /// The way to `urls`. As many descriptors as may be had are had.
    pub(super) async fn new(urls: &[String]) -> Result<Wire, String> {
        let mut targets = Vec::new();
        let mut host = String::new();
        for url in urls {
            let place = url.strip_prefix("http://").map(|rest| rest.trim_end_matches('/'));
            let place = place
                .filter(|place| !place.is_empty() && !place.contains('/'))
                .ok_or_else(|| format!("{url:?}: a Backend is given as http://HOST:PORT"))?;
            let full = if place.contains(':') { place.to_owned() } else { format!("{place}:80") };
            let mut found =
                tokio::net::lookup_host(&full).await.map_err(|error| format!("{url}: {error}"))?;
            targets.push(found.next().ok_or_else(|| format!("{url}: has no address"))?);
            host = place.to_owned();
        }
        if targets.is_empty() {
            return Err(String::from("no Backend is given"));
        }
        let limit = getrlimit(Resource::RLIMIT_NOFILE).map_or(1_024, |(soft, hard)| {
            // Without more of them the run is as good as these allow.
            let raised = setrlimit(Resource::RLIMIT_NOFILE, hard, hard);
            if raised.is_ok() { hard } else { soft }
        });
        let kept_max = usize::try_from(limit).unwrap_or(usize::MAX).saturating_sub(SPARE);
        let (turn, counts) = (AtomicUsize::new(0), Arc::default());
        Ok(Wire { targets, host, turn, counts, kept_max })
    }

    pub(super) fn counts(&self) -> &Counts {
        &self.counts
    }

    /// The connections of satellite `number`.
    pub(super) fn lines(&self, number: usize) -> Lines {
        let is_here = self.targets.iter().all(|it| it.ip() == IpAddr::V4(Ipv4Addr::LOCALHOST));
        let last = u8::try_from(number % SOURCES + 1).unwrap_or(1);
        let source = is_here.then_some(IpAddr::V4(Ipv4Addr::new(127, 0, 0, last)));
        Lines { idle: Mutex::default(), source }
    }

    /// Sends a request and reads its answer.
    pub(super) async fn send(
        &self,
        lines: &Lines,
        http: &HttpRequest,
    ) -> Result<HttpAnswer, HttpFailure> {
        let began = Instant::now();
        let whole = timeout(Duration::from_millis(http.timeout_ms), self.exchange(lines, http));
        let mut answer = whole.await.unwrap_or(Err(HttpFailure::TimedOut))?;
        answer.elapsed_ms = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
        Ok(answer)
    }

    async fn exchange(&self, lines: &Lines, http: &HttpRequest) -> Result<HttpAnswer, HttpFailure> {
        let mut request = self.request(http)?;
        loop {
            let kept = lines.idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
            let (mut sender, is_kept) = match kept {
                Some(sender) => (sender, true),
                None => (self.connect(lines.source).await?, false),
            };
            if is_kept && sender.ready().await.is_err() {
                continue;
            }
            let response = match sender.try_send_request(request).await {
                Ok(response) => response,
                Err(mut error) => match error.take_message() {
                    // It ended before it took the request: another will.
                    Some(unsent) if is_kept => {
                        request = unsent;
                        continue;
                    }
                    _ => return Err(HttpFailure::Reset(error.into_error().to_string())),
                },
            };
            let (head, body) = response.into_parts();
            let text = |name| {
                head.headers.get(name).and_then(|it| it.to_str().ok()).map(ToOwned::to_owned)
            };
            let answer = HttpAnswer {
                status: head.status.as_u16(),
                retry_after: text(http::header::RETRY_AFTER),
                etag: text(http::header::ETAG),
                body: match body.collect().await {
                    Ok(body) => body.to_bytes().to_vec(),
                    Err(error) => return Err(HttpFailure::Cut(error.to_string())),
                },
                elapsed_ms: 0,
            };
            let mut idle = lines.idle.lock().unwrap_or_else(PoisonError::into_inner);
            let has_room = self.counts.open.load(Ordering::Relaxed) < self.kept_max;
            if !sender.is_closed() && (idle.is_empty() || has_room) {
                idle.push(sender);
            }
            return Ok(answer);
        }
    }

    fn request(&self, http: &HttpRequest) -> Result<http::Request<Full<Bytes>>, HttpFailure> {
        let method = match http.method {
            Method::Get => http::Method::GET,
            Method::Post => http::Method::POST,
        };
        let mut request = http::Request::builder()
            .method(method)
            .uri(&http.path)
            .header(http::header::HOST, &self.host);
        if let Some(bearer) = &http.bearer {
            let value = format!("Bearer {}", bearer.expose());
            request = request.header(http::header::AUTHORIZATION, value);
        }
        if http.body.is_some() {
            request = request.header(http::header::CONTENT_TYPE, "application/json");
        }
        for (name, value) in &http.headers {
            request = request.header(name, value);
        }
        let body = http.body.as_deref().map(Bytes::copy_from_slice).unwrap_or_default();
        request.body(Full::new(body)).map_err(|error| HttpFailure::Other(error.to_string()))
    }

    /// A new connection, to the next replica that listens.
    async fn connect(
        &self,
        source: Option<IpAddr>,
    ) -> Result<SendRequest<Full<Bytes>>, HttpFailure> {
        let first = self.turn.fetch_add(1, Ordering::Relaxed);
        let mut failure = HttpFailure::ConnectTimedOut;
        for step in 0..self.targets.len() {
            let place = first.wrapping_add(step) % self.targets.len();
            let Some(target) = self.targets.get(place) else { break };
            match timeout(CONNECT, dial(*target, source)).await {
                Ok(Ok(stream)) => return self.begin(stream).await,
                Ok(Err(error)) => {
                    self.counts.refused.fetch_add(1, Ordering::Relaxed);
                    failure = HttpFailure::Refused(error.to_string());
                }
                Err(_) => {}
            }
        }
        Err(failure)
    }

    async fn begin(&self, stream: TcpStream) -> Result<SendRequest<Full<Bytes>>, HttpFailure> {
        let open = Open::new(&self.counts);
        let (sender, connection) = handshake(TokioIo::new(stream))
            .await
            .map_err(|error| HttpFailure::Reset(error.to_string()))?;
        tokio::spawn(async move {
            let _open = open;
            // Its error is also that of the request on it.
            let _ = connection.await;
        });
        Ok(sender)
    }
}

async fn dial(target: SocketAddr, source: Option<IpAddr>) -> std::io::Result<TcpStream> {
    let stream = match source {
        Some(source) => {
            let socket = TcpSocket::new_v4()?;
            socket.bind(SocketAddr::new(source, 0))?;
            socket.connect(target).await?
        }
        None => TcpStream::connect(target).await?,
    };
    stream.set_nodelay(true)?;
    Ok(stream)
}
