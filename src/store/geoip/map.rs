//! Maps a database file into memory: the one place of the crate with `unsafe` code.
//!
//! Why: a City file has 60 MB and more. Mapped, start-up reads nothing, all processes of a machine share the pages, and only
//! those that lookups touch take memory. The safe twin, [`maxminddb::Reader::open_readfile`], gives the same
//! answers from a copy of its own; tests hold both to each other.
#![expect(
    unsafe_code,
    reason = "nothing in the language can promise that no other process writes into a mapped file"
)]

use std::path::Path;

use maxminddb::{MaxMindDbError, Mmap, Reader};

/// Opens and maps.
pub(super) fn open(path: &Path) -> Result<Reader<Mmap>, MaxMindDbError> {
    // SAFETY: the file must not change while it is mapped. This process never writes to it. The operator upholds the
    // rest, as the documentation of MAXMIND_DB_PATH asks: a new database is renamed over the name, which leaves the mapped file as it is.
    unsafe { Reader::open_mmap(path) }
}
