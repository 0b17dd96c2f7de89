"""The Dockerfile's structure: it cannot be built everywhere that it is checked."""

import json
import re
import tomllib

from . import DEPLOY, ROOT

FILE = DEPLOY / "Dockerfile"
INSTRUCTIONS = {
    "FROM", "WORKDIR", "COPY", "RUN", "ENV", "USER", "EXPOSE", "STOPSIGNAL", "HEALTHCHECK", "ENTRYPOINT", "CMD",
}


def stages():
    """Lists of (instruction, rest), one a stage."""
    text = re.sub(r"(?m)^#.*\n", "", FILE.read_text())
    text = re.sub(r"\\\n\s*", " ", text)
    found = []
    for line in filter(None, map(str.strip, text.splitlines())):
        instruction, rest = line.split(None, 1)
        if instruction == "FROM":
            found.append([])
        found[-1].append((instruction, rest))
    return found


def problems(port, settings):
    build, final = stages()
    for instruction, _ in build + final:
        if instruction not in INSTRUCTIONS:
            yield f"unknown instruction {instruction}"
    images = [rest.split()[0] for stage in (build, final) for instruction, rest in stage if instruction == "FROM"]
    for image in images:
        if ":" not in image or image.endswith(":latest"):
            yield f"image {image} has no fixed tag"
    wanted = tomllib.loads((ROOT / "Cargo.toml").read_text())["package"]["rust-version"]
    if not images[0].startswith(f"rust:{wanted}"):
        yield f"the build image {images[0]} is not Rust {wanted}"
    one = dict(final)
    user = one.get("USER", "root").split(":")[0]
    if not user.isdigit() or int(user) == 0:
        yield f"USER {user} is root, or a name that runAsNonRoot cannot judge"
    for name in ("ENTRYPOINT", "CMD"):
        if not isinstance(json.loads(one[name]), list):
            yield f"{name} needs a shell"
    check = json.loads(one["HEALTHCHECK"].split("CMD", 1)[1])
    if check[:2] != [*json.loads(one["ENTRYPOINT"]), "healthcheck"]:
        yield f"HEALTHCHECK runs {check}"
    if one["EXPOSE"] != str(port):
        yield f"EXPOSE {one['EXPOSE']} is not the port of the manifests"
    for name in re.findall(r"(\w+)=", one["ENV"]):
        if name not in settings:
            yield f"ENV {name} is no setting"
    if not one["ENV"].endswith(f":{port}"):
        yield f"ENV {one['ENV']} is another port"
    kept = {line[1:] for line in FILE.with_suffix(".dockerignore").read_text().split() if line.startswith("!")}
    for instruction, rest in build + final:
        if instruction == "COPY" and "--from" not in rest:
            for source in rest.split()[:-1]:
                if not (ROOT / source).exists():
                    yield f"COPY {source}: not in the repository"
                if source not in kept:
                    yield f"COPY {source}: left out by .dockerignore"
    commands = [rest for instruction, rest in build if instruction == "RUN"]
    if not any("--locked" in command and "--profile dist" in command for command in commands):
        yield "the build does not use Cargo.lock and the profile dist"
