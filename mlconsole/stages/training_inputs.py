"""What decides what a training makes: its command, code, parameters and place.

It is asked for at every run, also where nothing has changed: nothing here imports what runs a training.
"""

from __future__ import annotations

import os
import shlex
from pathlib import Path

import msgspec

from mlconsole.errors import WrongUse
from mlconsole.evidence.base import Input, InputPart
from mlconsole.evidence.data import DataIdentity
from mlconsole.evidence.training import PythonEnvironment
from mlconsole.project import Project
from mlconsole.project.settings import TrainSettings
from mlconsole.services.training import command as commands
from mlconsole.services.training import notebook
from mlconsole.services.training.environment import find_python
from mlconsole.stages.base import digest_of, digest_of_files, input_of_files, parts_of
from mlconsole.text import clean_line

PYTHON_ENVIRONMENT = "Python environment"
"""The name of the one input that is the machine's, and not the project's."""
PARAMETERS = "parameters"
"""The name of the input that is the file of parameters."""
LOCAL_IMAGE = "local"
"""What the local cluster, which has no images, is told where the settings name none."""


class CommandNotNamed(WrongUse):
    """The project does not say how it trains, and no training script was found."""


class FolderMissing(WrongUse):
    """The folder that training is to run in is not there."""


def project_python(project: Project) -> PythonEnvironment:
    """The Python that the project's own code runs in."""
    return find_python(project.root, project.settings.python)


def command_template(project: Project) -> str:
    """The training command of the settings, with its placeholders.

    Raises:
        CommandNotNamed: there is none, or it can't be split into words.
    """
    template = project.settings.train.command
    if not template:
        asked = project.asked("train.command")
        raise CommandNotNamed(asked.sentence, asked.next_step)
    try:
        shlex.split(template)
    except ValueError as error:
        raise CommandNotNamed(f"train.command can't be split into words: {error}.", "Mend its quotes.") from error
    return template


def manifest_line(project: Project) -> str:
    """What trains in place of a command: `manifest train-job.yaml`; empty where a command does."""
    settings = project.settings.train
    return f"manifest {shlex.quote(settings.manifest)}" if settings.on == "cluster" and settings.manifest else ""


def working_folder(project: Project) -> Path:
    """The folder that the command runs in.

    Raises:
        FolderMissing: there is no such folder.
    """
    folder = project.root / project.settings.train.cwd
    if not folder.is_dir():
        raise FolderMissing(f"There is no folder {project.settings.train.cwd}.", "Check `cwd` under [train].")
    return Path(os.path.normpath(folder))


def training_inputs(project: Project, data: DataIdentity) -> tuple[Input, ...]:
    """What decides what comes out of a training, in the order in which people are told what changed.

    Raises:
        CommandNotNamed: see there.
        FolderMissing: see there.
    """
    template = manifest_line(project) or command_template(project)
    parameters = [project.root / name for name in [project.settings.train.parameters] if name]
    found = commands.sources(project.root, shlex.split(template), working_folder(project))
    sources = tuple(path for path in found if path not in parameters)
    return (
        data_input(data),
        Input(name="command", digest=template),
        input_of_files(PARAMETERS, project.root, parameters),
        _code_input(project, sources),
        *_place_inputs(project),
        Input(name="model name", digest=project.settings.name),
        *_more_inputs(project.settings.train),
    )


def data_input(data: DataIdentity) -> Input:
    """Which data it is, as an input."""
    return Input(name="data", digest=data.digest, parts=parts_of([(file.path, file.digest) for file in data.files]))


def python_input(project: Project) -> Input:
    """The project's Python and what is installed in it, as an input."""
    found = project_python(project)
    versions = [("Python", found.version), *((entry.name, entry.version) for entry in found.packages)]
    parts = tuple(InputPart(clean_line(name), clean_line(version)) for name, version in versions)
    return Input(name=PYTHON_ENVIRONMENT, digest=found.digest, parts=parts)


def _code_input(project: Project, sources: tuple[Path, ...]) -> Input:
    """The code that trains; of notebooks, without what their cells put out."""
    notebooks = [path for path in sources if path.suffix == notebook.SUFFIX]
    files = input_of_files("training code", project.root, [path for path in sources if path not in notebooks])
    if not notebooks:
        return files
    codes = [notebook.code(path) for path in notebooks]
    names = [os.path.relpath(path, project.root) for path in notebooks]
    parts = parts_of([(name, digest_of(code)) for name, code in zip(names, codes, strict=True)])
    return msgspec.structs.replace(files, digest=digest_of(files.digest, *codes), parts=(*files.parts, *parts))


def _inputs_there(project: Project) -> tuple[Input, ...]:
    """What decides what comes out on the cluster, besides the code, the data and the command."""
    settings = project.settings.train
    image = "" if settings.manifest else LOCAL_IMAGE
    parts = {"image": settings.image or image, "data's address": settings.data_uri, "GPUs": settings.gpu}
    if settings.manifest:
        parts["manifest of the training"] = digest_of_files(project.root, [project.root / settings.manifest])
    return tuple(Input(name=name, digest=value) for name, value in parts.items() if value)


def _more_inputs(settings: TrainSettings) -> tuple[Input, ...]:
    """What else of the settings decides what comes out, where it is set."""
    more: dict[str, object] = {
        "folder": settings.cwd,
        "place of the model": settings.model,
        "outputs": settings.outputs,
        "sweep": settings.sweep and [*settings.sweep.items(), settings.best],
    }
    return tuple(
        Input(name=name, digest=value if isinstance(value, str) else msgspec.json.encode(value).decode())
        for name, value in more.items()
        if value
    )


def _place_inputs(project: Project) -> tuple[Input, ...]:
    """Where it runs, as far as that decides what comes out."""
    if project.settings.train.on == "cluster":
        return _inputs_there(project)
    return (python_input(project),)
