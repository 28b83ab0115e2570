"""Write the parts of the documentation that the code itself knows: options, keys, arguments, names and figures.

``conf.py`` calls :func:`main` before each build; what it writes lies in ``docs/generated`` and is not committed.
"""

from __future__ import annotations

import argparse
import ast
import contextlib
import dataclasses
import importlib
import inspect
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any
from unittest import mock

import yaml
from figures import FIGURES, draw
from rl_zoo3.utils import ALGOS
from stable_baselines3.common.policies import ActorCriticPolicy

import sb3_lander
from sb3_lander.__main__ import main as main_of_the_command_line
from sb3_lander.benchmark import Measurement, Recipe
from sb3_lander.policies import SeparateActorCriticPolicy
from sb3_lander.runs import config_names, default_config
from sb3_lander.tuning.parameter import Parameter

TARGET = Path(__file__).resolve().parent / "generated"
PACKAGE = Path(sb3_lander.__file__).parent

LANDERS = ("LunarLanderContinuous", "LunarLander")

ZOO_KEYS = {
    "n_timesteps": ("number", "needed", "environment steps of the whole training; `-n` overrides it"),
    "n_envs": ("int", "1", "environments that run side by side"),
    "policy": ("str", "needed", "one of the algorithm's names, as `MlpPolicy`, or the dotted path of a class"),
    "policy_kwargs": ("mapping", "none", "the policy's arguments; for ours see the table of the policy"),
    "normalize": ("bool or mapping", "false", "`VecNormalize` around the environments, or its arguments"),
    "frame_stack": ("int", "none", "that many observations in one, by `VecFrameStack`"),
    "env_kwargs": ("mapping", "none", "keyword arguments of `gymnasium.make`"),
    "env_wrapper": ("path, mapping or list", "none", "wrappers around each environment; ours set the success flag"),
    "vec_env_wrapper": ("path, mapping or list", "none", "wrappers around all of them; ours chooses EnvPool"),
    "monitor_kwargs": ("mapping", "none", "arguments of SB3's `Monitor`"),
    "callback": ("path, mapping or list", "none", "callbacks, each a dotted path or a mapping of one to arguments"),
}
"""What the RL Zoo takes out of an entry. It documents no types, so these words are ours; a test compares the keys."""


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a table in Markdown."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(
        "| " + " | ".join(" ".join(cell.split()).replace("|", "\\|") for cell in row) + " |" for row in lines
    )


def markdown(text: str) -> str:
    """Return a docstring's reST as Markdown: roles become code, double backticks single ones."""
    text = re.sub(r":\w+:`~?([^`<]+?)`", lambda found: f"`{found.group(1).rsplit('.', 1)[-1]}`", " ".join(text.split()))
    return text.replace("``", "`")


def parameters_of(thing: Any) -> dict[str, str]:
    """Return what a docstring in SB3's style says of each parameter."""
    text = inspect.getdoc(thing) or ""
    found = re.findall(r"^:param (\w+):\s*(.*?)(?=^:\w|\Z)", text, flags=re.MULTILINE | re.DOTALL)
    return {name: markdown(words) for name, words in found}


def type_name(annotation: Any) -> str:
    """Return an annotation as it is written, without the modules' names."""
    if annotation is inspect.Parameter.empty:
        return ""
    text = annotation if isinstance(annotation, str) else inspect.formatannotation(annotation)
    text = re.sub(r"\b(?:[a-z_]\w*\.)+", "", text).replace("NoneType", "None")
    text = re.sub(r"Optional\[(.*)\]", r"\1 | None", text)
    return re.sub(r"Union\[([^\[\]]*)\]", lambda found: found.group(1).replace(", ", " | "), text)


def code(value: Any) -> str:
    """Return a value as code, short."""
    if value is inspect.Parameter.empty:
        return ""
    text = value.__name__ if isinstance(value, type) else repr(value)
    return f"`{text}`"


def policy_arguments() -> str:
    """Return the table of the policy's own arguments, and of SB3's."""
    words = parameters_of(SeparateActorCriticPolicy)
    base = inspect.signature(ActorCriticPolicy).parameters
    base_words = parameters_of(ActorCriticPolicy)
    ours, theirs = [], []
    for name, parameter in inspect.signature(SeparateActorCriticPolicy).parameters.items():
        if parameter.kind is not inspect.Parameter.KEYWORD_ONLY:
            continue
        row = [f"`{name}`", f"`{type_name(parameter.annotation)}`", code(parameter.default)]
        if name in words:
            ours.append([*row, words[name] + ("" if name not in base else " (SB3's argument)")])
        else:
            theirs.append([*row, base_words.get(name, "")])
    head = ["argument", "type", "default", "effect"]
    return f"{table(head, ours)}\n\nThe other arguments are SB3's, unchanged:\n\n{table(head, theirs)}\n"


