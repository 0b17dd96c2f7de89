//! Health and metric names.
