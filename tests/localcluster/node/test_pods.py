"""Single pods: states, restarts, probes, environment, memory, end."""

from __future__ import annotations

import asyncio
import os
import random
import signal
import sys
import time
from collections.abc import Callable
from typing import Any

import psutil

from mlconsole.localcluster.node.ports import is_free
from tests.living import runs

Box = Callable[..., dict[str, Any]]


async def test_a_pod_becomes_running_and_ready(world: Any, box: Box) -> None:
    world.create("pods", "web", {"containers": [box(ports=[{"containerPort": 8080}])]})
    pod = await world.until(lambda: world.ready() and world.pod("web"))
    status = pod["status"]
    assert (status["phase"], status["podIP"], pod["spec"]["nodeName"]) == ("Running", "127.0.0.1", "local")
    assert [item["type"] for item in status["conditions"]] == [
        "PodReadyToStartContainers", "Initialized", "Ready", "ContainersReady", "PodScheduled",
    ]  # fmt: skip
    entry = status["containerStatuses"][0]
    assert (entry["ready"], entry["started"], entry["restartCount"]) == (True, True, 0)
    assert entry["containerID"].startswith("local://") and "startedAt" in entry["state"]["running"]
    assert set(world.reasons()) == {"Scheduled", "Pulled", "Created", "Started"}


async def test_what_ran_to_its_end_has_succeeded_or_failed(world: Any, py: Box) -> None:
    world.create("pods", "good", {"restartPolicy": "Never", "containers": [py("print('done')")]})
    world.create("pods", "bad", {"restartPolicy": "Never", "containers": [py("raise SystemExit(3)")]})
    await world.until(lambda: world.pod("good")["status"]["phase"] == "Succeeded")
    await world.until(lambda: world.pod("bad")["status"]["phase"] == "Failed")
    assert world.status("good")["state"]["terminated"]["reason"] == "Completed"
    ended = world.status("bad")["state"]["terminated"]
    assert (ended["reason"], ended["exitCode"]) == ("Error", 3)
    assert world.log("good") == "done"
    ready = next(item for item in world.pod("good")["status"]["conditions"] if item["type"] == "Ready")
    assert (ready["status"], ready["reason"]) == ("False", "PodCompleted")


async def test_a_container_that_keeps_failing_waits_longer_and_longer(world: Any, py: Box) -> None:
    world.create("pods", "loop", {"containers": [py("print('bad model file'); raise SystemExit(3)")]})
    waiting = await world.until(
        lambda: world.status("loop")["state"].get("waiting", {}).get("message") and world.status("loop")
    )
    uid = world.pod("loop")["metadata"]["uid"]
    assert waiting["state"]["waiting"]["reason"] == "CrashLoopBackOff"
    assert waiting["state"]["waiting"]["message"].endswith(f"restarting failed container=model pod=loop_default({uid})")
    assert waiting["lastState"]["terminated"]["exitCode"] == 3
    assert waiting["restartCount"] == 1
    assert world.messages("BackOff") == [f"Back-off restarting failed container model in pod loop_default({uid})"]
    assert world.log("loop", previous=True) == "bad model file"
    assert await world.until(lambda: world.status("loop")["restartCount"] >= 2)


async def test_a_killed_container_is_restarted_at_once(world: Any, box: Box) -> None:
    world.create("pods", "web", {"containers": [box()]})
    await world.until(world.ready)
    os.kill(world.container_pid("web"), signal.SIGKILL)
    entry = await world.until(lambda: world.status("web")["restartCount"] == 1 and world.status("web"))
    ended = entry["lastState"]["terminated"]
    assert (ended["exitCode"], ended["signal"], ended["reason"]) == (137, 9, "Error")
    await world.until(world.ready)


