"""A supervisor stays the program that it was when it began, whatever is installed in its place meanwhile."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import everyhop
from everyhop.demo.certificates import Authority
from everyhop.remembered import Module, Remembered, imported

TEXT = """\
version = 1
[[listener]]
name = "public"
bind = ["127.0.0.1:8443"]
[[site]]
name = "s"
certs = [{ chain = "s.pem", key = "file:s.key" }]
[[route]]
name = "r"
host = "s.test"
tls = "reencrypt"
to = ["backend.test:1"]
verify = { ca = "public-ca.pem" }
"""

PROGRAM = """\
import sys
from pathlib import Path
import everyhop.cli.run
from everyhop.compile import elsewhere
home, config = Path(everyhop.__file__).parent, Path(sys.argv[1])
def compiled(before=None):
    return elsewhere.compile_elsewhere(config, past_dates="close", before=before)
first = compiled()
# What was imported is there already; of everything else there is another version now.
for path in home.rglob("*.py"):
    path.write_text("raise SystemError('another version')")
second = compiled(first)
third = elsewhere.renew_elsewhere(second)
print(second.plan_digest == first.plan_digest, third.plan is second.plan, "cryptography" in sys.modules)
# Some things are done here: by the same program.
elsewhere.LARGE_BYTES = 0
fourth = compiled(third)
published = __import__("everyhop.identity.published", fromlist=["published"])
print(fourth.plan_digest == first.plan_digest, fourth.readings.judged, hasattr(published, "published"))
print(sys.modules["cryptography.hazmat.bindings._rust"].__file__.startswith("/proc/self/fd/"))
"""


def test_another_version_that_is_installed_meanwhile_compiles_nothing(tmp_path: Path) -> None:
    """Half of one and half of the other would be a program that nobody has tried."""
    installed = tmp_path / "everyhop"
    source = Path(everyhop.__file__).parent
    shutil.copytree(source, installed, ignore=shutil.ignore_patterns("*.so", "__pycache__"))
    for it in source.glob("*.so"):
        (installed / it.name).symlink_to(it)
    authority = Authority(tmp_path, "Public CA")
    authority.leaf("s", "s.test")
    (config := tmp_path / "everyhop.toml").write_text(TEXT)
    environment = {**os.environ, "PYTHONPATH": str(tmp_path), "PYTHONPYCACHEPREFIX": str(tmp_path / "cache")}
    done = subprocess.run(
        [sys.executable, "-P", "-c", PROGRAM, str(config)],
        capture_output=True,
        text=True,
        check=False,
        env=environment,
    )
    assert done.stdout.split("\n")[:3] == ["True True False", "True 0 True", "True"], done.stderr


def test_a_module_is_found_as_it_was_and_one_that_was_not_remembered_is_not_found(tmp_path: Path) -> None:
    (mine := {it.name: it for it in imported({*sys.modules} - {"everyhop.errors", "everyhop", "_struct"})})
    finder = Remembered([*mine.values(), Module("gone", str(tmp_path / "gone.so"), None, None)])
    try:
        package, module = finder.find_spec("everyhop", None), finder.find_spec("everyhop.errors", None)
        assert package is not None and package.submodule_search_locations == [*everyhop.__path__]
        assert module is not None and module.submodule_search_locations is None
        assert finder.find_spec("everyhop.plan", None) is None
        assert finder.find_spec("gone", None) is None, "what could not be held is looked for where it is installed"
        assert finder.get_code("everyhop.errors").co_name == "<module>"
    finally:
        for fd in finder.files.values():
            os.close(fd)
