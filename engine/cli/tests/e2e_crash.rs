//! `kill -9` at any moment, start again: every whole batch is still there, the torn tail is cut and reported,
//! recording goes on in a new segment, and nothing is stored twice.
#![allow(clippy::unwrap_used)]

mod common_e2e;

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use common_e2e::contents::{self, hashes_from};
use common_e2e::expected::{self, Key};
use common_e2e::process::{Run, configuration, wait_for_more};
use common_e2e::{ALL_CHANNELS, folder, generated, ledgers, of_kind, sources, stored, verify_ok, wait_until};
use marketprism_simulator::{Market, Simulator};
use serde_json::Value;

/// What a crash may cost at most: the second for which deltas wait for their snapshot, and the flush.
const MOST_LOST_MS: u64 = 1500;

/// A small generator of the moments: the same for the same seed.
struct Moments(u64);

impl Moments {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % limit
    }
}

fn now_ms() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis() as u64
}

/// One hash for each record in whole batches, in capture order.
fn hashes(data: &Path) -> Vec<u64> {
    let hashes = hashes_from(data, 0, |_, _| ());
    assert!(hashes.first().is_none_or(|(sequence, _)| *sequence == 0), "nothing was removed");
    hashes.into_iter().map(|(_, hash)| hash).collect()
}

/// The segment files of a log.
fn segments(data: &Path) -> BTreeSet<PathBuf> {
    contents::segments(data).into_iter().collect()
}

/// Books are recorded now and then, and seldom enough that the log comes to rest between.
const BOOKS: &str = "[books]\nsnapshot_interval_ms = 5000\n";

/// A venue and a recorder that is killed again and again.
struct Crashing {
    simulator: Simulator,
    folder: tempfile::TempDir,
    configuration: PathBuf,
    data: PathBuf,
    /// Hashes of everything that must still be there.
    history: Vec<u64>,
    /// Last connection id and time of the end of each run; the last run ends in peace.
    runs: Vec<(u64, u64)>,
}

impl Crashing {
    fn new(seed: u64) -> Crashing {
        let folder = folder();
        let mut config = generated(seed, 2, 8000);
        config.record_frames = Some(folder.path().join("sent.tsv"));
        let simulator = Simulator::start(config).unwrap();
        simulator.start_feed();
        let sources = sources(&simulator, &Market::ALL, &ALL_CHANNELS);
        let configuration = configuration(folder.path(), "data", &sources, BOOKS);
        let data = folder.path().join("data");
        Crashing { simulator, folder, configuration, data, history: Vec::new(), runs: Vec::new() }
    }

    /// Starts the recorder over what the crash before left; checks the cut and the new segment.
    fn start(&mut self) -> Run {
        let torn = if self.data.exists() { verify_torn(&self.data) } else { 0 };
        let next = self.history.len();
        // A segment of a run that was killed before its first record holds none; its name is free again.
        let holds_records = |path: &PathBuf| *path != self.data.join(format!("{next:020}.seg"));
        let before: BTreeSet<PathBuf> = segments(&self.data).into_iter().filter(holds_records).collect();
        let mut run = Run::start(&self.configuration);
        run.wait_for_text("recording over");
        if torn > 0 {
            run.wait_for_text("torn tail of");
            assert!(run.text().contains(&format!("torn tail of {torn} bytes")), "{torn}: {}", run.text());
        }
        wait_until("records of this run", || hashes(&self.data).len() > next);
        let fresh: Vec<PathBuf> = segments(&self.data).difference(&before).cloned().collect();
        assert_eq!(fresh.len(), 1, "recording goes on in one new segment");
        let name = fresh[0].file_stem().unwrap().to_string_lossy().into_owned();
        assert_eq!(name.parse::<usize>().unwrap(), next, "the segment is named by its first record");
        assert!(torn > 0 || !run.text().contains("torn tail"), "nothing was torn: {}", run.text());
        run
    }

    /// What must hold after a run ended in whatever way.
    fn ended(&mut self, at_ms: u64) {
        self.runs.push((self.simulator.ledger().connections.iter().sum(), at_ms));
        let found = hashes(&self.data);
        assert!(found.len() >= self.history.len(), "{} of {} records", found.len(), self.history.len());
        assert!(found.starts_with(&self.history), "an earlier record was altered");
        self.history = found;
    }

    fn kill(&mut self, run: &mut Run) {
        // What was sent until now must be stored but for the allowance; the kill itself comes later.
        let at = now_ms();
        run.kill();
        self.ended(at);
    }

    /// Every frame of every connection against what is stored: in order, none twice, none altered, and none
    /// missing but in the last moments before a kill. Returns the number missing.
    fn compare(&self, rows: &[Value]) -> usize {
        let stored = expected::streamed(rows);
        let mut next: BTreeMap<&Key, usize> = stored.keys().map(|key| (key, 0)).collect();
        let text = std::fs::read_to_string(self.folder.path().join("sent.tsv")).unwrap();
        // The file is in the order of sending; spot's best prices have no time of their own.
        let mut clock = 0;
        let mut missing = 0;
        for line in text.lines() {
            let connection: u64 = line.split('\t').next().unwrap().parse().unwrap();
            let (_, end) = *self.runs.iter().find(|(last, _)| connection <= *last).unwrap();
            let (market, _, data) = expected::sent_line(line);
            clock = data["E"].as_u64().unwrap_or(0).max(clock);
            for (key, row) in expected::keyed(&market, &data) {
                let found = stored.get_key_value(&key).and_then(|(key, rows)| {
                    let place = next.get_mut(key).unwrap();
                    let same = rows.get(*place).is_some_and(|own| expected::equal(own, &row));
                    *place += usize::from(same);
                    same.then_some(())
                });
                if found.is_none() {
                    missing += 1;
                    assert!(
                        clock + MOST_LOST_MS >= end,
                        "lost {} ms before the end of the run: {row}",
                        end - clock
                    );
                }
            }
        }
        for (key, rows) in &stored {
            assert_eq!(next[key], rows.len(), "{key:?}: more is stored than was sent, or in another order");
        }
        missing
    }
}

