"""What a project does not say in its settings, found in its files: names and texts are read, nothing is run.

Where several things could be meant, or nothing is there, it is asked about: there is no silent guess.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from pathlib import Path, PurePosixPath
from typing import NamedTuple, TypeVar

import msgspec

from mlconsole.project.finding import manifests, recipes, scripts
from mlconsole.project.finding.files import Files, Found, Question, is_of_tests
from mlconsole.project.settings import Section, Settings
from mlconsole.text import listed

__all__ = ["Completed", "Found", "Question", "complete", "looks_like_project"]

DATA_NAMES = ("data/training.csv", "data/train.csv", "data/training.parquet", "data/train.parquet")
DATA_SUFFIXES = (".csv", ".csv.gz", ".csv.zst", ".tsv", ".parquet")
NO_TRAINING_DATA = re.compile(r"test|holdout|hold_out|valid|submission|sample|predict|result|metric|eval", re.I)
PARAMETER_NAMES = ("params.yaml", "params.yml", "config/params.yaml")
CONFIGURATION = re.compile(r"(?:conf|config|configs|configuration)(?:/\w+)?\.(?:ya?ml|toml|json)$|^configs?/.*\.ya?ml$")
TEST_NAMES = ("tests/test_model_quality.py", "tests/test_model.py", "test_model_quality.py")
HOLDOUT_NAMES = ("data/holdout.csv", "data/validation.csv", "data/test.csv", "data/holdout.parquet")
_S = TypeVar("_S", bound=Section)
_COMMAND_HINT = 'Name it in mlconsole.toml: [train] command = "python train_model.py --data {data} --output {model}"'


class Completed(NamedTuple):
    """Settings with what was found in the project, where each value is from, and what is still to be asked."""

    settings: Settings
    found: tuple[Found, ...]
    questions: tuple[Question, ...]


def looks_like_project(folder: Path) -> bool:
    """Whether a folder has a training script or manifests where projects have them."""
    return any((folder / name).exists() for name in (*scripts.SCRIPT_NAMES, "deployment.yaml", "deployment.yml"))


def complete(root: Path, given: Settings) -> Completed:
    """Fill in what settings leave open, as far as the project's files tell it."""
    files = Files(root)
    found: list[Found] = []
    questions: list[Question] = []

    def fill(section: _S, prefix: str, finds: Mapping[str, Found | Question | None]) -> _S:
        open_keys = {key: find for key, find in finds.items() if find is not None and not getattr(section, key)}
        questions.extend(find for find in open_keys.values() if isinstance(find, Question))
        values = {key: find for key, find in open_keys.items() if isinstance(find, Found)}
        found.extend(find._replace(key=prefix + key) for key, find in values.items())
        return msgspec.structs.replace(section, **{key: find.value for key, find in values.items()})

    script = _script(files, given.train.command)
    read_by_recipe = _read_by_recipe(files) if not (given.train.command or given.data.path) else None
    data = fill(
        given.data, "data.", {"path": read_by_recipe or (_data(files, script) if not given.data.path else None)}
    )
    parameters = fill(given.train, "train.", {"parameters": _parameters(files, script)})
    needs_command = not given.train.command and not given.train.manifest
    train = fill(parameters, "train.", _training(files, script) if needs_command else {})
    data = fill(data, "data.", {"target": _target(files, train.parameters, script, data.path)})
    named = given.deploy.manifests or given.deploy.render
    deploy = fill(given.deploy, "deploy.", {"manifests": manifests.find(files) if not named else None})
    serving = manifests.workload(files, deploy.manifests)
    deploy = fill(deploy, "deploy.", {"selector": serving.selector or _no_selector(deploy.manifests, deploy.render)})
    questions += manifests.missing(files, deploy.manifests, deploy.image)
    settings = msgspec.structs.replace(
        given,
        data=data,
        train=train,
        test=fill(given.test, "test.", {"paths": _tests(files, script, data.path) if not given.test.paths else None}),
        quality=fill(given.quality, "quality.", {"holdout": _first(files, HOLDOUT_NAMES)}),
        deploy=deploy,
    )
    settings = fill(settings, "", {"name": serving.name or Found("", _as_name(root.name), "the folder's name")})
    order = ("data", "train", "test", "deploy")
    questions.sort(key=lambda question: order.index(question.key.partition(".")[0]))
    return Completed(settings, tuple(found), tuple(questions))


def _first(files: Files, names: tuple[str, ...]) -> Found | None:
    return next((Found("", name, name) for name in names if files.has(name)), None)


def _script(files: Files, command: str) -> scripts.Script | None:
    """The script of the command, where one is given; else the one that trains, where there is just one."""
    if command:
        named = next((word.strip("\"'") for word in command.split() if word.strip("\"'").endswith(".py")), "")
        return scripts.read(files, named) if named and files.has(named) else None
    names = scripts.training_scripts(files)
    return scripts.read(files, names[0]) if len(names) == 1 else None


