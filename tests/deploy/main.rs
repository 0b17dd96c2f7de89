//! What is delivered beside the program: manifests, image, alert rules, dashboard, bill of materials.
//!
//! `scripts/check-deploy` judges them; here it is run, and it is shown that it finds mistakes.

mod metrics;
mod mistakes;
#[allow(dead_code, reason = "each test binary uses a part")]
#[path = "../support/geoip.rs"]
mod mmdb;
#[path = "../support/object_storage.rs"]
mod object_storage;
mod sbom;
mod script;
#[path = "../support/servers.rs"]
mod servers;
#[path = "../check/world.rs"]
#[allow(dead_code, reason = "each test binary uses a part")]
mod world;
