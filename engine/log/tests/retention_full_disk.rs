//! A full disk on which old segments are removed. Alone in its process: a program that is started while another test opens a
//! log holds that log's lock for a moment.
#![allow(clippy::unwrap_used)]

mod common;

use common::*;
use marketprism_log::*;

/// Fills a log with segments of a hundred trades, the first with the id `next`, until there is no room.
fn fill(appender: &mut Appender, next: &mut u64) -> LogError {
    loop {
        *next += 100;
        let mut batch = trades(*next - 100, *next);
        if let Err(error) = appender.append(&mut batch).and_then(|()| appender.rotate()) {
            return error;
        }
    }
}

#[test]
fn a_full_file_system_gets_room_again() {
    let directory = temporary();
    let mounted = std::process::Command::new("mount")
        .args(["-t", "tmpfs", "-o", "size=256k", "tmpfs"])
        .arg(directory.path())
        .output();
    if !mounted.is_ok_and(|output| output.status.success()) {
        eprintln!("skipped: no permission to mount a tmpfs");
        return;
    }
    let log = directory.path().join("log");
    let mut appender = appender(&log);
    let mut next = 1;
    let error = fill(&mut appender, &mut next);
    let retention = Retention { keep_bytes: Some(128 << 10), ..Retention::default() };
    let expired = expired(&log, retention, 0).unwrap().segments;
    expired.iter().for_each(|segment| segment.remove().unwrap());
    let flushed = appender.flush();
    let appended = appender.append(&mut trades(next, next + 100));
    drop(appender);
    let ids = read_ids(&log).0;
    let verification = verify(&log).unwrap();
    let unmounted = std::process::Command::new("umount").arg(directory.path()).status();
    assert!(unmounted.unwrap().success());
    assert!(error.is_full(), "{error}");
    assert!(expired.len() > 5, "{expired:?}");
    flushed.unwrap();
    appended.unwrap();
    assert_eq!(ids, (expired.len() as u64 * 100 + 1..next + 100).collect::<Vec<_>>());
    assert!(verification.ok, "{:?}", verification.problems);
}
