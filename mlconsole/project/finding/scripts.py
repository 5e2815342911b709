"""What a training script says of itself, read from its syntax tree: its options, its imports, whether it trains."""

from __future__ import annotations

import ast
import re
import warnings
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import Literal

from mlconsole.project.finding.files import Files, is_of_tests

MOST_SCRIPTS = 100
"""In a project of more scripts than this none is searched for by what it does."""
SCRIPT_NAMES = ("train_model.py", "train.py", "src/train_model.py", "src/train.py")
# "to train" in the languages that most repositories speak, also as a part of a longer word
TRAINS = re.compile(r"train|entren|entra[iî]n|trein|addestr|trenow|обуч|тренир|学習|训练|訓練|훈련|학습", re.I)
_SAVES = {"dump", "save", "save_model", "to_pickle", "save_pretrained", "savez", "export", "dump_model", "to_onnx"}
_DATA = re.compile(
    r"(train(ing)?[-_]?)?(data|dataset|input|csv|daten|datos|donn[eé]es|dati|dados)([-_]?(path|file|csv|set|in|datei))?"
    r"|train(ing)?[-_]?(file|csv|path|set)?|in|данные",
    re.I,
)
_MODEL = re.compile(
    r"(out|output|model|modell|modelo|mod[eè]le|modello|save|artifact|dest|ziel|ausgabe|salida|sortie|модель)"
    r"([-_]?(path|file|out|output|to|pkl|model|modell|datei|pfad))?",
    re.I,
)
_HARMLESS = {"getLogger", "get_logger", "Typer", "Console", "Path", "resolve", "absolute", "joinpath", "join", "getenv"}
"""What modules call to set up what their functions use; nothing is trained by these."""
_MODEL_FIRST = re.compile(r"model|modell|modelo|mod[eè]le|modello|модель", re.I)
Role = Literal["data", "model", ""]


@dataclass(frozen=True)
class Option:
    """An argument of a script: `--data`, or a positional one by its name. `default` is text, or None where unknown."""

    name: str
    required: bool
    default: str | None = None
    is_path: bool = True

    @property
    def is_positional(self) -> bool:
        """Whether it stands without a flag."""
        return not self.name.startswith("-")

    @property
    def role(self) -> Role:
        """What it is for, as its name says."""
        bare = self.name.lstrip("-")
        if not self.is_path:
            return ""
        if _DATA.fullmatch(bare):
            return "data"
        if not _MODEL.fullmatch(bare):
            return ""
        # --model with a default such as "forest" names a kind of model, no file
        is_kind = _MODEL_FIRST.fullmatch(bare) and self.default and not re.search(r"[/.\\]", self.default)
        return "" if is_kind else "model"


@dataclass
class Script:
    """What is known of one script."""

    name: str
    options: list[Option] = field(default_factory=list)
    strings: list[str] = field(default_factory=list)
    targets: list[str] = field(default_factory=list)
    subcommands: list[str] = field(default_factory=list)
    fits: bool = False
    saves: bool = False
    as_module: bool = False
    takes_subcommand: bool = False
    only_defines: bool = False
    """Whether it does nothing when it is run: its functions are there for others to call."""

    def first(self, role: Role) -> Option | None:
        """The option of a role; of several the one that says most plainly that it is a file."""
        found = [option for option in self.options if option.role == role]
        return next((option for option in found if re.search(r"path|file|out|pfad|datei", option.name)), None) or next(
            iter(found), None
        )

    @property
    def unknown(self) -> tuple[str, ...]:
        """Arguments that it needs, and of which nobody knows what they have to be."""
        known = (self.first("data"), self.first("model"))
        return tuple(option.name for option in self.options if option.required and option not in known)

    @property
    def command(self) -> str:
        """The command that runs it, with placeholders for data and model where it takes them."""
        module = ".".join(PurePosixPath(self.name).with_suffix("").parts)
        words = ["python", "-m", module] if self.as_module else ["python", quoted(self.name)]
        for role in ("data", "model"):
            option = self.first(role)
            if option is not None and not option.is_positional:
                words += [option.name, f"{{{role}}}"]
        for option in self.options:
            if option.is_positional and option.role and option == self.first(option.role):
                words.append(f"{{{option.role}}}")
        return " ".join(words)

    @property
    def why(self) -> str:
        """What it was found by."""
        taken = [option.name for option in (self.first("data"), self.first("model")) if option is not None]
        return (
            f"{self.name}: takes {' and '.join(taken)}" if taken else f"{self.name}: takes no data or model as options"
        )