async def test_a_failing_readiness_probe_says_why(world: Any, box: Box) -> None:
    probe = {"httpGet": {"path": "/absent", "port": 8080}, "periodSeconds": 1}
    world.create("pods", "web", {"containers": [box(ports=[{"containerPort": 8080}], readinessProbe=probe)]})
    await world.until(lambda: "HTTP probe failed with statuscode: 404" in "".join(world.messages("Unhealthy")))
    assert world.status("web")["ready"] is False
    conditions = {item["type"]: item for item in world.pod("web")["status"]["conditions"]}
    assert conditions["Ready"]["message"] == "containers with unready status: [model]"
    silent = {"httpGet": {"path": "/", "port": 9}, "periodSeconds": 1}
    world.create("pods", "deaf", {"containers": [box(readinessProbe=silent)]})
    message = 'Readiness probe failed: Get "http://127.0.0.1:9/": dial tcp 127.0.0.1:9: connect: connection refused'
    # A container that declares no port has one all the same, so only a declared one is taken literally.
    world.create("pods", "mute", {"containers": [box(ports=[{"containerPort": 80}], readinessProbe=silent)]})
    await world.until(lambda: message in world.messages("Unhealthy"))


async def test_a_failing_liveness_probe_restarts_the_container(world: Any, box: Box) -> None:
    health = {"httpGet": {"path": "/health", "port": "http"}, "periodSeconds": 1, "timeoutSeconds": 20}
    probe = health | {"failureThreshold": 1}
    # without it, a server that starts slowly would be restarted before it listens
    probes = {"startupProbe": health | {"failureThreshold": 60}, "livenessProbe": probe, "readinessProbe": probe}
    world.create("pods", "web", {"containers": [box(ports=[{"containerPort": 80, "name": "http"}], **probes)]})
    await world.until(world.ready)
    (world.root / "sick-web").touch()
    await world.until(lambda: "Container model failed liveness probe, will be restarted" in world.messages("Killing"))
    (world.root / "sick-web").unlink()
    await world.until(lambda: world.status("web")["restartCount"] == 1 and world.ready())
    assert "Liveness probe failed: HTTP probe failed with statuscode: 503" in world.messages("Unhealthy")


async def test_the_other_probes_wait_for_the_startup_probe(world: Any, py: Box) -> None:
    probe = {"exec": {"command": ["test", "-e", "up"]}, "periodSeconds": 1, "failureThreshold": 60}
    world.create("pods", "slow", {"containers": [py("import time; time.sleep(60)", startupProbe=probe)]})
    await world.until(lambda: "running" in world.status("slow")["state"])
    assert (world.status("slow")["started"], world.status("slow")["ready"]) == (False, False)
    (world.root / "up").touch()
    await world.until(lambda: world.status("slow")["started"] and world.status("slow")["ready"])


async def test_a_container_over_its_memory_limit_is_killed(world: Any, py: Box) -> None:
    code = "import time; block = bytearray(120_000_000); time.sleep(60)"
    limits = {"limits": {"memory": "60Mi"}}
    world.create("pods", "fat", {"restartPolicy": "Never", "containers": [py(code, resources=limits)]})
    await world.until(lambda: world.pod("fat")["status"]["phase"] == "Failed")
    ended = world.status("fat")["state"]["terminated"]
    assert (ended["reason"], ended["exitCode"]) == ("OOMKilled", 137)


async def test_a_pod_that_is_active_for_too_long_fails(world: Any, py: Box) -> None:
    spec = {"activeDeadlineSeconds": 1, "terminationGracePeriodSeconds": 1}
    world.create("pods", "long", spec | {"containers": [py("import time; time.sleep(60)")]})
    await world.until(lambda: world.pod("long")["status"].get("reason") == "DeadlineExceeded")
    await world.until(lambda: "terminated" in world.status("long")["state"])
    status = world.pod("long")["status"]
    assert (status["phase"], status["message"].split()[:3]) == ("Failed", ["Pod", "was", "active"])
    assert "DeadlineExceeded" in world.reasons()
    assert world.status("long")["restartCount"] == 0


