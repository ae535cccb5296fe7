"""From a configuration to the plan that runs: read, judge, build. Building is pure; only `files.py` reads certificates.

Read next: `compiler.py`, which is the order of it all on one page.
"""

from everyhop.compile.compiler import Compiled, Files, compile_file, policy_groups, renewed
from everyhop.compile.material import Material

__all__ = ["Compiled", "Files", "Material", "compile_file", "policy_groups", "renewed"]
