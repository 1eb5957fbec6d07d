"""Beale's function, a smooth surface with a narrow curved valley: a trial that takes no time."""


def beale(x: float, y: float) -> float:
    """Beale's function; its minimum is 0, at x = 3 and y = 0.5.

    Source: E. M. L. Beale, "On an iterative method for finding a local minimum of a function of more than
    one variable", Technical Report 25, Princeton University, 1958.

    Args:
        x: First coordinate, usually from -4.5 to 4.5.
        y: Second coordinate, usually from -4.5 to 4.5.

    Returns:
        (1.5 - x + xy)² + (2.25 - x + xy²)² + (2.625 - x + xy³)².
    """
    # Products instead of powers: they overflow to infinity, where ** raises an error.
    a = 1.5 - x + x * y
    b = 2.25 - x + x * y * y
    c = 2.625 - x + x * y * y * y
    return a * a + b * b + c * c