async def test_init_containers_run_first_and_in_order(world: Any, py: Box) -> None:
    first = py("open('order', 'a').write('1')", name="first")
    second = py("open('order', 'a').write('2')", name="second")
    main = py("open('order', 'a').write('3')")
    main.pop("name")
    world.create(
        "pods", "steps",
        {"restartPolicy": "Never", "initContainers": [{**first, "name": "first"}, {**second, "name": "second"}],
         "containers": [{**main, "name": "model"}]},
    )  # fmt: skip
    await world.until(lambda: world.pod("steps")["status"]["phase"] == "Succeeded")
    assert (world.root / "order").read_text() == "123"
    assert [item["name"] for item in world.pod("steps")["status"]["initContainerStatuses"]] == ["first", "second"]


async def test_an_init_container_that_fails_for_good_fails_the_pod(world: Any, py: Box) -> None:
    spec = {
        "restartPolicy": "Never",
        "initContainers": [{**py("raise SystemExit(2)"), "name": "check"}],
        "containers": [py("")],
    }
    world.create("pods", "stuck", spec)
    await world.until(lambda: world.pod("stuck")["status"]["phase"] == "Failed")
    assert "terminated" not in world.status("stuck")["state"]


async def test_the_environment_comes_from_the_manifest(world: Any, py: Box, monkeypatch: Any) -> None:
    monkeypatch.setenv("PRIVATE_TOKEN", "hidden")
    world.create("configmaps", "settings", data={"LEVEL": "info", "model.path": "/models/m.pkl"})
    world.create("secrets", "keys", data={"api": "czNjcjN0"})
    env = [
        {"name": "PATH_", "valueFrom": {"configMapKeyRef": {"name": "settings", "key": "model.path"}}},
        {"name": "KEY", "valueFrom": {"secretKeyRef": {"name": "keys", "key": "api"}}},
        {"name": "ME", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}},
        {"name": "BOTH", "value": "$(ME)-$(PATH_)-$(NOBODY)-$$(ME)"},
    ]
    code = "import os; print(*(f'{k}={os.environ.get(k)}' for k in "
    code += (
        "['PATH_','KEY','ME','BOTH','LEVEL','HOST','HOSTNAME','PRIVATE_TOKEN']), sep='\\n'); int(os.environ['PORT'])"
    )
    source = [{"configMapRef": {"name": "settings"}}]
    spec = {"restartPolicy": "Never", "containers": [py(code, env=env, envFrom=source)]}
    world.create("pods", "env", spec)
    await world.until(lambda: world.pod("env")["status"]["phase"] == "Succeeded")
    assert world.log("env").splitlines() == [
        "PATH_=/models/m.pkl", "KEY=s3cr3t", "ME=env", "BOTH=env-/models/m.pkl-$(NOBODY)-$(ME)", "LEVEL=info",
        "HOST=127.0.0.1", "HOSTNAME=env", "PRIVATE_TOKEN=None",
    ]  # fmt: skip


async def test_a_missing_configmap_holds_the_container_until_it_is_there(world: Any, py: Box) -> None:
    env = [{"name": "LEVEL", "valueFrom": {"configMapKeyRef": {"name": "settings", "key": "level"}}}]
    world.create("pods", "needy", {"restartPolicy": "Never", "containers": [py("", env=env)]})
    waiting = await world.until(lambda: world.status("needy")["state"]["waiting"].get("message"))
    assert waiting == 'configmap "settings" not found'
    assert world.status("needy")["state"]["waiting"]["reason"] == "CreateContainerConfigError"
    world.create("configmaps", "settings", data={"other": "x"})
    assert world.messages("Failed") == ['Error: configmap "settings" not found']
    missing = "couldn't find key level in ConfigMap default/settings"
    await world.until(lambda: world.status("needy")["state"]["waiting"]["message"] == missing)
    world.store.update("configmaps", {"metadata": {"name": "settings", "namespace": "default"}, "data": {"level": "1"}})
    await world.until(lambda: world.pod("needy")["status"]["phase"] == "Succeeded")


