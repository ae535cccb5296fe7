"""A token of SoftHSM, and modules that go wrong around it: each in a folder of its own, found by the environment."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from everyhop.demo.certificates import Leaf

PIN = "4711-wrong-for-anybody-else"
SOFTHSM = "/usr/lib/softhsm/libsofthsm2.so"
CONF = (
    "directories.tokendir = {folder}/tokens\nobjectstore.backend = file\nlog.level = ERROR\nslots.removable = false\n"
)


class Token:
    """Labelled `edge`, with a PIN in a file; keys come into it from files."""

    def __init__(self, folder: Path, patch: pytest.MonkeyPatch) -> None:
        assert shutil.which("softhsm2-util"), "softhsm2 is missing: apt-get install softhsm2"
        self.folder, self.ids = folder, 0
        (folder / "tokens").mkdir(parents=True)
        (folder / "softhsm2.conf").write_text(CONF.format(folder=folder))
        patch.setenv("SOFTHSM2_CONF", str(folder / "softhsm2.conf"))
        self.pin = folder / "pin"
        self.pin.touch(0o600)
        self.pin.write_text(f"{PIN}\n")
        self.init("edge")

    def init(self, label: str) -> None:
        self.util("--init-token", "--free", "--label", label, "--so-pin", "so-4711", "--pin", PIN)

    def util(self, *words: str) -> None:
        done = subprocess.run(["softhsm2-util", *words], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr

    def takes(self, leaf: Leaf, label: str, token: str = "edge") -> None:
        self.ids += 1
        words = ("--import", str(leaf.key), "--token", token, "--label", label, "--id", f"{self.ids:02x}", "--pin", PIN)
        self.util(*words)

    def gone(self) -> None:
        """As if it were pulled out."""
        (self.folder / "tokens").rename(self.folder / "away")
        (self.folder / "tokens").mkdir()

    def back(self) -> None:
        (self.folder / "tokens").rmdir()
        (self.folder / "away").rename(self.folder / "tokens")

    def uri(self, label: str, *, token: str = "edge", module: str | Path = SOFTHSM, pin: Path | None = None) -> str:
        return f"pkcs11:token={token};object={label}?module-path={module}&pin-source={pin or self.pin}"


WRAP = r"""
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
/* The head of CK_FUNCTION_LIST (PKCS#11 2.40): a version, then its functions in their order; C_Initialize is the first of
   them, C_Login the 19th, C_GetAttributeValue the 25th, C_Sign the 44th. */
typedef unsigned long rv;
struct list { unsigned char major, minor; void *f[68]; };
static struct list ours;
static rv (*their_sign)(rv, void *, rv, void *, rv *);
static rv (*their_initialize)(void *);
static rv (*their_login)(rv, rv, void *, rv);
static rv (*their_attributes)(rv, rv, void *, rv);
static const char *folder(void) { return getenv("EVERYHOP_TEST_MODULE"); }
static int said(const char *what) {
    char path[4096];
    snprintf(path, sizeof path, "%s/%s", folder(), what);
    return access(path, F_OK) == 0;
}
static void noted(const char *what) {
    char path[4096];
    snprintf(path, sizeof path, "%s/%s", folder(), what);
    FILE *f = fopen(path, "a");
    if (f) { fputc('.', f); fclose(f); }
}
static rv sign(rv s, void *d, rv n, void *o, rv *m) {
    if (said("abort-once")) { char p[4096]; snprintf(p, sizeof p, "%s/abort-once", folder()); unlink(p); abort(); }
    if (said("abort")) abort();
    if (said("removed")) return 0x32; /* CKR_DEVICE_REMOVED */
    while (said("hang")) usleep(10000);
    return their_sign(s, d, n, o, m);
}
static rv login(rv s, rv u, void *p, rv n) { noted("logins"); return their_login(s, u, p, n); }
struct attribute { rv type; void *value; rv length; };
static rv attributes(rv s, rv o, struct attribute *a, rv n) {
    rv answer = their_attributes(s, o, a, n);
    for (rv i = 0; i < n; i++)
        if (a[i].type == 0x202 && a[i].value && said("asks-each-time")) { *(unsigned char *)a[i].value = 1; answer = 0; }
    return answer;
}
static rv initialize(void *args) {
    if (said("abort-at-start")) abort();
    /* Refuses to lock by the system's means. */
    if (said("alone") && args && (*(rv *)((char *)args + 32) & 2)) return 0xa;
    return their_initialize(args);
}
rv C_GetFunctionList(struct list **out) {
    struct list *theirs;
    void *module = dlopen("%s", RTLD_NOW);
    ((rv (*)(struct list **))dlsym(module, "C_GetFunctionList"))(&theirs);
    for (int i = 0; i < 68; i++) ours.f[i] = theirs->f[i];
    ours.major = theirs->major, ours.minor = theirs->minor;
    their_initialize = theirs->f[0], ours.f[0] = initialize;
    their_login = theirs->f[18], ours.f[18] = login;
    their_attributes = theirs->f[24], ours.f[24] = attributes;
    their_sign = theirs->f[43], ours.f[43] = sign;
    *out = &ours;
    return 0;
}
"""


class Wrong:
    """A module around SoftHSM's that does what files in its folder say: `abort`, `hang`, and so on; `logins` counts those."""

    def __init__(self, folder: Path, patch: pytest.MonkeyPatch) -> None:
        self.folder = folder
        folder.mkdir()
        patch.setenv("EVERYHOP_TEST_MODULE", str(folder))
        source, self.path = folder / "wrong.c", folder / "wrong.so"
        source.write_text(WRAP.replace('%s", RTLD', f'{SOFTHSM}", RTLD'))
        done = subprocess.run(
            ["cc", "-shared", "-fPIC", "-o", str(self.path), str(source), "-ldl"],
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        self.path.chmod(0o755)

    def does(self, what: str) -> None:
        (self.folder / what).touch()

    def no_more(self, what: str) -> None:
        (self.folder / what).unlink(missing_ok=True)

    def logins(self) -> int:
        path = self.folder / "logins"
        return len(path.read_text()) if path.exists() else 0
