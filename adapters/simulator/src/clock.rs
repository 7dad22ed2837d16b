//! Wall-clock time and the ticks of paced feeds.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Epoch milliseconds.
pub(crate) fn now_ms() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |elapsed| elapsed.as_millis() as u64)
}

/// Ticks finer than the runtime's own timer, which counts whole milliseconds.
pub(crate) struct Ticker {
    timer: tokio::io::unix::AsyncFd<std::os::fd::OwnedFd>,
}

impl Ticker {
    pub(crate) fn new(interval: Duration) -> std::io::Result<Self> {
        use rustix::time::{
            Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create,
            timerfd_settime,
        };
        let timer =
            timerfd_create(TimerfdClockId::Monotonic, TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC)?;
        let step = Timespec { tv_sec: interval.as_secs() as i64, tv_nsec: interval.subsec_nanos().into() };
        timerfd_settime(
            &timer,
            TimerfdTimerFlags::empty(),
            &Itimerspec { it_interval: step, it_value: step },
        )?;
        // SAFETY: the timer owns its descriptor, hands it out only by reference, and closes it when dropped,
        // so the number means the same open file for as long as it is registered.
        let timer = unsafe {
            tokio::io::unix::AsyncFd::register_with_interest(timer, tokio::io::Interest::READABLE)
        }?;
        Ok(Ticker { timer })
    }

    /// Waits for the next tick; ticks missed meanwhile count as one.
    pub(crate) async fn tick(&self) -> std::io::Result<()> {
        loop {
            let mut ready = self.timer.readable().await?;
            let mut expirations = [0; 8];
            let read = |timer: &tokio::io::unix::AsyncFd<std::os::fd::OwnedFd>| {
                rustix::io::read(timer.get_ref(), &mut expirations).map_err(std::io::Error::from)
            };
            if let Ok(result) = ready.try_io(read) {
                return result.map(|_| ());
            }
        }
    }
}