async def test_a_command_that_does_not_exist_is_named(world: Any, box: Box) -> None:
    world.create("pods", "typo", {"containers": [box("pyhton", "serve.py")]})
    entry = await world.until(lambda: world.status("typo")["state"]["waiting"].get("message") and world.status("typo"))
    assert entry["state"]["waiting"]["reason"] == "RunContainerError"
    assert 'exec: "pyhton": executable file not found in $PATH' in entry["state"]["waiting"]["message"]
    assert entry["lastState"]["terminated"]["exitCode"] == 128


async def test_an_image_that_nothing_is_known_of_can_not_be_pulled(world: Any) -> None:
    world.create("pods", "lost", {"containers": [{"name": "model", "image": "ml-model:v9"}]})
    reasons = set()

    def seen() -> bool:
        reasons.add(world.status("lost")["state"]["waiting"]["reason"])
        return {"ErrImagePull", "ImagePullBackOff"} <= reasons

    await world.until(seen)
    assert 'Failed to pull image "ml-model:v9"' in "".join(world.messages("Failed"))
    assert world.pod("lost")["status"]["phase"] == "Pending"


async def test_a_dockerfile_says_what_an_image_runs(world: Any) -> None:
    (world.root / "Dockerfile").write_text(
        f'FROM python:3.11 AS base\nENV MODEL_VERSION=v7\nWORKDIR /app\nFROM base\nENTRYPOINT ["{sys.executable}"]\n'
        'CMD ["/app/server.py"]\n'
    )
    probe = {"tcpSocket": {"port": 8080}, "periodSeconds": 1}
    spec = {
        "containers": [{"name": "model", "image": "x", "ports": [{"containerPort": 8080}], "readinessProbe": probe}]
    }
    world.create("pods", "image", spec)
    await world.until(world.ready)
    assert world.log("image") == "serving v7"


async def test_volumes_are_found_at_their_mount_paths(world: Any, py: Box) -> None:
    world.create("configmaps", "settings", data={"a.yaml": "level: 1"})
    mounts = [{"name": "config", "mountPath": "/etc/model"}, {"name": "scratch", "mountPath": "/scratch"}]
    volumes = [{"name": "config", "configMap": {"name": "settings"}}, {"name": "scratch", "emptyDir": {}}]
    code = "import os; print(open('/etc/model/a.yaml').read()); open(os.environ['OUT'], 'w').write('x')"
    env = [{"name": "OUT", "value": "/scratch/out"}]
    spec = {"restartPolicy": "Never", "volumes": volumes, "containers": [py(code, volumeMounts=mounts, env=env)]}
    world.create("pods", "files", spec)
    await world.until(lambda: world.pod("files")["status"]["phase"] == "Succeeded")
    assert world.log("files") == "level: 1"


async def test_a_deleted_pod_is_asked_to_end_and_then_gone(world: Any, py: Box) -> None:
    code = (
        "import signal, sys, time\n"
        "def end(*_):\n    open('farewell', 'w').write('bye')\n    sys.exit(0)\n"
        "signal.signal(signal.SIGTERM, end)\nprint('up', flush=True)\ntime.sleep(60)"
    )
    world.create("pods", "polite", {"containers": [py(code)]})
    await world.until(lambda: world.log("polite") == "up")
    folder = world.state / "pods" / world.pod("polite")["metadata"]["uid"]
    world.store.mark_deleted("pods", "default", "polite", 30)
    await world.until(lambda: not world.pods())
    assert (world.root / "farewell").read_text() == "bye"
    assert world.messages("Killing") == ["Stopping container model"]
    await world.until(lambda: not folder.exists())


async def test_a_pod_that_does_not_end_is_killed_with_all_its_children(world: Any, py: Box) -> None:
    code = (
        "import signal, subprocess, sys, time\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
        "stay = 'import os, signal, time; signal.signal(15, 1); os.setsid(); print(os.getpid(), flush=True); '\n"
        "stay += 'time.sleep(60)'\n"
        "subprocess.Popen([sys.executable, '-c', stay])\ntime.sleep(60)"
    )
    world.create("pods", "stubborn", {"containers": [py(code)]})
    child = int(await world.until(lambda: world.log("stubborn")))
    assert runs(child)
    world.store.mark_deleted("pods", "default", "stubborn", 1)
    await world.until(lambda: not world.pods())
    await world.until(lambda: not runs(child))


