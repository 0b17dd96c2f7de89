//! Importing project documents into the embedded store.

mod apply;
mod command;
mod refuse;
mod support;
