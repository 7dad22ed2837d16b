//! Runs of the recorder follow each other: none comes back after another one has written.

use std::collections::HashSet;

use crate::error::Problem;
use crate::map::Segment;

/// The runs whose segments have passed by.
#[derive(Default)]
pub(super) struct Runs {
    ended: HashSet<u64>,
    current: Option<u64>,
}

impl Runs {
    /// The next segment of the log. A run that comes back is a problem: a segment of another log lies between.
    pub(super) fn next(&mut self, segment: &Segment) -> Option<Problem> {
        let run = segment.header().ok()?.run_id;
        let before = self.current.replace(run).filter(|before| *before != run)?;
        self.ended.insert(before);
        self.ended.contains(&run).then(|| {
            let what = format!(
                "run {run} wrote before and after run {before}: one of these segments is of another log"
            );
            Problem::new(segment.name(), 0, what)
        })
    }
}
