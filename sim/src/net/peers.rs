//! Children of tier 2: they speak MCP over pipes in memory, as their first argument says.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use satellite_core::id::Incarnation;
use satellite_core::instance::COMMAND_ID;
use satellite_core::process::{Samples, SpawnFailure};
use satellite_io::host::{Frost, Launch, Order, Process, ProcessExit, ProcessHost};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, DuplexStream, duplex};
use tokio::sync::{mpsc, oneshot};
use tokio::time::sleep;

use super::World;
use super::seen::Alive;
use crate::stage::processes::Behaviour;

/// Starts scripted peers.
#[derive(Clone)]
pub(super) struct Peers {
    world: World,
    pids: Arc<AtomicU32>,
}

impl Peers {
    pub(super) fn new(world: World) -> Peers {
        Peers { world, pids: Arc::new(AtomicU32::new(1)) }
    }
}

impl ProcessHost for Peers {
    type Stdin = DuplexStream;
    type Stdout = DuplexStream;
    type Stderr = DuplexStream;

    async fn spawn(&self, launch: Launch) -> Result<Process<Self>, SpawnFailure> {
        let Launch { key, incarnation, process, mut orders } = launch;
        let behaviour = Behaviour::of(process.args.first().map_or("steady", String::as_str));
        let pid = self.pids.fetch_add(1, Ordering::Relaxed);
        let (stdin, child_in) = duplex(64 * 1024);
        let (child_out, stdout) = duplex(64 * 1024);
        let (child_err, stderr) = duplex(1024);
        let (exit, exited) = oneshot::channel();
        let (ended, gone) = oneshot::channel();
        let (answers, frost) = mpsc::unbounded_channel();
        let world = self.world.clone();
        world.note("host", &format!("started {key} {incarnation:?} as {pid}"));
        let command = process.env.iter().find(|(name, _)| name == COMMAND_ID);
        let command = command.map(|(_, id)| id.expose().to_string());
        let alive = Alive::born(&world, key.to_string(), command);
        tokio::spawn(async move {
            let _alive = alive;
            let how = tokio::select! {
                biased;
                () = termination(&mut orders, &answers) => ProcessExit { signal: Some(String::from("SIGTERM")), ..ProcessExit::default() },
                () = death(behaviour, incarnation) => ProcessExit { code: Some(1), ..ProcessExit::default() },
                () = speak(child_in, child_out, &world) => ProcessExit { code: Some(0), ..ProcessExit::default() },
            };
            world.note("host", &format!("{pid}: {how}"));
            if how.code == Some(1) {
                world.lock().crashes += 1;
            }
            drop(child_err);
            // Whoever asked may be gone by then.
            let _ = exit.send(how);
            let _ = ended.send(());
        });
        Ok(Process { pid, stdin, stdout, stderr, frost, exited, gone })
    }

    // They are tasks of this process: nobody counts what each of them uses.
    async fn samples(&self) -> Samples {
        Samples::default()
    }
}

/// Waits for the order to end. Tasks cannot be frozen as processes can.
async fn termination(
    orders: &mut mpsc::UnboundedReceiver<Order>,
    answers: &mpsc::UnboundedSender<Frost>,
) {
    loop {
        match orders.recv().await {
            Some(Order::Terminate { .. }) => return,
            Some(Order::Settle) => {}
            // Whoever asked may be gone by then.
            Some(Order::Freeze) => {
                let _ = answers.send(Frost::Frozen(Err(String::from("a task cannot be frozen"))));
            }
            Some(Order::Thaw) => {
                let _ = answers.send(Frost::Thawed(Ok(())));
            }
            None => std::future::pending().await,
        }
    }
}

async fn death(behaviour: Behaviour, incarnation: Incarnation) {
    match behaviour {
        Behaviour::Crashing => sleep(Duration::from_secs(3)).await,
        // Not for ever: in the end nothing must go wrong.
        Behaviour::Fragile if incarnation.0 <= 2 => sleep(Duration::from_secs(110)).await,
        _ => std::future::pending().await,
    }
}

/// Answers until its input ends.
async fn speak(input: DuplexStream, mut output: DuplexStream, world: &World) {
    let mut lines = BufReader::new(input).lines();
    while let Ok(Some(line)) = lines.next_line().await {
        let Ok(request) = serde_json::from_str::<Value>(&line) else { continue };
        let (Some(id), Some(method)) = (request.get("id"), request["method"].as_str()) else {
            continue;
        };
        if method == "tools/call" {
            world.lock().seen.executed(&request["params"]["arguments"]["word"]);
        }
        sleep(Duration::from_millis(15)).await;
        let result = match method {
            "initialize" => json!({"protocolVersion": request["params"]["protocolVersion"],
                "capabilities": {"tools": {}}, "serverInfo": {"name": "peer", "version": "1"}}),
            "tools/list" => json!({"tools": [{"name": "echo", "inputSchema": {"type": "object"}}]}),
            "tools/call" => json!({"content": [
                {"type": "text", "text": request["params"]["arguments"].to_string()}]}),
            _ => json!({}),
        };
        let answer = json!({"jsonrpc": "2.0", "id": id, "result": result});
        if output.write_all(format!("{answer}\n").as_bytes()).await.is_err() {
            return;
        }
    }
}
