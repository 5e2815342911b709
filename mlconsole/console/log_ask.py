"""What is asked of pods' logs, in words and as the kubectl command that asks the same."""

from __future__ import annotations

import shlex
from dataclasses import dataclass, replace

from mlconsole.services.kubernetes.containers import ALL


@dataclass(frozen=True)
class PodAsk:
    """What is asked of pods' logs: lines of the last `since` seconds (None: all), those of the run before, and those of
    one container (empty: the pods' default one), or of ALL."""

    since: int | None = None
    previous: bool = False
    container: str = ""

    def back_to(self, since: int | None) -> PodAsk:
        """The same for another stretch of time."""
        return replace(self, since=since, previous=False)

    @property
    def words(self) -> str:
        """Lines of which time are asked for."""
        return "the run before" if self.previous else f"last {self.since // 60} min" if self.since else "all"

    def command(self, kubectl: str, *, pod: str = "", selector: str = "", stamps: bool = False) -> str:
        """The kubectl command that prints what is shown, of a pod or of all with these labels."""
        from mlconsole.services.kubernetes.merged_logs import MOST_PODS

        words = [pod] if pod else ["-l", selector, "--prefix", f"--max-log-requests={MOST_PODS}", "--tail=-1"]
        if self.container == ALL:
            words += ["--all-containers", *(["--prefix"] if pod else [])]
        elif self.container:
            words += ["-c", self.container]
        words += ["--previous"] if self.previous else ["-f"]
        words += [f"--since={self.since}s"] if self.since and not self.previous else []
        words += ["--timestamps"] if stamps else []
        return f"{kubectl} logs {shlex.join(words)}"
