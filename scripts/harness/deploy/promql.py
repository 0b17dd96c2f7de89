"""The metric names that alert rules and the dashboard use."""

import json
import re

import yaml

from . import DEPLOY

RULES = DEPLOY / "prometheus" / "alerts.yaml"
DASHBOARD = DEPLOY / "grafana" / "feature-flags.json"

# Prometheus makes it itself for every target.
NOT_OURS = {"up"}
WORDS = {"and", "or", "unless", "bool", "offset", "by", "without", "on", "ignoring", "group_left", "group_right", "inf", "nan"}


def names(expression):
    """Names of metrics in a PromQL expression: identifiers that are neither functions, labels nor words of the language."""
    text = re.sub(r'"(\\.|[^"\\])*"', '""', expression)
    text = re.sub(r"\{[^}]*\}", " ", text)
    text = re.sub(r"\[[^\]]*\]", " ", text)
    text = re.sub(r"\b(by|without|on|ignoring|group_left|group_right)\s*\([^)]*\)", " ", text)
    found = re.findall(r"(?<![\w.$])([a-zA-Z_:][\w:]*)\b(?!\s*\()", text)
    return {name for name in found if name.lower() not in WORDS}


def expressions():
    """Every expression with where it stands."""
    for group in yaml.safe_load(RULES.read_text())["groups"]:
        for rule in group["rules"]:
            yield f"alert {rule['alert']}", rule["expr"]
    dashboard = json.loads(DASHBOARD.read_text())
    for panel in dashboard["panels"]:
        for target in panel.get("targets", []):
            yield f"panel {panel['title']}", target["expr"]
    for variable in dashboard["templating"]["list"]:
        query = re.fullmatch(r"label_values\((.*), *\w+\)", str(variable.get("query")))
        if query:
            yield f"variable {variable['name']}", query[1]


def used():
    """All names, without Prometheus' own."""
    return set().union(*(names(expression) for _, expression in expressions())) - NOT_OURS


def problems():
    for place, expression in expressions():
        if not names(expression):
            yield f"{place}: names no metric: {expression}"
    dashboard = json.loads(DASHBOARD.read_text())
    ids = [panel["id"] for panel in dashboard["panels"]]
    if len(ids) != len(set(ids)):
        yield "dashboard: two panels have the same id"
    taken = set()
    for panel in dashboard["panels"]:
        at = panel["gridPos"]
        cells = {(x, y) for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"])}
        if at["x"] + at["w"] > 24 or cells & taken:
            yield f"dashboard: panel {panel['title']} overlaps another, or the edge"
        taken |= cells
    variables = {variable["name"] for variable in dashboard["templating"]["list"]}
    for place, expression in expressions():
        for name in re.findall(r"\$\{?(\w+)", expression):
            if name not in variables and not name.startswith("__") and place.startswith("panel"):
                yield f"{place}: unknown variable ${name}"
