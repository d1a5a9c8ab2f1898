"""``Optimisation``: how the weights of a model follow from its loss, in one object with one flat named state."""

from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from kmnist.training.plateau import Plateau
from kmnist.training.settings import OPTIMIZERS, SCHEDULES, OptimisationSettings

AVERAGE = "average/"  # what the running averages of weights are called in the state


class Optimisation:
    """Optimizers, schedule, clipping and running average of one model.

    Built from the model, not from its bare parameters: which of them decay, or go to another optimizer, is decided by
    what they are.

    Args:
        model: whose weights it changes; on its device.
        settings: how.
        steps: of the whole training; the schedule is a function of the share of them that is done.
    """

    def __init__(self, model: nn.Module, settings: OptimisationSettings, steps: int) -> None:
        self._model, self._settings, self._steps = model, settings, steps
        self._schedule = SCHEDULES[settings.schedule]
        self._plateau = Plateau() if settings.schedule == "plateau" else None
        self._optimizers: list[torch.optim.Optimizer] = OPTIMIZERS[settings.optimizer](
            model, settings.learning_rate, settings.weight_decay
        )
        names = {id(weight): name for name, weight in model.named_parameters()}
        self._names = [
            [names[id(weight)] for group in optimizer.param_groups for weight in group["params"]]
            for optimizer in self._optimizers
        ]
        self._average: AveragedModel | None = None
        if settings.ema:
            self._average = AveragedModel(model, multi_avg_fn=get_ema_multi_avg_fn(settings.ema), use_buffers=True)
        self._done = 0

    @property
    def learning_rate(self) -> float:
        """Of the next step."""
        done = self._done / self._steps
        rate = self._settings.learning_rate * self._schedule(done)
        if done < self._settings.warmup:
            rate *= (self._done + 1) / (self._settings.warmup * self._steps)
        return rate * self._plateau.share if self._plateau else rate

    def step(self, loss: Tensor) -> None:
        """Change the weights against the gradient of ``loss``."""
        rate = self.learning_rate
        for optimizer in self._optimizers:
            optimizer.zero_grad()
            for group in optimizer.param_groups:
                group["lr"] = rate * group.get("rate_share", 1.0)
        loss.backward()
        if self._settings.clip:
            nn.utils.clip_grad_norm_(self._model.parameters(), self._settings.clip)
        for optimizer in self._optimizers:
            optimizer.step()
        if self._average is not None:
            self._average.update_parameters(self._model)
        self._done += 1

    def epoch_ended(self, valid_loss: float) -> None:
        """Tell how good the weights were after an epoch."""
        if self._plateau:
            self._plateau.epoch_ended(valid_loss)

    def weights_to_evaluate(self) -> dict[str, Tensor]:
        """The weights that the model is judged by, and that are kept; live: copy them at once."""
        found: dict[str, Tensor] = (self._average.module if self._average else self._model).state_dict()
        return found

    def state_dict(self) -> dict[str, Tensor]:
        """All that later steps depend on besides the weights, by name (``0/exp_avg/fc1.weight``); live tensors."""
        state = {"done": torch.tensor(self._done)}
        for place, (optimizer, names) in enumerate(zip(self._optimizers, self._names)):
            for weight, tensors in optimizer.state_dict()["state"].items():
                state |= {f"{place}/{kind}/{names[weight]}": tensor for kind, tensor in tensors.items()}
        if self._plateau:
            state["plateau"] = self._plateau.state()
        if self._average is not None:
            state["averaged"] = self._average.n_averaged
            state |= {AVERAGE + name: weight for name, weight in self._average.module.state_dict().items()}
        return state

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Go back to the state that :meth:`state_dict` gave.

        Raises:
            KeyError, ValueError, RuntimeError: it is of another model or of other settings.
        """
        self._done = int(state["done"])
        for place, (optimizer, names) in enumerate(zip(self._optimizers, self._names)):
            weights = [weight for group in optimizer.param_groups for weight in group["params"]]
            by_weight: dict[int, dict[str, Tensor]] = {}
            for name, tensor in state.items():
                if name.startswith(f"{place}/"):
                    _, kind, of = name.split("/")
                    index = names.index(of)
                    by_weight.setdefault(index, {})[kind] = _laid_out_as(weights[index], tensor)
            groups = optimizer.state_dict()["param_groups"]
            optimizer.load_state_dict({"state": by_weight, "param_groups": groups})
        if self._plateau:
            self._plateau.load(state["plateau"])
        if self._average is not None:
            self._average.n_averaged.copy_(state["averaged"])
            self._average.module.load_state_dict(evaluated_weights({}, state))


def _laid_out_as(weight: Tensor, tensor: Tensor) -> Tensor:
    """In the memory order of its weight, which fused kernels take for granted."""
    if tensor.shape != weight.shape:
        return tensor
    return torch.empty_like(weight, dtype=tensor.dtype, requires_grad=False).copy_(tensor)


def evaluated_weights(weights: Mapping[str, Tensor], state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """What :meth:`Optimisation.weights_to_evaluate` gave, from the weights of the model and the state.

    Args:
        weights: of the model.
        state: what :meth:`Optimisation.state_dict` gave with them.
    """
    average = {name.removeprefix(AVERAGE): tensor for name, tensor in state.items() if name.startswith(AVERAGE)}
    return average or dict(weights)
