"""Measuring: `python -m bench`, or `make bench`. What one number means is in `cells.py`, who is measured in `subjects.py`."""
