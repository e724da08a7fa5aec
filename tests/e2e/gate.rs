//! A listener in the Backend's place: it passes connections on to the Backend, or, while it is
//! closed, notes what was asked and when, and hangs up.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use tokio::io::AsyncReadExt;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

/// A request that met a closed gate.
#[derive(Clone, Debug)]
pub(crate) struct Attempt {
    pub(crate) at: Instant,
    /// Method and path, without its query.
    pub(crate) what: String,
}

/// The listener.
pub(crate) struct Gate {
    open: watch::Sender<bool>,
    attempts: Arc<Mutex<Vec<Attempt>>>,
}

impl Gate {
    /// Listens on `port` and passes on to `backend`.
    pub(crate) async fn new(port: u16, backend: SocketAddr) -> Gate {
        let listener = TcpListener::bind(("127.0.0.1", port)).await.expect("the port is free");
        let (open, state) = watch::channel(true);
        let attempts = Arc::new(Mutex::new(Vec::new()));
        let noted = Arc::clone(&attempts);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream, backend, state.clone(), Arc::clone(&noted)));
            }
        });
        Gate { open, attempts }
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
}

fn lock(attempts: &Mutex<Vec<Attempt>>) -> MutexGuard<'_, Vec<Attempt>> {
    attempts.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn serve(
    mut client: TcpStream,
    backend: SocketAddr,
    mut open: watch::Receiver<bool>,
    attempts: Arc<Mutex<Vec<Attempt>>>,
) {
    if *open.borrow_and_update() {
        let Ok(mut server) = TcpStream::connect(backend).await else { return };
        tokio::select! {
            _ = tokio::io::copy_bidirectional(&mut client, &mut server) => {}
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