def _training(files: Files, script: scripts.Script | None) -> dict[str, Found | Question | None]:
    """The training command, and the folder that it has to run in."""
    recipe = recipes.recipe(files)
    takes_both = script is not None and script.first("data") is not None and script.first("model") is not None
    runs = script is not None and not (script.unknown or script.only_defines or script.subcommands)
    if recipe is not None and not (takes_both and runs):
        return {"command": recipe}
    if script is not None and script.only_defines:
        sentence = f"{script.name} only defines functions, and nothing says which of them trains."
        return {"command": Question("train.command", sentence, _COMMAND_HINT)}
    if script is not None and script.subcommands:
        likely = next(filter(scripts.TRAINS.search, script.subcommands), script.subcommands[0])
        sentence = f"{script.name} has subcommands, {listed(script.subcommands)}: nothing says how it is called."
        hint = f'Say it: [train] command = "python {scripts.quoted(script.name)} {likely} …"'
        return {"command": Question("train.command", sentence, hint)}
    if script is not None:
        if script.unknown:
            needs = listed(script.unknown)
            sentence = f"{script.name} needs {needs}, and nothing says what to give it."
            hint = f'Say it: [train] command = "{script.command} {" ".join(script.unknown)} …"'
            return {"command": Question("train.command", sentence, hint)}
        folder = _folder_of_paths(files, script)
        if folder:
            inside = scripts.Script(PurePosixPath(script.name).name, script.options)
            where = f"{script.name}: reads its files relative to {folder}"
            return {"command": Found("", inside.command, script.why), "cwd": Found("", folder, where)}
        return {"command": Found("", script.command, script.why)}
    return {"command": _asked_for_command(files)}


def _asked_for_command(files: Files) -> Found | Question:
    names = scripts.training_scripts(files)
    books = recipes.notebooks(files)
    if names:
        sentence = f"{len(names)} scripts could train, {listed(names)}: which one makes the model?"
        choices = tuple(scripts.read(files, name).command for name in names)
        return Question("train.command", sentence, f'Name it: [train] command = "{choices[0]}"', choices)
    if len(books) == 1:
        return Found("", scripts.quoted(books[0]), f"{books[0]}: the notebook that trains")
    if books:
        sentence = f"{len(books)} notebooks could train, {listed(books)}: which one makes the model?"
        return Question("train.command", sentence, f'Name it: [train] command = "{books[0]}"', books)
    return Question("train.command", "No training script was found.", _COMMAND_HINT)


def _folder_of_paths(files: Files, script: scripts.Script) -> str:
    """The script's folder, where the files that it names are there as seen from it, and not from the project's top."""
    folder = str(PurePosixPath(script.name).parent)
    if folder == "." or script.as_module or script.first("data") is not None:
        return ""
    paths = [text for text in script.strings if text.lower().endswith(DATA_SUFFIXES)]
    from_inside = any((files.root / folder / path).is_file() for path in paths)
    return folder if from_inside and not any(files.has(path) for path in paths) else ""


def _data(files: Files, script: scripts.Script | None) -> Found | Question | None:
    """The training data: by the usual names, as the script names it, the only file, or the only one named for it."""
    if usual := _first(files, DATA_NAMES):
        return usual
    named = _named_by(files, script) if script is not None else None
    if named is not None:
        return named
    of_tests = {str(PurePosixPath(name).parent) for name in files.names if is_of_tests(name) and name.endswith(".py")}
    every = [name for name in files.with_suffix(*DATA_SUFFIXES) if not is_below(name, of_tests)]
    likely = [name for name in every if not NO_TRAINING_DATA.search(PurePosixPath(name).stem)]
    if len(likely) == 1:
        others = len(every) - 1
        return Found(
            "", likely[0], "the only data file" if not others else f"{others} other data files are named for tests"
        )
    telling = [name for name in likely if scripts.TRAINS.search(name)]
    if len(telling) == 1:
        return Found("", telling[0], f"the only one of {len(likely)} data files that is named for training")
    if likely:
        sentence = f"There are {len(likely)} data files, {listed(likely)}: which one is trained on?"
        return Question("data.path", sentence, f'Name it: [data] path = "{likely[0]}"', tuple(likely))
    return _no_data(files)


def _read_by_recipe(files: Files) -> Found | None:
    """The data that the recipe which trains reads: what others prepare it from is not what the model has seen."""
    stage, names = recipes.read_by_dvc(files)
    data = [name for name in names if name.lower().endswith(DATA_SUFFIXES) and files.has(name)]
    likely = [name for name in data if not NO_TRAINING_DATA.search(PurePosixPath(name).stem)]
    return Found("", likely[0], f"dvc.yaml: read by stage {stage}") if len(likely) == 1 else None


