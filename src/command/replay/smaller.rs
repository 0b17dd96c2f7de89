//! Makes examples small, by asking both servers again.

use std::sync::Arc;
use std::time::{Duration, Instant};

use feature_flags::replay::{Difference, Example, Findings, Request, Shrinker, Tokens};

use super::drive::Drive;

/// Examples that are made smaller; more than that nobody reads.
const EXAMPLES_MAX: usize = 20;

/// Requests to each server for one example.
const ATTEMPTS_MAX: usize = 60;

/// For all of them.
const TIME_MAX: Duration = Duration::from_secs(15);

/// Makes the first examples as small as the bounds allow. One whose difference does not show again stays as it is.
pub async fn shrink_examples(drive: &Drive, findings: &mut Findings, tokens: &Tokens) {
    let deadline = Instant::now() + TIME_MAX;
    for example in findings.examples_mut().take(EXAMPLES_MAX) {
        shrink(drive, example, tokens, deadline).await;
    }
}

async fn shrink(drive: &Drive, example: &mut Example, tokens: &Tokens, deadline: Instant) {
    let Some(mut shrinker) = Shrinker::new(&example.request.body, &example.difference.subject) else {
        return;
    };
    let mut attempts = 0;
    while attempts < ATTEMPTS_MAX && Instant::now() < deadline {
        attempts += 1;
        let Some(body) = shrinker.next_candidate() else {
            break;
        };
        let request = Request {
            body,
            ..Request::clone(&example.request)
        };
        let Some(difference) = ask(drive, &request, &example.difference, tokens).await else {
            continue;
        };
        shrinker.accept();
        example.difference = difference;
        example.shrunk = true;
    }
    if example.shrunk {
        example.request = Arc::new(Request {
            body: shrinker.body(),
            ..Request::clone(&example.request)
        });
    }
}

/// The same difference, if this request shows it.
async fn ask(drive: &Drive, request: &Request, wanted: &Difference, tokens: &Tokens) -> Option<Difference> {
    let ready = request.ready(tokens).ok()?;
    let differences = drive.compare_now(&ready).await;
    differences
        .into_iter()
        .find(|found| found.subject == wanted.subject && found.field == wanted.field)
}
