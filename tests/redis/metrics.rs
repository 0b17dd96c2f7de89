//! `flag_request_redis_error`: one for each command without a usable reply, by kind.

use feature_flags::store::redis::{Endpoint, EndpointSettings, EndpointState, ServerUrl};
use redis::cmd;

use crate::counters::Counters;
use crate::servers::Servers;

#[tokio::test]
async fn commands_without_a_usable_reply_are_counted_by_kind() {
    let servers = Servers::start(&["redis"]);
    let counters = Counters::default();
    let url = ServerUrl::parse(&servers.url("redis")).expect("a URL");
    let endpoint = metrics::with_local_recorder(&counters, || {
        Endpoint::start("redis", url, EndpointSettings::default())
    });
    assert_eq!(endpoint.first_attempt().await, EndpointState::Connected);
    let count = |kind: &str| counters.count(&format!("flag_request_redis_error{{error={kind:?}}}"));
    let counts =
        || ["reply", "protocol", "timeout", "unavailable", "denied"].map(|kind| count(kind).unwrap());

    let ask = async |words: &[&str]| {
        let mut command = cmd(words[0]);
        command.arg(&words[1..]);
        endpoint.query::<u64>(&command).await
    };
    endpoint
        .query::<()>(cmd("SET").arg("key").arg("word"))
        .await
        .expect("SET");
    assert_eq!(counts(), [0, 0, 0, 0, 0]);
    ask(&["SCARD", "key"]).await.expect_err("another type");
    assert_eq!(counts(), [1, 0, 0, 0, 0]);
    ask(&["GET", "key"]).await.expect_err("no number");
    assert_eq!(counts(), [1, 1, 0, 0, 0]);
    servers.command("pause redis");
    ask(&["GET", "key"]).await.expect_err("no reply");
    assert_eq!(counts(), [1, 1, 1, 0, 0]);
    servers.command("resume redis");
    servers.command("kill redis");
    let mut state = endpoint.watch();
    state
        .wait_for(|state| matches!(state, EndpointState::Failed(_)))
        .await
        .expect("it is watched");
    ask(&["GET", "key"]).await.expect_err("nobody is there");
    assert_eq!(counts(), [1, 1, 1, 1, 0]);
}
