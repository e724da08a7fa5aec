//! A listener in the Backend's place: it passes connections on to the Backend and keeps what was
//! sent there, or, while it is closed, notes what was asked and when, and hangs up.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

/// A request that met a closed gate.
#[derive(Clone, Debug)]
pub(crate) struct Attempt {
    pub(crate) at: Instant,
    /// Method and path, without its query.
    pub(crate) what: String,
}

/// A request that was passed on.
#[derive(Debug)]
pub(crate) struct Passed {
    /// Method and path.
    pub(crate) what: String,
    /// How long its body was.
    pub(crate) bytes: usize,
    pub(crate) body: Value,
}

/// What one connection carried to the Backend.
type Carried = Arc<Mutex<Vec<u8>>>;

/// The listener.
pub(crate) struct Gate {
    open: watch::Sender<bool>,
    attempts: Arc<Mutex<Vec<Attempt>>>,
    carried: Arc<Mutex<Vec<Carried>>>,
}

impl Gate {
    /// Listens on `port` and passes on to `backend`.
    pub(crate) async fn new(port: u16, backend: SocketAddr) -> Gate {
        let listener = TcpListener::bind(("127.0.0.1", port)).await.expect("the port is free");
        let (open, state) = watch::channel(true);
        let attempts = Arc::new(Mutex::new(Vec::new()));
        let carried = Arc::new(Mutex::new(Vec::new()));
        let (noted, kept) = (Arc::clone(&attempts), Arc::clone(&carried));
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let carried = Carried::default();
                lock(&kept).push(Arc::clone(&carried));
                tokio::spawn(serve(stream, backend, state.clone(), Arc::clone(&noted), carried));
            }
        });
        Gate { open, attempts, carried }
    }

    /// Ends every connection; from here on the Backend is not reached.
    pub(crate) fn close(&self) {
        self.open.send_replace(false);
    }

    /// Lets everything through again.
    pub(crate) fn open(&self) {
        self.open.send_replace(true);
    }

    /// What was asked while it was closed.
    pub(crate) fn attempts(&self) -> Vec<Attempt> {
        lock(&self.attempts).clone()
    }

    /// The whole requests with bodies that were passed on, by connection.
    pub(crate) fn passed(&self) -> Vec<Passed> {
        let carried = lock(&self.carried).clone();
        carried.iter().flat_map(|carried| requests(&lock(carried))).collect()
    }
}

fn lock<T>(shared: &Mutex<T>) -> MutexGuard<'_, T> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The whole requests in what a connection carried, of those with a body.
fn requests(mut carried: &[u8]) -> Vec<Passed> {
    let mut requests = Vec::new();
    while let Some(end) = carried.windows(4).position(|window| window == b"\r\n\r\n") {
        let head = String::from_utf8_lossy(&carried[..end]).to_ascii_lowercase();
        let mut lines = head.lines();
        let what = lines.next().unwrap_or_default();
        let length = lines.find_map(|line| line.strip_prefix("content-length:"));
        let length = length.map_or(0, |length| length.trim().parse().expect("a length"));
        let Some(body) = carried.get(end + 4..end + 4 + length) else { break };
        if length > 0 {
            let what = what.trim_end_matches(" http/1.1").to_string();
            let body = serde_json::from_slice(body).expect("the satellite sends JSON");
            requests.push(Passed { what, bytes: length, body });
        }
        carried = &carried[end + 4 + length..];
    }
    requests
}

async fn serve(
    mut client: TcpStream,
    backend: SocketAddr,
    mut open: watch::Receiver<bool>,
    attempts: Arc<Mutex<Vec<Attempt>>>,
    carried: Carried,
) {
    if *open.borrow_and_update() {
        let Ok(mut server) = TcpStream::connect(backend).await else { return };
        let (mut asked, mut answers) = client.split();
        let (mut answered, mut onward) = server.split();
        let there = async {
            let mut bytes = vec![0; 65_536];
            while let Ok(read @ 1..) = asked.read(&mut bytes).await {
                lock(&carried).extend_from_slice(&bytes[..read]);
                onward.write_all(&bytes[..read]).await?;
            }
            onward.shutdown().await
        };
        let back = async {
            tokio::io::copy(&mut answered, &mut answers).await?;
            answers.shutdown().await
        };
        tokio::select! {
            _ = async { tokio::join!(there, back) } => {}
            _ = open.wait_for(|open| !open) => {}
        }
        return;
    }
    let mut head = [0; 4096];
    let read = client.read(&mut head).await.unwrap_or(0);
    let text = String::from_utf8_lossy(&head[..read]);
    let mut words = text.split_whitespace();
    let (method, path) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    let path = path.split('?').next().unwrap_or_default();
    lock(&attempts).push(Attempt { at: Instant::now(), what: format!("{method} {path}") });
}
