"""Is it really serving? The pods as `kubectl get pods` shows them, live, with the model version of each."""

from __future__ import annotations

import gc
import threading
from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

from textual.content import Content
from textual.widget import Widget

from mlconsole.console.live_words import freshness
from mlconsole.console.messages import Perform
from mlconsole.console.monitor_curves import monitoring_of
from mlconsole.console.monitor_lines import monitor_lines
from mlconsole.console.paint import BAD, DIM, GOOD, KEY, STRONG, WARN, blank, line, problem_lines, split, wrapped
from mlconsole.console.panels.base import Panel, command_lines, evidence_lines, quiet, run_lines, sections
from mlconsole.console.patterns import GIVEN_UP, NotAPattern
from mlconsole.console.pods_model import COLUMNS, Choice, PodsModel
from mlconsole.console.usage_feed import UsageFeed, UsageSeen
from mlconsole.console.view import View
from mlconsole.console.widgets.lines import Document
from mlconsole.console.widgets.monitor_chart import MonitorChart
from mlconsole.console.widgets.table import Table
from mlconsole.evidence.cluster import PodRow, WorkloadRef
from mlconsole.text import count, listed

if TYPE_CHECKING:
    from mlconsole.console.widgets.filter_bar import FilterBar
    from mlconsole.services.kubernetes.connection import Connection
    from mlconsole.services.kubernetes.forward import PortForward

UNSURE = ("stale", "reconnecting", "offline", "forbidden", "stopped")
MANY, SETTLED_AFTER = 1_000, (0.5, 3.0)
"""So many pods more, and after so many seconds what is known of them is no longer looked at for garbage."""
LOW = 20
"""Below this height of the panel, the table needs the room."""
FEW_ROWS = 5
"""With so few lines of the table there is room for curves in a low panel, too."""
HINT = "regular expression, !inverse, or -l app=x,tier=y: labels"


