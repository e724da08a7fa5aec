//! How the machine is, measured for the heartbeat.

use std::io;
use std::path::{Path, PathBuf};

use satellite_core::heartbeat::HostSample;
use sysinfo::{
    CpuRefreshKind, Networks, Pid, ProcessRefreshKind, ProcessesToUpdate, RefreshKind, System,
};
use tokio::time::Instant;

const MIB: f64 = 1024.0 * 1024.0;

/// Takes samples. The simulation has one that makes them up.
pub trait Sampler: Send {
    /// The state of the machine; the processor's share is the mean since the last call.
    fn sample(&mut self) -> HostSample;
}

/// Samples the machine this runs on.
#[derive(Debug)]
pub struct HostSampler {
    system: System,
    networks: Networks,
    own: Pid,
    directory: PathBuf,
    started: Instant,
}

impl HostSampler {
    /// A sampler for the file system that holds `directory`. The first sample's processor share
    /// counts from here.
    ///
    /// Fails when the machine does not tell how it is, e.g. without `/proc`.
    pub fn new(directory: &Path) -> io::Result<Self> {
        let cpu = RefreshKind::nothing().with_cpu(CpuRefreshKind::nothing().with_usage());
        let own = Pid::from_u32(std::process::id());
        Ok(HostSampler {
            system: System::new_with_specifics(cpu)
                .map_err(|error| io::Error::other(error.to_string()))?,
            networks: Networks::new_with_refreshed_list()
                .map_err(|error| io::Error::other(error.to_string()))?,
            own,
            directory: directory.to_owned(),
            started: Instant::now(),
        })
    }
}

impl Sampler for HostSampler {
    fn sample(&mut self) -> HostSample {
        self.system.refresh_cpu_usage();
        self.networks.refresh(true);
        let memory = ProcessRefreshKind::nothing().with_memory();
        self.system.refresh_processes_specifics(ProcessesToUpdate::Some(&[self.own]), true, memory);
        let resident = self.system.process(self.own).map_or(0, sysinfo::Process::memory);
        let (mut received, mut sent) = (0_u64, 0_u64);
        for (name, network) in self.networks.iter() {
            if name != "lo" {
                received = received.saturating_add(network.total_received());
                sent = sent.saturating_add(network.total_transmitted());
            }
        }
        let disk_percent = disk_percent(&self.directory).unwrap_or_else(|error| {
            tracing::warn!(path = %self.directory.display(), error = %error, "Cannot measure the disk");
            0.0
        });
        HostSample {
            cpu_percent: percent(f64::from(self.system.global_cpu_usage())),
            memory_mb: resident as f64 / MIB,
            disk_percent,
            uptime_seconds: self.started.elapsed().as_secs_f64(),
            network_rx_bytes: received,
            network_tx_bytes: sent,
            response_time_ms: None,
        }
    }
}

/// The used share of what unprivileged processes may use, as `df` shows it.
fn disk_percent(directory: &Path) -> io::Result<f64> {
    let space = nix::sys::statvfs::statvfs(directory)?;
    let used = space.blocks().saturating_sub(space.blocks_free()) as f64;
    let usable = used + space.blocks_available() as f64;
    Ok(if usable > 0.0 { percent(100.0 * used / usable) } else { 0.0 })
}

fn percent(value: f64) -> f64 {
    if value.is_finite() { value.clamp(0.0, 100.0) } else { 0.0 }
}

#[cfg(test)]
mod tests {
    use std::process::Command;
    use std::time::Duration;

    use super::*;

    /// Busy and total ticks of all processors since boot.
    fn processor_ticks() -> (f64, f64) {
        let text = std::fs::read_to_string("/proc/stat").unwrap();
        let ticks: Vec<f64> = text
            .lines()
            .next()
            .unwrap()
            .split_ascii_whitespace()
            .skip(1)
            .take(8)
            .map(|field| field.parse().unwrap())
            .collect();
        let total: f64 = ticks.iter().sum();
        (total - ticks[3] - ticks[4], total)
    }

    /// Works until the machine has counted `ticks` busy ticks.
    fn work(ticks: f64) {
        let (start, _) = processor_ticks();
        let mut sum = 0_u64;
        while processor_ticks().0 - start < ticks {
            for number in 0..100_000_u64 {
                sum = std::hint::black_box(sum.wrapping_mul(31).wrapping_add(number));
            }
        }
    }

    #[test]
    fn the_processors_share_is_that_of_the_kernels_own_count_since_the_last_sample() {
        let mut sampler = HostSampler::new(Path::new("/")).unwrap();
        // The library looks again only after a pause of its own.
        std::thread::sleep(Duration::from_millis(250));
        sampler.sample();
        let (busy, total) = processor_ticks();
        work(40.0);
        let sample = sampler.sample();
        let (busy_after, total_after) = processor_ticks();
        let expected = 100.0 * (busy_after - busy) / (total_after - total);
        assert!(expected > 0.0);
        assert!(
            (sample.cpu_percent - expected).abs() <= 15.0,
            "sampled {} but the kernel counted {expected}",
            sample.cpu_percent
        );
    }

    #[test]
    fn the_disks_share_is_what_df_computes() {
        let directory = std::env::temp_dir();
        let shown = Command::new("df")
            .args(["--output=used,avail", "-B1"])
            .arg(&directory)
            .output()
            .unwrap();
        let text = String::from_utf8(shown.stdout).unwrap();
        let numbers: Vec<f64> = text
            .lines()
            .nth(1)
            .unwrap()
            .split_ascii_whitespace()
            .map(|field| field.parse().unwrap())
            .collect();
        let expected = 100.0 * numbers[0] / (numbers[0] + numbers[1]);
        let sampled = HostSampler::new(&directory).unwrap().sample().disk_percent;
        assert!(sampled > 0.0 && (sampled - expected).abs() < 1.0, "{sampled} against {expected}");
        assert!(disk_percent(Path::new("/no/such/directory")).is_err());
    }

    #[test]
    fn memory_is_the_resident_size_of_this_process() {
        let sampled = HostSampler::new(Path::new("/")).unwrap().sample().memory_mb;
        let status = std::fs::read_to_string("/proc/self/status").unwrap();
        let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
        let kilobytes: f64 = line.split_ascii_whitespace().nth(1).unwrap().parse().unwrap();
        let expected = kilobytes / 1024.0;
        assert!(
            sampled > expected / 2.0 && sampled < expected * 2.0,
            "{sampled} against {expected}"
        );
    }

    #[test]
    fn network_bytes_are_the_kernels_counters_without_loopback() {
        let counters = || {
            let text = std::fs::read_to_string("/proc/net/dev").unwrap();
            let (mut received, mut sent) = (0_u64, 0_u64);
            for line in text.lines().skip(2) {
                let (name, rest) = line.split_once(':').unwrap();
                if name.trim() != "lo" {
                    let fields: Vec<u64> =
                        rest.split_ascii_whitespace().map(|field| field.parse().unwrap()).collect();
                    received += fields[0];
                    sent += fields[8];
                }
            }
            (received, sent)
        };
        let mut sampler = HostSampler::new(Path::new("/")).unwrap();
        let before = counters();
        let sample = sampler.sample();
        let after = counters();
        assert!((before.0..=after.0).contains(&sample.network_rx_bytes));
        assert!((before.1..=after.1).contains(&sample.network_tx_bytes));
        assert!(sample.uptime_seconds >= 0.0);
    }
}
