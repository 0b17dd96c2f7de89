//! Evaluates property filters at a clock of their own.
//!
//! Reads one JSON object a line from standard input: `filter`, `properties`, optional `now` (RFC 3339) and
//! `team_timezone`. Prints `true` or `false` a line: whether a flag with this one filter is on.

#[path = "../tests/support/case.rs"]
mod case;

use std::io::BufRead;

use serde_json::{Value, json};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    for line in std::io::stdin().lock().lines() {
        let input: Value = serde_json::from_str(&line?)?;
        let mut evaluated = json!({
            "flags": [{ "id": 1, "key": "case", "active": true,
                "filters": { "groups": [{ "properties": [input["filter"]], "rollout_percentage": 100 }] } }],
            "distinct_id": "somebody",
            "person_properties": input["properties"],
        });
        if let Some(now) = input.get("now").and_then(Value::as_str) {
            let now: jiff::Timestamp = now.parse()?;
            evaluated["now"] = json!(now.to_string());
        }
        if let Some(zone) = input.get("team_timezone") {
            evaluated["timezone"] = zone.clone();
        }
        println!("{}", case::run(&evaluated, usize::MAX).flags["case"].enabled);
    }
    Ok(())
}
