"""What training prints, read for metrics and progress.

Read are `key=value`, `Key: 0.91`, JSON lines and printed dictionaries, several to a line, each with the step that the
line tells (`epoch 3/10`, `step=120`, `[12/100]`, `iter 7`). Progress is an `epoch 3/10` or a bar such as tqdm draws.

Numbers that are no metrics are left out: times and dates, paths and addresses, versions, settings of the run (seed,
batch size), amounts with a unit (`3.2 s`, `512 MB`, `8645 rows`), and what is not finite.
"""

from __future__ import annotations

import math
import re
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import lru_cache

import msgspec

from mlconsole.evidence.training import MetricPoint, Parameter, TrainingProgress
from mlconsole.services.training.own_lines import OPENING, OwnLines
from mlconsole.services.training.progress import Counter, ProgressMeter, counters, own_seconds_left
from mlconsole.services.training.reports import ReportReader
from mlconsole.text import shorten

LONGEST_READ = 16 * 1024
MOST_METRICS = 256
LONGEST_NAME = 64
MOST_WORDS = 5

# A sign that a value or a count follows, or a word that says so; most lines have none, and are to cost nothing.
_TELLING = re.compile(r"[=:：/%\[]|[eE][pP][oO][cC][hH]|\bof[ \t]{1,4}\d")
_DIGIT = re.compile(r"\d")
# The same for a text of many lines: each of these is looked for through all of it, which is many times as fast.
_SIGNS = ("=", ":", "：", "/", "%", "[", "epoch")
_AMONG = re.compile(r"of[ \t]{1,4}\d")
# What is cut out of a line before metrics are looked for: none of it is one.
_NOISE = re.compile(
    r"\b[a-z][a-z0-9+.-]{1,12}://\S*"  # an address
    r"|\b\d{4}-\d\d-\d\d(?:[T ]\d\d:\d\d(?::\d\d)?(?:[.,]\d{1,9})?(?:Z|[+-]\d\d:?\d\d)?)?"  # a date
    r"|\b\d{4}/\d\d/\d\d\b|\b\d\d/\d\d/\d{4}\b"
    r"|(?<![\w.])\d{1,2}:\d\d(?::\d\d)?(?:[.,]\d{1,9})?(?![\w:])"  # a time
    r"|\b(?:DEBUG|INFO|WARNING|WARN|ERROR|CRITICAL)\b(?!\s*=)"
    r"|\b[A-Z]\w*\([^()=]*=[^()]*\)",  # an object's repr, with its settings
)
_VALUE = re.compile(
    r"\s{0,8}(?P<wrap>(?:np\.|numpy\.|torch\.)?(?:float|int|tensor)\d{0,3}\()?"
    r"(?P<number>[-+]?(?:[1-9]\d{0,2}(?:,\d{3}){1,6}(?:\.\d{1,30})?(?![\d,])|\d{1,30}(?:\.\d{0,30})?|\.\d{1,30})"
    r"(?:[eE][-+]?\d{1,4})?)(?:\s?\+\s?\d{1,30}(?:\.\d{0,30})?)?(?P<percent>\s?%)?(?P<close>\))?"
    r"(?=$|[\s;|)\]}'\"]|,(?!\d)|\.(?:\s|$))"
)
_SEPARATOR = re.compile(r"[=:：]")
_KEY_BORDER = re.compile(r"[,;|\t{}\[\]()=:：…]|\s{2,}|\s[-–—*•>]+\s|->|=>")
_NEXT_WORD = re.compile(r"\s{1,4}([^\s=:：,;|]{1,40})(\s{0,4}[=:：])?")
_UNIT = re.compile(
    r"(?:[µun]?s|ms|sec|secs|seconds?|min|mins|minutes?|h|hrs?|hours?|days?|[kKMGT]i?B|bytes?|[km]?Hz|it/s|s/it|°C)\b"
)
_SETTINGS = re.compile(
    r"(?:n_jobs|num_workers|workers|devices?|gpus?|cpus?|rank|world_size|batch_size|epochs|seed|random_state|pid|port"
    r"|line|lineno|year|date|time|timestamp|ts|id|gpu_id|local_rank|rows|samples|columns|features|n_samples"
    r"|n_features|n_estimators|max_depth|v_num|exit_code|exit code|level|levelno|thread|process|nnzs|t"
    r"|max depth|best_?iteration)",
    re.IGNORECASE,
)
_PACKAGE = re.compile(
    r"(?:python|numpy|pandas|polars|scipy|scikit-learn|sklearn|torch|pytorch|torchvision|tensorflow|keras|jax|xgboost"
    r"|lightgbm|catboost|joblib|mlflow|transformers|cuda|cudnn|driver|pip|conda|.*\bversion)",
    re.IGNORECASE,
)
STEP_NAMES = ("global_step", "step", "iteration", "iter", "epoch", "round")


