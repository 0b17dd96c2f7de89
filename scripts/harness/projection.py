"""Outcome to response versions: definitions that lead to a given outcome, and every way to ask for each version.

The flag ids of these cases are part of what is compared and repeat from case to case, so each case has a store of its own.
"""

from . import compare, project
from .server import Server

# http.md 9.2: all ways to select each shape.
PATHS = {
    "flags_v2": ["/flags?v=2", "/flags/?v=2", "/flags?v=3", "/decide?v=4", "/decide/?v=4&config=false"],
    "flags_v1": ["/flags", "/flags?v=1", "/decide?v=3"],
    "decide_v2": ["/decide?v=2"],
    "decide_v1": ["/decide", "/decide?v=1"],
}
# Error codes that a definition alone can cause (`evaluation.md` 8); "the reason code is representative" in the contract.
FAILURE = {"code": "dependency_not_found_cohort", "condition_index": None}
NEVER = {"key": "plan", "type": "person", "operator": "exact", "value": "no such plan"}


def flag_for(outcome):
    """A flag that gives the outcome to anyone who has no properties."""
    filters = {"groups": []}
    reason = outcome["reason"]
    index = reason["condition_index"] or 0
    groups = [{"properties": [NEVER], "rollout_percentage": 100} for _ in range(index)]
    if outcome["payload"] is not None:
        filters["payloads"] = {outcome["variant"] or "true": outcome["payload"]}
    if outcome["failed"]:
        lost = {"key": "id", "type": "cohort", "operator": "in", "value": project.NOWHERE}
        groups = [{"properties": [lost], "rollout_percentage": 100}]
    elif reason["code"] == "holdout_condition_value":
        number = int(outcome["variant"].removeprefix("holdout-"))
        filters["holdout"] = {"id": number, "exclusion_percentage": 100}
        groups = [{"properties": [], "rollout_percentage": 100}]
    elif reason["code"] == "condition_match":
        groups.append({"properties": [], "rollout_percentage": 100})
        if outcome["variant"] is not None:
            filters["multivariate"] = {"variants": [{"key": outcome["variant"], "rollout_percentage": 100}]}
    elif reason["code"] == "no_condition_match":
        groups.append({"properties": [NEVER], "rollout_percentage": 100})
    elif reason["code"] == "out_of_rollout_bound":
        groups.append({"properties": [], "rollout_percentage": 0})
    elif reason["code"] == "no_group_type":
        groups.append({"properties": [], "rollout_percentage": 100, "aggregation_group_type_index": 0})
    elif reason["code"] == "missing_dependency":
        lost = {"key": str(project.NOWHERE), "type": "flag", "operator": "flag_evaluates_to", "value": True}
        groups = [{"properties": [lost], "rollout_percentage": 100}]
    else:
        raise ValueError(f"no definition is known for {reason}")
    filters["groups"] = groups
    return {
        "id": outcome["flag_id"], "key": outcome["key"], "version": outcome["flag_version"],
        "active": not outcome["omitted"], "filters": filters,
    }


def run_case(case):
    """Starts a server with the case's flag and asks for every version in every way."""
    team = {"id": 1, "api_token": "phc_projection", "name": "Projection", "timezone": "UTC"}
    document = {"team": team, "flags": [flag_for(case["outcome"])], "group_type_mapping": {"0": "company"}}
    lines = []
    with Server([document]) as server:
        client = server.client()
        for version, expected in case["projections"].items():
            for path in PATHS[version]:
                answer = client.post_json(path, {"token": team["api_token"], "distinct_id": "user"})
                lines += [f"POST {path} {line}" for line in compare.subset(wanted(expected), answer)]
                if version.startswith("decide"):
                    hidden = {"errorsWhileComputingFlags", "featureFlagPayloads", "flags"} & answer.keys()
                    lines += [f"POST {path} $.{key}: must be absent" for key in hidden]
    return lines


def wanted(expected):
    """`response_version` names the shape and is not on the wire; the failure code is the one that we can cause."""
    document = {key: value for key, value in expected.items() if key != "response_version"}
    flags = document.get("flags", {})
    document_flags = {
        key: {**record, "reason": FAILURE} if record.get("failed") else record for key, record in flags.items()
    }
    return {**document, "flags": document_flags} if "flags" in document else document
