//! Exact decimals for Arrow.

use marketprism_core::record::ABSENT;
use pyo3::buffer::PyBuffer;
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;

use crate::LogError;
use crate::memory::Memory;

/// Most digits of a 128-bit decimal.
const MAX_DIGITS: u32 = 38;

/// Numbers with an exponent each as 128-bit integers that count `10^-scale`, where that is exact. A missing number gives 0.
#[pyfunction]
pub(crate) fn decimal128(
    py: Python<'_>,
    mantissas: PyBuffer<i64>,
    exponents: PyBuffer<i8>,
    scale: i32,
) -> PyResult<Memory> {
    let (mantissas, exponents) = (mantissas.to_vec(py)?, exponents.to_vec(py)?);
    if mantissas.len() != exponents.len() {
        return Err(PyValueError::new_err("there are not as many exponents as numbers"));
    }
    let wide = py.detach(|| {
        let pairs = mantissas.into_iter().zip(exponents);
        pairs.map(|(mantissa, exponent)| widen(mantissa, exponent, scale)).collect::<Option<Vec<i128>>>()
    });
    let too_wide =
        "a number has more digits than a 128-bit decimal of this scale: take .to_decimals() or floats";
    wide.map(Memory::owned).ok_or_else(|| LogError::new_err(too_wide))
}

fn widen(mantissa: i64, exponent: i8, scale: i32) -> Option<i128> {
    if mantissa == ABSENT {
        return Some(0);
    }
    let power = u32::try_from(i32::from(exponent).checked_add(scale)?).ok()?;
    let number = i128::from(mantissa).checked_mul(10_i128.checked_pow(power)?)?;
    (number.unsigned_abs() < 10_u128.pow(MAX_DIGITS)).then_some(number)
}
