"""Compares answers of the server with what a case expects. Every function returns the differences as text lines."""


def flag_record(answer, key, expected):
    """Compares one flag of a version 2 answer; only fields that the case states are looked at."""
    record = answer["flags"].get(key)
    if expected.get("omitted"):
        return [] if record is None else [f"{key}: must be absent, is {short(record)}"]
    if record is None:
        return [f"{key}: absent"]
    got = {
        "value": record["variant"] if record["variant"] is not None else record["enabled"],
        "enabled": record["enabled"],
        "variant": record["variant"],
        "payload": record["metadata"]["payload"],
        "reason": {name: record["reason"].get(name) for name in ("code", "condition_index")},
    }
    return [
        f"{key}.{name}: expected {expected[name]!r}, got {got[name]!r} ({record['reason']['code']})"
        for name in got
        if name in expected and not same(expected[name], got[name])
    ]


def same(expected, got):
    """JSON equality: unlike Python's, it tells `true` from `1`."""
    if isinstance(expected, dict) and isinstance(got, dict):
        return expected.keys() == got.keys() and all(same(expected[key], got[key]) for key in expected)
    if isinstance(expected, list) and isinstance(got, list):
        return len(expected) == len(got) and all(map(same, expected, got))
    return isinstance(expected, bool) == isinstance(got, bool) and expected == got


def subset(expected, got, path="$"):
    """Everything in `expected` must be in `got`; maps of flags (`flags`, `featureFlags`, payloads) must be equal in keys."""
    if isinstance(expected, dict) and isinstance(got, dict):
        lines = [f"{path}.{key}: absent" for key in expected if key not in got]
        if path.rsplit(".", 1)[-1] in ("flags", "featureFlags", "featureFlagPayloads"):
            lines += [f"{path}.{key}: must be absent" for key in got if key not in expected]
        for key in expected.keys() & got.keys():
            lines += subset(expected[key], got[key], f"{path}.{key}")
        return lines
    return [] if same(expected, got) else [f"{path}: expected {short(expected)}, got {short(got)}"]


def short(value):
    """At most 200 characters."""
    text = repr(value)
    return text if len(text) <= 200 else text[:200] + "..."
