//! Everything that can go wrong over sockets, one after the other and at times two at once, drawn
//! from the seed, while commands are filed and clients call; then nothing more for a while.

use std::time::Duration;

use axum::body::Body;
use axum::http::{HeaderValue, Response, StatusCode, header};
use satellite_core::random::Random;
use serde_json::{Value, json};
use tokio::time::sleep;
use turmoil::Sim;

use super::{BACKEND, SATELLITE, World, people, steps};

/// What the Backend does to the satellite's requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Trouble {
    /// Answers with this status, and `Retry-After` if it names seconds, without having read.
    Refuses(u16, Option<u64>),
    /// Answers 200 with what nobody can read.
    Garbles,
    /// Does what it is asked for so many milliseconds later.
    Slow(u64),
    /// Does what it is asked for; a proxy on the way answers something else.
    Swallowed,
}

impl Trouble {
    fn draw(random: &mut Random) -> Trouble {
        match random.below(8) {
            0 => Trouble::Refuses(500, None),
            1 => Trouble::Refuses(503, Some(random.between(1, 20))),
            2 => Trouble::Refuses(429, Some(random.between(1, 20))),
            3 => Trouble::Refuses(401, None),
            4 => Trouble::Garbles,
            5 => Trouble::Slow(random.between(500, 20_000)),
            _ => Trouble::Swallowed,
        }
    }