class PodsPanel(Panel):
    """The table is always live, also while a past release is shown; what that release ended with is below."""

    stage = "pods"
    DEFAULT_CSS = """
    PodsPanel #pods-state { height: auto; max-height: 50%; }
    PodsPanel FilterBar { margin: 0 1; }
    PodsPanel Table { height: 1fr; margin-top: 1; }
    PodsPanel MonitorChart { display: none; margin-top: 1; min-height: 8; }
    PodsPanel.-monitored MonitorChart { display: block; }
    PodsPanel.-low MonitorChart { margin-top: 0; height: 6; min-height: 6; }
    PodsPanel #pods-evidence { height: auto; max-height: 40%; margin-top: 1; }
    PodsPanel.-low #pods-evidence { max-height: 3; }
    PodsPanel.-low.-monitored #pods-evidence { max-height: 2; margin-top: 0; }
    PodsPanel.-low.-monitored Table { margin-top: 0; }
    PodsPanel.-no-pods Table { display: none; }
    PodsPanel.-no-pods #pods-evidence { height: 1fr; max-height: 100%; }
    """

    def __init__(self, view: View) -> None:
        super().__init__(view)
        self.state = Document(id="pods-state")
        self.state.can_focus = False
        self._filter: FilterBar | None = None
        self.table = Table(
            COLUMNS,
            numeric=frozenset({6, 7}),
            whole=frozenset({1, 2, 3, 4, 5}),
            tails=frozenset({0}),
            spare=(8, 6, 7, 4),
        )
        self.chart = MonitorChart()
        self.evidence = Document(id="pods-evidence")
        self.model = PodsModel()
        self._wrong = ""
        self._selector = ""
        self._evidence_of: object = self
        self._usage: UsageFeed | None = None
        self._settled = 0
        self._room = 0
        self.forwards: dict[str, PortForward] = {}
        """Ports of this machine that lead to pods, by the pods' uid."""

    def body(self) -> Iterator[Widget]:
        """The state over the table over the monitor's curves over the release's evidence."""
        yield self.state
        yield self.table
        yield self.chart
        yield self.evidence

    @property
    def target(self) -> Widget:
        """The table where there are pods."""
        return self.evidence if self.has_class("-no-pods") else self.table

    @property
    def selected_pod(self) -> PodRow | None:
        """The pod that the cursor is on."""
        return self.model.pod(self.table.cursor_key)

    def draw(self, view: View) -> None:
        """Bring all three up to a view."""
        self._take(view)
        self.set_class(not self.model.tally.pods, "-no-pods")
        self.show_state()
        self._share_out()
        run, monitored = view.run("pods"), view.monitored
        if (run, monitored) != self._evidence_of:
            # not each time: what is hidden has no size, and asks the whole screen for a new layout
            self._evidence_of = (run, monitored)
            self.chart.show_monitoring(monitoring_of(monitored.points))
            said = sections(monitor_lines(monitored, 80), run_lines(run, 80), evidence_lines(run, 80))
            self.evidence.display = bool(said)
            self.evidence.show(
                lambda width: sections(
                    monitor_lines(monitored, width),
                    run_lines(run, width),
                    evidence_lines(run, width),
                    command_lines(run, view, width),
                )
            )

    def _share_out(self) -> None:
        """Leave what the table does not need to the monitor's curves, where there are any."""
        rows = len(self.model) + 1
        is_shown = bool(self.view.monitored.points) and (not self.has_class("-low") or rows <= FEW_ROWS)
        self.set_class(is_shown, "-monitored")
        # not None: that asks the whole screen for a new layout each time, where another value asks when it is another
        self.table.styles.max_height = max(rows, 2) if is_shown else "100%"

    def _take(self, view: View) -> None:
        model, pods = self.model, view.pods
        model.moment, model.unsure = view.moment, pods is not None and pods.watch.state in UNSURE
        model.take(pods.rows if pods else ())
        if abs(len(model.pods) - self._settled) > MANY:
            self._settled = len(model.pods)
            # a collection that looks at each of ten thousand pods holds every thread for a tenth of a second
            gc.set_threshold(20_000, 10, 50)
            for seconds in SETTLED_AFTER:
                self.set_timer(seconds, gc.freeze)
        self.table.show_model(model)
        for uid in [uid for uid in self.forwards if model.pod(uid) is None] if pods is not None else ():
            self._end(self.forwards.pop(uid))
        if pods is not None and pods.watch.state == "live" and self._usage is None:
            self._usage = UsageFeed(self._connect, pods.target, self.post_message)

    def show_state(self) -> None:
        """Draw what is said above the table."""
        view, pod, model, wrong = self.view, self.selected_pod, self.model, self._wrong
        place = f"{self.table.cursor_place + 1:,} of {len(model):,}" if len(model) else ""
        forward = self.forwards.get(pod.uid) if pod else None
        way = f"http://127.0.0.1:{forward.local_port} leads to this pod's port {forward.port}." if forward else ""

        def lines(width: int) -> list[Content]:
            found = state_lines(view, model, pod, place, wrong, width)
            found += wrapped(line(("→ ", KEY), way), width, indent=2) if way else []
            # what is said of a pod comes and goes with the cursor: the table below stays where it is
            self._room = max(self._room, len(found)) if len(model) else 0
            return found + [blank()] * (self._room - len(found))

        self.state.show(lines)

    def on_resize(self) -> None:
        """Another width takes other room, and another height shares it out in another way."""
        self._room = 0
        # while it is hidden it has no size: it comes back as it was, and nothing jumps
        if self.size.height:
            self.set_class(self.size.height < LOW, "-low")
            self._share_out()

    def _connect(self) -> Connection:
        from mlconsole.console.app import MlconsoleApp

        assert isinstance(self.app, MlconsoleApp)
        return self.app.connect()

    def on_unmount(self) -> None:
        """Leave no thread behind."""
        if self._usage is not None:
            self._usage.stop()
        for forward in self.forwards.values():
            self._end(forward)

    @staticmethod
    def _end(forward: PortForward) -> None:
        threading.Thread(target=forward.stop, name="console-forward-end", daemon=True).start()

    def on_usage_seen(self, message: UsageSeen) -> None:
        """Show what the pods use."""
        message.stop()
        self.model.take_usage(message.usage)
        self.table.show_model(self.model)

    # what a person chooses

    def choose(self, choice: Choice) -> None:
        """Show other pods, or in another order; a pattern that is none is said, and what was shown stays."""
        try:
            self.model.choose(choice)
        except NotAPattern as problem:
            self._wrong = str(problem)
        else:
            self._wrong = ""
            self.table.mark_sorted(choice.column, choice.descending)
            self.table.show_model(self.model)
        if self._filter is not None:
            self._filter.set_class(bool(self._wrong), "-wrong")
        self.show_state()

    def sort(self, column: int) -> None:
        """Sort by a column, or the other way round."""
        self.choose(Choice.sorted_by(self.model.choice, column))

    def sort_beside(self, step: int) -> None:
        """Sort by the column beside the one that it is sorted by."""
        self.sort((self.model.choice.column + step) % len(COLUMNS))

    def only_faults(self) -> None:
        """Show only the pods that do not serve, or all again."""
        choice = self.model.choice
        self.choose(replace(choice, faults=not choice.faults))

    async def open_filter(self, text: str | None = None) -> None:
        """Let a person type a filter; the line is imported and mounted when it is first wanted."""
        if self._filter is None:
            from mlconsole.console.widgets.filter_bar import FilterBar

            self._filter = FilterBar(HINT, id="pods-filter")
            await self.mount(self._filter, before=self.table)
        self._filter.open(text)

    def on_filter_bar_typed(self, message: FilterBar.Typed) -> None:
        """Filter while it is typed; labels are asked of the cluster, so only once they are whole."""
        message.stop()
        text = message.text.strip()
        pattern = "" if text.startswith("-l") else text
        self.choose(replace(self.model.choice, pattern=pattern.removeprefix("!"), inverse=pattern.startswith("!")))

    def on_filter_bar_left(self, message: FilterBar.Left) -> None:
        """Back to the table; labels are watched."""
        message.stop()
        text = message.text.strip()
        selector = text.removeprefix("-l").strip() if text.startswith("-l") else ""
        if selector != self._selector:
            self._selector = selector
            self._watch(selector)
        self.target.focus()

    def _watch(self, selector: str) -> None:
        from mlconsole.console.app import MlconsoleApp

        if isinstance(self.app, MlconsoleApp):
            if self._usage is not None:
                self._usage.stop()
                self._usage = None
            self.app.watch_pods(selector)

    def on_table_header_clicked(self, message: Table.HeaderClicked) -> None:
        """Sort by the column that was clicked."""
        message.stop()
        self.sort(message.column)

    def on_table_moved(self, message: Table.Moved) -> None:
        """The line above says what is the matter with the pod of the cursor."""
        message.stop()
        self.show_state()

    def on_table_chosen(self, message: Table.Chosen) -> None:
        """Open a pod."""
        message.stop()
        self.post_message(Perform("log"))


