"""What becomes of a prompt whose runner is gone, whoever finds it."""

from parley.core import lifecycle
from parley.core.prompt import Prompt
from parley.ports import DeadLetter, DeadLetters, PromptStore
from parley.usecases.ending import Ending
from parley.usecases.observing import Observer


async def take_over(
    prompt: Prompt,
    now: int,
    *,
    prompts: PromptStore,
    ending: Ending,
    dead_letters: DeadLetters,
    observer: Observer,
) -> bool:
    """True if the prompt is ended now; else it was woken, to run alone.

    Raises TransitionRefused if it has moved since it was read.
    """
    if prompt.cancel_requested:
        ended = await prompts.cancel_expired(prompt.account, prompt.id, now)
    elif lifecycle.to_give_up(prompt, now):
        await dead_letters.record(DeadLetter(prompt.account, prompt.id, "lost"))
        ended = await prompts.give_up(prompt.account, prompt.id, now)
        observer.abandoned(ended)
    else:
        await ending.wake(prompt, alone=True)
        return False
    await ending(ended)
    return True
