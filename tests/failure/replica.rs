//! A replica that lags, dies or hangs: its primary answers what it cannot.

use crate::definitions::Team;
use crate::report::{AT_ONCE, REDIS_COMMAND};
use crate::service::Service;
use crate::world::{World, until};

fn replicated(world: &World, key: &str) {
    until("replication", || {
        let mut connection = world.redis("redis-replica");
        let there: bool = redis::cmd("EXISTS").arg(key).query(&mut connection).ok()?;
        there.then_some(())
    });
}

fn replicaof(world: &World, host: &str, port: &str) {
    let mut connection = world.redis("redis-replica");
    let done: redis::RedisResult<()> = redis::cmd("REPLICAOF").arg(host).arg(port).query(&mut connection);
    done.expect("REPLICAOF");
}

#[test]
fn a_replica_that_lags_dies_and_hangs() {
    let world = World::new(&["redis", "redis-replica"]);
    let [lagging, dead, hung, back, slow] = [1, 2, 3, 4, 5].map(Team);
    for team in [dead, hung] {
        world.in_redis("redis", team);
        world.in_s3(team);
        replicated(&world, &team.flags_key().redis());
    }
    world.in_s3(slow);
    let replica = world.servers.url("redis-replica");
    let service = Service::start(&world, &[("REDIS_READER_URL", &replica)]);

    // Written where the replica does not see it.
    replicaof(&world, "NO", "ONE");
    world.everywhere(lagging);
    service
        .ask(lagging)
        .row("replica lags, key absent there", AT_ONCE * 3)
        .complete("s3");
    let stored: Vec<u8> = redis::cmd("GET")
        .arg(lagging.flags_key().redis())
        .query(&mut world.redis("redis"))
        .expect("GET");
    let untouched = crate::definitions::stored(&lagging.entry("redis").to_string());
    assert!(stored == untouched, "the repair was refused");
    replicaof(&world, "127.0.0.1", &world.servers.port("redis").to_string());
    until("the replica has caught up", || {
        (service.ask(lagging).complete_from_any() == "redis").then_some(())
    });
    service
        .ask(lagging)
        .row("replica lags, caught up", AT_ONCE)
        .complete("redis");

    world.servers.command("kill redis-replica");
    service
        .ask(dead)
        .row("replica killed, primary answers", AT_ONCE)
        .complete("redis");
    world.servers.command("start redis-replica");
    until("the replica is used again", || {
        let team = Team(50);
        world.in_redis("redis", team);
        replicated(&world, &team.flags_key().redis());
        let mut connection = world.redis("redis-replica");
        let clients: String = redis::cmd("CLIENT").arg("LIST").query(&mut connection).ok()?;
        // The link to its primary, this connection, and the service's two.
        (clients.lines().count() >= 4).then_some(())
    });

    world.servers.command("pause redis-replica");
    let answer = service
        .ask(hung)
        .row("replica paused, primary answers", REDIS_COMMAND * 2 + AT_ONCE)
        .complete("redis");
    assert!(answer.took >= REDIS_COMMAND, "it was asked: {answer:?}");
    world.servers.command("pause redis");
    service
        .ask(slow)
        .row(
            "replica and primary paused, cold team",
            REDIS_COMMAND * 4 + AT_ONCE,
        )
        .complete("s3");
    world.servers.command("resume redis");
    world.servers.command("resume redis-replica");
    for team in [slow, back] {
        world.in_redis("redis", team);
    }
    replicated(&world, &back.flags_key().redis());
    until("a connection", || {
        (service.ask(slow).complete_from_any() == "redis").then_some(())
    });
    service
        .ask(back)
        .row("replica paused, resumed", AT_ONCE)
        .complete("redis");
}