async def test_what_a_container_leaves_behind_ends_with_it(world: Any, py: Box) -> None:
    code = (
        "import subprocess, sys\n"
        "child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)'], start_new_session=True)\n"
        "print(child.pid)"
    )
    world.create("pods", "parent", {"restartPolicy": "Never", "containers": [py(code)]})
    await world.until(lambda: world.pod("parent")["status"]["phase"] == "Succeeded")
    assert not runs(int(world.log("parent")))


async def test_a_pre_stop_hook_runs_before_the_end(world: Any, py: Box) -> None:
    hook = {"preStop": {"exec": {"command": ["sh", "-c", "echo $HOSTNAME > stopped"]}}}
    world.create("pods", "hooked", {"containers": [py("import time; time.sleep(60)", lifecycle=hook)]})
    await world.until(world.ready)
    world.store.mark_deleted("pods", "default", "hooked", 10)
    await world.until(lambda: not world.pods())
    assert (world.root / "stopped").read_text() == "hooked\n"


async def test_containers_inherit_no_files_of_the_server(world: Any, py: Box) -> None:
    leak = open(world.root / "server.py")  # noqa: SIM115, PTH123 - kept open on purpose
    os.set_inheritable(leak.fileno(), True)
    code = "import os; print(sorted(int(name) for name in os.listdir('/dev/fd')))"
    world.create("pods", "fds", {"restartPolicy": "Never", "containers": [py(code)]})
    await world.until(lambda: world.pod("fds")["status"]["phase"] == "Succeeded")
    leak.close()
    assert world.log("fds").startswith("[0, 1, 2")
    assert len(world.log("fds").split(",")) <= 4


async def test_a_server_that_died_finds_its_containers_again(
    tmp_path: Any, world: Any, make_world: Any, box: Box
) -> None:
    world.create("pods", "kept", {"containers": [box()]})
    world.create("pods", "ended", {"containers": [box()]})
    await world.until(lambda: len(world.ready()) == 2)
    kept, ended = world.container_pid("kept"), world.container_pid("ended")
    await world.cluster.stop(kill_pods=False)
    assert runs(kept) and runs(ended)
    os.kill(ended, signal.SIGKILL)
    world.cluster = make_world(world.root, world.store).cluster
    await world.cluster.start()
    assert await world.until(lambda: world.status("ended")["restartCount"] == 1 and len(world.ready()) == 2)
    assert world.container_pid("kept") == kept
    assert world.status("kept")["restartCount"] == 0
    os.kill(kept, signal.SIGKILL)
    await world.until(lambda: world.status("kept")["restartCount"] == 1)


async def test_containers_of_pods_that_are_gone_are_ended_at_the_next_start(
    world: Any, make_world: Any, box: Box
) -> None:
    world.create("pods", "stray", {"containers": [box()]})
    await world.until(world.ready)
    pid = world.container_pid("stray")
    await world.cluster.stop(kill_pods=False)
    world.store.delete("pods", "default", "stray")
    world.cluster = make_world(world.root, world.store).cluster
    await world.cluster.start()
    await world.until(lambda: not runs(pid) and not world.shims())


async def test_a_container_whose_shim_was_killed_counts_as_killed(world: Any, box: Box) -> None:
    world.create("pods", "web", {"containers": [box()]})
    await world.until(world.ready)
    pid = world.container_pid("web")
    os.kill(psutil.Process(pid).ppid(), signal.SIGKILL)
    entry = await world.until(lambda: world.status("web")["restartCount"] == 1 and world.status("web"))
    assert entry["lastState"]["terminated"]["exitCode"] == 137
    await world.until(lambda: not runs(pid))


