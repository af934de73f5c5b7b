"""The development model: an OpenAI-compatible server that can be told how to misbehave.

`answers` is what it says, `control` what it was told, `server` the HTTP around both.
"""
