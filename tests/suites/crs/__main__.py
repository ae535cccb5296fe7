"""`make waf-conformance`: all cases, counted. Exit code 1: something differs without a reason."""

from __future__ import annotations

import sys

from tests.suites.crs.cases import every
from tests.suites.crs.report import run

cases = every()
report = run(cases)
print("\n".join(report.told()))
if wrong := report.unexplained({it.name for it in cases}):
    print("without a reason in tests/suites/crs/exceptions.toml:", *wrong, sep="\n    ")
sys.exit(bool(wrong))
