"""The networks, layer by layer, measured on the networks themselves."""

from dataclasses import dataclass

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from kmnist.config import TrainConfig
from kmnist.data.spec import DataSpec
from kmnist.network import empty_network
from kmnist.report.blocks import Block, Heading, Paragraph, Section, Table, literal
from kmnist.report.source import Report, Source

MOST = 4  # networks whose layers are listed


@dataclass(frozen=True)
class Layer:
    """One layer.

    Attributes:
        name: in the network.
        kind: what it is.
        shape: of what it gives, without the batch.
        parameters: that it learns.
        multiplications: for one image.
    """

    name: str
    kind: str
    shape: tuple[int, ...]
    parameters: int
    multiplications: int


def architectures(report: Report) -> Section | None:
    """A table of layers for each network, and what the runs trained it with."""
    networks: dict[object, list[Source]] = {}
    for source in report.ours:
        if source.run.config and source.spec:
            networks.setdefault((source.run.config.net, source.spec.shape, len(source.spec.classes)), []).append(source)
    blocks: list[Block] = []
    numbers = {}
    for sources in list(networks.values())[:MOST]:
        config, spec = sources[0].run.config, sources[0].spec
        assert config is not None
        assert spec is not None
        layers = layers_of(config, spec)
        parameters, products = (sum(getattr(at, part) for at in layers) for part in ("parameters", "multiplications"))
        letters = ", ".join(source.letter for source in sources)
        title = literal(f"{config.arch} {config.net.summary}".strip())
        blocks.append(Heading(f"{title} ({'run' if len(sources) == 1 else 'runs'} {letters})"))
        height, width = spec.shape
        text = f"{parameters:,} parameters; {products:,} multiplications for an image of {height} × {width} pixels."
        blocks.append(Paragraph(text))
        rows = [
            [literal(at.name), at.kind, " × ".join(map(str, at.shape)), f"{at.parameters:,}", f"{at.multiplications:,}"]
            for at in layers
        ]
        blocks.append(
            Table("Layers, from the pixels on.", ["layer", "kind", "gives", "parameters", "multiplications"], rows)
        )
        numbers[sources[0].letter] = {"parameters": parameters, "multiplications": products}
    if len(networks) > MOST:
        blocks.append(Paragraph(f"{len(networks) - MOST} more networks are not listed."))
    return Section("Architectures and settings", [*blocks, *_settings(report)], numbers) if blocks else None


def layers_of(config: TrainConfig, spec: DataSpec) -> list[Layer]:
    """The layers that have no layers in them, as one image of zeros passes through them."""
    network = empty_network(config, spec).eval()
    shapes: dict[str, tuple[int, ...]] = {}

    def watch(name: str, module: nn.Module) -> torch.utils.hooks.RemovableHandle:
        def look(module: nn.Module, inputs: tuple[torch.Tensor, ...], output: torch.Tensor) -> None:
            shapes.setdefault(name, tuple(output.shape[1:]))

        return module.register_forward_hook(look)

    leaves = {name: module for name, module in network.named_modules() if not list(module.children())}
    handles = [watch(name, module) for name, module in leaves.items()]
    counter = FlopCounterMode(display=False)
    with torch.no_grad(), counter:
        network(torch.zeros(1, *spec.shape))
    for handle in handles:
        handle.remove()
    flops = counter.get_flop_counts()
    root = type(network).__name__
    return [
        Layer(
            name=name.removeprefix("network."),
            kind=type(module).__name__,
            shape=shapes[name],
            parameters=sum(weight.numel() for weight in module.parameters()),
            multiplications=sum(flops.get(f"{root}.{name}", {}).values()) // 2,  # a product and a sum count as two
        )
        for name, module in leaves.items()
        if name in shapes and not isinstance(module, nn.Identity)
    ]


def _settings(report: Report) -> list[Block]:
    """The settings in which the runs differ, and in a sentence those that all share."""
    configs = {source: source.run.config.as_text() for source in report.ours if source.run.config}
    names = list(dict.fromkeys(name for text in configs.values() for name in text))
    differing = [name for name in names if len({text.get(name) for text in configs.values()}) > 1]
    changed = {name for source in report.ours if source.run.config for name in source.run.config.changed()}
    shared = [name for name in names if name not in differing and name in changed]
    first = next(iter(configs.values()))
    blocks: list[Block] = [Heading("Settings")]
    if shared:
        told = ", ".join(f"{literal(name)} {literal(first[name])}" for name in shared)
        blocks.append(
            Paragraph(f"{'Not the defaults' if len(configs) == 1 else 'The same in all, and not the default'}: {told}.")
        )
    if differing and len(configs) > 1:
        rows = [[literal(name), *(literal(text.get(name, "–")) for text in configs.values())] for name in differing]
        blocks.append(Table("Settings in which the runs differ.", ["setting", *(s.letter for s in configs)], rows))
    return blocks
