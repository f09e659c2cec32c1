"""Bad input, and a Hub that fails: the two errors that the commands show as one line."""


class InputError(ValueError):
    """Something the user gave cannot be used; the message names it and the remedy, in one line."""


class PublishError(RuntimeError):
    """The Hub failed, or gave back something else than it was sent; in one line."""
