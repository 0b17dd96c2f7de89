"""Flags and request bodies for load: mixed like a real project, and the same bytes every time."""

import json
import random

from .build import ROOT

FOLDER = ROOT / "loadtest" / "workloads"
SIZES = [10, 50, 250, 1000]

# No cache may be keyed by a request (decisions.md 12): bodies rotate over at least this many distinct ids.
DISTINCT_IDS = 20_000

CONDITIONS = [
    [{"key": "plan", "type": "person", "operator": "exact", "value": ["pro", "enterprise"]}],
    [{"key": "email", "type": "person", "operator": "icontains", "value": "@example.com"}],
    [{"key": "country", "type": "person", "operator": "is_not", "value": "US"}],
    [{"key": "app_version", "type": "person", "operator": "semver_gte", "value": "2.4.0"}],
    [
        {"key": "seats", "type": "person", "operator": "gte", "value": 10},
        {"key": "plan", "type": "person", "operator": "is_set", "value": "is_set"},
    ],
    [{"key": "email", "type": "person", "operator": "regex", "value": "^[a-m][a-z0-9.-]*@"}],
    [{"key": "signed_up", "type": "person", "operator": "is_date_after", "value": "2024-01-01"}],
]
VARIANTS = [("control", 50), ("compact", 30), ("spacious", 20)]


def path(count):
    """Where the workload of that size is."""
    return FOLDER / f"flags-{count}.json"


def load(count):
    """The committed project document."""
    return json.loads(path(count).read_text(encoding="utf-8"))


def document(count):
    """Flags of even index are rolled out to all, odd ones to some; by threes: multivariate, conditional, plain."""
    token = f"phc_workload_{count}"
    return {
        "team": {"id": 700_000 + count, "api_token": token, "name": f"Workload {count}", "timezone": "UTC"},
        "flags": [flag(count, index) for index in range(count)],
    }


def flag(count, index):
    group = {"properties": [], "rollout_percentage": 100 if index % 2 == 0 else 5 + index * 7 % 90}
    filters = {"groups": [group]}
    if index % 3 == 0:
        variants = [{"key": key, "name": key.title(), "rollout_percentage": share} for key, share in VARIANTS]
        filters["multivariate"] = {"variants": variants}
        filters["payloads"] = {"compact": json.dumps({"columns": 2 + index % 5})}
    elif index % 3 == 1:
        group["properties"] = CONDITIONS[index // 3 % len(CONDITIONS)]
        if index % 4 == 0:
            filters["groups"].append({"properties": [], "rollout_percentage": 10})
    return {
        "id": 7_000_000 + count * 1000 + index,
        "key": f"area-{index // 10:02d}-feature-{index:04d}",
        "name": f"Feature {index}",
        "active": True,
        "version": 1 + index % 9,
        "filters": filters,
    }


def text(project):
    """One flag a line."""
    flags = ",\n".join(json.dumps(item, separators=(",", ":")) for item in project["flags"])
    return f'{{"team":{json.dumps(project["team"])},\n"flags":[\n{flags}\n]}}\n'


def bodies(token):
    """Request bodies in the form that posthog-python sends, about 440 bytes, each for another person."""
    for number in range(DISTINCT_IDS):
        dice = random.Random(f"workload {number}")
        distinct_id = f"{dice.getrandbits(32):08x}-{number:04x}-7{dice.getrandbits(12):03x}-8abc-{dice.getrandbits(48):012x}"
        name = f"{dice.choice('abcdefghijklmnopqrstuvwxyz')}{number}"
        host = dice.choice(["example.com", "mail.test", "corp.test"])
        yield {
            "api_key": token,
            "distinct_id": distinct_id,
            "groups": {},
            "person_properties": {
                "distinct_id": distinct_id,
                "email": f"{name}@{host}",
                "name": name.title(),
                "plan": dice.choice(["free", "pro", "enterprise"]),
                "country": dice.choice(["US", "DE", "FR", "BR", "JP"]),
                "app_version": f"{dice.randrange(1, 4)}.{dice.randrange(10)}.{dice.randrange(20)}",
                "seats": dice.randrange(1, 60),
                "signed_up": f"20{dice.randrange(21, 27)}-{dice.randrange(1, 13):02d}-{dice.randrange(1, 29):02d}",
                "is_staff": dice.random() < 0.1,
                "$browser": dice.choice(["Chrome", "Firefox", "Safari"]),
                "$os": dice.choice(["Mac OS X", "Windows", "Linux"]),
            },
            "group_properties": {},
            "geoip_disable": True,
            "device_id": None,
            "sent_at": "2026-01-01T00:00:00+00:00",
        }
