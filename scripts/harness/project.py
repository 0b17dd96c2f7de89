"""Turns definitions in the form that SDKs read into project documents (`project.md`).

Row ids are unique in the whole store, so every document gets fresh ids and all references are rewritten.
"""

import copy
import itertools

# Beyond every id that is handed out: references to something that does not exist keep pointing nowhere.
NOWHERE = 2_000_000_000
FIRST_ID = 1_000_000


class Ids:
    """Hands out ids for teams, flags and cohorts."""

    def __init__(self):
        self.teams = itertools.count(FIRST_ID)
        self.flags = itertools.count(FIRST_ID)
        self.cohorts = itertools.count(FIRST_ID)


def team(ids, timezone="UTC"):
    """A team row with a token of its own."""
    number = next(ids.teams)
    return {"id": number, "api_token": f"phc_conformance_{number}", "name": f"Conformance {number}", "timezone": timezone}


def from_definitions(definitions, ids, timezone="UTC", keep_flag_ids=False):
    """A project document for `flags`, `cohorts` or `cohorts_server`, and `group_type_mapping`."""
    cohorts = definitions.get("cohorts_server")
    if cohorts is None:
        cohorts = [stored_cohort(key, group) for key, group in (definitions.get("cohorts") or {}).items()]
    cohort_ids = {cohort["id"]: next(ids.cohorts) for cohort in cohorts}
    flags = definitions["flags"]
    flag_ids = {flag["key"]: flag["id"] if keep_flag_ids else next(ids.flags) for flag in flags}
    document = {
        "team": team(ids, timezone),
        "flags": [
            {**rewritten(flag, flag_ids, cohort_ids), "id": flag_ids[flag["key"]], "filters": filters_of(flag, flag_ids, cohort_ids)}
            for flag in flags
        ],
        "cohorts": [
            {**rewritten(cohort, flag_ids, cohort_ids), "id": cohort_ids[cohort["id"]], "name": f"Cohort {cohort['id']}"}
            for cohort in cohorts
        ],
        "group_type_mapping": definitions.get("group_type_mapping") or {},
    }
    return document


def filters_of(flag, flag_ids, cohort_ids):
    """A flag without `filters` has no condition."""
    return rewritten(flag.get("filters") or {"groups": []}, flag_ids, cohort_ids)


def stored_cohort(key, group):
    """The stored form has two levels: an outer group of inner groups (`evaluation.md` 8)."""
    leaves = any("key" in value for value in group.get("values", []))
    outer = {"type": "OR", "values": [group]} if leaves or not group.get("values") else group
    return {"id": int(key), "filters": {"properties": outer}}


def rewritten(node, flag_ids, cohort_ids):
    """A deep copy in which flag filters name ids as text and cohort filters the new cohort ids."""
    if isinstance(node, list):
        return [rewritten(item, flag_ids, cohort_ids) for item in node]
    if not isinstance(node, dict):
        return copy.deepcopy(node)
    if node.get("type") == "flag" and "key" in node:
        kept = {key: value for key, value in node.items() if key != "dependency_chain"}
        return {**copy.deepcopy(kept), "key": str(flag_ids.get(node["key"], NOWHERE))}
    if node.get("type") == "cohort" and type(node.get("value")) is int:
        return {**copy.deepcopy(node), "value": cohort_ids.get(node["value"], NOWHERE)}
    return {key: rewritten(value, flag_ids, cohort_ids) for key, value in node.items()}


def one_condition_flag(key, properties, ids, **more):
    """A flag that is on exactly when all filters match."""
    filters = {"groups": [{"properties": properties, "rollout_percentage": 100}], **more}
    return {"id": next(ids.flags), "key": key, "active": True, "version": 1, "filters": filters}
