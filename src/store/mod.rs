//! Adapters: the only place that knows database clients.
