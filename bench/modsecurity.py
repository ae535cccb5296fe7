"""nginx with ModSecurity, of Debian, for `inspecting.py`: a port that asks nothing, one whose rules block, one whose rules only detect."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

from bench.subjects import SUBJECT_CPU, Subject, nginx_frame, pinned, version_of, which
from everyhop.demo.stage import free_port

WAF = Path(__file__).parents[1] / "waf"


def nginx(folder: Path, back: int, name: str, setup: Path, rules: Path) -> Subject | None:
    """Debian's, with its module and these rules."""
    program = which("nginx")
    module = Path("/usr/lib/nginx/modules/ngx_http_modsecurity_module.so")
    if not program or not module.exists() or not rules.exists():
        return None
    ports = {name: free_port() for name in ("plain", "waf", "detect")}
    (settings := folder / f"{name}.modsecurity").write_text(
        "SecRuleEngine On\nSecRequestBodyAccess On\nSecRequestBodyLimit 13107200\nSecAuditEngine Off\n"
        'SecRule REQUEST_HEADERS:Content-Type "^application/json" "id:200001,phase:1,t:none,t:lowercase,pass,nolog,'
        'ctl:requestBodyProcessor=JSON"\n'
        f"Include {setup}\nInclude {rules}/REQUEST-*.conf\n"
    )
    detects = folder / f"{name}-detect.modsecurity"
    # What it found is written of whom a rule met, which proves that it looks, and of no measured request.
    audits = f"SecAuditEngine RelevantOnly\nSecAuditLogType Serial\nSecAuditLogParts AHZ\nSecAuditLog {folder}/{name}-detect.log\n"
    only = settings.read_text().replace("SecRuleEngine On\n", "SecRuleEngine DetectionOnly\n")
    detects.write_text(only.replace("SecAuditEngine Off\n", audits))
    keep = "keepalive 1024; keepalive_requests 100000000;"
    on = "proxy_set_header Connection ''; proxy_set_header Host $host; proxy_pass http://plain;"
    asks = "modsecurity on; modsecurity_rules_file {}; "
    inside = {"plain": on, "waf": asks.format(settings) + on, "detect": asks.format(detects) + on}
    text = (
        f"load_module {module};\ndaemon off; worker_processes 1; pid {folder}/{name}.pid; error_log /dev/null;\n"
        "events { worker_connections 4096; }\n"
        f"http {{ {nginx_frame(folder, name)}"
        f"ssl_certificate {folder}/edge.pem; ssl_certificate_key {folder}/edge.key; ssl_protocols TLSv1.3;\n"
        "ssl_ecdh_curve X25519; proxy_http_version 1.1; client_body_buffer_size 256k;\n"
        f"upstream plain {{ server 127.0.0.1:{back}; {keep} }}\n"
        + "".join(
            f"server {{ listen 127.0.0.1:{ports[name]} ssl backlog=4096;\nlocation / {{ {what} }} }}\n"
            for name, what in inside.items()
        )
        + "}\n"
    )
    (config := folder / f"{name}.conf").write_text(text)
    command = [program, "-c", str(config), "-p", str(folder)]
    version = f"{version_of(program, '-v')} with ModSecurity 3"
    return Subject(name, version, ports, pinned(SUBJECT_CPU, command), text)


def same_rules(folder: Path) -> tuple[Path, Path]:
    """The rules that the inspector has, where another program reads them from: a path without an @, and no rule at the end of a
    chain that says nothing of what it does."""
    to = folder / "crs"
    go = shutil.which("go", path=f"{os.environ['PATH']}:/usr/local/go/bin")
    if go is None:
        return to, to
    command = [go, "list", "-m", "-f", "{{.Dir}}", "github.com/corazawaf/coraza-coreruleset/v4"]
    module = subprocess.run(command, cwd=WAF, check=True, capture_output=True, text=True).stdout.strip()
    to.mkdir()
    for it in Path(module, "rules/@owasp_crs").iterdir():
        text = it.read_text()
        (to / it.name).write_text(re.sub(r'(?m)^(\s+SecRule TX:EARLY_BLOCKING "@eq 1")$', r'\1 "t:none"', text))
    (setup := to / "setup.conf").write_text(Path(module, "rules/@crs-setup.conf.example").read_text())
    return setup, to