async def test_long_lines_are_split_and_timestamped(world: Any, py: Box) -> None:
    code = "print('x' * 40000); print('short')"
    world.create("pods", "wordy", {"restartPolicy": "Never", "containers": [py(code)]})
    await world.until(lambda: world.pod("wordy")["status"]["phase"] == "Succeeded")
    lines = world.cluster.log_path("default", "wordy", "model", False).read_text().splitlines()
    assert [len(line.partition(" ")[2]) for line in lines] == [16384, 16384, 7232, 5]
    assert all(len(line.partition(" ")[0]) == len("2026-01-02T03:04:05.123456789Z") for line in lines)


async def test_many_pods_start_together(world: Any, py: Box) -> None:
    for number in range(12):
        world.create("pods", f"p{number}", {"restartPolicy": "Never", "containers": [py("print('hi')")]})
    await world.until(lambda: all(pod["status"]["phase"] == "Succeeded" for pod in world.pods()))
    await asyncio.sleep(0)
    assert len(world.pods()) == 12


async def test_a_cluster_that_was_stopped_starts_its_pods_again(world: Any, make_world: Any, box: Box) -> None:
    world.create("pods", "web", {"containers": [box()]})
    await world.until(world.ready)
    await world.cluster.stop(kill_pods=True)
    assert not world.shims()
    world.cluster = make_world(world.root, world.store).cluster
    await world.cluster.start()
    await world.until(lambda: world.status("web")["restartCount"] == 1 and world.ready())


async def test_a_pod_that_is_gone_from_the_store_is_killed_at_once(world: Any, py: Box) -> None:
    code = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('up', flush=True); time.sleep(60)"
    world.create("pods", "forced", {"containers": [py(code)]})
    await world.until(lambda: world.log("forced") == "up")
    pid = world.container_pid("forced")
    world.store.delete("pods", "default", "forced")
    await world.until(lambda: not runs(pid), seconds=20)


async def test_a_second_deletion_can_shorten_the_grace(world: Any, py: Box) -> None:
    code = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('up', flush=True); time.sleep(60)"
    world.create("pods", "stubborn", {"containers": [py(code)]})
    await world.until(lambda: world.log("stubborn") == "up")
    world.store.mark_deleted("pods", "default", "stubborn", 60)
    await world.until(lambda: world.messages("Killing"))
    world.store.mark_deleted("pods", "default", "stubborn", 1)
    await world.until(lambda: not world.pods(), seconds=40)


async def test_a_sidecar_runs_beside_and_ends_after_the_others(world: Any, py: Box) -> None:
    helper = {
        **py("import time; open('helped', 'w').close(); time.sleep(60)"),
        "name": "helper",
        "restartPolicy": "Always",
    }
    main = py("import os, time\nwhile not os.path.exists('helped'): time.sleep(0.01)")
    world.create("pods", "pair", {"restartPolicy": "Never", "initContainers": [helper], "containers": [main]})
    await world.until(lambda: world.pod("pair")["status"]["phase"] == "Succeeded")
    await world.until(lambda: "terminated" in world.pod("pair")["status"]["initContainerStatuses"][0]["state"])


async def test_a_port_of_the_machine_that_is_asked_for_is_given(world: Any, box: Box) -> None:
    # not of those that the system gives to anybody who connects
    wanted = next(port for port in random.sample(range(10000, 20000), 1000) if is_free(port))
    world.create("pods", "web", {"containers": [box(ports=[{"containerPort": 8080, "hostPort": wanted}])]})
    await world.until(world.ready)
    assert world.cluster.pod_address("default", "web", 8080) == ("127.0.0.1", wanted)
    assert world.cluster.pod_address("default", "web", None) == ("127.0.0.1", wanted)
    assert world.cluster.pod_address("default", "nobody", 8080) is None


