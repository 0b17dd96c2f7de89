"""The conformance files as project documents and checks.

A suite is (file name, documents, checks); a check is (case id, function from client to a list of differences).
"""

import json
from datetime import datetime, timezone

from . import clock, compare, project


def property_matching(data, ids):
    """One flag a case, all cases of a timezone in one team. Cases with a fixed clock come back as the third value."""
    documents, checks, dated = {}, [], []
    for case in data["cases"]:
        if case.get("sdk_only"):
            continue
        zone = case.get("team_timezone", "UTC")
        document = documents.setdefault(zone, {"team": project.team(ids, zone), "flags": []})
        case_filter = {"type": "person", **case["filter"]}
        document["flags"].append(project.one_condition_flag(case["id"], [case_filter], ids))
        if case.get("now"):
            dated.append(case)
        checks.append((case["id"], property_check(case, document["team"]["api_token"])))
    return list(documents.values()), checks, dated


def property_check(case, token):
    """`"error"` means that the condition must not match; the flag itself is still answered."""

    def check(client):
        properties = case["properties"]
        if case.get("now"):
            properties = clock.carried_over(case, datetime.now(timezone.utc))
            if properties is None:
                return []
        context = {"distinct_id": "user", "person_properties": properties}
        answer = client.flags(token, context, flag_keys=[case["id"]])
        return compare.flag_record(answer, case["id"], {"enabled": case["expected"] is True})

    return check


def flags(data, ids):
    """One team for each set of definitions."""
    documents, tokens, checks = [], {}, []
    for case in data["cases"]:
        if case.get("sdk_only"):
            continue
        name = case["definitions"]
        if name not in tokens:
            documents.append(project.from_definitions(data["definitions"][name], ids))
            tokens[name] = documents[-1]["team"]["api_token"]
        checks.append((case["id"], flag_check(case, tokens[name])))
    return documents, checks


def flag_check(case, token):
    def check(client):
        answer = client.flags(token, case["context"])
        return compare.flag_record(answer, case["flag_key"], case["expected"])

    return check


def v1_evaluation(data, ids):
    """One team a case; value, payload and reason of every flag."""
    documents, checks = [], []
    for case in data["cases"]:
        documents.append(project.from_definitions(case["definitions"], ids))
        checks.append((case["id"], v1_check(case, documents[-1]["team"]["api_token"])))
    return documents, checks


def v1_check(case, token):
    def check(client):
        answer = client.flags(token, case["context"])
        lines = []
        for key, expected in case["expected"]["flags"].items():
            lines += compare.flag_record(answer, key, expected)
        for key in case["expected"]["omitted_flags"]:
            lines += compare.flag_record(answer, key, {"omitted": True})
        return lines

    return check


def matching_version(data, ids):
    """The version 1 column is the rule of the evaluation endpoint (conformance README)."""
    document = {"team": project.team(ids), "flags": [], "cohorts": [], "group_type_mapping": {"0": "company"}}
    checks = []
    for case in data["cases"]:
        document["flags"].append(matching_flag(case, ids, document["cohorts"]))
        checks.append((case["id"], matching_check(case, document["team"]["api_token"])))
    return [document], checks


def matching_flag(case, ids, cohorts):
    """`through` says where the filter sits; a cohort is reached through a second one."""
    if case["through"] == "person":
        return project.one_condition_flag(case["id"], [{"type": "person", **case["filter"]}], ids)
    if case["through"] == "group":
        group_filter = {"type": "group", "group_type_index": 0, **case["filter"]}
        return project.one_condition_flag(case["id"], [group_filter], ids, aggregation_group_type_index=0)
    if case["through"] == "cohort":
        inner = stored_cohort({"type": "person", **case["filter"]}, ids, cohorts)
        outer = stored_cohort(cohort_filter(inner), ids, cohorts)
        return project.one_condition_flag(case["id"], [cohort_filter(outer)], ids)
    raise ValueError(f"{case['id']}: unknown through {case['through']!r}")


def cohort_filter(number):
    return {"type": "cohort", "key": "id", "operator": "in", "value": number}


def stored_cohort(leaf, ids, cohorts):
    """Adds a dynamic cohort with one filter; returns its id."""
    number = next(ids.cohorts)
    tree = {"type": "OR", "values": [{"type": "AND", "values": [leaf]}]}
    cohorts.append({"id": number, "name": f"Cohort {number}", "filters": {"properties": tree}})
    return number


def matching_check(case, token):
    def check(client):
        properties = {case["filter"]["key"]: case["property_value"]}
        context = {"distinct_id": "user"}
        if case["through"] == "group":
            context |= {"groups": {"company": "acme"}, "group_properties": {"company": properties}}
        else:
            context["person_properties"] = properties
        answer = client.flags(token, context, flag_keys=[case["id"]])
        return compare.flag_record(answer, case["id"], {"enabled": case["expected_version_absent_or_1"]})

    return check


def hypercache(data, ids):
    """The cache document is imported as a project; what its five flags must answer follows from their definitions."""
    document = {"team": {**project.team(ids), "id": 99}, **data["document"]}
    token = document["team"]["api_token"]

    def check(client):
        context = {"distinct_id": "user", "person_properties": {"email": "test@example.com"}}
        answer = client.flags(token, context)
        expected = {
            "minimal-flag": {"enabled": True},
            "cohort-flag": {"enabled": True},
            "dependent-flag": {"enabled": True},
            "missing-dep-flag": {"enabled": False, "reason": {"code": "missing_dependency", "condition_index": None}},
        }
        lines = []
        for key, record in expected.items():
            lines += compare.flag_record(answer, key, record)
        return lines

    return [document], [("document", check)]


def sdk_fixture(data, _ids):
    """A project document as it is. Its payloads are compared decoded, as SDKs hand them out."""
    token = data["team"]["api_token"]
    return [data], [(request["name"], fixture_check(request, token)) for request in data["requests"]]


def fixture_check(request, token):
    def check(client):
        answer = client.flags(token, request)
        for record in answer["flags"].values():
            payload = record["metadata"]["payload"]
            record["metadata"]["payload"] = None if payload is None else json.loads(payload)
        lines = []
        for key, expected in request["expected"].items():
            lines += compare.flag_record(answer, key, {"payload": None, **expected})
        for key in request.get("omitted", []):
            lines += compare.flag_record(answer, key, {"omitted": True})
        return lines

    return check
