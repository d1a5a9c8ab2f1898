"""``Optimisation``: how the weights of a model follow from its loss, in one object with one flat named state."""

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from kmnist.training.settings import OPTIMIZERS, SCHEDULES, OptimisationSettings


class Optimisation:
    """Optimizer and schedule of one model.

    Built from the model, not from its bare parameters: which of them decay, or go to another optimizer, is decided by
    what they are.

    Args:
        model: whose weights it changes.
        settings: how.
        steps: of the whole training; the schedule is a function of the share of them that is done.
    """

    def __init__(self, model: nn.Module, settings: OptimisationSettings, steps: int) -> None:
        self._model, self._settings, self._steps = model, settings, steps
        self._schedule = SCHEDULES[settings.schedule]
        self._optimizer: torch.optim.Optimizer = OPTIMIZERS[settings.optimizer](
            model.parameters(), settings.learning_rate, settings.weight_decay
        )
        self._names = [name for name, _ in model.named_parameters()]
        self._done = 0

    @property
    def learning_rate(self) -> float:
        """Of the next step."""
        return self._settings.learning_rate * self._schedule(self._done / self._steps)

    def step(self, loss: Tensor) -> None:
        """Change the weights against the gradient of ``loss``."""
        for group in self._optimizer.param_groups:
            group["lr"] = self.learning_rate
        self._optimizer.zero_grad()
        loss.backward()
        self._optimizer.step()
        self._done += 1

    def weights_to_evaluate(self) -> Mapping[str, Tensor]:
        """The weights that the model is judged by, live: copy them at once."""
        return self._model.state_dict()

    def state_dict(self) -> dict[str, Tensor]:
        """All that later steps depend on besides the weights, by name (``exp_avg/fc1.weight``); live tensors."""
        state = self._optimizer.state_dict()["state"]
        named = {f"{key}/{self._names[i]}": value for i, of_one in state.items() for key, value in of_one.items()}
        return {"done": torch.tensor(self._done), **named}

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Go back to the state that :meth:`state_dict` gave.

        Raises:
            KeyError, ValueError: it is of another model or optimizer.
        """
        by_index: dict[int, dict[str, Tensor]] = {}
        for name, value in state.items():
            key, _, parameter = name.partition("/")
            if parameter:
                by_index.setdefault(self._names.index(parameter), {})[key] = value
        groups = self._optimizer.state_dict()["param_groups"]
        self._optimizer.load_state_dict({"state": by_index, "param_groups": groups})
        self._done = int(state["done"])
