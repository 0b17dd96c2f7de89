"""Folds what `perf script` prints and draws it as a static SVG; frames beside each other stand in alphabetical order."""

import colorsys
import re
import zlib
from html import escape

WIDTH, ROW, LEAST = 1200, 16, 0.4
FRAME = re.compile(r"^\s+[0-9a-f]+ (.+) \(.*\)$")
OFFSET = re.compile(r"\+0x[0-9a-f]+$")
HASH = re.compile(r"::h[0-9a-f]{16}$")


def folded(text):
    """Stacks, outermost frame first, with how often each was seen."""
    stacks = {}
    for block in text.split("\n\n"):
        frames = [match.group(1) for line in block.splitlines() if (match := FRAME.match(line))]
        if frames:
            stack = tuple(HASH.sub("", OFFSET.sub("", frame)) for frame in reversed(frames))
            stacks[stack] = stacks.get(stack, 0) + 1
    return stacks


def svg(stacks, title):
    """The drawing; every frame has its name and share as a tooltip."""
    total = sum(stacks.values())
    root = {"count": total, "children": {}}
    for stack, count in stacks.items():
        node = root
        for frame in stack:
            node = node["children"].setdefault(frame, {"count": 0, "children": {}})
            node["count"] += count
    boxes = []
    deepest = place(root, 0, 0.0, WIDTH / total, boxes)
    height = (deepest + 3) * ROW
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" font-family="monospace" font-size="11">',
        f'<rect width="{WIDTH}" height="{height}" fill="#fff"/>',
        f'<text x="6" y="13">{escape(title)}, {total} samples</text>',
    ]
    for name, depth, left, width, count in boxes:
        y = height - (depth + 1) * ROW
        label = escape(name[: int(width / 6.7)]) if width > 20 else ""
        lines.append(
            f'<g><title>{escape(name)}: {count / total:.1%}</title><rect x="{left:.1f}" y="{y}" width="{width:.1f}" '
            f'height="{ROW - 1}" fill="{colour(name)}"/><text x="{left + 2:.1f}" y="{y + 11}">{label}</text></g>'
        )
    return "\n".join([*lines, "</svg>", ""])


def place(node, depth, left, scale, boxes):
    """Adds the boxes of all children; returns how deep they go."""
    deepest = depth
    for name, child in sorted(node["children"].items()):
        width = child["count"] * scale
        if width >= LEAST:
            boxes.append((name, depth, left, width, child["count"]))
            deepest = max(deepest, place(child, depth + 1, left, scale, boxes))
        left += width
    return deepest


def colour(name):
    """The same for a name in every drawing."""
    hue = 0.02 + (zlib.crc32(name.encode()) % 1000) / 1000 * 0.12
    red, green, blue = (round(part * 255) for part in colorsys.hls_to_rgb(hue, 0.68, 0.85))
    return f"#{red:02x}{green:02x}{blue:02x}"
