"""Evaluates persons in the real Python SDK from the definitions of a server.

    python local_check.py URL TOKEN KEY PERSONS OUT

PERSONS is a JSON list of calls. Answers go to OUT-1.json; then a line is awaited on standard input, new definitions are awaited from the
SDK's own poller, and answers go to OUT-2.json. The caller compares.
"""

import json
import logging
import sys
import time
import warnings

import posthog
from posthog import Posthog

POLL_SECONDS = 0.5
WAIT_SECONDS = 15
# How many persons are also asked about with leave to ask the server.
FALLBACKS = 20


def main():
    warnings.simplefilter("ignore")
    logging.getLogger("posthog").setLevel(logging.CRITICAL)
    url, token, key, persons_path, out = sys.argv[1:]
    with open(persons_path, encoding="utf-8") as file:
        persons = json.load(file)
    client = Posthog(token, host=url, personal_api_key=key, poll_interval=POLL_SECONDS)
    client.load_feature_flags()
    if not client.feature_flags:
        print("no definitions were loaded")
        return 1
    for generation in (1, 2):
        write(f"{out}-{generation}.json", client, persons)
        print(f"posthog-python {posthog.VERSION} evaluated", flush=True)
        if generation == 1:
            sys.stdin.readline()
            await_generation(client, 2)
    client.shutdown()
    return 0


def await_generation(client, wanted):
    """The marker flag's version is that of the definitions."""
    limit = time.monotonic() + WAIT_SECONDS
    while client.feature_flags_by_key["generation"]["version"] != wanted:
        if time.monotonic() > limit:
            sys.exit(f"generation {wanted} did not arrive within {WAIT_SECONDS} s")
        time.sleep(0.02)


def write(path, client, persons):
    started = time.monotonic()
    local = [answer(client, person, True) for person in persons]
    took = time.monotonic() - started
    single = [one_by_one(client, person) for person in persons[:FALLBACKS]]
    remote = [answer(client, person, False) for person in persons[:FALLBACKS]]
    with open(path, "w", encoding="utf-8") as file:
        json.dump({"local": local, "single": single, "remote": remote, "seconds": took}, file)


def call(person):
    # The SDK may write into what it is given.
    return {
        "groups": dict(person["groups"]),
        "person_properties": dict(person["person_properties"]),
        "group_properties": json.loads(json.dumps(person["group_properties"])),
        "device_id": person["device_id"],
    }


def answer(client, person, only_locally):
    both = client.get_all_flags_and_payloads(person["distinct_id"], only_evaluate_locally=only_locally, **call(person))
    return {
        "values": both["featureFlags"],
        "payloads": {key: json.loads(text) for key, text in both["featureFlagPayloads"].items()},
    }


def one_by_one(client, person):
    """The same through the snapshot that programs branch on."""
    snapshot = client.evaluate_flags(person["distinct_id"], only_evaluate_locally=True, **call(person))
    return {
        "values": {key: snapshot.get_flag(key) for key in snapshot.keys},
        "payloads": {key: payload for key in snapshot.keys if (payload := snapshot.get_flag_payload(key)) is not None},
        "undecided": sorted(snapshot.unresolved_flags),
    }


if __name__ == "__main__":
    sys.exit(main())
