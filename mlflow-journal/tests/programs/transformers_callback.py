"""A Trainer of transformers with its MLflowCallback, on a tiny net of random weights."""

import tempfile

import torch
from transformers import BertConfig, BertForSequenceClassification, Trainer, TrainerCallback, TrainingArguments


class Progress(TrainerCallback):
    def on_epoch_end(self, args, state, control, **others):
        print("halfway", state.epoch, flush=True)


torch.manual_seed(0)
rows = [{"input_ids": torch.randint(0, 50, (8,)), "labels": torch.tensor(number % 2)} for number in range(32)]
config = BertConfig(
    vocab_size=50, hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=16, num_labels=2
)
with tempfile.TemporaryDirectory() as folder:
    arguments = TrainingArguments(
        folder,
        num_train_epochs=3,
        logging_steps=1,
        eval_strategy="epoch",
        save_strategy="no",
        report_to="mlflow",
        run_name="transformers",
        per_device_train_batch_size=8,
        use_cpu=True,
        disable_tqdm=True,
    )
    trainer = Trainer(
        BertForSequenceClassification(config), arguments, train_dataset=rows, eval_dataset=rows, callbacks=[Progress()]
    )
    trainer.train()
print("ended", flush=True)
