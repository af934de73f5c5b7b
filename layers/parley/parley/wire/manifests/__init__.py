"""Manifests on the wire: YAML or JSON, one model per kind, exact words for what is wrong.

Loaded when a call brings or asks for a manifest, and not before: see `wire.cli_api`.
"""
