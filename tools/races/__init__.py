"""Finds tests that judge what they only happened to see in time.

Two ways, each of which has found such tests that reading had missed:

    python -m tools.races.freeze [SEED] -- pytest -q tests/wire/test_sticky.py
    pytest -p tools.races.stale tests/wire/test_sticky.py

The first stops one process of the tree after the other for a moment, as a busy host does. The second gives every reading of a
log what was there half a second ago, as a slow writer does. A test that freezes an engine itself, or a shell that tells of
stopped jobs, is red under the first for no fault of its own.
"""