    /// The answer, if there is one before the request is read.
    pub(super) fn refusal(self) -> Option<Response<Body>> {
        match self {
            Trouble::Refuses(status, retry_after) => {
                Some(refusal(status, retry_after, r#"{"success":false,"error":"trouble"}"#))
            }
            Trouble::Garbles => Some(refusal(200, None, "<html>sign in to the hotel</html>")),
            Trouble::Slow(_) | Trouble::Swallowed => None,
        }
    }
}

/// An answer of somebody who is no Backend.
pub(super) fn refusal(status: u16, retry_after: Option<u64>, body: &'static str) -> Response<Body> {
    let mut answer = Response::new(Body::from(body));
    *answer.status_mut() = StatusCode::from_u16(status).unwrap_or_default();
    // hyper would put the machine's own time there.
    let date = HeaderValue::from_static("Thu, 01 Jan 2026 00:00:00 GMT");
    answer.headers_mut().insert(header::DATE, date);
    if let Some(seconds) = retry_after {
        answer.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
    }
    answer
}

/// From the last fault to the end: the longest back-off, then the lease of a command and its result.
const CALM_SECONDS: u64 = 420;

/// Makes the trouble, and ends it.
pub(super) fn rage(sim: &mut Sim<'_>, seed: u64, world: &World) -> Result<(), String> {
    let mut random = Random::new(seed).fork("storm");
    let (shared, own) = (world.clone(), random.fork("commander"));
    sim.client("commander", async move {
        command(shared, own).await;
        Ok(())
    });
    let (shared, own) = (world.clone(), random.fork("client"));
    sim.client("client", async move {
        call(shared, own).await;
        Ok(())
    });
    for _ in 0..random.between(6, 10) {
        one(sim, &mut random, world)?;
        steps(sim, world, random.between(2, 40))?;
    }
    world.lock().calm = true;
    world.note("storm", "over");
    steps(sim, world, CALM_SECONDS)
}

/// One fault, from its beginning to its end.
fn one(sim: &mut Sim<'_>, random: &mut Random, world: &World) -> Result<(), String> {
    match random.below(10) {
        0 | 1 => crash(sim, random, world, &[SATELLITE]),
        2 | 3 => crash(sim, random, world, &[BACKEND]),
        4 => crash(sim, random, world, &[SATELLITE, BACKEND]),
        5 | 6 => cut(sim, random, world),
        7 => {
            world.note("network", "loses");
            sim.set_link_fail_rate(SATELLITE, BACKEND, 0.05);
            steps(sim, world, random.between(10, 60))?;
            sim.set_link_fail_rate(SATELLITE, BACKEND, 0.0);
            sim.repair(SATELLITE, BACKEND);
            Ok(())
        }
        8 => {
            world.note("network", "slow");
            let slow = Duration::from_millis(random.between(200, 4_000));
            sim.set_link_max_message_latency(SATELLITE, BACKEND, slow);
            steps(sim, world, random.between(10, 60))?;
            sim.set_link_max_message_latency(SATELLITE, BACKEND, Duration::from_millis(80));
            Ok(())
        }
        _ => {
            let trouble = Trouble::draw(random);
            world.note("backend", &format!("{trouble:?}"));
            world.lock().trouble = Some(trouble);
            steps(sim, world, random.between(5, 60))?;
            world.lock().trouble = None;
            Ok(())
        }
    }
}

fn crash(
    sim: &mut Sim<'_>,
    random: &mut Random,
    world: &World,
    hosts: &[&str],
) -> Result<(), String> {
    // The next crash may come while one that crashed is not through with its start.
    for _ in 0..random.between(1, 3) {
        for host in hosts {
            world.note(host, "crashes");
            sim.crash(*host);
            if *host == SATELLITE {
                let mut inner = world.lock();
                inner
                    .seen
                    .calls
                    .values_mut()
                    .for_each(|call| call.interrupted |= call.ok + call.errors == 0);
                if random.chance(1, 2) {
                    // Its power was cut: what was not synced is gone, or a part of it.
                    inner.machine_runs += 1;
                    let (synced, all) = (inner.journal_synced, inner.disk.journal.len());
                    let kept = random.between(synced.min(all) as u64, all as u64);
                    inner.disk.journal.truncate(kept as usize);
                }
            }
        }
        steps(sim, world, random.between(1, 15))?;
        for host in hosts {
            sim.bounce(*host);
        }
        steps(sim, world, if random.chance(1, 3) { 1 } else { random.between(2, 30) })?;
    }
    Ok(())
}

fn cut(sim: &mut Sim<'_>, random: &mut Random, world: &World) -> Result<(), String> {
    let ways = ["cut", "cut on the way there", "cut on the way back", "held"];
    let way = random.below(4);
    world.note("network", ways[way as usize]);
    match way {
        0 => sim.partition(SATELLITE, BACKEND),
        1 => sim.partition_oneway(SATELLITE, BACKEND),
        2 => sim.partition_oneway(BACKEND, SATELLITE),
        // What is sent arrives, and much too late.
        _ => sim.hold(SATELLITE, BACKEND),
    }
    steps(sim, world, random.between(3, 60))?;
    sim.repair(SATELLITE, BACKEND);
    sim.release(SATELLITE, BACKEND);
    world.note("network", "whole");
    Ok(())
}

/// Files commands until it is calm.
async fn command(world: World, mut random: Random) {
    loop {
        sleep(Duration::from_millis(random.between(2_000, 15_000))).await;
        if world.lock().calm {
            return;
        }
        let installation = world.lock().installations.get("steady").cloned();
        let about = json!({"installation_id": installation});
        let (kind, payload): (&str, Value) = match random.below(5) {
            0 => ("configure", json!({"event": "mcp_config_update"})),
            1 => ("health_check", json!({"check_type": "connectivity"})),
            _ => ("restart", about),
        };
        match people::file(kind, payload).await {
            Ok(id) => world.lock().seen.filed.push(id),
            // Whether it is stored is for the Backend to know.
            Err(error) => world.note("commander", &error),
        }
    }
}

/// Calls a tool again and again until it is calm.
async fn call(world: World, mut random: Random) {
    let mut number = 0;
    loop {
        sleep(Duration::from_millis(random.between(500, 8_000))).await;
        if world.lock().calm {
            return;
        }
        number += 1;
        let word = format!("word {number}");
        let outcome = people::call_with(&world, "steady", &word).await;
        world.note("client", &format!("{word}: {outcome:?}"));
    }
}