def workload_of_plan(view: View) -> WorkloadRef | None:
    """The workload that the release of the view makes, where there is one."""
    for change in view.plan.changes if view.plan else ():
        if change.kind in ("Deployment", "StatefulSet") and change.action != "delete":
            return WorkloadRef(kind=change.kind, name=change.name, namespace=change.namespace)
    return None


def state_lines(view: View, model: PodsModel, pod: PodRow | None, place: str, wrong: str, width: int) -> list[Content]:
    """How fresh the rows are and what they amount to, or why there are none."""
    if view.cluster.local_running is False and not (view.pods and view.pods.watch.state == "live"):
        return _no_local(view, width)
    if view.pods is None:
        return problem_lines(view.pods_problem, width) if view.pods_problem else quiet("Connecting to the cluster …")
    sign, words, style = freshness(view)
    watch = view.pods.watch
    lines = [split(line((f"{sign} {words}", style), "  ", _summary(model)), line((place, DIM)), width)]
    if watch.sentence and watch.state != "live":
        again = f" Trying again in {watch.again:.0f} s." if watch.again >= 1 else ""
        lines += wrapped(line(("! ", WARN), f"{watch.sentence}{again}"), width, indent=2)
    if model.given_up:
        lines += wrapped(line(("! ", WARN), (f"/{model.choice.pattern}/ ", KEY), GIVEN_UP), width, indent=2)
    if wrong:
        lines += wrapped(line(("! ", WARN), wrong), width, indent=2)
    if not model.tally.pods and watch.state == "live":
        lines += quiet(f"No pod has the labels {view.pods.target.selector or view.project.settings.deploy.selector}.")
    elif model.choice.narrows and not len(model):
        lines += quiet("No pod is faulty." if model.choice.faults else "No pod matches the filter.")
    if pod is not None and pod.reason:
        lines += wrapped(line(("✗ " if not pod.is_ready else "! ", BAD), pod.reason), width, indent=2)
    return lines


def _no_local(view: View, width: int) -> list[Content]:
    if view.busy:
        return quiet(f"{view.busy} …")
    if view.readonly:
        return [line("The local cluster is not running.")]
    key = view.registry["start_cluster"].way
    return wrapped(line("The local cluster is not running: press ", (key, KEY), " to start it."), width)


def _summary(model: PodsModel) -> Content:
    tally, choice = model.tally, model.choice
    if not tally.pods:
        return Content("")
    style = GOOD if tally.ready == tally.pods else WARN if tally.ready else BAD
    return line(
        (f"{tally.ready:,}/{tally.pods:,} ready", f"bold {style}"),
        (f"  {listed(tally.versions)}" if tally.versions else "", STRONG),
        (f"  {count(tally.restarts, 'restart')}" if tally.restarts else "", WARN),
        ("  faults only" if choice.faults else "", f"bold {WARN}"),
        (f"  {'not ' if choice.inverse else ''}/{choice.pattern}/" if choice.pattern else "", KEY),
    )
