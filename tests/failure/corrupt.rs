//! Entries that cannot be read: the next tier answers, and only when none can does the request fail.

use serde_json::json;

use crate::definitions::{Team, stored};
use crate::report::AT_ONCE;
use crate::service::Service;
use crate::world::{World, until};

/// Values of Redis that are no entry, by what is wrong with them.
fn corrupt() -> [(&'static str, Vec<u8>); 6] {
    let mut broken_frame = vec![0x28, 0xb5, 0x2f, 0xfd];
    broken_frame.extend_from_slice(b"no frame of zstd");
    [
        ("bad pickle", b"cos\nsystem\n(S'true'\ntR.".to_vec()),
        ("cut pickle", stored("{\"flags\": []}")[..9].to_vec()),
        ("bad zstd", broken_frame),
        ("no JSON", stored("flags")),
        ("wrong JSON", stored("[1, 2]")),
        ("empty", Vec::new()),
    ]
}

#[test]
fn corrupt_team_and_flags_entries() {
    let world = World::new(&["redis"]);
    let mut teams = (1..).map(Team);
    let mut next = || teams.next().expect("an id");
    let mut cases = Vec::new();
    for (what, value) in corrupt() {
        for entry in ["team", "flags"] {
            for tier in ["s3", "postgres"] {
                let team = next();
                world.in_postgres(team);
                world.in_redis("redis", team);
                if tier == "s3" {
                    world.in_s3(team);
                }
                let key = if entry == "team" {
                    team.team_key()
                } else {
                    team.flags_key()
                };
                world.put_redis("redis", &key.redis(), &value);
                // The other entry is sound, so only a flags entry shows which tier stood in.
                let expected = if entry == "flags" { tier } else { "redis" };
                cases.push((team, format!("{entry} entry: {what}, {tier} has it"), expected));
            }
        }
    }
    // Another team's token inside a team entry is as corrupt.
    let (other, nowhere) = (next(), next());
    world.everywhere(other);
    world.put_redis("redis", &other.team_key().redis(), &stored(&Team(99).metadata()));
    cases.push((other, "team entry: of another token".to_owned(), "redis"));
    // Corrupt in both caches and absent in the database: not a word about the token.
    world.in_redis("redis", nowhere);
    world.put_redis("redis", &nowhere.flags_key().redis(), b"corrupt");
    world.put_object(&nowhere.flags_key(), "corrupt");
    let both = next();
    world.everywhere(both);
    world.put_redis("redis", &both.flags_key().redis(), b"corrupt");
    world.put_object(&both.flags_key(), "{\"flags\": 5}");
    cases.push((
        both,
        "flags entry: corrupt in Redis and S3".to_owned(),
        "postgres",
    ));

    let service = Service::start(&world, &[]);
    for (team, situation, tier) in cases {
        service.ask(team).row(&situation, AT_ONCE * 3).complete(tier);
    }
    // A good value repairs it without a restart.
    world.in_redis("redis", both);
    until("the good entry", || {
        (service.ask(both).complete_from_any() == "redis").then_some(())
    });

    // And when the database is away as well, that is said; what was good and is held stays.
    let locked = world.lock("posthog_featureflag");
    let hidden = Team(98);
    world.in_redis("redis", hidden);
    world.put_redis("redis", &hidden.flags_key().redis(), b"corrupt");
    world.put_object(&hidden.flags_key(), "corrupt");
    service
        .ask(hidden)
        .row(
            "flags entry: corrupt everywhere, database locked",
            std::time::Duration::from_secs(2),
        )
        .refused(503, "Please try again later");
    world.put_redis("redis", &both.flags_key().redis(), b"corrupt again");
    let start = std::time::Instant::now();
    while start.elapsed() < std::time::Duration::from_secs(4) {
        service.ask(both).complete("redis");
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
    service
        .ask(both)
        .row("flags entry: became corrupt everywhere, old one held", AT_ONCE)
        .complete("redis");
    locked.release();
    until("definitions from PostgreSQL", || {
        (service.ask(both).complete_from_any() == "postgres").then_some(())
    });
}

#[test]
fn entries_that_are_sound_but_incomplete() {
    let world = World::new(&["redis"]);
    let [stages, config, malformed, row] = [1, 2, 3, 4].map(Team);
    world.in_redis("redis", stages);
    let mut entry = stages.entry("redis");
    entry["evaluation_metadata"] =
        json!({ "dependency_stages": [], "flags_with_missing_deps": [], "transitive_deps": {} });
    world.flags_in_redis("redis", stages, &entry);
    world.in_redis("redis", config);
    world.put_redis("redis", &config.config_key().redis(), b"corrupt");
    world.in_redis("redis", malformed);
    let broken = crate::definitions::flag(malformed, 8, "broken", json!({ "groups": 5 }));
    world.flags_in_redis("redis", malformed, &malformed.entry_with("redis", &[broken]));
    world.in_postgres(row);
    world.flag_in_postgres(&crate::definitions::flag(
        row,
        8,
        "broken",
        json!({ "groups": 5 }),
    ));

    let service = Service::start(&world, &[]);
    service
        .ask(stages)
        .row("dependency_stages empty with flags present", AT_ONCE)
        .complete("redis");
    for (team, situation) in [(stages, "config entry missing"), (config, "config entry corrupt")] {
        let body = json!({ "token": team.token(), "distinct_id": "ada" });
        let answer = service
            .post("/flags?v=2&config=true", &body, &[])
            .row(situation, AT_ONCE * 3)
            .complete("redis");
        assert_eq!(answer.json["hasFeatureFlags"], true, "{answer:?}");
        assert_eq!(answer.json["sessionRecording"], false, "{answer:?}");
    }
    for (team, tier, situation) in [
        (malformed, "redis", "one flag malformed in the cache"),
        (row, "postgres", "one flag malformed in PostgreSQL"),
    ] {
        let answer = service.ask(team).row(situation, AT_ONCE * 3);
        assert_eq!((answer.status, answer.tier()), (200, Some(tier)), "{answer:?}");
        for key in ["always", "person", "dependent"] {
            assert!(answer.is_on(key), "{key}: {answer:?}");
        }
        assert!(!answer.is_on("broken"), "{answer:?}");
    }
}
