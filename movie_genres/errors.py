"""What every module raises for bad input, and for work that fails."""


class InputError(ValueError):
    """Something the user gave cannot be used; the message names it and the remedy, in one line."""


class TrainingError(RuntimeError):
    """The training went wrong; the message says where, and what the causes may be, in one line."""


class PublishError(RuntimeError):
    """Publishing failed: the Hub does not answer, or the files pulled back from it differ from the
    run; the message names step and remedy, in one line."""


def one_line(message: object) -> str:
    """A library's message without line breaks, 300 characters at most."""
    return " ".join(str(message).split())[:300]
