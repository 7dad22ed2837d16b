//! A recorder killed at many moments of its life under load, while it writes, seals, compresses and removes: nothing that
//! was written is lost or altered, nothing is there twice, and every hole is reported.
//!
//! `scripts/crash 1000` kills a thousand times.
#![allow(clippy::unwrap_used)]

mod common_e2e;
#[path = "e2e_kills/history.rs"]
mod history;
#[path = "e2e_kills/phase.rs"]
mod phase;
#[path = "e2e_kills/recorder.rs"]
mod recorder;

use std::collections::BTreeMap;
use std::io::Write;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use common_e2e::process::Run;
use common_e2e::{PATIENCE, folder, generated, sources, verify_ok};
use history::History;
use marketprism_log::Segment;
use marketprism_simulator::{Config, Limits, Market, Simulator};
use phase::{Look, Phase, left_behind};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

/// Kills in a run of all tests.
const KILLS: usize = 25;
/// Longest life of a recorder that is killed at any moment, microseconds.
const LONGEST_LIFE_US: u64 = 900_000;
/// Longest life of one that is to be killed while it starts, microseconds.
const LONGEST_START_US: u64 = 30_000;
/// What short phases are waited for.
const CAUGHT: [Phase; 3] = [Phase::Sealing, Phase::Compressing, Phase::Removing];

/// A venue and a recorder that is killed again and again.
struct Crashing {
    simulator: Simulator,
    folder: tempfile::TempDir,
    data: PathBuf,
    history: History,
    moments: StdRng,
    hits: BTreeMap<Phase, usize>,
}

impl Crashing {
    fn new(seed: u64) -> Crashing {
        let folder = folder();
        // No venue lets anybody in so often.
        let limits = Limits {
            connects_per_5_minutes: u32::MAX,
            weight_per_minute: [u32::MAX; 2],
            ..Limits::default()
        };
        let simulator = Simulator::start(Config { limits, ..generated(seed, 2, 8000) }).unwrap();
        simulator.start_feed();
        let channels = ["trade", "agg_trade", "book@100ms", "quote"];
        recorder::configure(folder.path(), sources(&simulator, &Market::ALL, &channels));
        Crashing {
            simulator,
            data: recorder::data(folder.path()),
            folder,
            history: History::default(),
            moments: StdRng::seed_from_u64(seed),
            hits: BTreeMap::new(),
        }
    }

    /// One life of a recorder.
    fn kill_once(&mut self, number: usize) {
        if self.moments.random_bool(0.3) {
            self.tear();
        }
        let mut run = recorder::start(self.folder.path());
        let seen = match number % 4 {
            0 | 2 => self.wait_any_time(LONGEST_LIFE_US),
            1 => self.wait_any_time(LONGEST_START_US),
            _ => self.wait_for_phase(&mut run, CAUGHT[number / 4 % CAUGHT.len()]),
        };
        let text = run.kill();
        assert!(!text.contains("panicked"), "{text}");
        let report = recorder::Report::of(&text);
        let phases = if report.is_recording { left_behind(&self.data, &seen) } else { vec![Phase::Starting] };
        for phase in phases {
            *self.hits.entry(phase).or_default() += 1;
        }
        self.check(report.written);
    }

    /// Lets the recorder live for a random time.
    fn wait_any_time(&mut self, longest_us: u64) -> Look {
        std::thread::sleep(Duration::from_micros(self.moments.random_range(0..longest_us)));
        let look = Look::at(&self.data);
        self.history.glimpse(&self.data);
        look
    }

    /// Lets the recorder live for a random time and then until it begins with something.
    fn wait_for_phase(&mut self, run: &mut Run, phase: Phase) -> Look {
        run.wait_for_text("recording");
        let mut before = self.wait_any_time(LONGEST_LIFE_US / 4);
        let until = Instant::now() + PATIENCE;
        loop {
            let now = Look::at(&self.data);
            if now.shows(phase, &before) {
                return before;
            }
            assert!(Instant::now() < until, "waited in vain for {phase:?}");
            before = now;
        }
    }

    /// Leaves behind what a write that is cut off leaves: the beginning of a batch, here of one that was written before.
    fn tear(&mut self) {
        let Some(newest) = common_e2e::contents::segments(&self.data).pop() else { return };
        let segment = Segment::map(&newest).unwrap();
        if segment.is_sealed() {
            return;
        }
        let mut batches = segment.batches();
        let Some(batch) = batches.next_batch() else { return };
        let batch = batch.unwrap();
        let start = usize::try_from(batch.offset()).unwrap();
        let length = self.moments.random_range(1..batch.header().total_bytes());
        let torn = &segment.bytes()[start..start + length];
        std::fs::OpenOptions::new().append(true).open(&newest).unwrap().write_all(torn).unwrap();
    }

    /// The phases that were hit more seldom than they have to be.
    fn missed(&self, kills: usize) -> Vec<Phase> {
        let hits = |phase: &Phase| self.hits.get(phase).copied().unwrap_or(0);
        Phase::ALL.into_iter().filter(|phase| hits(phase) < phase.least(kills)).collect()
    }

    /// What must hold after a kill.
    fn check(&mut self, written: u64) {
        self.history.compare(&self.data, written);
        if self.data.exists() {
            let verification = verify_ok(&self.data);
            assert_eq!(verification.records, self.history.records());
        }
    }
}

#[test]
fn killed_at_any_moment_nothing_written_is_lost_altered_or_doubled() {
    let kills = std::env::var("MARKETPRISM_KILLS").map_or(KILLS, |text| text.parse().unwrap());
    let mut crashing = Crashing::new(20_261_123);
    let started = Instant::now();
    for number in 0..kills * 4 {
        // Few kills may miss what is short.
        if number >= kills && crashing.missed(kills).is_empty() {
            break;
        }
        crashing.kill_once(number);
        if number % 50 == 49 {
            eprintln!("{} kills in {:?}: {:?}", number + 1, started.elapsed(), crashing.hits);
        }
    }
    let (first, end) = (crashing.history.first().unwrap(), crashing.history.end);
    eprintln!("{kills} kills or more: {:?}; records {first} to {end} are kept", crashing.hits);
    assert_eq!(crashing.missed(kills), [], "hit too seldom: {:?}", crashing.hits);
    assert!(first > 0, "retention removed nothing");
    assert_eq!(crashing.simulator.ledger().violations, Vec::<String>::new());
}
