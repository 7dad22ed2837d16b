//! The task that makes data flow: flat out, at a rate, or at the pace of a capture.

use std::time::{Duration, Instant};

use crate::clock::{Ticker, now_ms};
use crate::config::Pace;
use crate::core::{Core, Feed, Shared};
use crate::history::binance::Step;
use crate::hub::Hub;
use crate::market::{ACTIONS_PER_SECOND, World};
use crate::playback::Playback;

/// Time between two ticks of a paced feed.
const TICK: Duration = Duration::from_micros(250);
/// Most actions or frames between two looks at the sockets.
const BATCH: usize = 2048;
/// Arrears of a paced feed beyond this many seconds are given up.
const LONGEST_ARREARS: f64 = 2.0;

/// How the producer runs.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Mode {
    GeneratedFlat,
    /// Frames per second over all connections.
    GeneratedRate(u64),
    Played(Pace),
    Recorded,
}

/// Runs for ever; what it does follows `running` and the subscriptions.
pub(crate) async fn run(shared: Shared, mode: Mode) -> std::io::Result<()> {
    match mode {
        Mode::GeneratedFlat => flat(&shared, flat_actions()).await,
        Mode::Played(Pace::Flat) => flat(&shared, play_batch).await,
        Mode::GeneratedRate(rate) => at_rate(&shared, rate).await?,
        Mode::Recorded => recorded(&shared).await?,
        Mode::Played(Pace::Own) => paced(&shared, 1.0).await?,
        Mode::Played(Pace::Times(factor)) => paced(&shared, factor).await?,
    }
    Ok(())
}

fn can_flow(core: &Core) -> bool {
    core.running && !core.feed.finished()
}

/// As fast as the sockets take it; without a subscriber it waits.
async fn flat(shared: &Shared, mut batch: impl FnMut(&mut Core)) {
    loop {
        let flows = {
            let core = shared.core.borrow();
            can_flow(&core) && core.hub.subscribed > 0
        };
        if !flows {
            shared.core.borrow_mut().answer_waiting();
            shared.changed.notified().await;
            continue;
        }
        {
            let core = &mut *shared.core.borrow_mut();
            batch(core);
            core.hub.flush();
        }
        shared.progress.notify_waiters();
        tokio::task::yield_now().await;
        while shared.core.borrow_mut().hub.update_full() {
            shared.room.notified().await;
        }
    }
}

/// Batches of a generated market whose time runs with its actions.
fn flat_actions() -> impl FnMut(&mut Core) {
    let mut nanoseconds = 0_u64;
    move |core: &mut Core| {
        let Core { feed: Feed::Generated(world), hub, .. } = core else { return };
        let step = 1_000_000_000 / (ACTIONS_PER_SECOND * world.instruments.len().max(1) as u64);
        for _ in 0..BATCH {
            world.act(hub);
            nanoseconds += step;
            if nanoseconds >= 1_000_000 {
                world.advance(world.now + nanoseconds / 1_000_000, hub);
                nanoseconds %= 1_000_000;
            }
            if hub.full {
                break;
            }
        }
    }
}

fn play_batch(core: &mut Core) {
    let Core { feed: Feed::Played(playback), hub, .. } = core else { return };
    for _ in 0..BATCH {
        playback.play_one(hub);
        if hub.full || playback.finished() {
            break;
        }
    }
}

/// Waits until data may flow.
async fn flowing(shared: &Shared) {
    while !can_flow(&shared.core.borrow()) {
        shared.core.borrow_mut().answer_waiting();
        shared.changed.notified().await;
    }
}

/// The intensity at a time in seconds, 1 on average: a wave of one second (so that runs of whole seconds
/// keep the rate), and every 40 ms a short burst that carries 15 % of the frames in 3 ms.
fn intensity(seconds: f64) -> f64 {
    let wave = 0.85 + 0.15 * (seconds * std::f64::consts::TAU).sin();
    let burst = if seconds.rem_euclid(0.040) < 0.003 { 0.15 * 40.0 / 3.0 } else { 0.0 };
    wave + burst
}

