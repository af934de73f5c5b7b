"""Why an answer did not come, in a sentence for whoever set the llm_client up.

By the error code of its prompt. The API tells whoever chats less: they cannot mend it.
"""

OTHERWISE = "something went wrong on the way to the answer"

_UNREACHED = "the provider could not be reached, or answered with an error of its own"
_SLOW = "the provider took too long"
_BROKEN = "the provider's answer broke off"

TOLD: dict[str, str] = {
    "rate_limited": "the provider is receiving too many requests right now",
    "connect": _UNREACHED,
    "server_error": _UNREACHED,
    "conflict": _UNREACHED,
    "unavailable": "the service is busy just now",
    "timeout": _SLOW,
    "timeout_first_token": _SLOW,
    "timeout_between_tokens": _SLOW,
    "time_limit": _SLOW,
    "cut": _BROKEN,
    "malformed": "the provider's answer could not be read",
    "tool_rounds": "the model only went on to call tools: see `limits.toolRounds` in its manifest",
    "lost": "the attempts were interrupted",
    "secret_unavailable": "the provider's key could not be read just now",
    "secret_missing": "the provider's key is not there: apply a Secret with its name",
    "unknown_model": "its model is not there: see `parley get Model` and its manifest",
    "misconfigured": "the provider's address or key cannot be used",
    "redirected": "the provider's address leads elsewhere, and redirects are not followed",
    "too_large": "the conversation is larger than the model can take: begin a new session",
    "no_access": "the provider gives no access: check its key, its credit and the model's name",
    "refused": "the provider refused the request",
    "question_gone": "the question was deleted",
    "client_gone": "the llm_client was deleted",
}


def failed(code: str, prompt_id: str) -> str:
    """What to tell of a turn that was given up, and where there is more about it."""
    why = TOLD.get(code, OTHERWISE)
    known = f" ({code})" if code else ""
    return f"no answer: {why}{known}. More: `parley prompts show {prompt_id}`"