def quoted(word: str) -> str:
    """A word as the settings' command takes it."""
    return f'"{word}"' if re.search(r"[\s'&;|<>()$*?]", word) else word


def read(files: Files, name: str) -> Script:
    """Read a script; one that is not Python has nothing to say."""
    script = Script(name)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            tree = ast.parse(files.text(name))
    except (SyntaxError, ValueError, RecursionError):
        return script
    for node in ast.walk(tree):
        _take(node, script, files)
    has_functions = any(isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) for node in tree.body)
    if len(script.subcommands) == 1 and not script.takes_subcommand:
        script.subcommands.clear()
    script.only_defines = has_functions and all(map(_defines, tree.body))
    return script


def _defines(node: ast.stmt) -> bool:
    """Whether a statement for certain does no more than to define something."""
    match node:
        case ast.Expr(value=value):
            return isinstance(value, ast.Constant)
        case ast.Assign() | ast.AnnAssign():
            calls = [_name(part.func) for part in ast.walk(node) if isinstance(part, ast.Call)]
            return all(name.rpartition(".")[2] in _HARMLESS for name in calls)
        case _:
            return isinstance(node, ast.Import | ast.ImportFrom | ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef)


def training_scripts(files: Files) -> list[str]:
    """The scripts that train by their names: one of the usual names alone, else all that are named for it."""
    usual = [name for name in SCRIPT_NAMES if files.has(name)]
    if usual:
        return usual[:1]
    scripts = [name for name in files.with_suffix(".py") if not is_of_tests(name)]
    named = [name for name in scripts if TRAINS.search(PurePosixPath(name).stem)][:MOST_SCRIPTS]
    runnable = [name for name in named if (script := read(files, name)).saves or script.fits or script.options]
    if runnable or len(scripts) > MOST_SCRIPTS:
        return [name for name in runnable if not read(files, name).only_defines] or runnable
    fitting = [name for name in scripts if ".fit(" in files.text(name)]
    return [name for name in fitting if (script := read(files, name)).saves and script.fits]


def _take(node: ast.AST, script: Script, files: Files) -> None:
    match node:
        case ast.Constant(value=str() as text):
            script.strings.append(text)
        case ast.ImportFrom(level=level, module=module):
            top = PurePosixPath(script.name).parts[0]
            own = bool(module) and str(module).split(".")[0] == top and "/" in script.name
            script.as_module |= level > 0 or (
                own and not files.has(str(PurePosixPath(script.name).parent / f"{top}.py"))
            )
        case ast.Call():
            _take_call(node, script)
        case ast.FunctionDef(decorator_list=decorators):
            if any(_name(decorator).endswith(".command") for decorator in decorators):
                script.subcommands.append(node.name.replace("_", "-"))
                script.options += _parameters(node, script)
        case ast.Assign(targets=[ast.Name(id=name)], value=value):
            _take_assignment(name, value, script)
        case _:
            pass


