"""What every module raises for bad input, and for work that cannot come to a good end."""


class InputError(ValueError):
    """Something the user gave cannot be used; the message names it and the remedy, in one line."""


class TrainingError(RuntimeError):
    """The training went wrong; the message says where, and what the causes may be, in one line."""


class PublishError(RuntimeError):
    """The Hub failed, or gave back something else than it was sent; in one line."""
