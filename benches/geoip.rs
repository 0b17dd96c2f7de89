//! One lookup of a location: tree, record, seven texts. Addresses differ from one to the next.

#[path = "../tests/support/geoip.rs"]
mod mmdb;

use std::hint::black_box;
use std::net::IpAddr;
use std::sync::Arc;

use criterion::{Criterion, criterion_group, criterion_main};
use feature_flags::context::geo::GeoLookup;
use feature_flags::store::geoip::GeoDatabase;

/// Networks of 24 bits, each with a record of its own as full as those of real databases.
const NETWORKS: u32 = 20_000;

fn lookups(criterion: &mut Criterion) {
    let mut writer = mmdb::MmdbWriter::city(6, 28);
    for number in 0..NETWORKS {
        let record = mmdb::full_record("FR", &format!("City {number}"), &format!("{number:05}"));
        writer = writer.network(&format!("{}/24", network(number)), record);
    }
    let database = GeoDatabase::from_bytes(writer.bytes()).expect("a database");
    let geo = GeoLookup::new(Arc::new(database));
    let mut group = criterion.benchmark_group("geoip");
    let mut number = 0_u32;
    group.bench_function("lookup/found", |bencher| {
        bencher.iter(|| {
            number = number.wrapping_add(7_919);
            black_box(geo.locate(black_box(network(number % NETWORKS))))
        });
    });
    group.bench_function("lookup/unknown", |bencher| {
        bencher.iter(|| {
            number = number.wrapping_add(7_919);
            black_box(geo.locate(black_box(IpAddr::from((0xc000_0000 | number).to_be_bytes()))))
        });
    });
    group.finish();
}

/// Spread over the first half of the address space.
fn network(number: u32) -> IpAddr {
    IpAddr::from(((number * 419 + 65_536) << 8 & 0x7fff_ff00).to_be_bytes())
}

criterion_group!(benches, lookups);
criterion_main!(benches);