fn verify_torn(data: &Path) -> u64 {
    marketprism_log::verify(data).unwrap().torn_bytes
}

/// The records that say how runs began and went.
fn sessions(rows: &[Value], event: &str) -> usize {
    of_kind(rows, "session").iter().filter(|row| row["event"] == event).count()
}

#[test]
fn after_kill_9_every_whole_batch_is_there_and_recording_goes_on_in_a_new_segment() {
    let mut crashing = Crashing::new(97);
    let mut moments = Moments(20_261_123);
    let mut recording_runs = 0;
    for round in 0..11 {
        if round % 4 == 1 {
            // Killed while starting: before, in, or just after opening the log.
            let mut run = Run::start(&crashing.configuration);
            std::thread::sleep(Duration::from_millis(moments.below(120)));
            crashing.kill(&mut run);
            continue;
        }
        let mut run = crashing.start();
        recording_runs += 1;
        wait_for_more(&crashing.simulator, 500 + moments.below(8000));
        crashing.kill(&mut run);
    }
    let mut run = crashing.start();
    recording_runs += 1;
    wait_for_more(&crashing.simulator, 5000);
    crashing.simulator.pause();
    drained(&crashing);
    run.stop();
    crashing.ended(0);

    let rows = stored(&crashing.data);
    let missing = crashing.compare(&rows);
    eprintln!(
        "{} records, {missing} lost in the last moments before {} kills",
        rows.len(),
        crashing.runs.len() - 1
    );
    assert!(rows.len() > 20_000, "{} records", rows.len());
    assert!(sessions(&rows, "started") >= 3 * recording_runs, "every run says that it began");
    assert!(sessions(&rows, "connected") >= 4 * recording_runs, "every run says that it connected");
    assert!(ledgers::assert_holes_reported(&rows) > 0, "the kills left holes");
    let verification = verify_ok(&crashing.data);
    assert_eq!((verification.records, verification.torn_bytes), (rows.len() as u64, 0));
    assert_eq!(crashing.simulator.ledger().violations, Vec::<String>::new());
}

/// Waits until the log grows no more.
fn drained(crashing: &Crashing) {
    let mut last = (0, std::time::Instant::now());
    wait_until("the log to rest", || {
        let size = segments(&crashing.data).iter().map(|path| path.metadata().unwrap().len()).sum::<u64>();
        if size != last.0 {
            last = (size, std::time::Instant::now());
        }
        last.1.elapsed() > Duration::from_millis(400)
    });
}

#[test]
fn a_torn_tail_is_cut_and_reported_and_what_was_whole_stays() {
    let mut crashing = Crashing::new(5);
    let mut run = crashing.start();
    wait_for_more(&crashing.simulator, 2000);
    crashing.kill(&mut run);

    // Garbage behind the last batch, as a write that was never finished.
    let newest = segments(&crashing.data).pop_last().unwrap();
    let already = verify_torn(&crashing.data);
    let mut file = std::fs::OpenOptions::new().append(true).open(&newest).unwrap();
    file.write_all(&[0xA5; 4321]).unwrap();
    drop(file);
    assert_eq!(verify_torn(&crashing.data), already + 4321);
    let mut run = crashing.start();
    assert!(run.text().contains(&format!("torn tail of {} bytes", already + 4321)), "{}", run.text());
    wait_for_more(&crashing.simulator, 2000);
    crashing.kill(&mut run);

    // The last batch cut in two, as by a power cut: it goes, the ones before it stay.
    let newest = segments(&crashing.data).pop_last().unwrap();
    let length = newest.metadata().unwrap().len() - verify_torn(&crashing.data);
    std::fs::OpenOptions::new().write(true).open(&newest).unwrap().set_len(length - 37).unwrap();
    let left = hashes(&crashing.data);
    assert!(left.len() < crashing.history.len() && crashing.history.starts_with(&left));
    crashing.history = left;
    assert!(verify_torn(&crashing.data) > 0);
    let mut run = crashing.start();
    run.stop();
    crashing.ended(0);
    verify_ok(&crashing.data);
}

#[test]
fn a_restart_after_a_clean_stop_never_overwrites() {
    let mut crashing = Crashing::new(6);
    for _ in 0..3 {
        let mut run = crashing.start();
        wait_for_more(&crashing.simulator, 1000);
        let text = run.stop();
        assert!(!text.contains("torn"), "{text}");
        crashing.ended(0);
    }
    assert_eq!(segments(&crashing.data).len(), 3);
    verify_ok(&crashing.data);
}
