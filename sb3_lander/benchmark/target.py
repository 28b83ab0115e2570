"""Target: a mean return that a training reaches, and holds."""


class Target:
    """Notes when a training reaches a mean return to stay, in :attr:`reached`.

    A single look at a policy that changes from update to update is a lucky crossing as often as not. So a look at or
    above the value only counts if every later one within the following ``hold`` of its steps is there too; the time is
    that of the first of them. A training that ends sooner has not reached it.

    :param value: The mean return.
    :param hold: Share of the steps so far for which it must hold; 0 counts the first look.
    """

    def __init__(self, value: float, hold: float) -> None:
        self.value, self.hold = value, hold
        self.reached: dict[str, float] | None = None
        self._since: dict[str, float] | None = None

    def look(self, point: dict[str, float], mean_return: float) -> None:
        """Take note of one look.

        :param point: When it was: ``steps`` and ``seconds``.
        :param mean_return: What the policy came to.
        """
        self._since = None if mean_return < self.value else self._since or point
        if self._since and self.reached is None:
            first = self._since["steps"]
            if point["steps"] - first >= self.hold * first:
                self.reached = self._since
