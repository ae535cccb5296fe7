"""A small authority in a folder: it certifies names of one's own and nothing else, and says what it took back.

`folder` keeps files, `index` what was ever issued, `names` and `policy` say what may be, `request` judges what others ask for,
`certify` signs, `acts` puts them together, `rotation` takes a new root into use. It opens no socket and asks nobody.
"""

from typing import TYPE_CHECKING

from everyhop.lazily import lazily

if TYPE_CHECKING:
    from everyhop.authority.acts import Authority, Issued, begin, opened
    from everyhop.authority.index import Entry
    from everyhop.authority.policy import Policy
    from everyhop.authority.rotation import activate, prepare, retire
else:
    # A supervisor writes files as an authority does, and is none.
    __getattr__ = lazily(
        __name__,
        {
            **dict.fromkeys(("Authority", "Issued", "begin", "opened"), "acts"),
            "Entry": "index",
            "Policy": "policy",
            **dict.fromkeys(("activate", "prepare", "retire"), "rotation"),
        },
    )

__all__ = ["Authority", "Entry", "Issued", "Policy", "activate", "begin", "opened", "prepare", "retire"]
