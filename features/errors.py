"""Every error a user of Recompra can meet.

::

    RecompraError          says what was expected, what came, and what to do (its hint)
    ├── InputError         a file, table, column or value that cannot be used as it is
    │   └── Conflict       it is of the right form, and contradicts what is known
    ├── SettingsError      recompra.toml or a command's option is wrong
    ├── NotFound           nothing of that name is here (yet)
    │   └── Gone           it was here, and is no longer kept
    ├── Busy               another process, or too many requests, are at work on it: try again later
    ├── CannotLearn        the data is too thin for a model; says what it would need
    └── ArtefactError      a saved model or list is broken, or made by other features
"""

import re

PASSWORD = re.compile(r"(://[^:/@\s]*:)[^/@\s]+(?=@)")
"""The password inside a URL."""


def first_line(error: Exception) -> str:
    """Return the first line of another library's error (a database's own, if it is one), or its type."""
    text = f"no {error}" if isinstance(error, KeyError) else str(getattr(error, "orig", None) or error)
    if "Max retries exceeded" in text:  # of urllib3, with its own workings
        return "nobody answers there"
    return text.partition("\n")[0][:300] or type(error).__name__


class RecompraError(Exception):
    """The root of all errors raised on purpose. Passwords in URLs are masked in its message.

    ``message`` says what was expected and what came, ``hint`` what to do.
    """

    def __init__(self, message: str, hint: str) -> None:
        message = PASSWORD.sub(r"\1***", message)
        super().__init__(f"{message.rstrip('.')}. Hint: {hint}")
        self.message = message
        self.hint = hint


class InputError(RecompraError):
    """A file, table, column or value that cannot be used as it is."""


class Conflict(InputError):
    """It is of the right form, and contradicts what is known."""


class SettingsError(RecompraError):
    """``recompra.toml`` or a command's option is wrong."""


class NotFound(RecompraError):
    """Nothing of that name is here (yet)."""


class Gone(NotFound):
    """It was here, and is no longer kept."""


class Busy(RecompraError):
    """Another process, or too many requests, are at work on it: try again later."""


class CannotLearn(RecompraError):
    """The data is too thin for a model; the message says what it would need."""


class ArtefactError(RecompraError):
    """A saved model or list is broken, or was made by other features."""
