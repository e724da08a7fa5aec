//! The client against real sockets on loopback. Loopback stands for the public Internet here: one
//! of its addresses is listed, the others are what nobody may reach.

mod answers;
mod proxies;
mod reach;
mod redirects;
mod server;
mod tls;

use std::collections::VecDeque;
use std::io;
use std::net::IpAddr;
use std::sync::{Arc, Mutex};

use satellite_core::egress::AllowList;

use self::server::Server;
use super::*;
use crate::http_client::read_whole;

/// The address that stands for the public Internet.
const LISTED: &str = "127.0.0.1";

fn rules(allow: &[&str]) -> Rules {
    Rules {
        allow: AllowList::parse(allow.iter().copied()).unwrap(),
        allow_http: true,
        ..Rules::default()
    }
}

fn options() -> EgressOptions {
    EgressOptions {
        rules: rules(&[LISTED]),
        proxies: ProxyVariables::default(),
        lookup: Arc::new(Answers::always(&[LISTED])),
        ..EgressOptions::default()
    }
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
#[derive(Debug)]
struct Answers {
    prepared: Mutex<VecDeque<Vec<IpAddr>>>,
    asked: Mutex<Vec<String>>,
}

impl Answers {
    fn in_turn(answers: &[&[&str]]) -> Self {
        let parse = |answer: &&[&str]| answer.iter().map(|it| it.parse().unwrap()).collect();
        Answers {
            prepared: Mutex::new(answers.iter().map(parse).collect()),
            asked: Mutex::default(),
        }
    }

    fn always(answer: &[&str]) -> Self {
        Answers::in_turn(&[answer])
    }

    fn asked(&self) -> usize {
        self.asked.lock().unwrap().len()
    }
}

impl Lookup for Answers {
    fn look_up<'a>(&'a self, name: &'a str) -> Looking<'a> {
        self.asked.lock().unwrap().push(name.to_owned());
        let mut prepared = self.prepared.lock().unwrap();
        let answer =
            if prepared.len() > 1 { prepared.pop_front() } else { prepared.front().cloned() };
        Box::pin(async move { answer.ok_or_else(|| io::Error::other("no answer prepared")) })
    }
}
