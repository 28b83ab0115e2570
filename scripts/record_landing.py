"""Record the README's picture: one landing of the agent that ships with the package, as a GIF.

Usage: python scripts/record_landing.py [MODEL.zip] [--seed 3] [-o assets/landing.gif]
"""

from __future__ import annotations

import argparse
from pathlib import Path

import gymnasium as gym
from PIL import Image
from stable_baselines3 import PPO

import sb3_lander  # noqa: F401 - registers LunarLanderContinuous-v2
from sb3_lander.runs import trained_folder


def main() -> None:
    """Fly one fixed task with the deterministic policy and keep every third frame at half the size."""
    parser = argparse.ArgumentParser(description=__doc__)
    shipped = trained_folder() / "ppo" / "LunarLanderContinuous-v3_1" / "LunarLanderContinuous-v3.zip"
    parser.add_argument("model", type=Path, nargs="?", default=shipped)
    parser.add_argument("--seed", type=int, default=3)
    parser.add_argument("-o", "--output", type=Path, default=Path("assets/landing.gif"))
    arguments = parser.parse_args()
    env = gym.make("LunarLanderContinuous-v3", render_mode="rgb_array")
    model = PPO.load(arguments.model, device="cpu")
    obs, _ = env.reset(seed=arguments.seed)
    frames, total, done = [], 0.0, False
    while not done:
        frames.append(env.render())
        obs, reward, terminated, truncated, _ = env.step(model.predict(obs, deterministic=True)[0])
        total, done = total + float(reward), terminated or truncated
    images = [Image.fromarray(frame).resize((300, 200), Image.Resampling.LANCZOS) for frame in frames[::3]]
    images = [image.quantize(colors=32, dither=Image.Dither.NONE) for image in images]
    # 50 simulator steps a second, every third frame.
    images[0].save(arguments.output, save_all=True, append_images=images[1:], duration=60, loop=0)
    print(
        f"{arguments.output}: return {total:.1f} in {len(frames)} steps, {arguments.output.stat().st_size / 1e3:.0f} kB"
    )


if __name__ == "__main__":
    main()
