"""The fast MLP against torch's own layers and autograd; activations by name."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable, Sequence

import pytest
import torch as th
from stable_baselines3.common.torch_layers import MlpExtractor
from torch import nn

from sb3_lander.policies.networks import ACTIVATIONS, FastMlp, activation_factory, heads_at_once

FAST_ACTIVATIONS = [nn.Tanh, nn.ReLU]


def make_layers(
    activation: type[nn.Module] = nn.ReLU, widths: Sequence[int] = (6, 4), dtype: th.dtype = th.float32
) -> list[nn.Module]:
    th.manual_seed(0)
    layers: list[nn.Module] = []
    for a, b in itertools.pairwise([5, *widths]):
        layers += [nn.Linear(a, b, dtype=dtype), activation()]
    return layers


def nodes(output: th.Tensor) -> set[str]:
    """Return the names of the graph's nodes."""
    found, todo = set(), [output.grad_fn]
    while todo:
        if node := todo.pop():
            found.add(node.name())
            todo += [below for below, _ in node.next_functions]
    return found


@pytest.mark.parametrize("widths", [[6], [6, 4, 7]])
@pytest.mark.parametrize("activation", FAST_ACTIVATIONS)
def test_the_fast_mlp_computes_what_the_layers_compute_in_one_node(
    activation: type[nn.Module], widths: list[int]
) -> None:
    layers, x = make_layers(activation, widths), th.randn(9, 5)
    fast = FastMlp(*layers)(x)
    th.testing.assert_close(fast, nn.Sequential(*layers)(x), atol=1e-6, rtol=1e-5)
    assert "AddmmBackward0" not in nodes(fast)
    with th.no_grad():
        assert th.equal(fast, FastMlp(*layers)(x))


@pytest.mark.parametrize("activation", FAST_ACTIVATIONS)
def test_the_fast_mlp_has_the_right_first_and_second_derivatives(activation: type[nn.Module]) -> None:
    fast = FastMlp(*make_layers(activation, dtype=th.float64))

    def function(x: th.Tensor, *_: th.Tensor) -> th.Tensor:
        return fast(x)

    x = th.randn(3, 5, dtype=th.float64, requires_grad=True)
    assert th.autograd.gradcheck(function, (x, *fast.parameters()))
    assert th.autograd.gradgradcheck(function, (x, *fast.parameters()))


@pytest.mark.parametrize("activation", FAST_ACTIVATIONS)
def test_actor_and_critic_at_once_have_the_right_first_and_second_derivatives(activation: type[nn.Module]) -> None:
    extractor = MlpExtractor(5, {"pi": [4, 3], "vf": [2]}, activation)
    extractor.policy_net, extractor.value_net = FastMlp(*extractor.policy_net), FastMlp(*extractor.value_net)
    modules = nn.ModuleDict(
        {"mlp_extractor": extractor, "action_net": nn.Linear(3, 2), "value_net": nn.Linear(2, 1)}
    ).double()

    def function(x: th.Tensor, *_: th.Tensor) -> tuple[th.Tensor, ...]:
        found = heads_at_once(modules._modules, x)
        assert found is not None
        (latent_pi, output), (_, value) = found
        return latent_pi, output, value

    x = th.randn(3, 5, dtype=th.float64, requires_grad=True)
    latent_pi, latent_vf = (nn.Sequential(*net)(x) for net in (extractor.policy_net, extractor.value_net))
    expected = latent_pi, modules["action_net"](latent_pi), modules["value_net"](latent_vf)
    th.testing.assert_close(function(x), expected)
    assert th.autograd.gradcheck(function, (x, *modules.parameters()))
    assert th.autograd.gradgradcheck(function, (x, *modules.parameters()))


@pytest.mark.parametrize("frozen", [[0], [1], [2, 3], [0, 1, 2], [0, 1, 2, 3]])
def test_a_frozen_weight_gets_no_gradient_and_changes_no_other(frozen: list[int]) -> None:
    gradients = []
    for kind in (FastMlp, nn.Sequential):
        mlp, x = kind(*make_layers()), th.ones(3, 5, requires_grad=True)
        for i, parameter in enumerate(mlp.parameters()):
            parameter.requires_grad = i not in frozen
        mlp(x).square().sum().backward()
        gradients.append([p.grad for p in (x, *mlp.parameters())])
    for i, (fast, plain) in enumerate(zip(*gradients, strict=True)):
        assert (fast is None) == (plain is None) == (i - 1 in frozen)
        if fast is not None:
            th.testing.assert_close(fast, plain)


