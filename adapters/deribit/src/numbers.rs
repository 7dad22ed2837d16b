//! The numbers of a message by their keys.

use marketprism_core::Decimal;

/// Numbers that are told apart by their keys.
pub(crate) trait Numbers {
    /// The keys.
    const KEYS: &'static [&'static str];

    /// The number with this key, where there is one.
    fn number(&mut self, key: &[u8]) -> Option<&mut Decimal>;
}

/// A struct of the numbers of a message, each with its key. In `EMPTY` nothing was sent: all are
/// [`NO_DECIMAL`](marketprism_parse::numbers::NO_DECIMAL).
macro_rules! numbers {
    ($(#[$about:meta])* $name:ident { $($field:ident: $key:literal,)* }) => {
        $(#[$about])*
        pub(crate) struct $name {
            $(pub(crate) $field: marketprism_core::Decimal,)*
        }

        impl $name {
            pub(crate) const EMPTY: $name = $name { $($field: marketprism_parse::numbers::NO_DECIMAL,)* };
        }

        impl crate::numbers::Numbers for $name {
            const KEYS: &'static [&'static str] = &[$($key),*];

            #[inline(always)]
            fn number(&mut self, key: &[u8]) -> Option<&mut marketprism_core::Decimal> {
                $(
                    if key == $key.as_bytes() {
                        return Some(&mut self.$field);
                    }
                )*
                None
            }
        }
    };
}

pub(crate) use numbers;
