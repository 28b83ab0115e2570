"""Fly the lander with an exported policy: onnxruntime and gymnasium alone.

python -m sb3_lander export logs/ppo/LunarLanderContinuous-v2_1 --onnx lander.onnx
python scripts/fly_onnx.py lander.onnx
"""

import sys

import gymnasium as gym
import onnxruntime

session = onnxruntime.InferenceSession(sys.argv[1], providers=["CPUExecutionProvider"])
env = gym.make("LunarLanderContinuous-v3")
for seed in range(5):
    observation, _ = env.reset(seed=seed)
    episode_return, over = 0.0, False
    while not over:
        (action,) = session.run(None, {"observation": observation[None]})[0]
        observation, reward, terminated, truncated, _ = env.step(action)
        episode_return, over = episode_return + float(reward), terminated or truncated
    print(f"seed {seed}: return {episode_return:.1f}")
