"""Stage 1: what code is this?"""

from __future__ import annotations

from mlconsole.evidence.base import Input, Reason, Verdict
from mlconsole.evidence.repo import RepoEvidence
from mlconsole.project import Project
from mlconsole.services import git
from mlconsole.stages.base import Stage, StageContext
from mlconsole.text import count, listed, size


class RepoStage(Stage[RepoEvidence]):
    """Ties the release to a commit, and points out what a commit should not hold or does not hold yet."""

    name = "repo"

    def inputs(self, context: StageContext) -> tuple[Input, ...]:
        return (Input(name="commit and working tree", digest=git.state_digest(context.project.root)),)

    def check(self, project: Project) -> None:
        git.state_digest(project.root)

    def run(self, context: StageContext) -> RepoEvidence:
        context.command("git status --short --branch")
        context.command("git log -1")
        return git.inspect(context.project.root)

    def judge(self, context: StageContext, evidence: RepoEvidence) -> Verdict:
        reasons = []
        if evidence.commit is None:
            sentence = "The repository has no commit: nothing would tell which code made the model."
            reasons.append(Reason(level="fail", sentence=sentence, next_step='git add -A && git commit -m "…"'))
        if evidence.dirty:
            names = listed([change.path for change in evidence.dirty])
            sentence = f"{count(len(evidence.dirty), 'file')} not committed: {names}."
            reasons.append(
                Reason(level="warn", sentence=sentence, next_step="Commit, so that the model can be made again.")
            )
        if evidence.behind:
            sentence = f"The branch is {count(evidence.behind, 'commit')} behind {evidence.upstream}."
            reasons.append(Reason(level="warn", sentence=sentence, next_step="git pull --ff-only"))
        if evidence.tracked_models:
            names = listed([f"{model.path} ({size(model.size)})" for model in evidence.tracked_models])
            sentence = f"Git tracks model files: {names}. Models belong in the model store."
            reasons.append(Reason(level="warn", sentence=sentence, next_step="git rm --cached FILE, and ignore it"))
        return Verdict.of(reasons)
