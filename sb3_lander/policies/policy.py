"""SeparateActorCriticPolicy: separate MLP heads with a bounded mean, a choice of std and a mirror symmetry."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import torch as th
from gymnasium import spaces
from stable_baselines3.common.distributions import CategoricalDistribution, DiagGaussianDistribution, Distribution
from stable_baselines3.common.policies import ActorCriticPolicy, BasePolicy
from stable_baselines3.common.torch_layers import BaseFeaturesExtractor, FlattenExtractor, MlpExtractor
from stable_baselines3.common.type_aliases import PyTorchObs, Schedule
from torch import nn

from sb3_lander.policies.distributions import CorrelatedNoise, FastCategorical, FastDiagGaussian, clamp
from sb3_lander.policies.eager import changes_no_vector, is_in_mode
from sb3_lander.policies.fused_adam import fused_class, split_flat_state
from sb3_lander.policies.networks import FastMlp, TanhRange, activation_factory, heads_at_once
from sb3_lander.policies.options import check_options, checked_bounds
from sb3_lander.policies.symmetry import MirrorSymmetry

# The base class forgets share_features_extractor, and the gSDE arguments where gSDE is off.
_KEPT_ARGUMENTS = (
    *("bounded_mean", "std", "log_std_bounds", "noise_correlation", "mirror", "value_scale", "fast"),
    *("full_std", "use_expln", "squash_output", "share_features_extractor"),
)


class SeparateActorCriticPolicy(ActorCriticPolicy):
    """SB3's actor-critic policy with separate MLPs for actor and critic, and options for continuous control.

    Works with PPO, A2C and TRPO, with every observation and action space that ``ActorCriticPolicy`` supports.
    With every option of its own at its default it computes bit for bit what that class does. The arguments that are
    not described here are its own.

    :param observation_space: Observation space.
    :param action_space: Action space.
    :param lr_schedule: Learning rate schedule; its value at 1 is the optimizer's first learning rate.
    :param net_arch: Hidden layer widths: ``dict(pi=[...], vf=[...])``, or one list for both; ``[64, 64]`` each if None.
    :param activation_fn: What makes a hidden layer's activation, such as its class, or its name (``"tanh"``,
        ``"relu"``, ``"elu"``, ...).
    :param ortho_init: Orthogonal initialisation (SB3's gains); torch's default initialisation if False.
    :param bounded_mean: Pass the Gaussian's mean through tanh, scaled to the action bounds, so that the deterministic
        action never needs clipping. Box actions with finite bounds only. Samples may still leave the bounds.
    :param std: The Gaussian's standard deviation: ``"learned"`` (one parameter an action, SB3's), ``"fixed"`` (never
        changes), or ``"state_dependent"`` (a linear head on the actor's last hidden layer). Box actions only.
    :param log_std_init: Natural logarithm of the std at the start; -2 to 0 is usual.
    :param log_std_bounds: ``(low, high)`` that the log std is kept within; a floor near -1.5 keeps exploring.
    :param noise_correlation: How much of a step's noise stays for the next one while a training collects steps, from 0
        (SB3's, none) to below 1. Its size is the std's as ever. With 0.9 a noise lasts about ten steps, so that engines
        also stay off for a while by chance (see :class:`~sb3_lander.policies.distributions.CorrelatedNoise`).
    :param mirror: A mirror symmetry that actor and critic obey exactly: ``"lunar_lander"``, ``"lunar_lander_discrete"``
        or ``"bipedal_walker"``, or a mapping with ``obs_permutation``, ``obs_sign``, ``action_sign`` and perhaps
        ``action_permutation`` and ``method`` (see :class:`~sb3_lander.policies.symmetry.MirrorSymmetry`).
    :param value_scale: The critic's output is multiplied by this. With ``vf_coef`` divided by its square it is the same
        as training on rewards divided by it (PPO normalises advantages), but every reported return stays raw.
        Choose it near the size of a return's spread; 1 changes nothing.
    :param fast: Fewer, larger kernels for the same mathematics, in the optimizer's step and in the backward passes of
        MLP and distribution. Results differ from ``fast=False`` by float rounding only.
    :param use_sde: gSDE exploration, as in SB3; not together with the options on mean, std and mirror.
    :param optimizer_kwargs: See SB3: given explicitly, they replace SB3's ``eps=1e-5`` for Adam.
    :raises ValueError: If an option makes no sense for the spaces, or together with another one.
    """

    action_net: nn.Linear
    log_std: th.Tensor  # type: ignore[assignment]  # a buffer, not a parameter, where the std is fixed

    def __init__(
        self,
        observation_space: spaces.Space[Any],
        action_space: spaces.Space[Any],
        lr_schedule: Schedule,
        *,
        net_arch: list[int] | dict[str, list[int]] | None = None,
        activation_fn: str | Callable[[], nn.Module] = nn.Tanh,
        ortho_init: bool = True,
        bounded_mean: bool = False,
        std: str = "learned",
        log_std_init: float = 0.0,
        log_std_bounds: Sequence[float] | None = None,
        noise_correlation: float = 0.0,
        mirror: str | Mapping[str, Any] | None = None,
        value_scale: float = 1.0,
        fast: bool = False,
        use_sde: bool = False,
        full_std: bool = True,
        use_expln: bool = False,
        squash_output: bool = False,
        features_extractor_class: type[BaseFeaturesExtractor] = FlattenExtractor,
        features_extractor_kwargs: dict[str, Any] | None = None,
        share_features_extractor: bool = True,
        normalize_images: bool = True,
        optimizer_class: type[th.optim.Optimizer] = th.optim.Adam,
        optimizer_kwargs: dict[str, Any] | None = None,
    ) -> None:
        # Set before the base builds the networks in its constructor; torch allows plain values this early.
        self.bounded_mean = bounded_mean
        self.std = std
        self.log_std_bounds = checked_bounds(log_std_bounds)
        self.noise_correlation = float(noise_correlation)
        self.mirror = mirror
        self.value_scale = float(value_scale)
        self.fast = fast
        self.full_std = full_std
        self.use_expln = use_expln
        check_options(self, action_space, log_std_init=log_std_init, use_sde=use_sde)
        super().__init__(
            observation_space,
            action_space,
            lr_schedule,
            net_arch=net_arch,
            activation_fn=activation_factory(activation_fn),  # type: ignore[arg-type]  # SB3 only calls it
            ortho_init=ortho_init,
            use_sde=use_sde,
            log_std_init=log_std_init,
            full_std=full_std,
            use_expln=use_expln,
            squash_output=squash_output,
            features_extractor_class=features_extractor_class,
            features_extractor_kwargs=features_extractor_kwargs,
            share_features_extractor=share_features_extractor,
            normalize_images=normalize_images,
            optimizer_class=optimizer_class,
            optimizer_kwargs=optimizer_kwargs,
        )

    def _get_constructor_parameters(self) -> dict[str, Any]:
        data = super()._get_constructor_parameters()
        data.update({name: getattr(self, name) for name in _KEPT_ARGUMENTS})
        return data

    def _build_mlp_extractor(self) -> None:
        super()._build_mlp_extractor()
        if self.fast and type(self.mlp_extractor) is MlpExtractor:
            self.mlp_extractor.policy_net = FastMlp(*self.mlp_extractor.policy_net)
            self.mlp_extractor.value_net = FastMlp(*self.mlp_extractor.value_net)

    def _build(self, lr_schedule: Schedule) -> None:
        super()._build(lr_schedule)
        self.symmetry = None
        self._noise = CorrelatedNoise(self.noise_correlation) if self.noise_correlation else None
        own = type(self)._get_action_dist_from_latent is SeparateActorCriticPolicy._get_action_dist_from_latent
        self._is_vector = type(self.observation_space) is spaces.Box
        if not own and (self.mirror is not None or self._noise is not None):
            raise ValueError("mirror and noise_correlation need our _get_action_dist_from_latent, so not your own")
        if self.mirror is not None:
            if self.features_extractor_class is not FlattenExtractor:
                raise ValueError(f"mirror: acts on the observation itself, so not with {self.features_extractor_class}")
            self.symmetry = MirrorSymmetry.from_spec(self.mirror)
            self.symmetry.check_spaces(self.observation_space, self.action_space, self.action_net.out_features)
        if self.bounded_mean:
            self._bound = TanhRange(self.action_space.low.ravel(), self.action_space.high.ravel())  # type: ignore[attr-defined]  # a Box, as checked
        if self.std == "fixed":
            self.register_buffer("log_std", self._parameters.pop("log_std").detach())  # type: ignore[union-attr]
        elif self.std == "state_dependent":
            del self.log_std
            self.log_std_net = nn.Linear(self.mlp_extractor.latent_dim_pi, self.action_net.out_features)
            # Starts as the same std for every state, so that the first rollouts explore as "learned" does.
            nn.init.zeros_(self.log_std_net.weight)
            nn.init.constant_(self.log_std_net.bias, self.log_std_init)
        self._is_fused = self.fast and own and not self.use_sde
        if self.fast and type(self.action_dist) is DiagGaussianDistribution:
            self.action_dist = FastDiagGaussian(self.action_dist.action_dim)
        elif self.fast and type(self.action_dist) is CategoricalDistribution:
            self.action_dist = FastCategorical(self.action_dist.action_dim)
        kind: Any = fused_class(self.optimizer_class, self.optimizer_kwargs) if self.fast else self.optimizer_class
        # Anew, since the base class made it before the parameters above were added or taken away.
        self.optimizer = kind(self.parameters(), lr=lr_schedule(1), **self.optimizer_kwargs)
        self.optimizer.register_load_state_dict_pre_hook(split_flat_state)

    def parameters(self, recurse: bool = True) -> Iterator[nn.Parameter]:
        """Return an iterator over the parameters, in torch's order."""
        if not recurse or type(self).named_parameters is not nn.Module.named_parameters:
            return super().parameters(recurse)
        # Without the names that torch's own makes on the way: PPO asks in every update.
        found = {id(p): p for module in self.modules() for p in module._parameters.values() if p is not None}
        return iter(found.values())

    def set_training_mode(self, mode: bool) -> None:
        """Put every module into training or evaluation mode."""
        # predict() asks each time, and setting what is set already takes a third of a single prediction's time.
        if not is_in_mode(self, mode):
            super().set_training_mode(mode)

    def extract_features(  # type: ignore[override]  # as SB3's own
        self, obs: PyTorchObs, features_extractor: BaseFeaturesExtractor | None = None
    ) -> th.Tensor | tuple[th.Tensor, th.Tensor]:
        """Return what actor and critic see; a pair where they have an extractor each."""
        # Of a vector SB3's preprocessing and flattening leave everything as it is, and take long to do so.
        is_simple = self.fast and self._is_vector and features_extractor is None and self.share_features_extractor
        if is_simple and isinstance(obs, th.Tensor) and changes_no_vector(self.features_extractor, obs):
            return obs.float()
        return super().extract_features(obs, features_extractor)

    def forward(self, obs: th.Tensor, deterministic: bool = False) -> tuple[th.Tensor, th.Tensor, th.Tensor]:
        """Run actor and critic.

        :param obs: Observations, shape ``(batch, *obs_shape)``.
        :param deterministic: Take the distribution's mode instead of a sample.
        :return: Actions ``(batch, *action_shape)``, values ``(batch, 1)`` and log probabilities ``(batch,)``.
        """
        actor, critic, side = self._heads(obs)
        values = self._values(*critic)
        distribution = self._distribution(*actor, side=side)
        if self._noise is None or deterministic:
            actions = distribution.get_actions(deterministic=deterministic)
        else:
            actions = self._noise.add_to(distribution.mode(), self._bounded_log_std(actor[0], side).exp())
        log_prob = distribution.log_prob(actions)
        return actions.reshape((-1, *self.action_space.shape)), values, log_prob  # type: ignore[misc]  # never None here

    def evaluate_actions(self, obs: PyTorchObs, actions: th.Tensor) -> tuple[th.Tensor, th.Tensor, th.Tensor | None]:
        """Evaluate actions under the current policy.

        :param obs: Observations, shape ``(batch, *obs_shape)``.
        :param actions: Actions, shape ``(batch, *action_shape)``.
        :return: Values ``(batch, 1)``, log probabilities ``(batch,)`` and entropies ``(batch,)``, the last two in nats.
        """
        actor, critic, side = self._heads(obs)
        distribution = self._distribution(*actor, side=side)
        log_prob = distribution.log_prob(actions)
        return self._values(*critic), log_prob, distribution.entropy()

    def get_distribution(self, obs: PyTorchObs) -> Distribution:
        """Return the action distribution for observations of shape ``(batch, *obs_shape)``."""
        features, side = self._fold(BasePolicy.extract_features(self, obs, self.pi_features_extractor))
        return self._distribution(self.mlp_extractor.forward_actor(features), side=side)

    def predict_values(self, obs: PyTorchObs) -> th.Tensor:
        """Return the values, shape ``(batch, 1)``, of observations of shape ``(batch, *obs_shape)``."""
        features, _ = self._fold(BasePolicy.extract_features(self, obs, self.vf_features_extractor))
        return self._values(self.mlp_extractor.forward_critic(features))

    def _heads(self, obs: PyTorchObs) -> tuple[tuple[th.Tensor, ...], tuple[th.Tensor, ...], th.Tensor | None]:
        """Return the last hidden layers, with their outputs if those came along, and the side that was seen."""
        features, extractor = self.extract_features(obs), self.mlp_extractor
        if isinstance(features, tuple):
            (pi_features, side), (vf_features, _) = self._fold(features[0]), self._fold(features[1])
            return (extractor.forward_actor(pi_features),), (extractor.forward_critic(vf_features),), side
        features, side = self._fold(features)
        is_fused = self._is_fused and "_get_action_dist_from_latent" not in vars(self)
        if is_fused and (found := heads_at_once(self._modules, features)):
            return (*found, side)
        latent_pi, latent_vf = extractor(features)
        return (latent_pi,), (latent_vf,), side

    def _fold(self, features: th.Tensor) -> tuple[th.Tensor, th.Tensor | None]:
        return (features, None) if (symmetry := self.symmetry) is None else symmetry.fold(features)

    def _values(self, latent_vf: th.Tensor, output: th.Tensor | None = None) -> th.Tensor:
        values: th.Tensor = self.value_net(latent_vf) if output is None else output
        if (symmetry := self.symmetry) is not None:
            values = symmetry.unfold_value(values)
        return values if self.value_scale == 1.0 else self.value_scale * values

    def _distribution(
        self, latent_pi: th.Tensor, output: th.Tensor | None = None, *, side: th.Tensor | None
    ) -> Distribution:
        if output is None and self.symmetry is None:  # as SB3 calls it, so that a subclass may have its own
            return self._get_action_dist_from_latent(latent_pi)
        return self._get_action_dist_from_latent(latent_pi, side, output)

    def _get_action_dist_from_latent(
        self, latent_pi: th.Tensor, side: th.Tensor | None = None, output: th.Tensor | None = None
    ) -> Distribution:
        """Return the action distribution from the actor's last hidden layer.

        :param side: What the symmetry needs to map the action back.
        :param output: What ``action_net`` makes of the layer, where that is known.
        """
        is_gaussian, symmetry = isinstance(self.action_dist, DiagGaussianDistribution), self.symmetry
        if symmetry is None and output is None and not is_gaussian:
            return super()._get_action_dist_from_latent(latent_pi)
        output = self.action_net(latent_pi) if output is None else output
        if symmetry is not None:
            output = symmetry.unfold(output, side)
        if not is_gaussian:
            return self.action_dist.proba_distribution(action_logits=output)
        if self.bounded_mean:
            output = self._bound(output)
        return self.action_dist.proba_distribution(output, self._bounded_log_std(latent_pi, side))

    def _bounded_log_std(self, latent: th.Tensor, side: th.Tensor | None) -> th.Tensor:
        """Return the log std, shape ``(action_dim,)``, or ``(batch, action_dim)`` where it depends on the state."""
        if self.std == "state_dependent":
            log_std: th.Tensor = self.log_std_net(latent)
            if self.log_std_bounds is not None:
                log_std = clamp(log_std, *self.log_std_bounds)
            return log_std if self.symmetry is None else self.symmetry.unfold(log_std, side, signed=False)
        log_std, symmetry = self.log_std, self.symmetry
        if self.log_std_bounds is not None and not th.compiler.is_exporting():
            # The parameter itself is projected: clamped in the graph it would get no gradient to come back by.
            log_std.data.clamp_(*self.log_std_bounds)
        return log_std if symmetry is None else symmetry.symmetric_log_std(log_std)


# Saved models name the class by this path: it must not follow the file.
SeparateActorCriticPolicy.__module__ = "sb3_lander.policies"
