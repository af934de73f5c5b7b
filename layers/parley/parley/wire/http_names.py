"""Names as JSON has them."""


def camel(name: str) -> str:
    """`prompt_id` as `promptId`."""
    first, *rest = name.split("_")
    return first + "".join(word.title() for word in rest)
