//! The struct of each kind of record.

use bytemuck::{Pod, Zeroable};

use super::{Header, Kind, Line};

/// A record with a fixed layout; its size is a whole number of lines.
pub trait Record: Pod {
    /// The kind that its header carries ([`BookDelta`](Kind::BookDelta) stands for both book kinds).
    const KIND: Kind;
    /// The header.
    fn header(&self) -> &Header;
    /// The record as lines.
    fn lines(&self) -> &[Line];
}

macro_rules! record {
    ($name:ident, $kind:expr) => {
        const _: () = assert!(size_of::<$name>() == $kind.head_lines() * LINE_BYTES);
        impl Record for $name {
            const KIND: Kind = $kind;
            fn header(&self) -> &Header {
                &self.header
            }
            fn lines(&self) -> &[Line] {
                bytemuck::cast_slice(std::slice::from_ref(self))
            }
        }
    };
}

mod books;
mod capture;
mod options;
mod statistics;
mod trades;

pub use books::*;
pub use capture::*;
pub use options::*;
pub use statistics::*;
pub use trades::*;

/// The side that took liquidity, or the side of a liquidation order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Side {
    /// Not given.
    Unknown = 0,
    /// The aggressor bought.
    Buy = 1,
    /// The aggressor sold.
    Sell = 2,
}

impl Side {
    /// `buy` or `sell`.
    pub const fn name(number: u8) -> Option<&'static str> {
        match number {
            1 => Some("buy"),
            2 => Some("sell"),
            _ => None,
        }
    }
}

/// The bytes behind a record.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Pod, Zeroable)]
#[repr(C)]
pub struct Body {
    /// In the log: offset in the batch's byte pool. In the ring: 0.
    pub start: u32,
    /// Length in bytes.
    pub bytes: u32,
}
