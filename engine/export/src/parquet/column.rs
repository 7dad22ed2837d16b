//! Columns that are being filled.

use std::sync::Arc;

use arrow_array::builder::{
    BinaryBuilder, BooleanBuilder, Decimal128Builder, Int64Builder, StringBuilder, StringDictionaryBuilder,
    TimestampNanosecondBuilder, UInt64Builder,
};
use arrow_array::types::Int8Type;
use arrow_array::{ArrayRef, Decimal128Array, ListArray, StructArray};
use arrow_buffer::{NullBufferBuilder, OffsetBuffer, ScalarBuffer};
use arrow_schema::{ArrowError, DataType, Field, Fields, TimeUnit};
use marketprism_core::clock::TIME_MISSING;
use marketprism_core::record::{ABSENT, Level};

/// Decimals have this precision.
pub(super) const PRECISION: u8 = 38;
/// Decimals of prices, quantities and amounts: all that 64 bits hold with up to 18 decimals.
pub(super) const SCALE: i8 = 18;
/// Decimals of rates, ratios, volatilities and greeks, which venues send as printed binary fractions.
pub(super) const RATE_SCALE: i8 = 30;

/// What a column holds. All but [`Type::Flag`] may be NULL, which is: not known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Type {
    /// A price, a quantity or an amount.
    Number,
    /// A rate, a ratio, a volatility or a greek.
    Rate,
    /// Nanoseconds since the Unix epoch.
    Time,
    Unsigned,
    Signed,
    /// One of a few words.
    Word,
    Text,
    Bytes,
    Flag,
    /// Levels of one side of a book.
    Levels,
}

impl Type {
    pub(super) fn data_type(self) -> DataType {
        match self {
            Type::Number => DataType::Decimal128(PRECISION, SCALE),
            Type::Rate => DataType::Decimal128(PRECISION, RATE_SCALE),
            Type::Time => DataType::Timestamp(TimeUnit::Nanosecond, Some("UTC".into())),
            Type::Unsigned => DataType::UInt64,
            Type::Signed => DataType::Int64,
            Type::Word => DataType::Dictionary(Box::new(DataType::Int8), Box::new(DataType::Utf8)),
            Type::Text => DataType::Utf8,
            Type::Bytes => DataType::Binary,
            Type::Flag => DataType::Boolean,
            Type::Levels => DataType::List(level_item()),
        }
    }
}

fn level_item() -> Arc<Field> {
    Arc::new(Field::new("element", DataType::Struct(level_fields()), false))
}

fn level_fields() -> Fields {
    let number = |name| Field::new(name, Type::Number.data_type(), false);
    Fields::from(vec![number("price"), number("quantity")])
}

/// Values of one column. As long as all are NULL, they are only counted: many kinds have columns that most venues leave
/// empty.
pub(super) struct Column {
    nulls: usize,
    is_empty: bool,
    values: Values,
}

enum Values {
    Decimal(Decimal128Builder, i8),
    Time(TimestampNanosecondBuilder),
    Unsigned(UInt64Builder),
    Signed(Int64Builder),
    Word(StringDictionaryBuilder<Int8Type>),
    Text(StringBuilder),
    Bytes(BinaryBuilder),
    Flag(BooleanBuilder),
    Levels(Levels),
}

/// Lists of levels.
struct Levels {
    ends: Vec<i32>,
    prices: Vec<i128>,
    quantities: Vec<i128>,
    known: NullBufferBuilder,
}

impl Column {
    pub(super) fn new(data: Type) -> Column {
        let values = match data {
            Type::Number => Values::Decimal(Decimal128Builder::new(), SCALE),
            Type::Rate => Values::Decimal(Decimal128Builder::new(), RATE_SCALE),
            Type::Time => Values::Time(TimestampNanosecondBuilder::new()),
            Type::Unsigned => Values::Unsigned(UInt64Builder::new()),
            Type::Signed => Values::Signed(Int64Builder::new()),
            Type::Word => Values::Word(StringDictionaryBuilder::new()),
            Type::Text => Values::Text(StringBuilder::new()),
            Type::Bytes => Values::Bytes(BinaryBuilder::new()),
            Type::Flag => Values::Flag(BooleanBuilder::new()),
            Type::Levels => Values::Levels(Levels::new()),
        };
        Column { nulls: 0, is_empty: true, values }
    }

    /// Where the next value goes; `None` for a NULL that was counted.
    fn next(&mut self, is_known: bool) -> Option<&mut Values> {
        if self.is_empty {
            if !is_known {
                self.nulls += 1;
                return None;
            }
            self.fill();
        }
        Some(&mut self.values)
    }