def is_below(name: str, folders: Collection[str]) -> bool:
    """Whether a file is in one of some folders, or below it; the top of the project does not count."""
    return any(str(folder) in folders for folder in PurePosixPath(name).parents if folder.name)


def _no_data(files: Files) -> Question:
    pointer = next((name for name in files.with_suffix(".dvc") if "/" in name or files.text(name)), "")
    if pointer:
        sentence = f"The data is not here: {pointer} names it, and DVC has it elsewhere."
        return Question("data.path", sentence, "Fetch it: dvc pull")
    hint = 'Name it in mlconsole.toml: [data] path = "data/training.csv"'
    return Question("data.path", "No training data was found.", hint)


def _named_by(files: Files, script: scripts.Script) -> Found | None:
    """The data file that a script names and that is there."""
    option = script.first("data")
    folder = PurePosixPath(script.name).parent
    if option is not None and option.default and files.has(option.default):
        return Found("", option.default, f"{script.name}: the default of {option.name}")
    names = [text for text in script.strings if text.lower().endswith(DATA_SUFFIXES) and "\n" not in text]
    likely = [name for name in names if not NO_TRAINING_DATA.search(PurePosixPath(name).stem)]
    for name in likely:
        for path in (name, str(folder / name)):
            place = files.root / path
            if place.is_file() and place.resolve().is_relative_to(files.root.resolve()):
                shown = place.resolve().relative_to(files.root.resolve()).as_posix()
                return Found("", shown, f"{script.name}: reads {name}")
    return None


def _parameters(files: Files, script: scripts.Script | None) -> Found | None:
    """A file of parameters: by the usual names, or a configuration that the script names."""
    if usual := _first(files, PARAMETER_NAMES):
        return usual
    named = [text for text in script.strings if CONFIGURATION.search(text) and files.has(text)] if script else []
    return Found("", named[0], f"{script.name}: reads {named[0]}") if named and script else None


def _target(files: Files, parameters: str, script: scripts.Script | None, data_path: str) -> Found | None:
    """The target's name: `target:` in the parameters, or as the script says it, where the data has such a column."""
    if parameters and (
        match := re.search(r"(?m)^target\s*:\s*[\"']?([\w ]+?)[\"']?\s*(?:#.*)?$", files.text(parameters))
    ):
        return Found("", match[1], parameters)
    if script is None or not script.targets:
        return None
    header = files.text(data_path).partition("\n")[0] if data_path.lower().endswith((".csv", ".tsv")) else ""
    columns = {name.strip("\ufeff\"' \r") for name in re.split(r"[,;\t|]", header)} if header else None
    for name in script.targets:
        if columns is None or name in columns:
            return Found("", name, script.name)
    return None


def _tests(files: Files, script: scripts.Script | None, data_path: str) -> Found | Question:
    if usual := next((name for name in TEST_NAMES if files.has(name)), ""):
        return Found("", (usual,), usual)
    named = [name for name in files.with_suffix(".py") if re.match(r"test_|.*_test\.py$", PurePosixPath(name).name)]
    if not named:
        hint = 'Name them in mlconsole.toml: [test] paths = ["tests/test_model_quality.py"]'
        sentence = "No tests were found: nothing would say whether the model may be released."
        return Question("test.paths", sentence, hint)
    if script is not None and (home := _home(script.name, data_path)) != ".":
        # of several parts of a repository, one is the model's
        beside = [name for name in named if PurePosixPath(name).is_relative_to(home)]
        if beside and len(beside) < len(named):
            depth = len(PurePosixPath(home).parts)
            tops = sorted({PurePosixPath(*PurePosixPath(name).parts[: depth + 1]).as_posix() for name in beside})
            return Found("", tuple(tops), f"the tests of {home}; {len(named) - len(beside)} elsewhere are left out")
    tops = sorted({PurePosixPath(name).parts[0] for name in named})
    return Found("", tuple(tops), f"{len(named)} test {'file' if len(named) == 1 else 'files'} there")


def _home(script: str, data_path: str) -> str:
    """The folder that has both the script that trains and the data; a dot for the project's own."""
    shared = [part.as_posix() for part in PurePosixPath(script).parents if part in PurePosixPath(data_path).parents]
    return shared[0] if shared else "."


def _no_selector(entries: tuple[str, ...], render: str) -> Question | None:
    hint = 'Name it in mlconsole.toml: [deploy] selector = "app=ml-model"'
    if render:
        sentence = "The manifests are rendered, so that the selector of the pods has to be named."
    elif entries:
        sentence = "No workload with a selector was found in the manifests."
    else:
        return None
    return Question("deploy.selector", sentence, hint)


def _as_name(text: str) -> str:
    return re.sub(r"[^a-z0-9-]+", "-", text.lower()).strip("-") or "model"
