"""PyTorch Lightning with its MLFlowLogger, which uploads checkpoints, too."""

import os

import lightning
import torch
from lightning.pytorch.callbacks import ModelCheckpoint
from lightning.pytorch.loggers import MLFlowLogger
from torch.utils.data import DataLoader, TensorDataset


class Net(lightning.LightningModule):
    def __init__(self, rate: float = 0.1) -> None:
        super().__init__()
        self.save_hyperparameters()
        self.layer = torch.nn.Linear(4, 1)

    def training_step(self, batch, number):
        loss = torch.nn.functional.mse_loss(self.layer(batch[0]), batch[1])
        self.log("loss", loss, on_step=True, on_epoch=True)
        return loss

    def validation_step(self, batch, number):
        self.log("valid_loss", torch.nn.functional.mse_loss(self.layer(batch[0]), batch[1]))

    def on_train_epoch_end(self):
        print("halfway", self.current_epoch, flush=True)

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), self.hparams.rate)


lightning.seed_everything(0, verbose=False)
inputs = torch.randn(64, 4)
loader = DataLoader(TensorDataset(inputs, inputs.sum(1, keepdim=True)), batch_size=8)
logger = MLFlowLogger(
    os.environ["MLFLOW_EXPERIMENT_NAME"], tracking_uri=os.environ["MLFLOW_TRACKING_URI"], log_model=True
)
trainer = lightning.Trainer(
    max_epochs=3,
    logger=logger,
    accelerator="cpu",
    log_every_n_steps=1,
    enable_progress_bar=False,
    enable_model_summary=False,
    callbacks=[ModelCheckpoint(monitor="valid_loss", save_top_k=2)],
)
trainer.fit(Net(), loader, loader)
print("ended", flush=True)
