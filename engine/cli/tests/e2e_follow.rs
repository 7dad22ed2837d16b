//! `replay --follow --cursor` on a running recorder: every record at least once across kills of the follower, and
//! nothing removed that it has not printed.
#![allow(clippy::unwrap_used)]

mod common_e2e;

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use common_e2e::{folder, generated, sources, venues, verify_ok, wait_for, wait_until};
use marketprism_log::{LogReader, Retention, cursors};
use marketprism_runtime::{BookSettings, LogSettings, Recorder, Settings, Threads};
use marketprism_simulator::{Market, Simulator};
use serde_json::Value;

/// A follower with its output in a file.
struct Follower {
    child: Child,
    output: PathBuf,
}

impl Follower {
    fn start(data: &Path, output: PathBuf) -> Follower {
        let child = Command::new(env!("CARGO_BIN_EXE_marketprism"))
            .arg("replay")
            .arg(data)
            .args(["--follow", "--cursor", "test"])
            .stdout(File::create(&output).unwrap())
            .stderr(Stdio::inherit())
            .spawn()
            .unwrap();
        Follower { child, output }
    }

    /// Capture sequences in whole lines.
    fn printed(&self) -> Vec<u64> {
        let text = std::fs::read_to_string(&self.output).unwrap();
        let whole = text.rfind('\n').map_or("", |end| &text[..end]);
        let sequence = |line| serde_json::from_str::<Value>(line).unwrap()["sequence"].as_u64().unwrap();
        whole.lines().map(sequence).collect()
    }

    fn wait_for_records(&self, records: usize) {
        wait_until("printed records", || self.printed().len() >= records);
    }
}

impl Drop for Follower {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn first_sequence(data: &Path) -> u64 {
    LogReader::open(data).unwrap().first_sequence().unwrap()
}

/// A recorder of small segments that keeps next to nothing.
fn start(simulator: &Simulator, data: &Path) -> Recorder {
    let retention = Retention { keep_bytes: Some(64 << 10), ..Retention::default() };
    let settings = Settings {
        data_dir: data.to_owned(),
        sources: sources(simulator, &Market::ALL, &["trade", "agg_trade", "book@100ms", "quote"]),
        certificate_files: vec![],
        threads: Threads::default(),
        log: LogSettings { segment_bytes: 64 << 10, retention, ..LogSettings::default() },
        books: BookSettings::default(),
    };
    Recorder::start(settings, &venues()).unwrap()
}

#[test]
fn a_follower_that_is_killed_prints_every_record_and_nothing_is_removed_before() {
    let folder = folder();
    let data = folder.path().join("data");
    let simulator = Simulator::start(generated(31, 2, 4000)).unwrap();
    let recorder = start(&simulator, &data);
    simulator.start_feed();
    let mut next = 0;
    for life in 0..4 {
        wait_until("segments", || LogReader::open(&data).unwrap().segments().len() >= 3);
        let mut follower = Follower::start(&data, folder.path().join(format!("printed-{life}")));
        follower.wait_for_records(3000);
        follower.child.kill().unwrap();
        follower.child.wait().unwrap();
        let printed = follower.printed();
        assert!(printed[0] <= next, "records {next} to {} were never printed", printed[0]);
        assert!(printed.windows(2).all(|pair| pair[1] == pair[0] + 1), "in order and without a hole");
        next = printed.last().unwrap() + 1;
        let delivered = cursors(&data).unwrap()[0].sequence;
        assert!(delivered <= next, "the cursor is at {delivered}, printed is what is before {next}");
        assert!(first_sequence(&data) <= delivered, "what was not delivered is kept");
    }
    // The follower is gone and what it has not printed piles up.
    wait_until("held segments", || recorder.status().maintenance.held_bytes > 0);
    let mut follower = Follower::start(&data, folder.path().join("printed"));
    wait_until("removal of what is printed", || first_sequence(&data) > next);
    simulator.pause();
    common_e2e::stop(recorder);
    let end = verify_ok(&data).records + first_sequence(&data);
    wait_until("the rest", || follower.printed().last() == Some(&(end - 1)));
    // SAFETY: a signal to a child of this process, which is not yet waited for.
    assert_eq!(unsafe { libc::kill(follower.child.id() as i32, libc::SIGTERM) }, 0);
    let status = wait_for("the end of the follower", || follower.child.try_wait().unwrap());
    assert_eq!(status.code(), Some(0));
    assert!(follower.printed()[0] <= next);
    assert_eq!(cursors(&data).unwrap()[0].sequence, end);
}
