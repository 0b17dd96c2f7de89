"""A generated project with every kind of flag that SDKs decide locally, and persons to ask about.

Everything comes from one seed. What SDKs and the server are known to answer differently is kept out, by kind:
properties that the call does not bring (`$os` and `$initial_` values are derived by the server alone); values that do not parse as
the number, version or date that their operator wants; pre-release, zero-padded and four-part versions; numbers as dates; relative
months and years, and dates without offset; `between`, the `_multi` operators and `is_date_exact`; the cohort operator
`exact`; cohort and person filters in group conditions; group flags as dependencies; holdouts on group flags; empty and very long
ids; word boundaries and look-around in patterns; lists and objects as property values; negated cohorts in OR lists; `super_groups` and
`holdout_groups`, which SDKs do not know; payloads that JavaScript counts as false.

What is in although an SDK cannot answer it says so where the flag is made: `undecided` where the SDK leaves it to the server, `unlike`
where the SDK answers something else, each with the reason.
"""

import datetime
import json
import random

TOKEN = "phc_local_evaluation"
SECRET = "phs_local_evaluation"
PERSONAL_KEY = "phx_local_evaluation"
TEAM_ID = 71
MARKER = "generation"

PLANS = ["free", "pro", "enterprise", "PRO"]
DOMAINS = ["example.com", "example.org", "mail.example.co.uk"]
FIRST_NAMES = ["Ada", "Grace", "Linus", "Straße", "ÉMILE", "édith", "Ωmega", "İpek", "zoë", "O'Neil"]
SIGNED_UP = [
    "2019-03-31T10:00:00Z",
    "2021-06-15T12:30:00+02:00",
    "2023-01-01T00:00:00-05:00",
    "2024-02-29T23:59:59Z",
    "2024-12-31T23:59:59.250Z",
]
VERSIONS = ["0.0.3", "0.2.3", "0.2.9", "0.3.0", "1.2.2", "1.2.3", "1.2.9", "1.3.0", "1.10.0", "2.0.0", "2.1", "3", "v1.2.3"]
TIERS = ["gold", "silver", "bronze"]

STRING = ["icontains", "not_icontains", "starts_with", "not_starts_with", "ends_with", "not_ends_with"]
NUMERIC = ["gt", "gte", "lt", "lte"]
SEMVER = ["eq", "neq", "gt", "gte", "lt", "lte", "tilde", "caret"]


def persons(seed, count):
    """Calls with every property of the person and of both groups."""
    choose = random.Random(f"{seed}-persons")
    # Days away from what relative dates mean, so that both sides see the same whenever they look.
    now = datetime.datetime.now(datetime.timezone.utc)
    signed_up = SIGNED_UP + [(now - datetime.timedelta(days=days)).strftime("%Y-%m-%dT%H:%M:%SZ") for days in (3, 90, 200, 365)]
    return [person(choose, number, signed_up) for number in range(count)]


def person(choose, number, signed_up):
    name = choose.choice(FIRST_NAMES)
    properties = {
        "plan": choose.choice(PLANS),
        "email": f"user-{number}@{choose.choice(DOMAINS)}",
        "name": f"{name} {number % 7}",
        "seats": choose.randint(-5, 60),
        "score": choose.choice(["12", "12.5", "-3", "1e2", "0", "40"]),
        "ratio": choose.choice([0.25, 0.5, 1.75]),
        "is_staff": choose.choice([True, False]),
        "beta": choose.choice(["true", "false", "True", "FALSE"]),
        "nothing": None,
        "app_version": choose.choice(VERSIONS),
        "signed_up": choose.choice(signed_up),
        "$feature_enrollment/enrolled": choose.choice([True, False, "true", "false"]),
    }
    context = {
        "distinct_id": f"{choose.randrange(1 << 48):012x}-{number}",
        "device_id": f"device-{choose.randrange(1 << 32):08x}",
        "person_properties": properties,
        "groups": {"company": f"company-{choose.randint(0, 400)}"},
        "group_properties": {"company": {"tier": choose.choice(TIERS), "size": choose.randint(1, 500), "eu": choose.choice([True, False])}},
    }
    if choose.random() < 0.7:
        context["groups"]["workspace"] = f"workspace-{choose.randint(0, 400)}"
        context["group_properties"]["workspace"] = {"tier": choose.choice(TIERS), "size": choose.randint(1, 500)}
    return context


