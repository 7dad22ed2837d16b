//! Memory that Python shares.

use std::ffi::c_int;
use std::ops::Range;
use std::sync::Arc;

use bytemuck::NoUninit;
use marketprism_log::Segment;
use pyo3::exceptions::PyBufferError;
use pyo3::ffi;
use pyo3::prelude::*;

/// Bytes that stay where they are and as they are for as long as their owner lives.
trait Owner: Send + Sync {
    fn bytes(&self) -> &[u8];
}

impl<T: NoUninit + Send + Sync> Owner for Vec<T> {
    fn bytes(&self) -> &[u8] {
        bytemuck::cast_slice(self)
    }
}

/// A part of a mapped segment.
struct Mapped {
    segment: Arc<Segment>,
    range: Range<usize>,
}

impl Owner for Mapped {
    fn bytes(&self) -> &[u8] {
        self.segment.bytes().get(self.range.clone()).unwrap_or_default()
    }
}

/// Read-only bytes with the buffer protocol. A segment stays mapped for as long as anything made of it lives.
#[pyclass(frozen)]
pub(crate) struct Memory(Box<dyn Owner>);

impl Memory {
    /// Memory of its own.
    pub(crate) fn owned<T: NoUninit + Send + Sync>(elements: Vec<T>) -> Memory {
        Memory(Box::new(elements))
    }

    /// A part of a segment, as it lies in the file. Offsets are bytes from the start of the file.
    pub(crate) fn mapped(segment: Arc<Segment>, range: Range<usize>) -> Memory {
        Memory(Box::new(Mapped { segment, range }))
    }
}

#[pymethods]
impl Memory {
    fn __len__(&self) -> usize {
        self.0.bytes().len()
    }

    /// # Safety
    ///
    /// Python calls this with a view that may be written.
    unsafe fn __getbuffer__(slf: Bound<'_, Self>, view: *mut ffi::Py_buffer, flags: c_int) -> PyResult<()> {
        let bytes = slf.get().0.bytes();
        let length = isize::try_from(bytes.len()).map_err(|_| PyBufferError::new_err("too long"))?;
        const READ_ONLY: c_int = 1;
        // SAFETY: `view` comes from Python. The bytes are neither moved nor changed nor freed while this object lives: it is
        // frozen, its owner is never taken out, and the view holds a reference to it. Read-only views write to none.
        let filled = unsafe {
            ffi::PyBuffer_FillInfo(
                view,
                slf.as_ptr(),
                bytes.as_ptr().cast_mut().cast(),
                length,
                READ_ONLY,
                flags,
            )
        };
        if filled == 0 { Ok(()) } else { Err(PyErr::fetch(slf.py())) }
    }
}
