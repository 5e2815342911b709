"""What an image would run: there are no images here, so the Dockerfile in the project's folder stands for them."""

from __future__ import annotations

import hashlib
import io
import json
import posixpath
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

from dockerfile_parse import DockerfileParser
from dockerfile_parse.util import WordSplitter, extract_key_values

NAMES = ("Dockerfile", "Containerfile", "docker/Dockerfile")


class ImageUnknown(Exception):
    """Nothing tells what the image would run; the text says what is missing."""


@dataclass(frozen=True)
class Image:
    """What a Dockerfile says about how to start: the words of ENTRYPOINT and CMD, ENV, and WORKDIR."""

    entrypoint: tuple[str, ...] = ()
    command: tuple[str, ...] = ()
    env: dict[str, str] = field(default_factory=dict)
    workdir: str = "/"
    digest: str = ""


def find_image(root: Path) -> Image | None:
    """Reads the Dockerfile in ``root``; None where there is none. Raises ImageUnknown where it can't be read."""
    path = next((root / name for name in NAMES if (root / name).is_file()), None)
    if path is None:
        return None
    try:
        return parse_dockerfile(path.read_bytes())
    except (ValueError, KeyError, IndexError, OSError) as error:
        raise ImageUnknown(f"{path.name} can't be read: {error}") from None


def parse_dockerfile(content: bytes) -> Image:
    """What the last stage of a Dockerfile starts, with all that it takes over from earlier stages."""
    stages: dict[str, Image] = {}
    image, name = Image(), ""
    arguments: dict[str, str] = {}
    for instruction, value in _instructions(content):
        if instruction == "FROM":
            stages[name] = image
            words = [word for word in WordSplitter(value, args=arguments).split() if not word.startswith("--")]
            image = replace(stages.get(words[0].lower(), Image()))
            name = words[2].lower() if len(words) > 2 and words[1].lower() == "as" else str(len(stages) - 1)
        elif instruction == "ARG":
            key, _, default = value.partition("=")
            arguments[key.strip()] = WordSplitter(default, args=arguments, envs=image.env).dequote()
        else:
            image = _apply(image, instruction, value, arguments)
    return replace(image, digest=hashlib.sha256(content).hexdigest())


def _instructions(content: bytes) -> Iterator[tuple[str, str]]:
    for entry in DockerfileParser(fileobj=io.BytesIO(content)).structure:
        yield entry["instruction"].upper(), entry["value"]


def _apply(image: Image, instruction: str, value: str, arguments: dict[str, str]) -> Image:
    match instruction:
        case "ENV":
            pairs = dict(extract_key_values(True, arguments, image.env, value))
            return replace(image, env=image.env | pairs)
        case "WORKDIR":
            path = WordSplitter(value, args=arguments, envs=image.env).dequote()
            return replace(image, workdir=posixpath.normpath(posixpath.join(image.workdir, path)))
        case "ENTRYPOINT":
            return replace(image, entrypoint=_words(value), command=())
        case "CMD":
            return replace(image, command=_words(value))
        case _:
            return image


def _words(value: str) -> tuple[str, ...]:
    """The exec form as it is, the shell form as a command of the shell."""
    if value.lstrip().startswith("["):
        try:
            words = json.loads(value)
        except ValueError:
            words = None
        if isinstance(words, list) and all(isinstance(word, str) for word in words):
            return tuple(words)
    return ("/bin/sh", "-c", value)


def command_of(container: dict[str, object], image: Image | None) -> tuple[str, ...]:
    """The command of a container: its own, or what the image runs. Raises ImageUnknown where neither says."""
    command = _texts(container.get("command"))
    arguments = _texts(container.get("args"))
    if not command and image is not None:
        command = image.entrypoint
        arguments = arguments or image.command
    if command or (image is not None and arguments):
        return command + arguments
    where = "the Dockerfile has neither ENTRYPOINT nor CMD" if image else "the project's folder has no Dockerfile"
    raise ImageUnknown(
        f"the container has no command and {where}, so nothing says what this image runs; "
        "give the container a command or add a Dockerfile"
    )


def _texts(value: object) -> tuple[str, ...]:
    return tuple(str(item) for item in value) if isinstance(value, list) else ()
