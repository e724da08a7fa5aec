//! Who else there is: on the port, and at the other end of the link.

use std::io;
use std::time::Duration;

use bytes::Bytes;
use http::Request;
use http::header::DATE;
use satellite_core::backoff::retry_after::http_date;
use satellite_core::doctor::{self, Backend, Finding, Port};
use satellite_core::http::HttpFailure;
use satellite_core::wire::path::HEALTH;
use tokio::net::TcpListener;
use tokio::time::Instant;

use crate::clock::wall_time;
use crate::http_client::{HttpClient, ReqwestClient};
use crate::settings::DaemonSettings;

const TIMEOUT: Duration = Duration::from_secs(10);

/// The client with which the satellite would reach its Backend.
pub(super) fn client(settings: &DaemonSettings) -> Result<ReqwestClient, HttpFailure> {
    ReqwestClient::new(&settings.outbound.client)
}

/// Tries to listen where MCP clients would be served.
pub(super) async fn port(settings: &DaemonSettings, client: Option<&ReqwestClient>) -> Finding {
    let (host, port) = &settings.listen;
    let address = format!("{host}:{port}");
    let Err(error) = TcpListener::bind((host.as_str(), *port)).await else {
        return doctor::port(&address, Port::Free);
    };
    if error.kind() != io::ErrorKind::AddrInUse {
        return doctor::port(&address, Port::Refused(&error.to_string()));
    }
    let is_ours = match client {
        Some(client) => is_satellite(client, *port).await,
        None => false,
    };
    doctor::port(&address, if is_ours { Port::Satellite } else { Port::Taken })
}

/// Whether what answers on this port says how isolated its servers are, as a satellite does.
async fn is_satellite(client: &ReqwestClient, port: u16) -> bool {
    let Ok(request) = Request::get(format!("http://127.0.0.1:{port}/ready")).body(Bytes::new())
    else {
        return false;
    };
    let asked = async {
        let mut body = client.send(request).await?.into_body();
        crate::http_client::read_whole(&mut body, 1 << 20).await
    };
    let body = tokio::time::timeout(TIMEOUT, asked).await;
    let Ok(Ok(body)) = body else { return false };
    let value: serde_json::Value = serde_json::from_slice(&body).unwrap_or_default();
    value["isolation"].is_object()
}

/// Asks the Backend how it is, and what time it is there.
pub(super) async fn backend(
    settings: &DaemonSettings,
    client: Result<ReqwestClient, HttpFailure>,
) -> Vec<Finding> {
    let url = &settings.backend_url;
    let started = Instant::now();
    let asked = async {
        let request = Request::get(format!("{url}{HEALTH}"))
            .body(Bytes::new())
            .map_err(|error| HttpFailure::Malformed(error.to_string()))?;
        Ok(client?.send(request).await?.into_parts().0)
    };
    let head = tokio::time::timeout(TIMEOUT, asked).await.unwrap_or(Err(HttpFailure::TimedOut));
    let took_ms = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
    match head {
        Ok(head) => {
            let theirs = head.headers.get(DATE).and_then(|it| it.to_str().ok()).and_then(http_date);
            let seconds = |it: u64| i64::try_from(it / 1_000).unwrap_or(i64::MAX);
            let ahead = theirs.map(|it| seconds(wall_time().0) - seconds(it.0));
            let answered = Backend::Answered { status: head.status.as_u16(), took_ms };
            Vec::from([doctor::backend(url, answered), doctor::clock(ahead)])
        }
        Err(failure) => {
            let away = failure.to_string();
            Vec::from([doctor::backend(url, Backend::Away(&away)), doctor::clock(None)])
        }
    }
}
