//! Flags that are left out before evaluation, `evaluation.md` section 5.

use super::model::{Case, Flag};

/// Whether the flag gets no record at all.
pub fn is_left_out(case: &Case, flag: Flag<'_>) -> bool {
    !flag.is("active")
        || flag.is("deleted")
        || (case.only_evaluate_survey_feature_flags && !flag.key().starts_with("survey-targeting-"))
        || wrong_runtime(case, flag)
        || wrong_context(case, flag)
}

fn wrong_runtime(case: &Case, flag: Flag<'_>) -> bool {
    let only = match flag.text("evaluation_runtime") {
        Some(name) if name.eq_ignore_ascii_case("client") => "client",
        Some(name) if name.eq_ignore_ascii_case("server") => "server",
        _ => return false,
    };
    match case.evaluation_runtime.as_deref() {
        None => true,
        Some(request) if request.eq_ignore_ascii_case("client") => only != "client",
        Some(request) if request.eq_ignore_ascii_case("server") => only != "server",
        // `all`, and any other text of the request (section 3).
        Some(_) => false,
    }
}

fn wrong_context(case: &Case, flag: Flag<'_>) -> bool {
    let request = case.evaluation_contexts.as_deref().unwrap_or_default();
    let own = flag.contexts();
    !request.is_empty() && !own.is_empty() && !request.iter().any(|context| own.contains(&context.as_str()))
}
