"""deploy/kubernetes/guard.yaml as a pod of podman: no cluster, but the image, the arguments, the rights and the volumes are the manifest's.

Podman 4.3 knows no sidecars and gives a secret's files to everybody: the guard is moved among the containers, and the secret's
volume is a folder with the owner and the mode that a kubelet would give its files. The Service and the NetworkPolicy are read by tests/docs.
"""

from __future__ import annotations

import os
import shutil
import socket
import ssl
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from everyhop.demo.certificates import Leaf
from tests.containers.podman import STORE, Container, podman, there
from tests.kit import Pki, exchange
from tests.kit.nursery import everyhop

MANIFEST = Path(__file__).parents[2] / "deploy/kubernetes/guard.yaml"
GET = "GET / HTTP/1.1\r\nHost: a.test\r\nConnection: close\r\n\r\n"
BACKEND = ["python3", "-m", "http.server", "8080", "--bind", "127.0.0.1", "--directory", "/opt"]


def secret(folder: Path, pki: Pki, volume: dict[str, Any], group: int) -> dict[str, Any]:
    """The volume as a folder, with the files that cert-manager writes, and the rights that a kubelet gives."""
    folder.mkdir()
    for name, file in (("tls.crt", "backend.pem"), ("tls.key", "backend.key"), ("ca.crt", "internal-ca.pem")):
        shutil.copy(pki.folder / file, folder / name)
        (folder / name).chmod(volume["secret"]["defaultMode"])
        os.chown(folder / name, 0, group)
    return {"name": volume["name"], "hostPath": {"path": str(folder)}}


def played(folder: Path, pki: Pki) -> dict[str, Any]:
    """The deployment, in what podman knows."""
    deployment: dict[str, Any] = next(yaml.safe_load_all(MANIFEST.read_text()))
    spec = deployment["spec"]["template"]["spec"]
    (guard,), (backend,) = spec.pop("initContainers"), spec["containers"]
    del guard["restartPolicy"]
    backend |= {"image": guard["image"], "command": BACKEND}
    spec["containers"] = [backend, guard]
    for it in spec["containers"]:
        it |= {"image": f"localhost/{it['image']}", "imagePullPolicy": "Never"}
    group = spec["securityContext"]["fsGroup"]
    spec["volumes"] = [secret(folder / "secret", pki, it, group) if "secret" in it else it for it in spec["volumes"]]
    deployment["spec"]["replicas"] = 1
    return deployment


@pytest.fixture
def pod(pki: Pki, tmp_path: Path) -> Iterator[str]:
    """Its address."""
    there()
    file = tmp_path / "pod.yaml"
    file.write_text(yaml.safe_dump(played(tmp_path, pki)))
    try:
        podman("play", "kube", str(file))
        infra = podman("pod", "inspect", "backend-pod-0", "--format", "{{.InfraContainerID}}").stdout.strip()
        form = "{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}"
        yield podman("inspect", infra, "--format", form).stdout.strip()
    finally:
        podman("play", "kube", "--down", str(file), check=False)


def asked(host: str, roots: Path, leaf: Leaf | None) -> int:
    context = ssl.create_default_context(cafile=str(roots))
    if leaf is not None:
        context.load_cert_chain(leaf.chain, leaf.key)
    with socket.create_connection((host, 8443), 10) as sock:
        with context.wrap_socket(sock, server_hostname="backend.internal") as wrapped:
            return exchange(wrapped, GET).status


@pytest.mark.parametrize("version", ["1.29", "1.37"], ids=["the-first-with-sidecars", "the-newest-known"])
def test_the_manifest_is_what_kubernetes_takes(version: str, tmp_path: Path) -> None:
    """By its own schemas, which refuse a key that it does not know."""
    there()
    asks = [str(STORE / "python/bin/kubernetes-validate"), "--strict", "--kubernetes-version", version]
    done = subprocess.run([*asks, str(MANIFEST)], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0 and (done.stdout + done.stderr).count(" passed for resource ") == 3, done.stdout
    wrong = tmp_path / "wrong.yaml"
    wrong.write_text(MANIFEST.read_text().replace("readOnlyRootFilesystem", "readOnlyRoot"))
    done = subprocess.run([*asks, str(wrong)], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 1 and "readOnlyRoot" in done.stdout + done.stderr, "the baseline: it would have said so"


def test_edges_reach_the_backend_of_a_pod_by_its_guard_alone(pod: str, pki: Pki) -> None:
    guard, backend = (Container(f"backend-pod-0-{name}") for name in ("guard", "backend"))
    guard.says("ready:")
    assert asked(pod, pki.internal.file, pki.identity) == 200
    assert asked(pod, pki.internal.file, pki.other) == 403
    with pytest.raises(OSError):
        asked(pod, pki.internal.file, None)
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection((pod, 8080), 10)
    looked = everyhop(
        *("guard", "--check", "--to", f"{pod}:8080", "--listen", f"{pod}:8443", "--admit", "edge.internal")
    )
    assert looked.returncode == 0 and "wrong" not in looked.stdout, looked.stdout + looked.stderr
    # As the manifest has it: no rights, no root, nothing to write but its state.
    said = guard.does(
        "sh", "-c", "id -u; id -g; grep CapEff /proc/self/status; touch /x; stat -c %a /certificate/tls.key"
    )
    assert said.split()[:4] == ["10001", "10001", "CapEff:", "0000000000000000"], said
    assert "Read-only file system" in said and said.split()[-1] == "440", said
    assert backend.told("State.Running")
    assert guard.stop() == 0 and "stopped" in guard.said.splitlines()[-1], guard.said
