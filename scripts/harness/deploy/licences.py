"""deny.toml against what is in Cargo.lock, as far as that can be judged without cargo-deny: licences, bans and sources.

Advisories need their database and are cargo-deny's alone."""

import json
import re
import subprocess
import tomllib

from . import ROOT

SECTIONS = {"graph", "advisories", "licenses", "bans", "sources"}


def satisfied(expression, allowed):
    """Whether an SPDX expression can be met: AND needs both sides, OR one; AND binds tighter."""
    words = re.findall(r"\(|\)|[^\s()]+", expression.replace("/", " OR "))
    at = 0

    def choice():
        nonlocal at
        met = both()
        while at < len(words) and words[at] == "OR":
            at += 1
            met = both() or met
        return met

    def both():
        nonlocal at
        met = single()
        while at < len(words) and words[at] == "AND":
            at += 1
            met = single() and met
        return met

    def single():
        nonlocal at
        word = words[at]
        at += 1
        if word == "(":
            met = choice()
            at += 1
            return met
        if at + 1 < len(words) and words[at] == "WITH":
            word, at = f"{word} WITH {words[at + 1]}", at + 2
        return word in allowed

    return choice()


def problems():
    deny = tomllib.loads((ROOT / "deny.toml").read_text())
    for section in sorted(set(deny) ^ SECTIONS):
        yield f"deny.toml: section {section} is unknown, or missing"
    allowed = set(deny["licenses"]["allow"])
    tree = subprocess.run(
        ["cargo", "metadata", "--format-version", "1", "--locked"], cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True
    )
    for package in json.loads(tree.stdout)["packages"]:
        name, expression = f"{package['name']} {package['version']}", package["license"]
        if not expression:
            yield f"{name} names no licence"
        elif not satisfied(expression, allowed):
            yield f"{name}: {expression} is not allowed"
    for banned in deny["bans"]["deny"]:
        for entry in tomllib.loads((ROOT / "Cargo.lock").read_text())["package"]:
            if entry["name"] == banned["crate"]:
                yield f"{entry['name']} {entry['version']} is banned: {banned['reason']}"
    sources = {entry.get("source") for entry in tomllib.loads((ROOT / "Cargo.lock").read_text())["package"]}
    registries = {f"registry+{url}" for url in deny["sources"]["allow-registry"]}
    yield from (f"{source} is no allowed source" for source in sorted(sources - registries - {None}))
