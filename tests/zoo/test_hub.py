"""The RL Zoo's own upload takes our run folders: everything before the network is real."""

from __future__ import annotations

from pathlib import Path

import yaml
from conftest import ShortRun, python

WITHOUT_THE_NETWORK = """
import sys
from pathlib import Path
import huggingface_hub

class Hub(huggingface_hub.HfApi):
    def create_repo(self, **kwargs):
        return "https://hub/" + kwargs["repo_id"]
    def snapshot_download(self, *, local_dir, **kwargs):
        Path(local_dir).mkdir(parents=True)
        Path(local_dir, ".gitattributes").touch()
    def upload_folder(self, *, folder_path, repo_id, **kwargs):
        print("uploaded", repo_id, sorted(file.name for file in Path(folder_path).iterdir()))

huggingface_hub.HfApi = Hub
import sb3_lander.__main__
sys.exit(sb3_lander.__main__.main(["push-to-hub", *sys.argv[1:]]))
"""


def test_the_zoos_push_to_hub_takes_our_runs_up_to_the_network(v2_run: ShortRun, tmp_path: Path) -> None:
    env = "LunarLanderContinuous-v2"
    folder = v2_run.cwd / "logs"
    done = python("--algo ppo -orga me --env", env, "-f", folder, cwd=tmp_path, code=WITHOUT_THE_NETWORK)
    assert done.status == 0, done.output
    (uploaded,) = [line for line in done.output.splitlines() if line.startswith("uploaded")]
    assert uploaded.startswith("uploaded me/ppo-LunarLanderContinuous-v2 ")
    for name in ("README.md", "args.yml", "config.yml", "ppo-LunarLanderContinuous-v2.zip", "results.json"):
        assert repr(name) in uploaded
    card = (tmp_path / "hub" / f"ppo-{env}" / "README.md").read_text()
    metadata = yaml.safe_load(card.split("---")[1])
    assert metadata["library_name"] == "stable-baselines3"
    (result,) = metadata["model-index"][0]["results"]
    assert result["dataset"]["name"] == env
