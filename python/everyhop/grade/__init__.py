"""What a TLS server offers, against the policies that Everyhop knows: `everyhop probe --grade`. Read next: `trying.py`."""

from everyhop.grade.judged import ALL, Finding, Grade, judged
from everyhop.grade.offered import Hsts, Offered, Shown
from everyhop.grade.trying import Unprobed, tried

__all__ = ["ALL", "Finding", "Grade", "Hsts", "Offered", "Shown", "Unprobed", "judged", "tried"]
