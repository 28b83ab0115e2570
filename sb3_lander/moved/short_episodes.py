"""``sb3_lander.short_episodes``, as YAML entries before 0.2 name it."""

from sb3_lander.callbacks import ShortEpisodes  # noqa: F401
