"""Bad input: the one error that every module raises for it."""


class InputError(ValueError):
    """Something the user gave cannot be used; the message names it and the remedy, in one line."""