async def test_a_container_that_was_just_being_started_is_found_too(world: Any, make_world: Any, box: Box) -> None:
    world.create("pods", "web", {"containers": [box()]})
    await world.until(world.ready)
    pid = world.container_pid("web")
    record = world.state / "pods" / world.pod("web")["metadata"]["uid"] / "model" / "0" / "shim.json"
    await world.cluster.stop(kill_pods=False)
    content = record.read_text()
    record.unlink()
    asyncio.get_running_loop().run_in_executor(None, lambda: (time.sleep(0.2), record.write_text(content)))
    world.cluster = make_world(world.root, world.store).cluster
    await world.cluster.start()
    await world.until(world.ready)
    assert (world.container_pid("web"), world.status("web")["restartCount"]) == (pid, 0)


async def test_what_has_ended_for_good_is_not_run_again_by_the_next_server(
    world: Any, make_world: Any, py: Box
) -> None:
    first = {**py("open('ran', 'a').write('i')"), "name": "prepare"}
    done = {**py("open('ran', 'a').write('d')"), "name": "done"}
    spec = {
        "restartPolicy": "Never",
        "initContainers": [first],
        "containers": [py("import time; time.sleep(60)"), done],
    }
    world.create("pods", "pair", spec)

    def states() -> list[str]:
        return [name for item in world.pod("pair")["status"]["containerStatuses"] for name in item["state"]]

    await world.until(lambda: states() == ["running", "terminated"])
    await world.cluster.stop(kill_pods=False)
    world.cluster = make_world(world.root, world.store).cluster
    await world.cluster.start()
    os.kill(world.container_pid("pair"), signal.SIGTERM)
    await world.until(lambda: world.pod("pair")["status"]["phase"] == "Failed")
    assert (world.root / "ran").read_text() == "id"
    assert [item["restartCount"] for item in world.pod("pair")["status"]["containerStatuses"]] == [0, 0]


async def test_a_container_that_waits_for_its_restart_is_not_counted_twice(
    world: Any, make_world: Any, py: Box
) -> None:
    world.create("pods", "loop", {"containers": [py("raise SystemExit(3)")]})
    await world.until(lambda: world.status("loop")["state"].get("waiting", {}).get("reason") == "CrashLoopBackOff")
    await world.cluster.stop(kill_pods=False)
    before = world.status("loop")
    world.cluster = make_world(world.root, world.store).cluster
    await world.cluster.start()
    await world.until(lambda: world.status("loop")["restartCount"] == before["restartCount"] + 1)


async def test_a_container_that_can_not_be_made_says_so_and_is_tried_again(world: Any, py: Box) -> None:
    blocked = world.state / "volumes" / "default" / "claim"
    blocked.parent.mkdir(parents=True)
    blocked.write_text("a file where a folder has to be")
    mounts = [{"name": "data", "mountPath": "/data"}]
    volumes = [{"name": "data", "persistentVolumeClaim": {"claimName": "claim"}}]
    spec = {"restartPolicy": "Never", "volumes": volumes, "containers": [py("", volumeMounts=mounts)]}
    world.create("pods", "blocked", spec)
    waiting = await world.until(lambda: world.status("blocked")["state"]["waiting"].get("message"))
    assert waiting.startswith("FileExistsError: ")
    assert world.status("blocked")["state"]["waiting"]["reason"] == "CreateContainerError"
    blocked.unlink()
    await world.until(lambda: world.pod("blocked")["status"]["phase"] == "Succeeded")


async def test_a_volume_that_is_missing_holds_the_container_in_creation(world: Any, py: Box) -> None:
    volumes = [{"name": "config", "configMap": {"name": "settings"}}]
    mounts = [{"name": "config", "mountPath": "/etc/model"}]
    spec = {"restartPolicy": "Never", "volumes": volumes, "containers": [py("", volumeMounts=mounts)]}
    world.create("pods", "held", spec)
    said = 'MountVolume.SetUp failed for volume "config" : configmap "settings" not found'
    await world.until(lambda: world.messages("FailedMount") == [said])
    assert world.status("held")["state"] == {"waiting": {"reason": "ContainerCreating"}}
    world.create("configmaps", "settings", data={"a": "1"})
    await world.until(lambda: world.pod("held")["status"]["phase"] == "Succeeded")
