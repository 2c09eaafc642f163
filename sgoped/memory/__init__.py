"""The short-term memory."""