def zoo_keys() -> str:
    """Return the table of the keys that the RL Zoo itself takes."""
    return table(["key", "type", "default", "effect"], ([f"`{key}`", *cells] for key, cells in ZOO_KEYS.items())) + "\n"


def algorithm_keys() -> str:
    """Return a section for each algorithm that has an entry: its keys, SB3's default, and the entry's value."""
    parts = []
    for algo in sorted((name for name in config_names() if name in ALGOS), key=lambda name: (name != "ppo", name)):
        content = yaml.safe_load(default_config(algo).read_text())
        entries = {lander: content[f"{lander}-v3"] for lander in LANDERS if f"{lander}-v3" in content}
        words = parameters_of(ALGOS[algo])
        rows = []
        for name, parameter in inspect.signature(ALGOS[algo].__init__).parameters.items():
            if name in {"self", "env", "seed", "device", "verbose", "tensorboard_log", "_init_setup_model", "kwargs"}:
                continue
            if name in ZOO_KEYS:
                continue
            here = [code(entry[name]) if name in entry else "" for entry in entries.values()]
            row = [f"`{name}`", f"`{type_name(parameter.annotation)}`", code(parameter.default)]
            rows.append([*row, *here, words.get(name, "")])
        text = f"### {algo}\n\n"
        for lander, entry in entries.items():
            entry["n_timesteps"] = int(entry["n_timesteps"])
            others = ", ".join(
                f"`{key}: {entry[key]}`"
                for key in entry
                if key in ZOO_KEYS and key not in ("policy_kwargs", "callback")
            )
            text += f"The other keys of our entry for `{lander}`: {others}.\n\n"
        head = ["key", "type", "SB3's default", *(f"`{lander}`" for lander in entries), "effect (SB3's words)"]
        parts.append(f"{text}{table(head, rows)}\n")
    return "\n".join(parts)


def fields_table(cls: Any, renamed: Mapping[str, str] | None = None) -> str:
    """Return the table of a dataclass's fields but its name, with what its docstring says of them."""
    words = parameters_of(cls)
    rows = []
    for field in dataclasses.fields(cls):
        if field.name == "name":  # in YAML that is the key of the mapping
            continue
        default = "empty" if field.default is dataclasses.MISSING else code(field.default)
        if field.default is field.default_factory is dataclasses.MISSING:
            default = "needed"
        name = (renamed or {}).get(field.name, field.name)
        rows.append(
            [f"`{name}`", f"`{type_name(field.type)}`", default.replace("`nan`", ""), words.get(field.name, "")]
        )
    return table(["key", "type", "default", "effect"], rows) + "\n"


def all_commands() -> dict[str, argparse.ArgumentParser]:
    """Return every command's parser by its name, as the command line makes them."""
    found: list[argparse.ArgumentParser] = []

    def keep(parser: argparse.ArgumentParser, *_: Any) -> None:
        found.append(parser)
        raise InterruptedError

    with mock.patch.object(argparse.ArgumentParser, "parse_known_args", keep), contextlib.suppress(InterruptedError):
        main_of_the_command_line([])
    (subparsers,) = (action for action in found[0]._actions if isinstance(action, argparse._SubParsersAction))
    return dict(sorted(subparsers.choices.items()))


def options(parser: argparse.ArgumentParser) -> Iterator[list[str]]:
    """Return a row for each argument that the parser shows."""
    formatter = argparse.HelpFormatter(parser.prog, width=10_000)
    for action in parser._actions:
        if action.help is argparse.SUPPRESS or isinstance(action, (argparse._HelpAction, argparse._SubParsersAction)):
            continue
        metavar = formatter._format_args(action, formatter._get_default_metavar_for_optional(action))
        if action.option_strings:
            name = ", ".join(f"`{word} {metavar}`" if metavar else f"`{word}`" for word in action.option_strings[-1:])
            short = [f"`{word}`" for word in action.option_strings[:-1]]
            name = ", ".join([*short, name])
        else:
            name = f"`{formatter._format_args(action, formatter._get_default_metavar_for_positional(action))}`"
        yield [name, options_as_code(formatter._expand_help(action)) if action.help else ""]


def options_as_code(text: str) -> str:
    """Return a text with each ``--option`` in it as code."""
    return re.sub(r"(?<![\w`-])(--?[a-z][\w-]*)", r"`\1`", text)