def _take_call(node: ast.Call, script: Script) -> None:
    name = _name(node.func)
    last = name.rpartition(".")[2]
    if last == "fit":
        script.fits = True
    elif last in _SAVES:
        script.saves = True
    elif last == "pop" and (target := _constant(node.args[0] if node.args else None)):
        script.targets.append(target)
    elif last == "add_subparsers":
        script.takes_subcommand = True
    elif last == "add_parser" and (name_of_it := _constant(node.args[0] if node.args else None)):
        script.subcommands.append(name_of_it)
    elif last == "drop":
        script.targets += [text for key in node.keywords if key.arg == "columns" for text in _constants(key.value)]
    if last == "add_argument" or name in {"click.option", "click.argument", "option", "argument"}:
        script.options += _option(node, is_click=last != "add_argument")
    elif last.startswith("DEFINE_") and node.args and (flag := _constant(node.args[0])):
        default = _constant(node.args[1]) if len(node.args) > 1 else None
        script.options.append(Option(f"--{flag}", required=False, default=default, is_path=last == "DEFINE_string"))


def _option(node: ast.Call, *, is_click: bool) -> Iterator[Option]:
    names = [text for argument in node.args if (text := _constant(argument))]
    given = {keyword.arg: keyword.value for keyword in node.keywords}
    if not names:
        return
    flags = [name for name in names if name.startswith("-")]
    name = max(flags, key=len).partition("/")[0] if flags else names[0]
    action = _constant(given.get("action"))
    if action in {"help", "version"}:
        return
    takes_none = (action or "").startswith("store_") or "is_flag" in given
    optional = "default" in given or takes_none or _constant(given.get("nargs")) in {"?", "*"}
    says_required = isinstance(given.get("required"), ast.Constant) and getattr(given["required"], "value", False)
    required = bool(says_required) or (not flags and not optional and "required" not in given)
    kind = _name(given["type"]) if "type" in given else ""
    is_path = (
        not takes_none and "choices" not in given and kind not in {"int", "float", "bool"} and "Choice" not in kind
    )
    default = given.get("default")
    text = _constant(default) or (
        _constant(default.args[0]) if isinstance(default, ast.Call) and default.args else None
    )
    yield Option(name, required=required and not takes_none, default=text, is_path=is_path)


def _parameters(node: ast.FunctionDef, script: Script) -> Iterator[Option]:
    """The parameters of a command of typer: with a default they are options, without one arguments."""
    if script.options:
        return
    arguments = node.args.args
    defaults = [None] * (len(arguments) - len(node.args.defaults)) + list(node.args.defaults)
    for argument, default in zip(arguments, defaults, strict=True):
        name = argument.arg.replace("_", "-")
        if default is None:
            yield Option(name, required=True)
        else:
            is_path = not isinstance(default, ast.Constant) or isinstance(default.value, str)
            yield Option(f"--{name}", required=False, default=_constant(default), is_path=is_path)


def _take_assignment(name: str, value: ast.AST, script: Script) -> None:
    match value:
        case ast.Subscript(
            value=ast.Attribute(value=ast.Name(id="sys"), attr="argv"), slice=ast.Constant(value=int(at))
        ):
            if at > 0:
                script.options.append(Option(name.lower(), required=True))
        case ast.Constant(value=str() as text) if re.search(
            r"target|label|ziel|objetivo|cible|obiettivo|цель", name, re.I
        ):
            script.targets.insert(0, text)
        case ast.Subscript(slice=ast.Constant(value=str() as text)) if name in {
            "y",
            "Y",
            "y_train",
            "target",
            "labels",
        }:
            script.targets.append(text)
        case _:
            pass


def _name(node: ast.AST) -> str:
    match node:
        case ast.Name(id=name):
            return name
        case ast.Attribute(value=value, attr=attribute):
            return f"{_name(value)}.{attribute}"
        case ast.Call(func=function):
            return _name(function)
        case _:
            return ""


def _constant(node: ast.AST | None) -> str | None:
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else None


def _constants(node: ast.AST) -> list[str]:
    entries = node.elts if isinstance(node, ast.List | ast.Tuple) else [node]
    return [text for entry in entries if (text := _constant(entry))]
