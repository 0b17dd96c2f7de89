//! Accept loop, connection settings, drain, start-up wiring.
