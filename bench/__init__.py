"""Parley's figures: `python -m bench` (`make bench`)."""
