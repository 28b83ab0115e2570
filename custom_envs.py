"""The RL Zoo imports a module of this name (``rl_zoo3/import_envs.py``): its hook for installed packages."""

from sb3_lander.zoo.hook import register

register()
