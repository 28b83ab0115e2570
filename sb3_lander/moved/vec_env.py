"""``sb3_lander.vec_env``, as YAML entries before 0.2 name it."""

from sb3_lander.envs import prefer_envpool  # noqa: F401
