"""Durations, bytes and large numbers as people read them."""


def duration(seconds: float) -> str:
    """Return a duration for people.

    Example:
        >>> duration(0.25), duration(90), duration(7200), duration(200_000)
        ('0.25 s', '1.5 minutes', '2 hours', '56 hours')
    """
    if seconds < 60:
        return f"{seconds:.2g} s"
    return f"{seconds / 60:.2g} minutes" if seconds < 3600 else f"{seconds / 3600:.2g} hours"


def size(count: float) -> str:
    """Return a number of bytes for people.

    Example:
        >>> size(512), size(3.2e9)
        ('512 bytes', '3.2 GB')
    """
    return f"{count:.0f} bytes" if count < 1000 else f"{prefixed(count)}B"


def prefixed(count: float) -> str:
    """Return a number with the prefix of its thousands and a space before it, such as "3.2 G".

    Example:
        >>> prefixed(3.2e9), prefixed(7)
        ('3.2 G', '7 ')
    """
    for prefix in ("", "k", "M", "G", "T", "P"):
        if count < 1000:
            return f"{count:.3g} {prefix}"
        count /= 1000
    return f"{count:.3g} E"
