//! The client against real sockets on loopback. Loopback stands for the public Internet here: one
//! of its addresses is listed, the others are what nobody may reach.

mod answers;
mod proxies;
mod reach;
mod redirects;
pub(crate) mod server;
pub(crate) mod tls;

use std::collections::VecDeque;
use std::io;
use std::net::IpAddr;
use std::sync::{Arc, Mutex};

use satellite_core::egress::AllowList;

use self::server::Server;
use super::*;
use crate::http_client::{Looking, Lookup, read_whole};

/// The address that stands for the public Internet.
pub(crate) const LISTED: &str = "127.0.0.1";

fn rules(allow: &[&str]) -> Rules {
    Rules {
        allow: AllowList::parse(allow.iter().copied()).unwrap(),
        allow_http: true,
        ..Rules::default()
    }
}

/// What reaches [`LISTED`] alone, and takes every name for it.
pub(crate) fn options() -> EgressOptions {
    EgressOptions {
        rules: rules(&[LISTED]),
        client: resolving(Answers::always(&[LISTED])),
        ..EgressOptions::default()
    }
}

fn resolving(lookup: impl Lookup) -> ClientOptions {
    ClientOptions { lookup: Arc::new(lookup), ..ClientOptions::default() }
}

/// A client that resolves names as `lookup` says.
fn asking(lookup: impl Lookup) -> EgressClient {
    client(EgressOptions { client: resolving(lookup), ..options() })
}

fn client(options: EgressOptions) -> EgressClient {
    EgressClient::new(options).unwrap()
}

fn get(url: &str) -> http::Request<Bytes> {
    http::Request::get(url).body(Bytes::new()).unwrap()
}

fn post(url: &str) -> http::Request<Bytes> {
    http::Request::post(url).body(Bytes::from_static(b"{\"jsonrpc\":\"2.0\"}")).unwrap()
}

/// Sends a request and reads the answer whole.
async fn whole(
    client: &EgressClient,
    request: http::Request<Bytes>,
) -> Result<(http::response::Parts, Vec<u8>), HttpFailure> {
    let (head, mut body) = client.send(request).await?.into_parts();
    Ok((head, read_whole(&mut body, usize::MAX).await?))
}

/// The rule that a request was refused by.
async fn refused(client: &EgressClient, request: http::Request<Bytes>) -> String {
    match whole(client, request).await {
        Err(HttpFailure::Forbidden { what }) => what,
        other => panic!("not forbidden: {other:?}"),
    }
}

/// A resolver that gives prepared answers, the last one for ever, and counts its questions.
#[derive(Clone, Debug)]
struct Answers {
    prepared: Arc<Mutex<VecDeque<Vec<IpAddr>>>>,
    asked: Arc<Mutex<usize>>,
}

impl Answers {
    fn in_turn(answers: &[&[&str]]) -> Self {
        let parse = |answer: &&[&str]| answer.iter().map(|it| it.parse().unwrap()).collect();
        Answers {
            prepared: Arc::new(Mutex::new(answers.iter().map(parse).collect())),
            asked: Arc::default(),
        }
    }

    fn always(answer: &[&str]) -> Self {
        Answers::in_turn(&[answer])
    }

    fn asked(&self) -> usize {
        *self.asked.lock().unwrap()
    }
}

impl Lookup for Answers {
    fn look_up<'a>(&'a self, _: &'a str) -> Looking<'a> {
        *self.asked.lock().unwrap() += 1;
        let mut prepared = self.prepared.lock().unwrap();
        let answer =
            if prepared.len() > 1 { prepared.pop_front() } else { prepared.front().cloned() };
        Box::pin(async move { answer.ok_or_else(|| io::Error::other("no answer prepared")) })
    }
}
