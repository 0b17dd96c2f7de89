"""Asks a running server through the real Python SDK and compares with the fixture.

    python check.py URL FIXTURE

The client has its default settings and no personal API key, so every call is a request to the server. Its events go to the
same host, which does not take them.
"""

import json
import logging
import sys
import warnings

import posthog
from posthog import Posthog

checks = 0
failures = []


def expect(what, expected, got):
    global checks
    checks += 1
    if type(expected) is not type(got) or expected != got:
        failures.append(f"{what}: expected {expected!r}, got {got!r}")


def main():
    # The SDK warns about older method names; they are what most programs call. It also logs that its events are refused.
    warnings.simplefilter("ignore")
    logging.getLogger("posthog").setLevel(logging.CRITICAL)
    url, fixture_path = sys.argv[1:]
    with open(fixture_path, encoding="utf-8") as file:
        fixture = json.load(file)
    for settings in ({}, {"gzip": True}):
        client = Posthog(fixture["team"]["api_token"], host=url, **settings)
        try:
            for request in fixture["requests"]:
                check_request(client, request, f"{request['name']}{' (gzip)' if settings else ''}")
        finally:
            client.shutdown()
    for failure in failures:
        print(f"FAIL posthog-python {failure}")
    print(f"posthog-python {posthog.VERSION}: {checks - len(failures)}/{checks}")
    return 1 if failures or not checks else 0


def check_request(client, request, name):
    context = {key: request[key] for key in ("groups", "person_properties", "group_properties") if key in request}
    user = request["distinct_id"]
    values = {key: expected["value"] for key, expected in request["expected"].items()}
    payloads = {key: expected["payload"] for key, expected in request["expected"].items() if "payload" in expected}

    expect(f"{name}: get_all_flags", values, client.get_all_flags(user, **context))

    both = client.get_all_flags_and_payloads(user, **context)
    expect(f"{name}: all values", values, both["featureFlags"])
    decoded = {key: json.loads(text) for key, text in both["featureFlagPayloads"].items()}
    expect(f"{name}: all payloads", payloads, decoded)

    snapshot = client.evaluate_flags(user, **context)
    expect(f"{name}: evaluate_flags keys", sorted(values), sorted(snapshot.keys))

    for key, value in values.items():
        label = f"{name}: {key}"
        expect(f"{label} get_feature_flag", value, client.get_feature_flag(key, user, **context))
        expect(f"{label} feature_enabled", bool(value), client.feature_enabled(key, user, **context))
        expect(f"{label} payload", payloads.get(key), client.get_feature_flag_payload(key, user, **context))
        result = client.get_feature_flag_result(key, user, **context)
        expect(f"{label} result", (value, payloads.get(key)), (result.get_value(), result.payload))
        expect(f"{label} snapshot", value, snapshot.get_flag(key))
        expect(f"{label} snapshot payload", payloads.get(key), snapshot.get_flag_payload(key))
        only = client.get_all_flags(user, flag_keys_to_evaluate=[key], **context)
        expect(f"{label} restricted", value, only.get(key))

    for key in request["omitted"]:
        expect(f"{name}: {key} is not enabled", False, bool(client.feature_enabled(key, user, **context)))


if __name__ == "__main__":
    sys.exit(main())
