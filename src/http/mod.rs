//! Routing; one file an endpoint; error to response.
