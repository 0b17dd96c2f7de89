"""Carries relative-date cases with a fixed clock over to the real clock.

The outcome of such a case depends only on which side of the limit (`now` minus the relative amount) the property
lies. So the property is placed at the same distance from today's limit, and at least a minute away, because time
passes until the server looks at its clock. The caller still evaluates the case at its own clock through the engine;
this shows that the running server reads its clock the same way.
"""

import calendar
import re
from datetime import datetime, timedelta, timezone

MARGIN = timedelta(minutes=1)
RELATIVE = re.compile(r"-?(\d{1,4})([hdwmy])\Z")


def parse(text):
    """An instant; without offset it is UTC. Fractions are cut to microseconds."""
    text = re.sub(r"(\.\d{6})\d+", r"\1", text).replace("Z", "+00:00")
    instant = datetime.fromisoformat(text)
    return instant if instant.tzinfo else instant.replace(tzinfo=timezone.utc)


def back(now, amount, unit):
    """`evaluation.md` 12.7, text rule 1, in UTC."""
    if unit in "hdw":
        return now - amount * {"h": timedelta(hours=1), "d": timedelta(days=1), "w": timedelta(weeks=1)}[unit]
    for _ in range(amount):
        year, month = (now.year - 1, now.month) if unit == "y" else (now.year - (now.month == 1), (now.month - 2) % 12 + 1)
        now = now.replace(year=year, month=month, day=min(now.day, calendar.monthrange(year, month)[1]))
    return now


def carried_over(case, real_now):
    """The property map for the real clock, or None where only a fixed clock can tell.

    The server evaluates a moment after `real_now`, so a distance of zero becomes slightly negative: that keeps the outcome of
    `is_date_after`, not of `is_date_before`.
    """
    case_filter = case["filter"]
    match = RELATIVE.match(str(case_filter.get("value")))
    stored = case["properties"].get(case_filter["key"])
    if not match or not isinstance(stored, str) or case.get("team_timezone", "UTC") != "UTC":
        return None
    amount, unit = int(match.group(1)), match.group(2)
    distance = parse(stored) - back(parse(case["now"]), amount, unit)
    if not distance and case_filter["operator"] != "is_date_after":
        return None
    if distance:
        distance = max(distance, MARGIN) if distance > timedelta() else min(distance, -MARGIN)
    moved = back(real_now, amount, unit) + distance
    return {**case["properties"], case_filter["key"]: moved.isoformat()}
