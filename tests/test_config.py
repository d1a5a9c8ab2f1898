import pytest
from hypothesis import given
from hypothesis import strategies as st

from kmnist.cli.main import app
from kmnist.cli.options import given_settings
from kmnist.config import TrainConfig
from kmnist.errors import SettingError
from kmnist.training.augmentation.settings import PARTS


@st.composite
def configs(draw: st.DrawFn) -> TrainConfig:
    arch = draw(st.sampled_from(["plain", "dropout"]))
    settings = {
        "arch": arch,
        "hidden": draw(st.lists(st.integers(1, 4096), min_size=1, max_size=5)),
        **({"dropout": draw(st.floats(0, 0.99))} if arch == "dropout" else {}),
        "epochs": draw(st.integers(1, 1000)),
        "batch_size": draw(st.integers(1, 60_000)),
        "learning_rate": draw(st.floats(1e-12, 100)),
        "optimizer": draw(st.sampled_from(["adam", "adamw", "sgd", "rmsprop"])),
        "schedule": draw(st.sampled_from(["constant", "cosine", "onecycle", "step"])),
        "weight_decay": draw(st.floats(0, 1)),
        "label_smoothing": draw(st.floats(0, 0.99)),
        "normalise": draw(st.sampled_from(["standard", "unit"])),
        "valid_fraction": draw(st.floats(0.001, 0.999)),
        "select_by": draw(st.sampled_from(["valid_loss", "valid_accuracy", "last"])),
        "patience": draw(st.integers(0, 100)),
        "precision": draw(st.sampled_from(["auto", "fp32", "bf16"])),
        "seed": draw(st.integers(0, 2**32 - 1)),
        "split_seed": draw(st.integers(-1, 2**32 - 1)),
        "subset": draw(st.sampled_from(["all", "bootstrap", "not-2/5"])),
        "dataset": draw(st.sampled_from(["auto", "kmnist", "sample"])),
    }
    if settings["select_by"] == "last":
        settings |= {"patience": 0, "valid_fraction": draw(st.floats(0, 0.999))}
    settings |= {name: draw(st.booleans()) for name in TrainConfig.fields(arch) if name == "batch_norm"}
    settings |= {"warmup": draw(st.floats(0, 0.9)), "clip": draw(st.floats(0, 9)), "ema": draw(st.floats(0, 0.99))}
    settings |= {
        "init_from": draw(st.sampled_from(["none", "imagenet"])),
        "freeze": draw(st.sampled_from(["none", "fc1"])),
    }
    settings |= {"first_label": draw(st.integers(-1, 9)), "transpose": draw(st.booleans())}
    settings |= {"resize": draw(st.sampled_from(["none", "28", "32,24"])), "pixel_max": draw(st.floats(1, 65535))}
    settings |= {"test_fraction": draw(st.floats(0.01, 0.9)), "test_seed": draw(st.integers(0, 9))}
    settings["prepare"] = draw(st.sampled_from(["auto", "kmnist", "ink", "none"]))
    settings["kept_rate"] = draw(st.floats(0.01, 1))
    settings["augment"] = draw(st.sampled_from(["none", "light", "strong"]))
    settings |= {name: draw(st.floats(0, 0.9)) for name in PARTS}
    assert settings.keys() == TrainConfig.fields(arch).keys()
    return TrainConfig.parse(settings)


@given(configs())
def test_config_to_flags_to_config(config: TrainConfig) -> None:
    flags = [f"--{name.replace('_', '-')}={text}" for name, text in config.as_text().items()]
    _, bound, _ = app.parse_args(["train", *flags], exit_on_error=False, print_error=False)
    assert TrainConfig.parse(given_settings([bound.arguments["settings"]], None)) == config


@given(configs())
def test_what_was_changed_is_enough_to_repeat_a_config(config: TrainConfig) -> None:
    assert TrainConfig.parse(config.changed()) == config


def test_the_reports_dropout_net_is_the_default_one() -> None:
    assert TrainConfig.parse({"arch": "dropout"})["dropout"] == 0.5


def test_a_setting_that_an_architecture_has_not_is_not_in_its_config() -> None:
    assert "dropout" not in TrainConfig.parse({"arch": "plain"}).as_text()
    assert "dropout" not in TrainConfig.searched("plain")


def test_text_as_mlflow_run_gives_it() -> None:
    config = TrainConfig.parse({"learning_rate": "1e-3", "hidden": " 512, 256 ", "epochs": "3"})
    assert (config.learning_rate, config["hidden"], config.epochs) == (0.001, (512, 256), 3)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"arch": "plan"}, "unknown arch 'plan'; did you mean 'plain'?"),
        ({"lerning_rate": 1}, "unknown setting 'lerning_rate'; did you mean 'learning_rate'?"),
        ({"x": 1}, "unknown setting 'x'; the settings are: arch, hidden"),
        ({"optimizer": "adm"}, "optimizer=adm: unknown optimizer 'adm'; did you mean 'adam'?"),
        (
            {"valid_fraction": 0},
            "valid_fraction=0: leaves no images to choose an epoch by valid_accuracy on; a training",
        ),
        ({"select_by": "last", "patience": 3}, "patience=3: select_by=last takes no epoch for better; leave it out"),
        (
            {"select_by": "last", "valid_fraction": 0, "schedule": "plateau"},
            "schedule=plateau: follows the validation loss, which valid_fraction=0 has none of",
        ),
        ({"epochs": 0}, "epochs=0: must be greater than or equal to 1"),
        ({"epochs": "1.5"}, "epochs=1.5: must be a valid integer"),
        ({"learning_rate": -1}, "learning_rate=-1: must be greater than 0"),
        ({"learning_rate": "nan"}, "learning_rate=nan: must be a finite number"),
        ({"learning_rate": "fast"}, "learning_rate=fast: must be a valid number"),
        ({"hidden": ""}, "hidden=: must have at least 1 item"),
        ({"hidden": "512,0"}, "hidden=0: must be greater than or equal to 1"),
        ({"arch": "plain", "dropout": 0.3}, "dropout: arch=plain has no dropout; leave it out, or use arch=dropout"),
        ({"arch": "dropout", "dropout": 1}, "dropout=1: must be less than 1"),
    ],
)
def test_a_bad_setting_shows_the_value_the_rule_and_the_way_out(settings: dict[str, object], message: str) -> None:
    with pytest.raises(SettingError) as caught:
        TrainConfig.parse(settings)
    assert str(caught.value).startswith(message)
    assert "\n" not in str(caught.value)


def test_every_bad_setting_is_told_at_once() -> None:
    with pytest.raises(SettingError) as caught:
        TrainConfig.parse({"epochs": 0, "seed": -1})
    assert [line.split("=")[0] for line in str(caught.value).splitlines()] == ["epochs", "seed"]


def test_every_setting_says_what_it_is() -> None:
    assert all(field.description for field in TrainConfig.fields().values())