class Project:
    """Collects flags; ids are given in order."""

    def __init__(self, seed, generation):
        # Both generations draw the same numbers, so that only what names the generation differs.
        self.choose = random.Random(f"{seed}-flags")
        self.generation = generation
        self.flags = []
        self.undecided = {}
        self.unlike = {}
        self.constant = set()
        self.ids = {}

    def add(self, key, groups, undecided=None, unlike=None, constant=False, **more):
        """`undecided`, `unlike`: SDK name -> why. `constant`: everybody gets the same."""
        filters = {"groups": groups}
        for name in ("multivariate", "payloads", "aggregation_group_type_index", "holdout", "early_exit", "feature_enrollment"):
            if name in more:
                filters[name] = more.pop(name)
        self.ids[key] = 100 + len(self.flags)
        self.flags.append({"id": self.ids[key], "key": key, "name": key, "active": True, "version": self.generation,
                           "filters": filters, **more})
        self.undecided[key] = undecided or {}
        self.unlike[key] = unlike or {}
        if constant:
            self.constant.add(key)

    def rollout(self):
        """Another share in each generation."""
        share = self.choose.choice([10, 25, 33.33, 50, 62.5, 80])
        return share if self.generation == 1 else round(100 - share, 2)

    def document(self):
        return {
            "team": {"id": TEAM_ID, "api_token": TOKEN, "secret_api_token": SECRET, "name": "Local evaluation", "timezone": "UTC"},
            "personal_api_key": {"value": PERSONAL_KEY, "label": "Local evaluation", "scopes": ["feature_flag:read"], "user_id": TEAM_ID},
            "group_type_mapping": {"0": "company", "1": "workspace"},
            "cohorts": cohorts(),
            "flags": self.flags,
        }


def project(seed, generation):
    """The project as it is before (1) or after (2) its definitions change."""
    made = Project(seed, generation)
    rollouts_and_variants(made)
    operators(made)
    combinations(made)
    cohort_flags(made)
    group_flags(made)
    dependencies(made)
    rarities(made)
    return made


def person_filter(key, operator, value, **more):
    return {"key": key, "type": "person", "operator": operator, "value": value, **more}


def group_filter(index, key, operator, value):
    return {"key": key, "type": "group", "group_type_index": index, "operator": operator, "value": value}


def condition(*filters, rollout=None, **more):
    return {"properties": list(filters), "rollout_percentage": rollout, **more}


def variants(*shares):
    return {"variants": [{"key": f"variant-{at}", "name": "", "rollout_percentage": share} for at, share in enumerate(shares)]}


def payloads(count):
    texts = [{"colour": "green", "n": [1, 2.5, None]}, "a text", 7, [True], "ünïcode \"quoted\""]
    return {f"variant-{at}": json.dumps(texts[at % len(texts)]) for at in range(count)}


def rollouts_and_variants(made):
    made.add(MARKER, [condition(rollout=100)], constant=True,
             multivariate={"variants": [{"key": f"is-{made.generation}", "rollout_percentage": 100}]},
             payloads={f"is-{made.generation}": json.dumps({"generation": made.generation})})
    made.add("everybody", [condition()], constant=True)
    made.add("nobody", [condition(rollout=0)], constant=True)
    made.add("no-conditions", [], constant=True)
    for at in range(6):
        made.add(f"rollout-{at}", [condition(rollout=made.rollout())])
    for at, shares in enumerate([(50, 50), (33.33, 33.33, 33.34), (10, 20, 30, 40), (0, 100), (25, 25), (1, 1, 98)]):
        made.add(f"variants-{at}", [condition(rollout=100)], multivariate=variants(*shares), payloads=payloads(len(shares)),
                 constant=shares == (0, 100))
    for at in range(3):
        made.add(f"variants-rollout-{at}", [condition(rollout=made.rollout())], multivariate=variants(30, 30, 40),
                 payloads={**payloads(2), "true": json.dumps("unused")})
    made.add("payload-of-true", [condition(rollout=made.rollout())], payloads={"true": json.dumps({"on": True})})
    pro = person_filter("plan", "exact", "pro")
    made.add("pinned", [condition(pro, variant="variant-1"), condition(rollout=made.rollout(), variant="no-such-variant"),
                        condition(rollout=90)],
             multivariate=variants(70, 30), payloads=payloads(2))
    made.add("pinned-late", [condition(rollout=30), condition(pro, variant="variant-2")], multivariate=variants(60, 20, 20))
    made.add("device", [condition(rollout=made.rollout())], bucketing_identifier="device_id", multivariate=variants(50, 50))


