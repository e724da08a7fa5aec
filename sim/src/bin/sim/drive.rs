//! `cargo sim drive`: a fleet against a Backend that runs.

use std::path::Path;
use std::time::Duration;

use satellite_core::secret::Secret;
use satellite_sim::drive::Drive;

use crate::options::{Options, write};

pub(crate) fn drive(given: &Options<'_>) -> Result<(), String> {
    let admin_token = std::env::var("SATELLITE_ADMIN_TOKEN").map_err(|_| {
        String::from("SATELLITE_ADMIN_TOKEN is not set: satellites are paired with it")
    })?;
    let backends = given.text("backend").unwrap_or("http://127.0.0.1:3000");
    let satellites = given.number("satellites", 100)?;
    let yes = |name, default| match given.text(name).unwrap_or(default) {
        "yes" => Ok(true),
        "no" => Ok(false),
        other => Err(format!("--{name} takes yes or no, not {other:?}")),
    };
    let drive = Drive {
        backends: backends.split(',').map(ToOwned::to_owned).collect(),
        admin_token: Secret::new(admin_token),
        satellites: usize::try_from(satellites).map_err(|error| error.to_string())?,
        over: Duration::from_secs(given.number("over", 30)?),
        measured: Duration::from_secs(given.number("seconds", 60)?),
        drain: Duration::from_secs(given.number("drain", 30)?),
        holds_polls: yes("hold", "yes")?,
        calls_per_hour: given.number("calls", 60)?,
        seed: given.number("seed", 1)?,
    };
    let as_json = yes("json", "no")?;
    let threads = usize::try_from(given.number("threads", 1)?.clamp(1, 64)).unwrap_or(1);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(threads)
        .enable_all()
        .build()
        .map_err(|error| error.to_string())?;
    let stop = || async {
        if tokio::signal::ctrl_c().await.is_err() {
            std::future::pending::<()>().await;
        }
    };
    let report = runtime.block_on(drive.run(stop, |said| eprintln!("{said}")))?;
    if let Some(path) = given.text("ids") {
        write(Path::new(path), report.ids())?;
    }
    if as_json {
        println!("{:#}", report.json());
    } else {
        println!("{report}");
    }
    Ok(())
}