@pytest.mark.parametrize(
    "layers",
    [
        [],
        [nn.Linear(5, 2)],
        [nn.Linear(5, 2), nn.GELU()],
        [nn.Linear(5, 2), nn.LayerNorm(2)],
        [nn.Linear(5, 2, bias=False), nn.ReLU()],
        [nn.Linear(5, 2), nn.ReLU(), nn.Linear(2, 2), nn.Tanh()],
        [nn.Linear(5, 2), nn.ReLU(), nn.Dropout(0.0), nn.ReLU()],
    ],
    ids=lambda layers: "-".join(type(layer).__name__ for layer in layers),
)
def test_other_layers_are_left_to_torch(layers: list[nn.Module]) -> None:
    x = th.randn(4, 5)
    assert th.equal(FastMlp(*layers)(x), nn.Sequential(*layers)(x))
    assert nodes(FastMlp(*layers)(x)) == nodes(nn.Sequential(*layers)(x))


def replaced(mlp: nn.Sequential) -> nn.Sequential:
    mlp[2] = nn.Sequential(nn.Linear(6, 4), nn.Tanh())
    return mlp


def hooked(mlp: nn.Sequential) -> nn.Sequential:
    mlp[1].register_forward_hook(lambda _module, _inputs, output: 2.0 * output)
    return mlp


def hooked_before(mlp: nn.Sequential) -> nn.Sequential:
    mlp[2].register_forward_pre_hook(lambda _module, inputs: (-inputs[0],))
    return mlp


def given_another_forward(mlp: nn.Sequential) -> nn.Sequential:
    mlp[3].forward = lambda x: x.abs()  # type: ignore[method-assign]  # that is the point
    return mlp


def normed(mlp: nn.Sequential) -> nn.Sequential:
    nn.utils.parametrizations.weight_norm(mlp[0])
    nn.init.ones_(mlp[0].parametrizations.weight.original0)
    return mlp


@pytest.mark.parametrize("change", [replaced, hooked, hooked_before, given_another_forward, normed])
def test_what_is_done_to_a_layer_counts(change: Callable[[nn.Sequential], nn.Sequential]) -> None:
    x = th.randn(4, 5)
    outputs = []
    for kind in (FastMlp, nn.Sequential):
        mlp = kind(*make_layers())
        mlp(x)
        th.manual_seed(1)
        outputs.append(change(mlp)(x))
    assert th.equal(*outputs)
    assert not th.allclose(outputs[0], FastMlp(*make_layers())(x))


def test_a_backward_hook_sees_its_layer() -> None:
    seen: list[tuple[int, ...]] = []
    mlp = FastMlp(*make_layers())
    mlp[2].register_full_backward_hook(lambda _module, _into, out: seen.append(out[0].shape))
    mlp(th.randn(3, 5)).sum().backward()
    assert seen == [(3, 4)]


@pytest.mark.filterwarnings("ignore:.torch.jit.script")  # torch's own, at its first dual number
def test_autocast_and_torch_func_work_as_with_torchs_layers() -> None:
    fast, plain = FastMlp(*make_layers()), nn.Sequential(*make_layers())
    x = th.randn(7, 5)
    with th.autocast("cpu", dtype=th.bfloat16):
        assert th.equal(fast(x), plain(x))
        assert fast(x).dtype is th.bfloat16
    assert th.equal(th.func.vmap(fast)(x), th.func.vmap(plain)(x))
    assert th.equal(th.func.jacrev(fast)(x), th.func.jacrev(plain)(x))
    assert th.equal(th.func.jvp(fast, (x,), (x,))[1], th.func.jvp(plain, (x,), (x,))[1])
    with th.autograd.forward_ad.dual_level():
        dual = th.autograd.forward_ad.make_dual(x, x)
        assert th.equal(*(th.autograd.forward_ad.unpack_dual(mlp(dual)).tangent for mlp in (fast, plain)))
    other = {name: value + 1.0 for name, value in plain.state_dict().items()}
    th.testing.assert_close(*(th.func.functional_call(mlp, other, (x,)) for mlp in (fast, plain)))


def test_an_activation_is_known_by_its_name_and_by_what_makes_it() -> None:
    assert activation_factory("ELU") is nn.ELU
    assert activation_factory(nn.Softsign) is nn.Softsign
    assert all(activation_factory(name) is cls for name, cls in ACTIVATIONS.items())
    leaky = functools.partial(nn.LeakyReLU, 0.2)
    assert activation_factory(leaky) is leaky
    for wrong in ("nn.Tanh", "sine", 3, th.tanh):
        with pytest.raises(ValueError, match="activation_fn"):
            activation_factory(wrong)  # type: ignore[arg-type]  # wrong types are the point
