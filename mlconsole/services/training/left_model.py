"""The model that a training left: at the path that it was given, or among the files that it wrote."""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Sequence
from pathlib import Path

from mlconsole.errors import Refused
from mlconsole.services.training.files import (
    changed_since,
    files_below,
    is_model_folder,
    matching,
    matching_folders,
    moment,
    newest_first,
    size_of,
    state,
    written,
)
from mlconsole.text import clean, listed

_SCIKIT_LEARN = (".pkl", ".pickle", ".joblib", ".skops")
_NETWORKS = (".onnx", ".pt", ".pth", ".ckpt", ".safetensors", ".h5", ".hdf5", ".keras", ".tflite", ".gguf")
_TREES = (".cbm", ".ubj", ".bst", ".lgb")
SUFFIXES = frozenset((*_SCIKIT_LEARN, *_NETWORKS, *_TREES, ".pmml", ".mlmodel", ".model"))
"""What model files are called where nothing else says which file is the model."""
SKIPPING = frozenset(("make", "gmake", "dvc", "snakemake", "just", "task", "doit", "scons", "ninja", "nox", "tox"))
"""Tools that leave a model as it is where it is up to date already."""


class NoModelWritten(Refused):
    """The training command ended well, but what it should have written is not there or is no model file."""


class ModelUnclear(Refused):
    """The training wrote several files that may be the model."""


class ModelSearch:
    """Finds the model after a training; made before it, to know what was there already.

    Args:
        root: the project's folder, which patterns are relative to.
        cwd: the folder that the command runs in.
        command: program and arguments.
        given: the path that the command was given for the model, where it takes one.
        pattern: a path or pattern of the settings, where the model is found there.
        alone: whether nobody else writes there meanwhile: what others write may be empty at any moment.

    `skips` is whether the command is a tool that leaves what is up to date.
    """

    def __init__(
        self,
        root: Path,
        cwd: Path,
        command: Sequence[str],
        given: Path | None,
        pattern: str = "",
        *,
        alone: bool = True,
    ) -> None:
        self._root, self._cwd, self._given, self._pattern, self._alone = root, cwd, given, pattern, alone
        self._line = shlex.join(command)
        self._before = state(given) if given else None
        words = shlex.split(command[2]) if list(command[:2]) == ["sh", "-c"] else list(command)
        self.skips = any(Path(word).name in SKIPPING for word in words[:3])
        self._started = moment()

    def find(self, tail: tuple[str, ...] = ()) -> tuple[Path, str]:
        """Return the model's path, and in words where it was found; these are empty for the path that was given.

        Args:
            tail: the last lines of the training, for the sentence where there is no model.

        Raises:
            NoModelWritten: there is none, or it was not written by this training.
            ModelUnclear: there are several.
        """
        if self._given is not None and (not self._pattern or state(self._given) != self._before):
            self._check_given(self._given, tail)
            return self._given, ""
        if self._pattern:
            return self._matching(tail)
        return self._only_one(tail)

    def is_of_this_run(self, path: Path) -> bool:
        """Whether a file was written by this training, or is what a tool such as make found up to date."""
        return self.skips or changed_since(path, self._started)

    def _check_given(self, path: Path, tail: tuple[str, ...]) -> None:
        after = state(path)
        shown = self._shown(path)
        if path.is_dir() and not files_below(path):
            sentence = f"Training left an empty folder at {shown}."
        elif path.is_dir() and changed_since(path, self._started):
            return
        elif after is None:
            sentence = f"Training ended well, but there is no model at {shown}."
        elif not self.skips and (after == self._before or path.is_dir()):
            sentence = f"Training ended well, but left the model at {shown} as it was before."
        elif after[1] == 0:
            sentence = f"Training wrote an empty file to {shown}."
        else:
            return
        others = sorted(self._written(), key=lambda other: -size_of(other))
        if any(other.name == f"{path.name}\r" for other in others):
            hint = "It wrote one whose name ends with a carriage return: give its script the line endings of Unix, \\n."
            raise NoModelWritten(sentence, hint, command=self._line, tail=tail)
        hint = f"It wrote {clean(listed([self._shown(other) for other in others]))}: " if others else ""
        use = "let the training command write to {model}" if hint else "Let the training command write to {model}"
        where = f', or name it: [train] model = "{clean(self._shown(others[0]))}"' if others else ""
        raise NoModelWritten(sentence, f"{hint}{use}{where}.", command=self._line, tail=tail)

    def _matching(self, tail: tuple[str, ...]) -> tuple[Path, str]:
        """What the pattern of the settings means, below the project's folder or that of the command."""
        found: list[Path] = []
        for top in dict.fromkeys((self._root, self._cwd)):
            found = found or matching_folders(top, self._pattern) or matching(top, self._pattern)
        fresh = newest_first([path for path in found if changed_since(path, self._started)])
        if not fresh and self.skips:
            fresh = newest_first(found)[:1]
        if not fresh:
            kind = "folder" if self._pattern.endswith("/") else "file"
            what = f"left {self._pattern} as it was before" if found else f"no {kind} is called {self._pattern}"
            raise NoModelWritten(
                f"Training ended well, but {what}.", "Check `model` under [train].", command=self._line, tail=tail
            )
        return self._one_of(fresh), f"the newest file of {self._pattern}" if len(fresh) > 1 else self._pattern

    def _only_one(self, tail: tuple[str, ...]) -> tuple[Path, str]:
        """The only file, or folder, that the training wrote and that looks as models do."""
        wrote = newest_first(self._written())
        folders = self._outermost({path.parent for path in wrote} - {self._root, self._cwd})
        models = [path for path in wrote if path.suffix.lower() in SUFFIXES and not _is_below(path, folders)]
        if models or folders:
            what = "folder" if folders and not models else "file"
            return self._one_of(newest_first([*folders, *models])), f"the model {what} that the training wrote"
        hint = f"It wrote {clean(listed([self._shown(path) for path in wrote]))}. " if wrote else ""
        raise NoModelWritten(
            "Training ended well, but wrote no file in the project that looks like a model.",
            f'{hint}Say where the model is: [train] model = "models/*.pkl".',
            command=self._line,
            tail=tail,
        )

    def _outermost(self, folders: set[Path]) -> list[Path]:
        """Those of some folders that are models and not a part of another one."""
        models = [folder for folder in folders if is_model_folder(folder)]
        return [folder for folder in models if not _is_below(folder, models)]

    def _one_of(self, files: list[Path]) -> Path:
        """The newest of files, where they are one model as it grew; otherwise a person has to say which."""
        if len({re.sub(r"\d+", "0", path.name) for path in files}) > 1:
            names = [clean(self._shown(path)) for path in files]
            raise ModelUnclear(
                f"Training wrote {listed(names)}: which of them is the model?",
                f'Say so: [train] model = "{names[0]}", and the others may be outputs = {_as_toml(names[1:4])}.',
                command=self._line,
            )
        if self._alone and not size_of(files[0]):
            raise NoModelWritten(f"Training wrote an empty file to {self._shown(files[0])}.", command=self._line)
        return files[0]

    def _written(self) -> list[Path]:
        tops = [self._cwd, self._root, *([self._given.parent] if self._given else [])]
        left = (path for path in written(*tops, since=self._started) if path != self._given)
        return [path for path in left if path.suffix not in (".pyc", ".log")]

    def _shown(self, path: Path) -> str:
        return os.path.relpath(path, self._root)


def _is_below(path: Path, folders: list[Path]) -> bool:
    return any(folder in path.parents for folder in folders)


def _as_toml(names: list[str]) -> str:
    return "[" + ", ".join(f'"{name}"' for name in names) + "]"