class OutputReader:
    """Reads the lines of one training, in their order.

    Args:
        clock: seconds that only grow; from it comes the time left where the output does not tell it.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._meter = ProgressMeter(clock)
        self._heading: int | None = None
        self._reports = ReportReader(clock)
        self._own = OwnLines()

    def telling(self, text: str) -> Sequence[str]:
        """Those of the lines of a text that `feed` has to see, in their order: of most, it would tell nothing.

        Args:
            text: whole lines, each with a newline at its end.
        """
        small = text.lower()
        if self._own.is_amid or any(word in text for word in OPENING) or len(small) != len(text):
            return text.split("\n")[:-1]
        found: dict[int, int] = {}

        def take(position: int) -> int:
            """Take the line of a position; returns where the next one begins."""
            end = text.find("\n", position)
            found[text.rfind("\n", 0, position) + 1] = end
            return end + 1

        for sign in _SIGNS:
            at = small.find(sign)
            while at >= 0:
                at = small.find(sign, take(at))
        match = _AMONG.search(text)
        while match:
            match = _AMONG.search(text, take(match.start()))
        return [text[begin : found[begin]] for begin in sorted(found)]

    def feed(self, line: str) -> tuple[MetricPoint | TrainingProgress, ...]:
        """Return what a line tells: its metrics in their order, then how far training is. Never raises."""
        if not _DIGIT.search(line) or not _TELLING.search(line):
            own = self._own.feed(line)
            return tuple(own[0]) if own else ()
        text = line.strip()
        if text[0] == "{" and text[-1] == "}":
            if text.startswith('{"mlconsole"') and (exact := self._reports.read(text)) is not None:
                return () if isinstance(exact, Parameter) else (exact,)
            if (record := _json_object(text)) is not None:
                return tuple(self._of_record(record))
        text = text[:LONGEST_READ]
        own = self._own.feed(text)
        if own is not None and (own[0] or own[1] is None):
            return (*own[0], *self._progress([own[1]] if own[1] else [], None, heading=False))
        found = [*counters(text), *([own[1]] if own and own[1] else [])]
        step = self._meter.step(found)
        step = _step(found) if step is None else step
        points = list(_metrics(_masked(text, found))) if _SEPARATOR.search(text) else []
        if step is None and points:
            printed = _printed_step(points)
            step = self._heading if printed is None else printed
        points = [point for point in points if point.name.lower() not in STEP_NAMES]
        if not points and step is not None and any(counter.kind == "epoch" for counter in found):
            self._heading = step
        told: list[MetricPoint | TrainingProgress] = [
            MetricPoint(name=point.name, value=point.value, step=step) for point in points
        ]
        if not found:
            return tuple(told)
        return (*told, *self._progress(found, own_seconds_left(text), heading=not points))

    def _progress(
        self, found: list[Counter], seconds_left: float | None, *, heading: bool
    ) -> tuple[TrainingProgress, ...]:
        progress = self._meter.see(found, seconds_left, heading=heading)
        return (progress,) if progress else ()

    def _of_record(self, record: Mapping[str, object]) -> Iterator[MetricPoint | TrainingProgress]:
        values = dict(numbers("", record, 0))
        by_name = {name.lower(): value for name, value in values.items()}
        steps = [by_name[name] for name in STEP_NAMES if name in by_name]
        step = int(steps[0]) if steps and 0 <= steps[0] < 1e12 else None
        for name, value in list(values.items())[:MOST_METRICS]:
            if name.lower() not in STEP_NAMES and _is_metric_name(name):
                yield MetricPoint(name=name, value=value, step=step)
        for name, totals in (("epoch", ("epochs", "total_epochs", "num_epochs")), ("step", ("total_steps", "steps"))):
            total = next((by_name[key] for key in totals if key in by_name), None)
            done = by_name.get(name)
            if total and done is not None and 0 <= done <= total < 1e12:
                counter = Counter(kind="epoch", label=f"{name} {done:g}/{total:g}", done=done, total=total, span=(0, 0))
                yield from self._progress([counter], None, heading=False)
                return


def _json_object(text: str) -> dict[str, object] | None:
    try:
        return msgspec.json.decode(text, type=dict[str, object])
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return None


def numbers(prefix: str, record: Mapping[str, object], depth: int) -> Iterator[tuple[str, float]]:
    """The finite numbers in a record, nested names joined by dots."""
    for key, value in record.items():
        name = f"{prefix}{key}"
        if isinstance(value, dict) and depth < 3:
            yield from numbers(f"{name}.", value, depth + 1)
        elif isinstance(value, int | float) and not isinstance(value, bool):
            number = _finite(value)
            if number is not None:
                yield name, number


def _finite(value: object) -> float | None:
    try:
        number = float(value)  # type: ignore[arg-type]
    except (ValueError, OverflowError):
        return None
    return number if math.isfinite(number) else None


def _step(found: list[Counter]) -> int | None:
    """The step that a line's counters tell: a step without an end, else the epoch, else whatever counts."""
    ranked = sorted(found, key=lambda counter: (counter.kind != "step" or counter.total is not None, counter.rank))
    return next((int(counter.done) for counter in ranked if counter.kind in ("step", "epoch", "plain")), None)


