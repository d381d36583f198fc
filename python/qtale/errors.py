"""Errors that are the user's to mend: commands show them as one message, without a traceback."""

from __future__ import annotations


class UserError(Exception):
    """The input, model or file is at fault. The message names it and says what to do."""


class UsageError(Exception):
    """A command was called wrongly."""


class Error(RuntimeError):
    """What a compiled model or the compiler answered.

    code: a name out of qtale.h ("INVALID_ARGUMENT", "NOT_FOUND", "CORRUPT", "UNSUPPORTED",
    "OUT_OF_MEMORY", "IO", "BUSY", "LIMIT"), or "COMPILE" where compilation failed.
    """

    def __init__(self, code: str, message: str):
        super().__init__(message)
        self.code = code