def operators(made):
    """A flag an operator, and another with a rollout behind the filter."""
    cases = []
    cases += [("exact", "plan", "pro"), ("exact", "plan", ["free", "enterprise"]), ("exact", "is_staff", True),
              ("exact", "is_staff", "true"), ("exact", "is_staff", ["false"]), ("exact", "beta", "true"), ("exact", "beta", False),
              ("exact", "ratio", 0.25), ("exact", "score", "12"), ("exact", "name", "straße 3"), ("exact", "name", "émile 2"),
              ("exact", "nothing", "null")]
    cases += [("is_not", "plan", "pro"), ("is_not", "plan", ["free", "PRO"]), ("is_not", "is_staff", "true"),
              ("is_not", "ratio", [0.5, 1.75]), ("is_not", "nothing", "x")]
    cases += [("is_set", "plan", "is_set"), ("is_not_set", "plan", "is_not_set"), ("is_set", "nothing", "is_set")]
    for operator in STRING:
        cases += [(operator, "email", "EXAMPLE.org" if "ends" in operator else "user-1" if "starts" in operator else "Example.CO"),
                  (operator, "name", "É" if "starts" in operator else "6" if "ends" in operator else "e ")]
    for pattern in [r"^user-\d+@example\.(com|org)$", r"user-[1-3]", r"\.uk$", r"^[^@]+5@", r"(?:mail|post)\."]:
        cases += [("regex", "email", pattern), ("not_regex", "email", pattern)]
    cases += [("regex", "email", "["), ("not_regex", "email", "(")]
    for operator in NUMERIC:
        cases += [(operator, "seats", 20), (operator, "seats", "20"), (operator, "score", 12.5), (operator, "ratio", "0.5"),
                  (operator, "nothing", 1)]
    for operator in ("is_date_before", "is_date_after"):
        cases += [(operator, "signed_up", value) for value in
                  ("2021-06-15T10:30:00Z", "2023-01-01T05:00:00+00:00", "2024-12-31T23:59:59.100Z", "-100d", "-50w", "-9000h")]
    for name in SEMVER:
        cases += [(f"semver_{name}", "app_version", value) for value in ("1.2.3", "0.2.3", "2.0")]
    cases += [("semver_wildcard", "app_version", value) for value in ("1.*", "1.2.*", "0.*")]
    constant = {"is_set", "is_not_set"}
    for at, (operator, key, value) in enumerate(cases):
        same = operator in constant or key == "nothing" or value in ("[", "(")
        name = f"operator-{at:03}-{operator}"
        made.add(name, [condition(person_filter(key, operator, value))], constant=same)
        if at % 3 == 0 and not same:
            made.add(f"{name}-rollout", [condition(person_filter(key, operator, value), rollout=made.rollout())],
                     multivariate=variants(50, 50))
    made.add("exact-integer", [condition(person_filter("seats", "exact", 20))],
             undecided={"node": "lists, objects, floats compared as text: JavaScript cannot tell 20 from 20.0"})


def combinations(made):
    """Several filters a condition and several conditions a flag."""
    pool = [person_filter("plan", "exact", ["pro", "PRO"]), person_filter("seats", "gt", 10), person_filter("seats", "lte", 40),
            person_filter("email", "icontains", "example"), person_filter("is_staff", "exact", "false"),
            person_filter("app_version", "semver_gte", "1.2.3"), person_filter("signed_up", "is_date_after", "2021-01-01T00:00:00Z"),
            person_filter("name", "not_icontains", "ada"), person_filter("score", "lt", 50)]
    for at in range(12):
        groups = []
        for _ in range(made.choose.randint(1, 4)):
            filters = made.choose.sample(pool, made.choose.randint(1, 3))
            groups.append(condition(*filters, rollout=made.choose.choice([None, 100, made.rollout()]),
                                    variant=made.choose.choice([None, None, "variant-0"])))
        # With some seeds a condition without filters that matter lets everybody in.
        made.add(f"combined-{at}", groups, constant=True, multivariate=variants(40, 60) if at % 2 else None)


def cohorts():
    """Nested and negated; every leaf list is of one kind, and lists of cohorts negate only in AND."""
    def stored(number, kind, *lists):
        values = [{"type": inner, "values": leaves} for inner, leaves in lists]
        return {"id": number, "name": f"cohort {number}", "filters": {"properties": {"type": kind, "values": values}}}

    def member(number, **more):
        return {"key": "id", "type": "cohort", "value": number, **more}

    return [
        stored(1, "OR", ("AND", [person_filter("plan", "exact", ["pro", "PRO"]), person_filter("seats", "gte", 10)])),
        stored(2, "AND", ("OR", [person_filter("email", "ends_with", ".org"), person_filter("beta", "exact", "true")]),
               ("AND", [person_filter("is_staff", "exact", "true", negation=True)])),
        stored(3, "OR", ("AND", [member(1), person_filter("score", "lt", 40)]), ("OR", [person_filter("name", "icontains", "z")])),
        stored(4, "AND", ("AND", [member(3, negation=True)]), ("AND", [member(2)])),
        stored(5, "OR", ("AND", [person_filter("app_version", "semver_lt", "2.0.0"), person_filter("seats", "gt", 30, negation=True)])),
        stored(6, "AND", ("AND", [member(4, negation=True), member(5)])),
        {"id": 7, "name": "static", "is_static": True},
    ]


