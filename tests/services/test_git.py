"""The git service, on real repositories made for each test."""

from __future__ import annotations

import os
import subprocess
import threading
from pathlib import Path

import pytest

from mlconsole.errors import Cancelled, WrongUse
from mlconsole.evidence.repo import CloneProgress
from mlconsole.services import git

NASTY = "\x1b]0;gone\x07\x1b[31mred [bold]text[/bold]"


@pytest.fixture(autouse=True)
def own_settings(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    home = tmp_path_factory.mktemp("home")
    (home / ".gitconfig").write_text("[user]\n name = Ada\n email = ada@example.com\n[init]\n defaultBranch = main\n")
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("GIT_CONFIG_NOSYSTEM", "1")
    monkeypatch.delenv("XDG_CONFIG_HOME", raising=False)


def run(folder: Path, *arguments: str) -> str:
    done = subprocess.run(["git", *arguments], cwd=folder, capture_output=True, text=True, timeout=100)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    root = tmp_path / "project"
    root.mkdir()
    run(root, "init", "-q")
    (root / "train.py").write_text("print('training')\n")
    run(root, "add", "-A")
    run(root, "commit", "-q", "-m", "First")
    return root


def reading(root: Path) -> list[str]:
    return [change.path for change in git.inspect(root).dirty]


def test_says_which_commit_and_branch(repository: Path) -> None:
    evidence = git.inspect(repository)
    assert evidence.commit is not None
    assert (evidence.commit.subject, evidence.commit.author, evidence.branch) == ("First", "Ada", "main")
    assert evidence.commit.sha == run(repository, "rev-parse", "HEAD")
    assert (evidence.upstream, evidence.ahead, evidence.behind, evidence.dirty) == ("", 0, 0, ())


def test_changed_and_untracked_files_have_gits_own_codes(repository: Path) -> None:
    (repository / "train.py").write_text("print('more')\n")
    (repository / "new file.py").write_text("")
    (repository / "staged.py").write_text("")
    run(repository, "add", "staged.py")
    states = {change.path: change.state for change in git.inspect(repository).dirty}
    assert states == {"train.py": " M", "new file.py": "??", "staged.py": "A "}


def test_no_escape_sequence_of_a_commit_or_file_name_gets_through(repository: Path) -> None:
    name = "\x1b[31mred [bold].py"
    (repository / name).write_text("x\n")
    run(repository, "commit", "--allow-empty", "-q", "-m", NASTY, "--author", f"{NASTY} <x@example.com>")
    evidence = git.inspect(repository)
    assert evidence.commit is not None
    assert evidence.commit.subject == "red [bold]text[/bold]"
    assert evidence.dirty[0].path == "red [bold].py"
    assert "\x1b" not in repr(evidence).encode().decode("unicode_escape")
    assert "+x" in git.diff(repository, evidence.dirty[0].path), "the cleaned name still finds its file"
    assert "\x1b" not in git.diff(repository, name)


def test_a_file_name_that_is_not_utf8_is_no_obstacle(repository: Path) -> None:
    try:
        (repository / os.fsdecode(b"caf\xe9.py")).write_text("x")
    except OSError:
        pytest.skip("this file system takes UTF-8 names only")
    import msgspec

    assert msgspec.json.encode(git.inspect(repository))
    assert git.state_digest(repository).startswith("sha256:")


def test_a_project_in_a_subfolder_sees_its_own_files_only(repository: Path) -> None:
    inner = repository / "models" / "bikes"
    inner.mkdir(parents=True)
    (inner / "train.py").write_text("a = 1\n")
    run(repository, "add", "-A")
    run(repository, "commit", "-q", "-m", "Inner")
    (inner / "train.py").write_text("a = 2\n")
    (inner / "other.py").write_text("")
    (repository / "train.py").write_text("outside")
    assert reading(inner) == ["train.py", "other.py"]
    assert "-a = 1\n+a = 2" in git.diff(inner, "train.py")
    assert git.source_files(inner) == ("other.py", "train.py")


def test_a_repository_without_a_commit_works(tmp_path: Path) -> None:
    run(tmp_path, "init", "-q")
    (tmp_path / "a.py").write_text("a\n")
    evidence = git.inspect(tmp_path)
    assert evidence.commit is None
    assert (evidence.branch, reading(tmp_path)) == ("main", ["a.py"])
    run(tmp_path, "add", "a.py")
    assert "+a" in git.diff(tmp_path, "a.py")
    assert git.state_digest(tmp_path)


def test_a_detached_head_has_no_branch(repository: Path) -> None:
    run(repository, "checkout", "-q", "--detach")
    assert git.inspect(repository).branch == ""


def test_counts_commits_ahead_and_behind_of_a_bare_remote(repository: Path, tmp_path: Path) -> None:
    run(tmp_path, "init", "-q", "--bare", "remote.git")
    run(repository, "remote", "add", "origin", str(tmp_path / "remote.git"))
    run(repository, "push", "-q", "-u", "origin", "main")
    run(tmp_path, "clone", "-q", "remote.git", "other")
    run(tmp_path / "other", "commit", "-q", "--allow-empty", "-m", "Theirs")
    run(tmp_path / "other", "push", "-q")
    for _ in range(2):
        run(repository, "commit", "-q", "--allow-empty", "-m", "Ours")
    run(repository, "fetch", "-q")
    evidence = git.inspect(repository)
    assert (evidence.upstream, evidence.ahead, evidence.behind) == ("origin/main", 2, 1)
    assert evidence.url == str(tmp_path / "remote.git")
    with pytest.raises(git.NotPulled, match="both moved on"):
        git.pull(repository, report=lambda step: None, cancelled=threading.Event())


def test_credentials_in_addresses_are_masked(repository: Path) -> None:
    run(repository, "remote", "add", "origin", "https://ada:s3cret@example.com/x.git")
    evidence = git.inspect(repository)
    assert evidence.url == "https://***@example.com/x.git"
    assert git.masked("fatal: https://tok:p@ss@host/a and ssh://git@host/b") == (
        "fatal: https://***@host/a and ssh://***@host/b"
    )
    assert git.masked("git@github.com:team/project.git") == "git@github.com:team/project.git"


def test_points_out_models_that_git_tracks(repository: Path) -> None:
    (repository / "model.pkl").write_bytes(b"\x80\x04")
    (repository / "big").write_bytes(b"\0" * (5 * 1024 * 1024 + 1))
    (repository / "big.csv").write_bytes(b"1,2\n" * (2 * 1024 * 1024))
    (repository / "kept.onnx").write_bytes(b"pointer")
    (repository / ".gitattributes").write_text("kept.onnx filter=lfs\n")
    (repository / "untracked.pt").write_bytes(b"x")
    run(repository, "add", "model.pkl", "big", "big.csv", "kept.onnx", ".gitattributes")
    assert {model.path for model in git.inspect(repository).tracked_models} == {"model.pkl", "big"}


def test_the_state_digest_follows_content_and_nothing_else(repository: Path) -> None:
    clean = git.state_digest(repository)
    os.utime(repository / "train.py", (1, 1))
    assert git.state_digest(repository) == clean
    (repository / "train.py").write_text("one\n")
    one = git.state_digest(repository)
    (repository / "train.py").write_text("two\n")
    assert len({clean, one, git.state_digest(repository)}) == 3
    (repository / ".gitignore").write_text("*.log\n")
    before = git.state_digest(repository)
    (repository / "a.log").write_text("ignored")
    (repository / ".mlconsole").mkdir()
    (repository / ".mlconsole" / "journal.db").write_text("x")
    (repository / "model.bin").write_text("trained")
    assert git.state_digest(repository, exclude=("model.bin",)) == before
    assert git.state_digest(repository) != before


def test_source_files_leave_out_what_is_ignored_or_gone(repository: Path) -> None:
    (repository / ".gitignore").write_text("*.log\n")
    (repository / "a.log").write_text("")
    (repository / "gone.py").write_text("")
    run(repository, "add", "gone.py")
    (repository / "gone.py").unlink()
    assert git.source_files(repository) == (".gitignore", "train.py")


@pytest.mark.parametrize(
    ("settings", "attributes"),
    [
        ({"core.fsmonitor": "{evil}"}, ""),
        ({"diff.external": "{evil}"}, ""),
        ({"diff.evil.textconv": "{evil}", "diff.evil.command": "{evil}"}, "*.py diff=evil"),
        ({"filter.evil.clean": "{evil}", "filter.evil.required": "true"}, "*.py filter=evil"),
        ({"filter.ev=il.x.process": "{evil}"}, "*.py filter=ev=il.x"),
        ({"log.showSignature": "true", "gpg.program": "{evil}"}, ""),
        ({"core.pager": "{evil}", "core.sshCommand": "{evil}", "pager.log": "{evil}"}, ""),
    ],
)
def test_opening_a_repository_runs_nothing_of_it(
    repository: Path, tmp_path: Path, settings: dict[str, str], attributes: str
) -> None:
    trace = tmp_path / "it-ran"
    evil = tmp_path / "evil.sh"
    evil.write_text(f"#!/bin/sh\necho ran >> {trace}\ncat\n")
    evil.chmod(0o755)
    for key, value in settings.items():
        run(repository, "config", key, value.format(evil=evil))
    (repository / ".git" / "hooks" / "post-index-change").write_text(f"#!/bin/sh\necho hook >> {trace}\n")
    (repository / ".git" / "hooks" / "post-index-change").chmod(0o755)
    (repository / ".gitattributes").write_text(attributes)
    (repository / "train.py").write_text("print('Training')\n")
    git.inspect(repository)
    git.state_digest(repository)
    git.source_files(repository)
    assert "+print('Training')" in git.diff(repository, "train.py")
    assert not trace.exists()


def test_reading_takes_no_lock_and_writes_nothing(repository: Path) -> None:
    os.utime(repository / "train.py", (1, 1))
    index = repository / ".git" / "index"
    before = index.read_bytes()
    (repository / ".git" / "index.lock").write_text("")
    git.inspect(repository)
    assert index.read_bytes() == before


def test_what_is_no_repository_says_how_to_make_one(tmp_path: Path) -> None:
    with pytest.raises(git.NotARepository, match="is not a git repository") as caught:
        git.inspect(tmp_path)
    assert "git init" in caught.value.next_step
    with pytest.raises(git.NotARepository, match="is not a folder"):
        git.inspect(tmp_path / "nowhere")


def test_a_bare_repository_is_told_apart(tmp_path: Path) -> None:
    run(tmp_path, "init", "-q", "--bare")
    with pytest.raises(git.NotARepository, match="bare repository"):
        git.inspect(tmp_path)


@pytest.mark.parametrize("damage", ["HEAD", "index", "objects", "config"])
def test_a_damaged_repository_is_a_sentence(repository: Path, damage: str) -> None:
    if damage == "objects":
        sha = run(repository, "rev-parse", "HEAD")
        loose = repository / ".git" / "objects" / sha[:2] / sha[2:]
        loose.chmod(0o644)
        loose.write_bytes(b"")
    else:
        (repository / ".git" / damage).write_bytes(b"[rubbish\n" * 20)
    with pytest.raises(git.RepositoryBroken, match="damaged") as caught:
        git.inspect(repository)
    assert "git fsck" in caught.value.next_step


def test_a_repository_of_somebody_else_is_not_read(repository: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GIT_TEST_ASSUME_DIFFERENT_OWNER", "1")
    with pytest.raises(git.NotTrusted, match="does not trust") as caught:
        git.inspect(repository)
    assert "safe.directory" in caught.value.next_step


def test_git_that_is_not_installed_is_a_sentence(repository: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from mlconsole.services.git import common

    common.check_git.cache_clear()
    monkeypatch.setenv("PATH", "")
    with pytest.raises(git.GitMissing, match="not installed"):
        git.inspect(repository)


def test_git_settings_of_a_surrounding_hook_do_not_mislead(
    repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GIT_DIR", str(tmp_path / "elsewhere"))
    monkeypatch.setenv("GIT_INDEX_FILE", str(tmp_path / "index"))
    assert git.inspect(repository).branch == "main"


def test_settings_of_the_environment_stay_in_force(repository: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GIT_TEST_ASSUME_DIFFERENT_OWNER", "1")
    monkeypatch.setenv("GIT_CONFIG_COUNT", "1")
    monkeypatch.setenv("GIT_CONFIG_KEY_0", "safe.directory")
    monkeypatch.setenv("GIT_CONFIG_VALUE_0", "*")
    assert git.inspect(repository).branch == "main"


def test_clone_tells_its_progress(repository: Path, tmp_path: Path) -> None:
    for number in range(50):
        (repository / f"file{number}.txt").write_text(str(number) * 1000)
    run(repository, "add", "-A")
    run(repository, "commit", "-q", "-m", "Files")
    steps: list[CloneProgress] = []
    target = git.clone(
        f"file://{repository}", tmp_path / "a" / "copy", report=steps.append, cancelled=threading.Event()
    )
    assert (target / "file7.txt").read_text() == "7" * 1000
    receiving = [step.fraction for step in steps if step.phase == "receiving"]
    assert receiving and receiving[-1] == 1.0
    assert {"counting", "receiving"} <= {step.phase for step in steps}


def test_clone_leaves_a_folder_with_files_alone(repository: Path, tmp_path: Path) -> None:
    taken = tmp_path / "taken"
    taken.mkdir()
    (taken / "mine.txt").write_text("mine")
    with pytest.raises(git.FolderTaken):
        git.clone(str(repository), taken, report=lambda step: None, cancelled=threading.Event())
    assert (taken / "mine.txt").read_text() == "mine"


@pytest.mark.parametrize(
    ("url", "sentence"),
    [
        ("{tmp}/nothing.git", "There is no repository"),
        ("https://ada:s3cret@127.0.0.1:1/x.git", "out of reach"),
        ("ssh://nobody@127.0.0.1:1/x.git", "out of reach"),
        ("ext::sh -c true", "protocol"),
        ("--upload-pack=true", "There is no repository"),
    ],
)
def test_a_clone_that_fails_says_why_and_leaves_nothing(tmp_path: Path, url: str, sentence: str) -> None:
    target = tmp_path / "copy"
    with pytest.raises(git.RemoteRefused, match=sentence) as caught:
        git.clone(url.format(tmp=tmp_path), target, report=lambda step: None, cancelled=threading.Event())
    assert not target.exists()
    shown = "".join((str(caught.value), caught.value.command, *caught.value.tail))
    assert "s3cret" not in shown


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write into every folder")
def test_a_folder_that_may_not_be_written_to_is_no_matter_of_credentials(repository: Path, tmp_path: Path) -> None:
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o500)
    with pytest.raises(git.RemoteRefused, match="can't be made: permission denied"):
        git.clone(str(repository), closed / "new", report=lambda step: None, cancelled=threading.Event())


def test_a_cancelled_clone_leaves_nothing(repository: Path, tmp_path: Path) -> None:
    cancelled = threading.Event()
    cancelled.set()
    slow = tmp_path / "slow.sh"
    slow.write_text("#!/bin/sh\nsleep 30\n")
    slow.chmod(0o755)
    kept = tmp_path / "kept"
    kept.mkdir()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GIT_SSH_COMMAND", str(slow))
        for target in (tmp_path / "copy", kept):
            with pytest.raises(Cancelled):
                git.clone("ssh://host/x.git", target, report=lambda step: None, cancelled=cancelled)
    assert not (tmp_path / "copy").exists()
    assert kept.is_dir() and not any(kept.iterdir())


def test_pull_moves_forward_and_returns_the_commit(repository: Path, tmp_path: Path) -> None:
    copy = git.clone(str(repository), tmp_path / "copy", report=lambda step: None, cancelled=threading.Event())
    (repository / "more.py").write_text("x")
    run(repository, "add", "-A")
    run(repository, "commit", "-q", "-m", "More")
    sha = git.pull(copy, report=lambda step: None, cancelled=threading.Event())
    assert sha == run(repository, "rev-parse", "HEAD")
    assert (copy / "more.py").exists()


def test_pull_without_an_upstream_is_a_sentence(repository: Path) -> None:
    with pytest.raises(git.NotPulled, match="follows no branch"):
        git.pull(repository, report=lambda step: None, cancelled=threading.Event())


def test_pull_does_not_overwrite_changed_files(repository: Path, tmp_path: Path) -> None:
    copy = git.clone(str(repository), tmp_path / "copy", report=lambda step: None, cancelled=threading.Event())
    (repository / "train.py").write_text("theirs\n")
    run(repository, "commit", "-q", "-a", "-m", "Theirs")
    (copy / "train.py").write_text("mine\n")
    with pytest.raises(git.NotPulled, match="in the way"):
        git.pull(copy, report=lambda step: None, cancelled=threading.Event())
    assert (copy / "train.py").read_text() == "mine\n"


def test_initialise_commits_everything_without_an_identity(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = Path(os.environ["HOME"]) / ".gitconfig"
    settings.write_text("")
    root = tmp_path / "demo"
    root.mkdir()
    (root / "train.py").write_text("x")
    sha = git.initialise(root, "The sample project")
    assert sha == run(root, "rev-parse", "HEAD")
    assert git.inspect(root).dirty == ()
    assert settings.read_text() == ""
    with pytest.raises(WrongUse):
        git.inspect(tmp_path)
