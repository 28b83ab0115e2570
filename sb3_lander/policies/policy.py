"""SeparateActorCriticPolicy: separate MLP heads with a bounded mean, a choice of std and a mirror symmetry."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import torch as th
from gymnasium import spaces
from stable_baselines3.common.distributions import (
    DiagGaussianDistribution,
    Distribution,
    StateDependentNoiseDistribution,
)
from stable_baselines3.common.policies import ActorCriticPolicy, BasePolicy
from stable_baselines3.common.torch_layers import BaseFeaturesExtractor, FlattenExtractor
from stable_baselines3.common.type_aliases import PyTorchObs, Schedule
from torch import nn

from sb3_lander.policies.flat import FlatParameters
from sb3_lander.policies.networks import FastDiagGaussian, FastMlp, TanhRange, activation_class, supports_fused
from sb3_lander.policies.options import STD_KINDS, check_options, checked_bounds
from sb3_lander.policies.symmetry import MirrorSymmetry

__all__ = ["STD_KINDS", "SeparateActorCriticPolicy"]

# The base class forgets share_features_extractor, and the gSDE arguments where gSDE is off.
_KEPT_ARGUMENTS = (
    *("bounded_mean", "std", "log_std_bounds", "mirror", "value_scale", "fast"),
    *("full_std", "use_expln", "squash_output", "share_features_extractor"),
)


class SeparateActorCriticPolicy(ActorCriticPolicy):
    """SB3's actor-critic policy with separate MLPs for actor and critic, and options for continuous control.

    Works with PPO, A2C and TRPO, with every observation and action space that ``ActorCriticPolicy`` supports.
    With every option of its own at its default it computes bit for bit what ``ActorCriticPolicy`` does. The arguments
    that are not described here are that class's own.

    :param observation_space: Observation space.
    :param action_space: Action space.
    :param lr_schedule: Learning rate schedule; its value at 1 is the optimizer's first learning rate.
    :param net_arch: Hidden layer widths: ``dict(pi=[...], vf=[...])``, or one list for both; ``[64, 64]`` each if None.
    :param activation_fn: Class of the hidden layers' activation, or its name (``"tanh"``, ``"relu"``, ``"elu"``, ...).
    :param ortho_init: Orthogonal initialisation (SB3's gains); torch's default initialisation if False.
    :param bounded_mean: Pass the Gaussian's mean through tanh, scaled to the action bounds, so that the deterministic
        action never needs clipping. Box actions with finite bounds only. Samples may still leave the bounds.
    :param std: The Gaussian's standard deviation: ``"learned"`` (one parameter an action, SB3's), ``"fixed"`` (never
        changes), or ``"state_dependent"`` (a linear head on the actor's last hidden layer). Box actions only.
    :param log_std_init: Natural logarithm of the standard deviation at the start; -2 to 0 is usual.
    :param log_std_bounds: ``(low, high)`` that the log std is kept within; a floor near -1.5 keeps exploring.
    :param mirror: A mirror symmetry that the actor obeys exactly and the critic too: the name ``"lunar_lander"``, or a
        mapping with ``obs_permutation``, ``obs_sign``, ``action_sign`` and optionally ``action_permutation`` and
        ``method`` (see :class:`~sb3_lander.policies.symmetry.MirrorSymmetry`). None for no symmetry.
    :param value_scale: The critic's output is multiplied by this. With ``vf_coef`` divided by its square it is the same
        as training on rewards divided by it (PPO normalises advantages), but every reported return stays raw.
        Choose it near the size of a return's spread; 1 changes nothing.
    :param fast: Fewer, larger kernels for the same mathematics: fused optimizer step (SB3's ``eps`` is kept) and
        hand-written backward passes for MLP and Gaussian. Results differ from ``fast=False`` by float rounding only.
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
        activation_fn: str | type[nn.Module] = nn.Tanh,
        ortho_init: bool = True,
        bounded_mean: bool = False,
        std: str = "learned",
        log_std_init: float = 0.0,
        log_std_bounds: Sequence[float] | None = None,
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
        self.mirror = mirror
        self.value_scale = float(value_scale)
        self.fast = fast
        self.full_std = full_std
        self.use_expln = use_expln
        self._flat: FlatParameters | None = None
        check_options(
            action_space,
            bounded_mean=bounded_mean,
            std=std,
            log_std_init=log_std_init,
            log_std_bounds=self.log_std_bounds,
            mirrored=mirror is not None,
            value_scale=self.value_scale,
            use_sde=use_sde,
        )
        super().__init__(
            observation_space,
            action_space,
            lr_schedule,
            net_arch=net_arch,
            activation_fn=activation_class(activation_fn),
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

    def _build(self, lr_schedule: Schedule) -> None:
        super()._build(lr_schedule)
        self.symmetry = None
        is_flattened = self.features_extractor_class is FlattenExtractor
        if self.mirror is not None:
            if not is_flattened:
                raise ValueError(f"mirror: acts on the observation itself, so not with {self.features_extractor_class}")
            self.symmetry = MirrorSymmetry.from_spec(self.mirror)
            self.symmetry.check_spaces(self.observation_space, self.action_space, self.action_net.out_features)
        if self.bounded_mean:
            assert isinstance(self.action_space, spaces.Box)
            self._bound = TanhRange(self.action_space.low.ravel(), self.action_space.high.ravel())
        if self.std == "fixed":
            value = self.log_std.detach()
            del self.log_std
            self.register_buffer("log_std", value)
        elif self.std == "state_dependent":
            del self.log_std
            self.log_std_net = nn.Linear(self.mlp_extractor.latent_dim_pi, self.action_net.out_features)
            # Starts as the same std for every state, so that the first rollouts explore as "learned" does.
            nn.init.zeros_(self.log_std_net.weight)
            nn.init.constant_(self.log_std_net.bias, self.log_std_init)
        self._fast_actor: FastMlp | None = None
        self._fast_critic: FastMlp | None = None
        optimizer_kwargs = dict(self.optimizer_kwargs)
        self._is_vector = False
        if self.fast:
            # Of a vector SB3's feature extraction leaves everything as it is, and takes long to do so.
            is_vector = isinstance(self.observation_space, spaces.Box) and len(self.observation_space.shape) == 1
            is_own = type(self).extract_features is not ActorCriticPolicy.extract_features
            self._is_vector = is_vector and is_flattened and not is_own
            if supports_fused(self.optimizer_class):
                optimizer_kwargs.setdefault("fused", True)
            if type(self.action_dist) is DiagGaussianDistribution:
                self.action_dist = FastDiagGaussian(self.action_dist.action_dim)
            if FastMlp.supports(self.mlp_extractor.policy_net):
                self._fast_actor = FastMlp(self.mlp_extractor.policy_net, self.action_net)
            if FastMlp.supports(self.mlp_extractor.value_net):
                self._fast_critic = FastMlp(self.mlp_extractor.value_net, self.value_net)
        # Anew, since the base class made it before the parameters above were added or taken away.
        self.optimizer = self.optimizer_class(self.parameters(), lr=lr_schedule(1), **optimizer_kwargs)  # type: ignore[call-arg]  # SB3 types the class as Optimizer
        # The optimizers that have a fused step treat every number alike, wherever it stands.
        if self.fast and optimizer_kwargs.get("fused"):
            self._flat = FlatParameters(list(self.parameters()), self.optimizer)

    def parameters(self, recurse: bool = True) -> Iterator[nn.Parameter]:
        """Return the parameters; with ``fast`` the one flat tensor that they are views of.

        The optimizer and the clipping of the gradient's norm ask for them here; ``named_parameters`` and ``state_dict``
        tell them apart.
        """
        return super().parameters(recurse) if self._flat is None else iter((self._flat.flat,))

    def _apply(self, fn: Any, recurse: bool = True) -> Any:
        super()._apply(fn, recurse)  # type: ignore[no-untyped-call]  # torch's is untyped
        if self._flat is not None:
            self._flat.restore()
        return self

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)  # type: ignore[no-untyped-call]  # torch's is untyped
        if self._flat is not None:
            self._flat.attach(self.optimizer)

    def use_plain_layers(self) -> None:
        """Compute with torch's own layers from now on, for those who read the graph, such as an exporter."""
        self._fast_actor = self._fast_critic = None

    def set_training_mode(self, mode: bool) -> None:
        """Put every module into training or evaluation mode."""
        # predict() asks each time, and the walk over all modules takes a third of a single prediction's time.
        if not self.fast or mode != self.training:
            super().set_training_mode(mode)

    def forward(self, obs: th.Tensor, deterministic: bool = False) -> tuple[th.Tensor, th.Tensor, th.Tensor]:
        """Run actor and critic.

        :param obs: Observations, shape ``(batch, *obs_shape)``.
        :param deterministic: Take the distribution's mode instead of a sample.
        :return: Actions ``(batch, *action_shape)``, values ``(batch, 1)`` and log probabilities ``(batch,)``.
        """
        pi_features, vf_features, side = self._features(obs)
        distribution = self._distribution(pi_features, side)
        values = self._values(vf_features)
        actions = distribution.get_actions(deterministic=deterministic)
        log_prob = distribution.log_prob(actions)
        return actions.reshape((-1, *self.action_space.shape)), values, log_prob  # type: ignore[misc]  # never None here

    def evaluate_actions(self, obs: PyTorchObs, actions: th.Tensor) -> tuple[th.Tensor, th.Tensor, th.Tensor | None]:
        """Evaluate actions under the current policy.

        :param obs: Observations, shape ``(batch, *obs_shape)``.
        :param actions: Actions, shape ``(batch, *action_shape)``.
        :return: Values ``(batch, 1)``, log probabilities ``(batch,)`` and entropies ``(batch,)``, the last two in nats.
        """
        pi_features, vf_features, side = self._features(obs)
        distribution = self._distribution(pi_features, side)
        return self._values(vf_features), distribution.log_prob(actions), distribution.entropy()

    def get_distribution(self, obs: PyTorchObs) -> Distribution:
        """Return the action distribution for observations of shape ``(batch, *obs_shape)``."""
        features = BasePolicy.extract_features(self, obs, self.pi_features_extractor)
        features, side = self._fold(features)
        return self._distribution(features, side)

    def predict_values(self, obs: PyTorchObs) -> th.Tensor:
        """Return the values, shape ``(batch, 1)``, of observations of shape ``(batch, *obs_shape)``."""
        features = BasePolicy.extract_features(self, obs, self.vf_features_extractor)
        return self._values(self._fold(features)[0])

    def _features(self, obs: PyTorchObs) -> tuple[th.Tensor, th.Tensor, th.Tensor | None]:
        """Return what the actor and the critic see, and what the symmetry needs to map the action back."""
        features = obs.float() if self._is_vector else self.extract_features(obs)  # type: ignore[union-attr]  # no dict
        if isinstance(features, tuple):
            (pi_features, side), (vf_features, _) = self._fold(features[0]), self._fold(features[1])
            return pi_features, vf_features, side
        features, side = self._fold(features)
        return features, features, side

    def _fold(self, features: th.Tensor) -> tuple[th.Tensor, th.Tensor | None]:
        return (features, None) if self.symmetry is None else self.symmetry.fold(features)

    def _values(self, features: th.Tensor) -> th.Tensor:
        if self._fast_critic is not None:
            values = self._fast_critic(features)[0]
        else:
            values = self.value_net(self.mlp_extractor.forward_critic(features))
        if self.symmetry is not None:
            values = self.symmetry.unfold_value(values)
        return values if self.value_scale == 1.0 else self.value_scale * values

    def _distribution(self, features: th.Tensor, side: th.Tensor | None) -> Distribution:
        """Return the action distribution from what the actor sees."""
        if self._fast_actor is not None:
            output, latent = self._fast_actor(features)
        else:
            latent = self.mlp_extractor.forward_actor(features)
            output = self.action_net(latent)
        if self.symmetry is not None:
            output = self.symmetry.unfold(output, side)
        if self.bounded_mean:
            output = self._bound(output)
        if isinstance(self.action_dist, DiagGaussianDistribution):
            return self.action_dist.proba_distribution(output, self._bounded_log_std(latent, side))
        if isinstance(self.action_dist, StateDependentNoiseDistribution):
            return self.action_dist.proba_distribution(output, self.log_std, latent)
        return self.action_dist.proba_distribution(action_logits=output)

    def _bounded_log_std(self, latent: th.Tensor, side: th.Tensor | None) -> th.Tensor:
        """Return the log std, shape ``(action_dim,)``, or ``(batch, action_dim)`` where it depends on the state."""
        if self.std == "state_dependent":
            log_std = self.log_std_net(latent)
            if self.log_std_bounds is not None:
                log_std = log_std.clamp(*self.log_std_bounds)
            return log_std if self.symmetry is None else self.symmetry.unfold(log_std, side, signed=False)
        if self.log_std_bounds is not None:
            # The parameter itself is projected: clamped in the graph it would get no gradient to come back by.
            self.log_std.data.clamp_(*self.log_std_bounds)
        return self.log_std if self.symmetry is None else self.symmetry.symmetric_log_std(self.log_std)


# Saved models name the class by this path: it must not follow the file.
SeparateActorCriticPolicy.__module__ = "sb3_lander.policies"
