//! Request weight per clock minute, refusals and bans, as the venue accounts them per address.

/// What becomes of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    Served,
    /// 429: seconds until the next minute.
    Refused {
        retry_after: u64,
    },
    /// 418: seconds left, and the end in epoch milliseconds.
    Banned {
        retry_after: u64,
        until: u64,
    },
}

/// The account of one address on one bucket.
#[derive(Debug, Default)]
pub(crate) struct Meter {
    minute: u64,
    pub(crate) used: u32,
    refusals: u32,
    banned_until: u64,
}

impl Meter {
    /// Charges a request at a time in epoch milliseconds.
    pub(crate) fn charge(&mut self, now: u64, weight: u32, limit: u32, patience: u32, ban: u64) -> Verdict {
        if now < self.banned_until {
            return self.banned(now);
        }
        if self.minute != now / 60_000 {
            self.minute = now / 60_000;
            self.used = 0;
            self.refusals = 0;
        }
        self.used = self.used.saturating_add(weight);
        if self.used <= limit {
            return Verdict::Served;
        }
        self.refusals += 1;
        if self.refusals > patience {
            self.banned_until = now + ban;
            return self.banned(now);
        }
        Verdict::Refused { retry_after: 60 - now / 1000 % 60 }
    }

    fn banned(&self, now: u64) -> Verdict {
        let until = self.banned_until;
        Verdict::Banned { retry_after: (until - now).div_ceil(1000), until }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refusal_then_ban_then_a_new_minute() {
        let mut meter = Meter::default();
        let start = 60_000 * 1000 + 15_000;
        assert_eq!(meter.charge(start, 90, 100, 2, 120_000), Verdict::Served);
        assert_eq!(meter.charge(start, 20, 100, 2, 120_000), Verdict::Refused { retry_after: 45 });
        assert_eq!(meter.charge(start, 20, 100, 2, 120_000), Verdict::Refused { retry_after: 45 });
        let until = start + 120_000;
        assert_eq!(meter.charge(start, 1, 100, 2, 120_000), Verdict::Banned { retry_after: 120, until });
        assert_eq!(
            meter.charge(start + 60_000, 1, 100, 2, 120_000),
            Verdict::Banned { retry_after: 60, until }
        );
        assert_eq!(meter.charge(until, 1, 100, 2, 120_000), Verdict::Served);
        assert_eq!(meter.used, 1);
    }
}