    /// Appends the NULLs that were counted.
    fn fill(&mut self) {
        let nulls = std::mem::take(&mut self.nulls);
        self.is_empty = false;
        match &mut self.values {
            Values::Decimal(builder, _) => builder.append_nulls(nulls),
            Values::Time(builder) => builder.append_nulls(nulls),
            Values::Unsigned(builder) => builder.append_nulls(nulls),
            Values::Signed(builder) => builder.append_nulls(nulls),
            Values::Word(builder) => builder.append_nulls(nulls),
            Values::Text(builder) => builder.append_nulls(nulls),
            Values::Bytes(builder) => builder.append_nulls(nulls),
            // Always known.
            Values::Flag(_) | Values::Levels(_) => {}
        }
    }

    /// The values so far; the column is empty afterwards and holds no memory.
    pub(super) fn take(&mut self) -> Result<ArrayRef, ArrowError> {
        self.fill();
        self.is_empty = true;
        Ok(match &mut self.values {
            Values::Decimal(builder, scale) => {
                Arc::new(builder.finish().with_precision_and_scale(PRECISION, *scale)?)
            }
            Values::Time(builder) => Arc::new(builder.finish().with_timezone("UTC")),
            Values::Unsigned(builder) => Arc::new(builder.finish()),
            Values::Signed(builder) => Arc::new(builder.finish()),
            Values::Word(builder) => Arc::new(builder.finish()),
            Values::Text(builder) => Arc::new(builder.finish()),
            Values::Bytes(builder) => Arc::new(builder.finish()),
            Values::Flag(builder) => Arc::new(builder.finish()),
            Values::Levels(levels) => Arc::new(std::mem::replace(levels, Levels::new()).array()?),
        })
    }
}

impl Levels {
    fn new() -> Levels {
        Levels { ends: vec![0], prices: vec![], quantities: vec![], known: NullBufferBuilder::new(0) }
    }

    /// Appends a list. Where a number does not fit, the list is NULL; gives whether all did.
    fn append(&mut self, levels: &[Level], exponents: (i8, i8)) -> bool {
        let start = self.prices.len();
        for level in levels {
            let (price, quantity) =
                (scaled(level.price, exponents.0, SCALE), scaled(level.quantity, exponents.1, SCALE));
            let (Some(price), Some(quantity)) = (price, quantity) else {
                self.prices.truncate(start);
                self.quantities.truncate(start);
                break;
            };
            self.prices.push(price);
            self.quantities.push(quantity);
        }
        let is_exact = self.prices.len() - start == levels.len();
        self.known.append(is_exact);
        // A row group is written long before this can saturate.
        self.ends.push(i32::try_from(self.prices.len()).unwrap_or(i32::MAX));
        is_exact
    }

    fn array(mut self) -> Result<ListArray, ArrowError> {
        let decimals = |values: Vec<i128>| -> Result<ArrayRef, ArrowError> {
            Ok(Arc::new(
                Decimal128Array::new(ScalarBuffer::from(values), None)
                    .with_precision_and_scale(PRECISION, SCALE)?,
            ))
        };
        let columns = vec![decimals(self.prices)?, decimals(self.quantities)?];
        let levels = StructArray::try_new(level_fields(), columns, None)?;
        let ends = OffsetBuffer::new(ScalarBuffer::from(self.ends));
        ListArray::try_new(level_item(), ends, Arc::new(levels), self.known.finish())
    }
}

/// `mantissa × 10^exponent` as a whole number of `10^-scale`; `None` where that would lose a digit or has more than
/// [`PRECISION`] digits.
fn scaled(mantissa: i64, exponent: i8, scale: i8) -> Option<i128> {
    if mantissa == 0 {
        return Some(0);
    }
    let power = i32::from(exponent) + i32::from(scale);
    let factor = *POWERS.get(power.unsigned_abs() as usize)?;
    let mantissa = i128::from(mantissa);
    match power {
        0.. => mantissa.checked_mul(factor).filter(|value| value.unsigned_abs() < POWERS_END),
        _ if mantissa % factor == 0 => Some(mantissa / factor),
        _ => None,
    }
}

const POWERS: [i128; PRECISION as usize + 1] = {
    let mut table = [1; PRECISION as usize + 1];
    let mut index = 1;
    while index < table.len() {
        table[index] = table[index - 1] * 10;
        index += 1;
    }
    table
};

const POWERS_END: u128 = POWERS[PRECISION as usize] as u128;