def commands() -> str:
    """Return a section for each command: its summary, usage and options."""

    def section(parser: argparse.ArgumentParser, title: str, summary: str, level: int) -> str:
        usage = " ".join(parser.format_usage().removeprefix("usage: ").replace("[-h]", "").split())
        text = f"{'#' * level} {title}\n\n{options_as_code(summary)}\n\n```text\n{_wrap(f'python -m {usage}')}\n```\n\n"
        if rows := list(options(parser)):
            text += table(["argument", "effect"], rows) + "\n\n"
        if parser.epilog:
            text += f"{options_as_code(parser.epilog)}\n\n"
        for action in parser._actions:
            if isinstance(action, argparse._SubParsersAction):
                for choice in action._choices_actions:
                    words = (choice.help or "").capitalize() + "."
                    text += section(action.choices[choice.dest], f"{title} {choice.dest}", words, level + 1)
        return text

    return "\n".join(section(parser, name, parser.description or "", 2) for name, parser in all_commands().items())


def _wrap(usage: str) -> str:
    """Break a usage line between its arguments."""
    lines, line = [], ""
    for part in re.findall(r"\[[^\]]*(?:\[[^\]]*\][^\]]*)*\](?: \.\.\.)?|\S+", usage):
        if line and len(line) + len(part) > 88:
            lines.append(line)
            line = "   "
        line = f"{line} {part}" if line else part
    return "\n".join([*lines, line])


def rooms() -> list[str]:
    """Return the rooms that hand out names, in the order of the package's own map."""
    order = re.findall(r"^    (\w+) +\S", sb3_lander.__doc__ or "", flags=re.MULTILINE)
    return [room for room in order if (PACKAGE / room / "__init__.pyi").is_file()]


def public_names(room: str) -> list[str]:
    """Return the names that a room's stub hands out, as they stand there."""
    tree = ast.parse((PACKAGE / room / "__init__.pyi").read_text())
    nodes = (node for node in tree.body if isinstance(node, ast.ImportFrom))
    return [alias.asname for node in nodes for alias in node.names if alias.asname]


def api(room: str) -> str:
    """Return a room's page: every public name, from its docstring."""
    module = importlib.import_module(f"sb3_lander.{room}")
    top = sb3_lander.__all__
    lines = [f"# sb3_lander.{room}\n\n{markdown(module.__doc__ or '')}\n\n"]
    for name in public_names(room):
        thing = getattr(module, name)
        kind = "class" if inspect.isclass(thing) else "function" if callable(thing) else "data"
        if inspect.isclass(thing) and issubclass(thing, Exception):
            kind = "exception"
        body = [f".. auto{kind}:: sb3_lander.{room}.{name}"]
        if kind == "class":
            body += ["   :members:", "   :show-inheritance:"]
        also = f"Also `sb3_lander.{name}`.\n\n" if name in top else ""
        lines.append(f"## {name}\n\n{also}```{{eval-rst}}\n" + "\n".join(body) + "\n```\n\n")
    return "".join(lines)


def api_index() -> str:
    """Return the list of rooms with their public names."""
    rows = []
    for room in rooms():
        names = ", ".join(f"{{py:obj}}`{name} <sb3_lander.{room}.{name}>`" for name in public_names(room))
        words = markdown((importlib.import_module(f"sb3_lander.{room}").__doc__ or "").split("\n")[0])
        rows.append([f"`sb3_lander.{room}`", words, names])
    return table(["room", "what it is for", "names"], rows) + "\n"


PARTS: dict[str, Callable[[], str]] = {
    "policy_arguments": policy_arguments,
    "zoo_keys": zoo_keys,
    "algorithm_keys": algorithm_keys,
    "commands": commands,
    "api_index": api_index,
    "space_keys": lambda: fields_table(Parameter, {"form": "as"}),
    "recipe_keys": lambda: fields_table(Recipe),
    "measurement_keys": lambda: fields_table(Measurement),
}


def write(path: Path, content: str | bytes) -> None:
    """Write a file where its content has changed, so that Sphinx builds again only what must be."""
    data = content.encode() if isinstance(content, str) else content
    if not path.is_file() or path.read_bytes() != data:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)


def main() -> None:
    """Write everything."""
    for name, part in PARTS.items():
        write(TARGET / f"{name}.md", part())
    for room in rooms():
        write(TARGET.parent / "reference" / f"api_{room}.md", api(room))
    for name in FIGURES:
        for theme in ("light", "dark"):
            write(TARGET / f"{name}-{theme}.svg", draw(name, theme))


if __name__ == "__main__":
    main()
