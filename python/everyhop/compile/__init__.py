"""From a configuration to the plan that runs: read, judge, build. Building is pure; only `files.py` reads certificates.

Read next: `compiler.py`, which is the order of it all on one page; `compiled.py`, which is what comes of it. Who is given that does not
read what made it: `lazily.py`.
"""

from typing import TYPE_CHECKING

from everyhop.lazily import lazily

if TYPE_CHECKING:
    from everyhop.compile.compiled import Compiled, Files, Material
    from everyhop.compile.compiler import compile_file, policy_groups, renewed
else:
    __getattr__ = lazily(
        __name__,
        {
            **dict.fromkeys(("Compiled", "Files", "Material"), "compiled"),
            **dict.fromkeys(("compile_file", "policy_groups", "renewed"), "compiler"),
        },
    )

__all__ = ["Compiled", "Files", "Material", "compile_file", "policy_groups", "renewed"]
