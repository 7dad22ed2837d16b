//! A disk that is full again and again while the recorder writes, seals, begins segments, compresses and removes: capture
//! goes on in memory, the state says so, and everything is written when there is room.
#![allow(clippy::unwrap_used)]

mod common_e2e;

use std::collections::BTreeSet;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

use common_e2e::ledgers::assert_all_stored;
use common_e2e::process::{Run, configuration, wait_for_more};
use common_e2e::{folder, generated, sources, stop, stored, venues, verify_ok, wait_until};
use marketprism_log::Retention;
use marketprism_runtime::{BookSettings, LogSettings, Recorder, Settings, Threads};
use marketprism_simulator::{Market, Simulator};
use rand::{Rng, SeedableRng, rngs::StdRng};

const CHANNELS: [&str; 4] = ["trade", "agg_trade", "book@100ms", "quote"];
/// Bytes of a page, in which a tmpfs gives out its room.
const PAGE: usize = 4096;

/// A small file system, unmounted at the end; `None` where mounting is not allowed.
struct Disk(PathBuf);

impl Disk {
    fn mount(folder: &Path, size: &str) -> Option<Disk> {
        let at = folder.join("disk");
        fs::create_dir(&at).unwrap();
        let options = format!("size={size}");
        let mount = Command::new("mount").args(["-t", "tmpfs", "-o", &options, "tmpfs"]).arg(&at).output();
        if mount.is_ok_and(|output| output.status.success()) {
            return Some(Disk(at));
        }
        eprintln!("a tmpfs cannot be mounted here (root is needed); this test is skipped");
        None
    }

    fn data(&self) -> PathBuf {
        self.0.join("data")
    }

    fn filler(&self) -> PathBuf {
        self.0.join("filler")
    }

    /// Takes all room but for some pages.
    fn fill(&self, left_pages: usize) {
        let mut filler = fs::File::create(self.filler()).unwrap();
        while filler.write_all(&[0; PAGE]).is_ok() {}
        let length = filler.metadata().unwrap().len();
        filler.set_len(length.saturating_sub((left_pages * PAGE) as u64)).unwrap();
    }

    fn free(&self) {
        fs::remove_file(self.filler()).unwrap();
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.0).output();
    }
}

#[test]
fn a_disk_that_is_full_again_and_again_costs_nothing() {
    let folder = folder();
    let Some(disk) = Disk::mount(folder.path(), "64m") else { return };
    let simulator = Simulator::start(generated(41, 2, 3000)).unwrap();
    let settings = Settings {
        data_dir: disk.data(),
        sources: sources(&simulator, &Market::ALL, &CHANNELS),
        certificate_files: vec![],
        threads: Threads::default(),
        log: LogSettings { segment_bytes: 64 << 10, ..LogSettings::default() },
        books: BookSettings::default(),
    };
    let recorder = Recorder::start(settings, &venues()).unwrap();
    simulator.start_feed();
    let mut moments = StdRng::seed_from_u64(41);
    let trouble = || recorder.status().writer.trouble;
    let mut hindered = BTreeSet::new();
    for round in 0..12 {
        wait_for_more(&simulator, moments.random_range(50..800));
        // The last page is taken by a batch, a footer, a new segment's head, or by compression.
        disk.fill(moments.random_range(0..40));
        wait_until("trouble", || trouble().contains("No space left"));
        // "cannot append a batch /…": what was tried.
        hindered.extend(trouble().split_once(" /").map(|(action, _)| action.to_owned()));
        wait_for_more(&simulator, 500);
        assert!(recorder.is_writing(), "round {round}: {}", trouble());
        disk.free();
        wait_until("the end of the trouble", || trouble().is_empty());
    }
    eprintln!("full disks hindered: {hindered:?}");
    wait_until("compression", || recorder.status().maintenance.segments > 0);
    let ledger = simulator.pause();
    assert_eq!(recorder.status().dropped, 0, "memory lasts for so little");
    stop(recorder);
    verify_ok(&disk.data());
    assert_all_stored(&ledger, &stored(&disk.data()));
    let names = fs::read_dir(disk.data()).unwrap().map(|entry| entry.unwrap().file_name());
    let left: Vec<_> = names.filter(|name| !name.to_string_lossy().ends_with(".seg")).collect();
    assert_eq!(left, ["LOCK"], "nothing half done is left");
}

#[test]
fn a_log_that_outgrows_its_disk_is_written_again_when_old_segments_go() {
    let folder = folder();
    let Some(disk) = Disk::mount(folder.path(), "4m") else { return };
    let simulator = Simulator::start(generated(42, 2, 3000)).unwrap();
    let settings = Settings {
        data_dir: disk.data(),
        sources: sources(&simulator, &Market::ALL, &CHANNELS),
        certificate_files: vec![],
        threads: Threads::default(),
        log: LogSettings {
            segment_bytes: 64 << 10,
            compression: false,
            retention: Retention { keep_bytes: Some(2 << 20), ..Retention::default() },
            ..LogSettings::default()
        },
        books: BookSettings::default(),
    };
    let recorder = Recorder::start(settings, &venues()).unwrap();
    simulator.start_feed();
    wait_until("removal", || recorder.status().maintenance.removed_segments > 20);
    disk.fill(0);
    wait_until("trouble", || !recorder.status().writer.trouble.is_empty());
    disk.free();
    let removed = recorder.status().maintenance.removed_segments;
    wait_until("more removal", || recorder.status().maintenance.removed_segments > removed + 20);
    simulator.pause();
    stop(recorder);
    assert!(verify_ok(&disk.data()).bytes < 3 << 20);
}

#[test]
fn a_recorder_that_starts_on_a_full_disk_waits_for_room_and_says_so() {
    let folder = folder();
    let Some(disk) = Disk::mount(folder.path(), "16m") else { return };
    let simulator = Simulator::start(generated(43, 2, 2000)).unwrap();
    disk.fill(0);
    let file = configuration(folder.path(), "disk/data", &sources(&simulator, &Market::ALL, &CHANNELS), "");
    let mut run = Run::start(&file);
    run.wait_for_text("Capture goes on in memory");
    simulator.start_feed();
    wait_for_more(&simulator, 1000);
    // The line that is printed every ten seconds.
    run.wait_for_text("TROUBLE: cannot");
    disk.free();
    run.wait_for_text("writing works again");
    wait_for_more(&simulator, 500);
    let ledger = simulator.pause();
    run.stop();
    verify_ok(&disk.data());
    assert_all_stored(&ledger, &stored(&disk.data()));
}