def _printed_step(points: list[MetricPoint]) -> int | None:
    values = {point.name.lower(): point.value for point in points}
    return next((int(values[name]) for name in STEP_NAMES if name in values and 0 <= values[name] < 1e12), None)


def _masked(text: str, found: list[Counter]) -> str:
    """The line with everything that is no metric replaced by tabs, which no name reaches across."""
    for counter in sorted(found, key=lambda counter: counter.span, reverse=True):
        start, end = counter.span
        text = f"{text[:start]}\t{text[end:]}"
    return _NOISE.sub("\t", text)


def _metrics(text: str) -> Iterator[MetricPoint]:
    behind = 0
    yielded = 0
    for separator in _SEPARATOR.finditer(text):
        start = separator.start()
        if start < behind or yielded >= MOST_METRICS:
            continue
        match = _VALUE.match(text, separator.end())
        if match is None:
            continue
        name = _name(text[max(behind, start - LONGEST_NAME * 2) : start], separator[0], match[0][:1].isspace())
        value = _finite(match["number"].replace(",", ""))
        whole = match["number"].lstrip("+-").isdigit()
        tight = separator[0] == ":" and not match[0][:1].isspace() and whole and not _quoted(text, start)
        if not name or value is None or tight or _has_unit(text, match.end(), whole) or not _is_metric_name(name):
            continue
        behind = match.end()
        yielded += 1
        yield MetricPoint(name=name, value=value)


def _quoted(text: str, position: int) -> bool:
    return text[position - 1 : position] in ("'", '"')


def _name(before: str, separator: str, spaced: bool) -> str:
    """The name in front of a separator: one word before a tight `=`, else all words up to a border."""
    if before.endswith(("'", '"')):
        quote = before[-1]
        return before[:-1].rpartition(quote)[2].strip()
    words = before.rstrip()
    if separator == "=" and not spaced and words == before:
        words = words.split()[-1] if words.split() else ""
    borders = list(_KEY_BORDER.finditer(words))
    # A bracket that closes belongs to the name: `R2 (test) = 0.9`.
    if borders and borders[-1].end() == len(words) and borders[-1][0] == ")" and len(borders) > 1:
        borders = borders[:-2]
    return words[borders[-1].end() :].strip(" \"'*#-–>•") if borders else words.strip(" \"'*#>•")


def _has_unit(text: str, end: int, whole: bool) -> bool:
    """Whether a value is an amount of something: `3.2 s`, `8645 rows`; `0.91 on the test set` is not."""
    word = _NEXT_WORD.match(text, end)
    if word is None or word[2]:
        return False
    return bool(_UNIT.fullmatch(word[1])) or (whole and word[1][0].isalpha() and text[end - 1] != "%")


@lru_cache(maxsize=MOST_METRICS)
def _is_metric_name(name: str) -> bool:
    words = name.split()
    return (
        0 < len(name) <= LONGEST_NAME
        and len(words) <= MOST_WORDS
        and (name[0].isalpha() or name[0] == "_")
        and not name.lower().startswith(("number of", "total ", "n_"))
        and "\\" not in name
        and name == shorten(name, LONGEST_NAME)
        and not _SETTINGS.fullmatch(name)
        and not _PACKAGE.fullmatch(name)
        and not re.search(r"\.(?:py|csv|json|ya?ml|pkl|joblib|log|txt|parquet)$", name)
        and words[-1].lower() not in ("line", "port", "pid", "seed", "version")
    )