def cohort_flags(made):
    def member(number, operator="in"):
        return {"key": "id", "type": "cohort", "operator": operator, "value": number}

    for number in range(1, 7):
        made.add(f"in-cohort-{number}", [condition(member(number))])
        made.add(f"not-in-cohort-{number}", [condition(member(number, "not_in"), rollout=made.rollout())])
    made.add("cohort-and-more", [condition(member(6), person_filter("seats", "gt", 0), rollout=made.rollout()), condition(member(4))],
             multivariate=variants(50, 50))
    static = "cohort that is static: its members are stored, not in the definitions"
    made.add("static-cohort", [condition(member(7, "not_in"))], constant=True, undecided={"python": static, "node": static})


def group_flags(made):
    for index, name in enumerate(["company", "workspace"]):
        group = {"aggregation_group_type_index": index}
        made.add(f"{name}-rollout", [condition(rollout=made.rollout())], **group)
        made.add(f"{name}-tier", [condition(group_filter(index, "tier", "exact", ["gold", "bronze"]))], **group)
        made.add(f"{name}-size", [condition(group_filter(index, "size", "gt", 250), rollout=made.rollout()),
                                  condition(group_filter(index, "tier", "is_not", "gold"), rollout=20)],
                 multivariate=variants(30, 70), payloads=payloads(2), **group)
    # Flags of persons with conditions of groups.
    made.add("mixed", [condition(group_filter(1, "tier", "exact", "gold"), aggregation_group_type_index=1, rollout=made.rollout()),
                       condition(person_filter("plan", "exact", "free"), rollout=made.rollout(), aggregation_group_type_index=None)],
             multivariate=variants(50, 50))


def dependencies(made):
    def on(key, value):
        return {"key": str(made.ids[key]), "type": "flag", "operator": "flag_evaluates_to", "value": value}

    made.add("switched-off", [condition()], active=False, constant=True)
    made.add("needs-rollout", [condition(on("rollout-0", True))])
    made.add("needs-no-rollout", [condition(on("rollout-1", False), rollout=made.rollout())])
    made.add("needs-variant", [condition(on("variants-0", "variant-1"))], multivariate=variants(50, 50))
    made.add("needs-any-variant", [condition(on("variants-rollout-0", True))])
    made.add("needs-unknown-variant", [condition(on("variants-0", "variant-9"))], constant=True)
    made.add("needs-switched-off", [condition(on("switched-off", True))], constant=True)
    made.add("needs-not-switched-off", [condition(on("switched-off", False), rollout=made.rollout())])
    made.add("chain-2", [condition(on("needs-rollout", True), person_filter("seats", "gt", 5))])
    made.add("chain-3", [condition(on("chain-2", False), on("needs-variant", True)), condition(on("in-cohort-3", True), rollout=50)])
    made.add("chain-4", [condition(on("chain-3", True), rollout=made.rollout()), condition(on("chain-2", True))],
             multivariate=variants(20, 80), payloads=payloads(2))
    missing = "dependency that is missing"
    made.add("needs-missing", [condition({"key": "99999", "type": "flag", "operator": "flag_evaluates_to", "value": True})],
             constant=True, undecided={"python": missing, "node": missing})


def rarities(made):
    made.add("held-out", [condition(rollout=100)], holdout={"id": 3, "exclusion_percentage": made.rollout()}, multivariate=variants(50, 50),
             payloads=payloads(2))
    made.add("held-out-rollout", [condition(person_filter("plan", "exact", "pro"), rollout=70)],
             holdout={"id": 4, "exclusion_percentage": 15})
    made.add("early-exit", [condition(person_filter("plan", "exact", "pro"), rollout=made.rollout()), condition(rollout=60)],
             early_exit=True, multivariate=variants(50, 50))
    made.add("no-early-exit", [condition(person_filter("plan", "exact", "pro"), rollout=made.rollout()), condition(rollout=60)],
             early_exit=False)
    made.add("enrolled", [condition(rollout=0)], feature_enrollment=True,
             unlike={"node": "does not know feature_enrollment, and answers from the conditions"})
    for runtime in ("client", "server", "all"):
        made.add(f"runtime-{runtime}", [condition(rollout=made.rollout())], evaluation_runtime=runtime)
    made.add("in-context", [condition(rollout=made.rollout())], evaluation_contexts=["app", "web"])
    made.add("in-other-context", [condition(rollout=made.rollout())], evaluation_contexts=["docs"])
    continuity = "experience continuity"
    made.add("continuity", [condition(rollout=made.rollout())], ensure_experience_continuity=True,
             undecided={"python": continuity, "node": continuity})