/// One row, filled column by column in the order of the schema.
pub(super) struct Row<'t> {
    columns: std::slice::IterMut<'t, Column>,
    /// Whether every number fits its column.
    pub(super) is_exact: bool,
    /// Memory of what was appended, bytes.
    pub(super) bytes: usize,
}

impl<'t> Row<'t> {
    pub(super) fn new(columns: &'t mut [Column]) -> Row<'t> {
        Row { columns: columns.iter_mut(), is_exact: true, bytes: 0 }
    }

    /// Where the value of the next column goes.
    fn next(&mut self, is_known: bool) -> Option<&'t mut Values> {
        self.columns.next()?.next(is_known)
    }

    /// A number with its power of ten.
    pub(super) fn decimal(&mut self, mantissa: i64, exponent: i8) {
        let is_known = mantissa != ABSENT;
        if let Some(Values::Decimal(builder, scale)) = self.next(is_known) {
            let value = if is_known { scaled(mantissa, exponent, *scale) } else { None };
            self.is_exact &= value.is_some() || !is_known;
            builder.append_option(value);
            self.bytes += size_of::<i128>();
        }
    }

    pub(super) fn time(&mut self, ns: i64) {
        let is_known = ns != TIME_MISSING;
        if let Some(Values::Time(builder)) = self.next(is_known) {
            builder.append_option(is_known.then_some(ns));
            self.bytes += size_of::<i64>();
        }
    }

    pub(super) fn unsigned(&mut self, value: Option<u64>) {
        if let Some(Values::Unsigned(builder)) = self.next(value.is_some()) {
            builder.append_option(value);
            self.bytes += size_of::<u64>();
        }
    }

    /// A whole number, or [`ABSENT`].
    pub(super) fn signed(&mut self, value: i64) {
        let is_known = value != ABSENT;
        if let Some(Values::Signed(builder)) = self.next(is_known) {
            builder.append_option(is_known.then_some(value));
            self.bytes += size_of::<i64>();
        }
    }

    pub(super) fn word(&mut self, word: Option<&str>) {
        if let Some(Values::Word(builder)) = self.next(word.is_some()) {
            builder.append_option(word);
            self.bytes += 1;
        }
    }

    pub(super) fn text(&mut self, text: Option<&str>) {
        if let Some(Values::Text(builder)) = self.next(text.is_some()) {
            builder.append_option(text);
            self.bytes += text.map_or(0, str::len) + size_of::<i32>();
        }
    }

    pub(super) fn bytes(&mut self, bytes: &[u8]) {
        if let Some(Values::Bytes(builder)) = self.next(true) {
            builder.append_value(bytes);
            self.bytes += bytes.len() + size_of::<i32>();
        }
    }

    pub(super) fn flag(&mut self, flag: bool) {
        if let Some(Values::Flag(builder)) = self.next(true) {
            builder.append_value(flag);
            self.bytes += 1;
        }
    }

    pub(super) fn levels(&mut self, levels: &[Level], exponents: (i8, i8)) {
        if let Some(Values::Levels(column)) = self.next(true) {
            self.is_exact &= column.append(levels, exponents);
            self.bytes += levels.len() * 2 * size_of::<i128>() + size_of::<i32>();
        }
    }
}

#[cfg(test)]
mod tests {
    use marketprism_core::Decimal;
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_does_not_fit_is_refused() {
        assert_eq!(scaled(i64::MAX, 0, 18), Some(i128::from(i64::MAX) * 1_000_000_000_000_000_000));
        assert_eq!((scaled(1, -18, 18), scaled(1, -19, 18), scaled(10, -19, 18)), (Some(1), None, Some(1)));
        assert_eq!(
            (scaled(1, 19, 18), scaled(10, 19, 18), scaled(1, 20, 18)),
            (Some(POWERS[37]), None, None)
        );
        assert_eq!((scaled(0, 127, 30), scaled(1, -128, 30), scaled(1, 127, 18)), (Some(0), None, None));
    }

    proptest! {
        #[test]
        fn a_scaled_number_reads_as_the_decimal(mantissa: i64, exponent in -30..10_i8, rate: bool) {
            let scale = if rate { RATE_SCALE } else { SCALE };
            if let Some(value) = scaled(mantissa, exponent, scale) {
                // Both without the zeros at the end.
                let (mut value, mut power) = (value, -i32::from(scale));
                while value != 0 && value % 10 == 0 {
                    (value, power) = (value / 10, power + 1);
                }
                let expected = Decimal::new(mantissa, exponent).normalised();
                prop_assert_eq!(value, i128::from(expected.mantissa));
                prop_assert!(value == 0 || power == i32::from(expected.exponent));
            }
        }
    }
}
