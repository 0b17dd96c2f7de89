//! An override whose person is deleted while it is written (SQLSTATE 23503).

use std::time::Duration;

use serde_json::json;

use crate::definitions::{Team, continuity};
use crate::report::AT_ONCE;
use crate::service::Service;
use crate::world::World;

/// Deletes the person inside the insert. The sequence counts attempts: it is not rolled back with them.
const DELETES_THE_PERSON: &str = "
    CREATE SEQUENCE attempts;
    CREATE FUNCTION delete_person() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        PERFORM nextval('attempts');
        SET CONSTRAINTS ALL DEFERRED;
        DELETE FROM posthog_persondistinctid WHERE team_id = NEW.team_id AND person_id = NEW.person_id;
        DELETE FROM posthog_person WHERE team_id = NEW.team_id AND id = NEW.person_id;
        SET CONSTRAINTS ALL IMMEDIATE;
        RETURN NEW;
    END $$;
    CREATE TRIGGER delete_person BEFORE INSERT ON posthog_featureflaghashkeyoverride
        FOR EACH ROW EXECUTE FUNCTION delete_person();";

#[test]
fn an_override_meets_a_deleted_person() {
    let world = World::new(&["redis"]);
    let team = Team(1);
    world.everywhere(team);
    world.flags_in_redis("redis", team, &team.entry_with("redis", &[continuity(team)]));
    world.sql(DELETES_THE_PERSON);
    let service = Service::start(&world, &[]);
    let anonymous = json!({ "$anon_distinct_id": "anon" });
    let answer = service
        .ask_with(team, anonymous.clone())
        .row(
            "override insert meets a deleted person",
            Duration::from_millis(500),
        )
        .degraded(&[("continuity", "hash_key_override_error")]);
    assert!(answer.is_on("person"), "{answer:?}");
    assert_eq!(world.sql("SELECT last_value FROM attempts"), ["3"], "two retries");
    world.sql("DROP TRIGGER delete_person ON posthog_featureflaghashkeyoverride");
    service
        .ask_with(team, anonymous)
        .row("override insert, the person is there again", AT_ONCE)
        .complete("redis");
}
