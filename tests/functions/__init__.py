"""The handlers, on the stores in memory."""