async fn at_rate(shared: &Shared, rate: u64) -> std::io::Result<()> {
    let ticker = Ticker::new(TICK)?;
    let rate = rate as f64;
    loop {
        flowing(shared).await;
        let began = Instant::now();
        let mut last = 0.0;
        let mut arrears = 0.0;
        while can_flow(&shared.core.borrow()) {
            ticker.tick().await?;
            let seconds = began.elapsed().as_secs_f64();
            arrears += rate * (seconds - last) * intensity(seconds);
            arrears = f64::min(arrears, rate * LONGEST_ARREARS);
            last = seconds;
            let core = &mut *shared.core.borrow_mut();
            let Core { feed: Feed::Generated(world), hub, running, .. } = core else { return Ok(()) };
            if *running {
                arrears = rate_tick(world, hub, arrears);
                hub.flush();
            }
        }
    }
}

/// Sends what is due; returns what is left to send.
fn rate_tick(world: &mut World, hub: &mut Hub, due: f64) -> f64 {
    if hub.update_full() {
        return due;
    }
    let before = hub.total_sent();
    world.advance(now_ms(), hub);
    let most_actions = due as u64 * 4 + 1;
    let mut actions = 0;
    let sent = |hub: &Hub| (hub.total_sent() - before) as f64;
    while sent(hub) + 1.0 <= due && actions < most_actions && !hub.full {
        world.act(hub);
        actions += 1;
    }
    // With few streams subscribed the rate cannot be reached; that is not made up for later.
    if actions == most_actions && due >= 1.0 { 0.0 } else { due - sent(hub) }
}

/// At the pace of the capture, times a factor.
async fn paced(shared: &Shared, factor: f64) -> std::io::Result<()> {
    let ticker = Ticker::new(TICK)?;
    let mut elapsed = Duration::ZERO;
    loop {
        flowing(shared).await;
        let mut last = Instant::now();
        while can_flow(&shared.core.borrow()) {
            ticker.tick().await?;
            let now = Instant::now();
            elapsed += now - std::mem::replace(&mut last, now);
            let position = (elapsed.as_nanos() as f64 * factor) as u64;
            let core = &mut *shared.core.borrow_mut();
            let Core { feed: Feed::Played(playback), hub, running, .. } = core else { return Ok(()) };
            if *running && !hub.update_full() {
                play_until(playback, hub, position);
                hub.flush();
                shared.progress.notify_waiters();
            }
        }
    }
}

fn play_until(playback: &mut Playback, hub: &mut Hub, position: u64) {
    for _ in 0..BATCH * 16 {
        if playback.finished() || playback.next_at() > position || hub.full {
            return;
        }
        playback.play_one(hub);
    }
}

/// History, when it is due by its timeline and the sockets take it.
async fn recorded(shared: &Shared) -> std::io::Result<()> {
    let ticker = Ticker::new(TICK)?;
    loop {
        flowing(shared).await;
        let step = play_recorded(&mut shared.core.borrow_mut());
        shared.progress.notify_waiters();
        match step {
            Step::Played => tokio::task::yield_now().await,
            Step::Early => ticker.tick().await?,
            Step::Ended => shared.core.borrow_mut().answer_waiting(),
        }
        while shared.core.borrow_mut().hub.update_full() {
            shared.room.notified().await;
        }
    }
}

/// Plays a batch of what is due.
fn play_recorded(core: &mut Core) -> Step {
    let Core { feed: Feed::Recorded(replay), hub, .. } = core else { return Step::Ended };
    let mut step = Step::Played;
    for _ in 0..BATCH {
        step = replay.step(hub);
        if step != Step::Played || hub.full {
            break;
        }
    }
    hub.flush();
    step
}
