//! One module for each command.

pub(crate) mod bench;
pub(crate) mod check;
pub(crate) mod decode;
pub(crate) mod demo;
#[cfg(feature = "export")]
pub(crate) mod export;
pub(crate) mod inspect;
pub(crate) mod query;
pub(crate) mod replay;
pub(crate) mod run;
pub(crate) mod simulate;
pub(crate) mod verify;
