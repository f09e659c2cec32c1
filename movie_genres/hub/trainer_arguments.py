"""The Trainer's own publishing arguments, taken over by this project's publication."""

from __future__ import annotations

from typing import TYPE_CHECKING

from movie_genres.hub.repository import HubTarget

if TYPE_CHECKING:  # it takes seconds to import
    from transformers import TrainingArguments


def pop_hub_arguments(args: TrainingArguments) -> tuple[HubTarget, str | None] | None:
    """Read `--push_to_hub` and the arguments that go with it, and reset them.

    With them, the stock Trainer would create a public repository at the start, push at every
    checkpoint, and save pickle files that hold the token.

    Returns:
        Where to publish, and the token given with `--hub_token`; None without `--push_to_hub`.

    Raises:
        InputError: If `--hub_model_id` is not an id that the Hub accepts.
    """
    push, token = args.push_to_hub, args.hub_token
    target = HubTarget(args.hub_model_id or "", public=args.hub_private_repo is False)
    args.push_to_hub, args.hub_token = False, None
    args.hub_model_id = args.hub_private_repo = None
    if not push:
        return None
    target.check()
    return target, token
