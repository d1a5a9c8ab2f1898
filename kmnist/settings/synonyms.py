"""What others call our settings and options: a name that is unknown here is answered with the one that means it."""

_CALLED = {
    "arch": ("architecture", "model", "net", "network", "model_name"),
    "batch_size": ("bs", "batch", "batchsize", "train_batch_size"),
    "clip": ("clip_grad", "grad_clip", "gradient_clip_val", "max_grad_norm"),
    "data_dir": ("data", "data_path", "root"),
    "dataset": ("data_set",),
    "device": ("gpu", "accelerator", "cuda"),
    "ema": ("ema_decay", "model_ema"),
    "epochs": ("num_epochs", "n_epochs", "max_epochs"),
    "experiment_name": ("exp", "exp_name", "project"),
    "hidden": ("layers", "units", "hidden_size", "hidden_sizes", "hidden_layers"),
    "init_from": ("pretrained", "finetune", "weights"),
    "label_smoothing": ("smoothing",),
    "learning_rate": ("lr", "eta", "alpha"),
    "optimizer": ("optim", "opt", "optimiser"),
    "out": ("output", "o"),
    "patience": ("early_stopping", "early_stop"),
    "precision": ("amp", "dtype", "mixed_precision"),
    "resume": ("checkpoint", "ckpt", "ckpt_path", "resume_from"),
    "schedule": ("scheduler", "sched", "lr_scheduler", "lr_schedule"),
    "seed": ("random_seed", "random_state", "manual_seed"),
    "study": ("study_name",),
    "trials": ("n_trials", "num_trials"),
    "valid_fraction": ("val_split", "validation_split", "val_fraction", "val_size"),
    "weight_decay": ("wd", "l2"),
    "work_dir": ("output_dir", "save_dir", "checkpoint_dir"),
    "workers": ("n_jobs", "jobs", "num_workers", "n_workers"),
}
#: A name that others use -> ours.
MEANT = {other: name for name, others in _CALLED.items() for other in others}
